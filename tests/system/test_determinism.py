"""The same run gives the same bytes: again, in other processes, whatever their hash seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator.api import load_hardware, load_trace, simulate

RUN = """
import sys
from simulator.api import load_hardware, load_trace, simulate
name, phase, sizes, fidelity, out = sys.argv[1:]
trace = load_trace(name, eval(sizes), phase=phase)
simulate(trace, load_hardware("a100-sxm-80gb"), fidelity=fidelity).save(out)
"""


def in_process(folder: Path, seed: str, *arguments: str) -> bytes:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", RUN, *arguments, str(folder)]
    subprocess.run(command, check=True, env=environment, timeout=300)
    return (folder / "result.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "phase", "sizes", "fidelity"),
    [
        ("gpt2", "decode", {"context": 64}, "fast"),
        pytest.param("gpt2", "decode", {"context": 64}, "exact", marks=pytest.mark.slow),
        ("gcn:synthetic-cora", "forward", None, "fast"),
    ],
)
def test_same_bytes_again_and_elsewhere(
    tmp_path: Path, name: str, phase: str, sizes: dict[str, int] | None, fidelity: str
) -> None:
    def here(folder: str) -> bytes:
        trace = load_trace(name, sizes, phase=phase)
        simulate(trace, load_hardware("a100-sxm-80gb"), fidelity=fidelity).save(tmp_path / folder)
        return (tmp_path / folder / "result.json").read_bytes()

    first = here("first")
    assert here("second") == first
    arguments = (name, phase, repr(sizes), fidelity)
    assert in_process(tmp_path / "third", "1", *arguments) == first


def test_streams_that_contend_are_deterministic(lab: SimpleNamespace) -> None:
    calls = [lab.copy(1024), lab.product(1024, stream=1), lab.copy(512, stream=2)]
    first, second = lab.run(calls), lab.run(calls)
    assert first.kernels == second.kernels
    assert first.energy_j == second.energy_j


def test_the_device_decides_the_result(lab: SimpleNamespace) -> None:
    """The comparison above is not between constants."""
    calls = [lab.copy(1024)]
    assert lab.run(calls).latency_fs != lab.run(calls, hw="h100-sxm").latency_fs
