"""Long loops whose iterations are alike: played in part by ``fast``, whole by ``exact``."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.engine.device import Device
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Wait,
    grid,
)
from simulator.gpu.platform import GpuPlatform
from simulator.system.kernels import MIN_STEPS, KernelRun, Runner
from simulator.system.specs import load_hardware

TASKS, STEPS, TILE = 108, 400, 4096
UNITS = 1 << 13
"""Of a pipe: two microseconds for a tile, twice as long as it takes to load."""


def kernel(
    steps: int | Coordinate = STEPS,
    *,
    units: int = UNITS,
    alike: bool = True,
    tasks: np.ndarray | None = None,
) -> Kernel:
    """As many tasks as a GPU has SMs; each loads a region tile by tile and computes on it."""
    region = STEPS * TILE
    tile = Pattern("read", "load", TILE, coordinates=(0, region), loops=(TILE,))
    load = (Loop(steps, (Wait("empty"), Access(tile, "full")), alike=alike),)
    compute = (
        Loop(steps, (Wait("full"), Compute("vector", units), Release("empty")), alike=alike),
    )
    program = Program((load, compute), {"empty": 4, "full": 0})
    rows = tasks
    if rows is None:
        rows = np.insert(grid(TASKS), 1, steps if isinstance(steps, int) else 0, axis=1)
    return Kernel("ring", "sm", (program,), rows, {"blocks": 1})


def play(work: Kernel, *, exact: bool) -> tuple[KernelRun, int]:
    """A run on a cold A100, and its events."""
    spec = load_hardware("a100-sxm-80gb").spec
    assert spec.kind == "gpu"
    platform = GpuPlatform(spec)
    device = Device(platform.assemble(exact))
    runner = Runner(device, platform.cache_bytes, exact)
    return runner.run(work, 0), device.events


def moved(run: KernelRun) -> float:
    return run.dram_read + run.dram_written


@pytest.mark.parametrize("units", [UNITS, 16])
def test_a_long_loop_is_played_in_part(units: int) -> None:
    """Whether the pipe or DRAM holds it up; time, bytes and counters, not time alone."""
    fast, few = play(kernel(units=units), exact=False)
    exact, all_events = play(kernel(units=units), exact=True)
    assert few < 0.6 * all_events
    assert fast.simulated_share < 0.6
    assert 0 <= fast.error_estimate < 0.02
    assert exact.simulated_share == 1
    assert fast.duration_fs == pytest.approx(exact.duration_fs, rel=0.02)
    assert moved(fast) == pytest.approx(moved(exact), rel=0.02)
    assert fast.misses == pytest.approx(exact.misses, rel=0.02)
    assert fast.activity.units.sum() == pytest.approx(exact.activity.units.sum(), rel=0.02)


@pytest.mark.parametrize("units", [UNITS, 16])
def test_a_loop_that_is_not_marked_is_played_whole(units: int) -> None:
    """To the femtosecond and event as ``exact`` plays it."""
    fast, events = play(kernel(units=units, alike=False), exact=False)
    exact, all_events = play(kernel(units=units, alike=False), exact=True)
    assert fast.simulated_share == 1
    assert fast.error_estimate == 0
    assert moved(fast) == TASKS * STEPS * TILE
    assert events == all_events
    assert fast.duration_fs == exact.duration_fs
    assert moved(fast) == moved(exact)


def test_a_short_loop_is_played_whole() -> None:
    fast, _ = play(kernel(MIN_STEPS - 1), exact=False)
    assert fast.simulated_share == 1
    assert moved(fast) == TASKS * (MIN_STEPS - 1) * TILE


def test_counts_of_the_tasks_own_are_respected() -> None:
    """Loops of two lengths: the shorter ones are shortened first."""
    steps = np.where(np.arange(TASKS) % 2, STEPS // 2, STEPS)
    tasks = np.column_stack([np.zeros(TASKS, np.int64), steps, np.arange(TASKS)])
    work = kernel(Coordinate(0), tasks=tasks)
    fast, few = play(work, exact=False)
    exact, all_events = play(work, exact=True)
    assert few < all_events
    assert fast.simulated_share < 1
    assert moved(exact) == steps.sum() * TILE
    assert fast.duration_fs == pytest.approx(exact.duration_fs, rel=0.02)
    assert moved(fast) == pytest.approx(moved(exact), rel=0.02)


def test_the_same_again() -> None:
    one, other = (play(kernel(units=16), exact=False) for _ in range(2))
    assert one[1] == other[1]
    assert one[0].duration_fs == other[0].duration_fs
    assert one[0].simulated_share == other[0].simulated_share
    assert moved(one[0]) == moved(other[0])
    assert np.array_equal(one[0].activity.units, other[0].activity.units)
    assert np.array_equal(one[0].activity.channel, other[0].activity.channel)
