"""Synthetic run records: a made-up device and a made-up decode step, exact and seeded."""

from __future__ import annotations

import random
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from simulator.system.records import (
    RECORD_SCHEMA,
    Component,
    HostSpan,
    KernelRecord,
    Provenance,
    RunRecord,
)

US = 10**9
"""Femtoseconds of a microsecond."""

COMPONENTS = [
    Component("dram", 40, 2.0e12, "B/s"),
    Component("l2", 80, 5.0e12, "B/s"),
    Component("matrix", 432, 312e12, "op/s"),
    Component("vector", 432, 19.5e12, "op/s"),
    Component("special", 432, 4.9e12, "op/s"),
]

# name, operator, kind, duration (us), bytes read, bytes written, operations, bound by
LAYER: list[tuple[str, str, str, int, int, int, dict[str, float], str]] = [
    ("rms norm", "aten.rms_norm.default", "rowwise", 3, 8_192, 8_192, {"vector": 2e4}, "launch"),
    ("gemm 64x64x64 split 4", "aten.mm.default", "gemm", 60, 100_000_000, 24_576,
     {"matrix": 1e8}, "dram"),
    ("rope", "aten.mul.Tensor", "elementwise", 2, 16_384, 8_192, {"vector": 3e4}, "launch"),
    ("flash decode split 8", "aten.scaled_dot_product_attention.default", "attention", 20,
     33_000_000, 8_192, {"matrix": 3.3e7, "vector": 2.6e5, "special": 6.5e4}, "dram"),
    ("gemm 64x64x64 split 8", "aten.mm.default", "gemm", 160, 270_000_000, 45_056,
     {"matrix": 2.7e8}, "dram"),
    ("silu", "aten.silu.default", "elementwise", 2, 22_016, 22_016,
     {"vector": 2.2e4, "special": 1.1e4}, "launch"),
    ("copy", "aten.copy_.default", "copy", 1, 0, 8_192, {}, "launch"),
]  # fmt: skip


def kernel(index: int = 0, start_fs: int = 0, **changes: Any) -> KernelRecord:
    """A plausible 60 us GEMM, changed as asked."""
    base = KernelRecord(
        index=index,
        name="gemm 64x64x64",
        operator="aten.mm.default",
        kind="gemm",
        module="layers.0.q_proj",
        phase="decode",
        stream=0,
        issued_fs=start_fs,
        start_fs=start_fs,
        end_fs=start_fs + 60 * US,
        bound_fs=50 * US,
        bound_by="dram",
        operations={"matrix": 1e8},
        bytes_compulsory=100_000_000,
        dram_bytes_read=100_000_000,
        dram_bytes_written=24_576,
        counters={"l2_hits": 10.0, "l2_misses": 90.0},
        busy_fs={"dram": 50 * US, "matrix": 5 * US},
        energy_j={"dram": 0.004, "matrix": 0.001},
        simulated_share=1.0,
        error_estimate=0.0,
        reused=False,
        approximated=False,
    )
    return replace(base, **changes)


def run(kernels: list[KernelRecord], **changes: Any) -> RunRecord:
    """A run of ``kernels`` that ends with the last one."""
    latency_fs = max((kernel.end_fs for kernel in kernels), default=0)
    energy = {"static": 100e-15 * latency_fs}
    for one in kernels:
        for part, amount in one.energy_j.items():
            energy[part] = energy.get(part, 0.0) + amount
    base = RunRecord(
        schema=RECORD_SCHEMA,
        workload="toy-7b",
        phase="decode",
        sizes={"batch": 1, "context": 2048},
        hardware="toy-gpu",
        hardware_digest="0" * 64,
        trace_digest="1" * 64,
        options={"launch": "graph", "fidelity": "fast", "set": []},
        kernels=kernels,
        host=[HostSpan("graph launch", 0, min(latency_fs, 2 * US))],
        latency_fs=latency_fs,
        bound_fs=min(latency_fs, sum(one.bound_fs for one in kernels)),
        bound_by="dram",
        energy_j=energy,
        components=COMPONENTS,
        tokens=1,
        graphs=0,
        capacity_bytes=80 * 10**9,
        footprint_bytes=13_500_000_000,
        guesses=("gather indices were not recorded: 1 operator uses seeded uniform ones",),
        warnings=("the last wave is 12 % full",),
        quality="datasheet 12, guess 2",
        version="0.0.test",
        provenance=(
            Provenance("datasheet", "Vendor, product brief (2020), table 1", 12),
            Provenance("guess", "no public figure", 2),
        ),
    )
    return replace(base, **changes)


def decode_step(layers: int = 8, seed: int = 0) -> RunRecord:
    """Layers of seven kernels with gaps between them; all but the first layer reused."""
    chance = random.Random(seed)
    kernels: list[KernelRecord] = []
    now = 2 * US
    for layer in range(layers):
        for name, operator, kind, duration_us, read, written, operations, bound_by in LAYER:
            duration = duration_us * US + chance.randrange(US)
            dram = int((read + written) / 2.0e12 * 1e15)
            kernels.append(
                kernel(
                    index=len(kernels),
                    name=name,
                    operator=operator,
                    kind=kind,
                    module=f"layers.{layer}",
                    issued_fs=US,
                    start_fs=now,
                    end_fs=now + duration,
                    bound_fs=max(dram, US),
                    bound_by=bound_by,
                    operations=operations,
                    bytes_compulsory=read + written,
                    dram_bytes_read=read,
                    dram_bytes_written=written,
                    busy_fs={
                        "dram": min(duration, dram),
                        "l2": min(duration, dram * 2 // 5),
                        "matrix": int(operations.get("matrix", 0) / 312e12 * 1e15),
                        "vector": int(operations.get("vector", 0) / 19.5e12 * 1e15),
                        "special": int(operations.get("special", 0) / 4.9e12 * 1e15),
                    },
                    energy_j={
                        "dram": (read + written) * 8 * 4e-12,
                        "l2": (read + written) * 8 * 1e-12,
                        "matrix": operations.get("matrix", 0) * 0.5e-12,
                        "vector": operations.get("vector", 0) * 1e-12,
                    },
                    simulated_share=0.75 if kind == "gemm" else 1.0,
                    error_estimate=0.01 if kind == "gemm" else 0.0,
                    reused=layer > 0,
                )
            )
            now += duration + US
    return run(kernels)


@pytest.fixture(scope="session")
def synthetic() -> SimpleNamespace:
    """The builders of this file, for tests to use by name."""
    return SimpleNamespace(kernel=kernel, run=run, decode_step=decode_step, US=US)
