"""The same inputs give the same machine, to the bit, in every process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_bench import END, Bench, Kernel, arrays, kernel, read, state_hash, stream, write

from simulator.engine.program import Access, Compute, Loop, Release, Wait

FOLDER = str(Path(__file__).parent)
IN_A_PROCESS = "import test_determinism; print(test_determinism.contended())"


def mixed() -> Kernel:
    tile = read(2000, loops=(2048,), coordinates=(99,))
    load = (Loop(20, (Wait("empty"), Access(tile, "full"))),)
    compute = (Loop(20, (Wait("full"), Compute("alu", 40), Release("empty"))), Access(write(4096)))
    return kernel(load, compute, tokens={"empty": 2, "full": 0}, tasks=16)


def contended() -> str:
    """State after three kernels that share everything, with refresh and little credit."""
    bench = Bench(refresh="all_bank", in_flight=4096, lookahead=50, capacity=1 << 14)
    bench.together(mixed(), stream(1 << 14, base=1 << 20), stream(1 << 13, path="direct"))
    return state_hash(bench.device)


def test_twice_in_one_process():
    assert contended() == contended()


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_in_another_process(seed):
    path = os.pathsep.join([FOLDER, *sys.path])
    environment = os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": seed}
    run = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
    )
    assert run.stdout.strip() == contended()


def test_a_copy_of_the_tables_goes_on_alike():
    """State is plain arrays: what a checkpoint would save is all there is."""
    first = Bench(lookahead=50)
    first.device.launch(mixed(), 0)
    first.device.advance(2 * 10**9)
    second = Bench(lookahead=50)
    second.device.launch(mixed(), 0)
    for mine, theirs in zip(
        arrays(second.device.machine), arrays(first.device.machine), strict=True
    ):
        mine[...] = theirs
    assert first.device.advance(END) == second.device.advance(END)
    assert state_hash(first.device) == state_hash(second.device)
