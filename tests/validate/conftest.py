"""Small measurements, written by the tests themselves: no recorded number is among them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from simulator.validate.rows import Row, read_file

COMMON = {
    "gpu": "A100-SXM-80GB",
    "dtype": "bf16",
    "source": "here",
    "timing_method": "graph",
    "time_us": 10.0,
}
USUAL: Mapping[str, Mapping[str, Any]] = {
    "gemm.csv": {"op": "gemm", "m": 16, "n": 32, "k": 64, "batch": 1},
    "attention_prefill.csv": {
        "op": "attention_prefill",
        "batch": 1,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 64,
        "q_len": 8,
        "kv_len": 8,
        "causal": 1,
    },
    "attention_decode.csv": {
        "op": "attention_decode",
        "batch": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 64,
        "q_len": 1,
        "kv_len": 32,
        "causal": 0,
    },
    "moe.csv": {
        "op": "moe_ffn",
        "num_tokens": 4,
        "hidden_size": 64,
        "inter_size": 32,
        "topk": 2,
        "num_experts": 8,
        "moe_tp_size": 1,
        "moe_ep_size": 1,
        "distribution": "balanced",
    },
    "memory_bound.csv": {"op": "add", "dtype": "fp16", "rows": 8, "cols": 64},
}
POWER: Mapping[str, Any] = {
    "timing_method": "cudagraph_events+nvml_100ms_avg",
    "impl": "stack-1.0",
    "power_w": 300,
    "time_us": 150,
}
POWERED: Mapping[str, Mapping[str, Any]] = {
    "gemm": {"op": "gemm", "m": 1024, "n": 2048, "k": 4096},
    "attention_prefill": {
        "op": "context_attention",
        "batch": 1,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 64,
        "isl": 512,
        "step": 0,
    },
    "attention_decode": {
        "op": "generation_attention",
        "batch": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 64,
        "isl": 1,
        "step": 31,
    },
    "moe_ffn": {**USUAL["moe.csv"], "op": "moe"},
    "amax_scale": {"op": "computescale", "m": 8, "k": 64},
}
"""Rows of power.csv, by what their operator is called here."""


def write(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A file of rows that differ from the usual one."""
    usual = POWER if name == "power.csv" else USUAL[name]
    whole = [{**COMMON, **usual, **row} for row in rows]
    columns = list(dict.fromkeys(key for row in whole for key in row))
    path = folder / name
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(whole)
    return path


@pytest.fixture
def usual() -> Mapping[str, Mapping[str, Any]]:
    """What a row holds unless a test says otherwise, by file."""
    return USUAL


@pytest.fixture
def powered() -> Mapping[str, Mapping[str, Any]]:
    """What rows of power.csv hold, by operator."""
    return POWERED


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    """``write_file("gemm.csv", {"m": 8}, ...)`` returns the file."""
    return lambda name, *rows: write(tmp_path, name, rows or ({},))


@pytest.fixture
def measured(tmp_path: Path) -> Callable[..., Path]:
    """``measured("gemm.csv", {"m": 8}, ...)`` writes a file and returns its folder."""

    def make(name: str, *rows: Mapping[str, Any]) -> Path:
        folder = tmp_path / "measured"
        folder.mkdir(exist_ok=True)
        write(folder, name, rows or ({},))
        return folder

    return make


@pytest.fixture
def one_row(tmp_path: Path) -> Callable[..., Row]:
    """``one_row("gemm.csv", m=8)``: a row as it is read."""

    def make(name: str, **changes: Any) -> Row:
        (row,) = read_file(write(tmp_path, name, [changes]))
        return row

    return make
