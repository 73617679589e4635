"""A sweep: measure what a folder lacks, as far as the time goes, one row after another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from simulator.validate.live.plan import TIMING, making_s
from simulator.validate.live.store import Store
from simulator.validate.live.timer import Cell, Point, Timer, Timing, Unmeasurable, Watching

MICRO = 1e6


@dataclass(frozen=True, slots=True)
class Swept:
    """What became of the points."""

    measured: int
    held: int
    """In the folder before."""
    left: int
    """For want of time; another sweep takes them."""
    failed: Mapping[str, int]
    """Points by the reason why this GPU cannot run them."""


def sweep(
    points: Sequence[Point],
    timer: Timer,
    store: Store,
    budget_s: float,
    *,
    clock: Callable[[], float],
    progress: Callable[[str], None] = lambda text: None,
) -> Swept:
    """Measure ``points`` in their order into ``store``, up to the first that would end after
    ``budget_s`` seconds of ``clock``: sweeps that are cut short write what a long one does."""
    begin = clock()
    measured = held = 0
    failed: Counter[str] = Counter()
    made = ""
    for place, point in enumerate(points):
        if store.holds(point):
            held += 1
            continue
        needed = point.seconds + (making_s(point) if point.graph != made else 0.0)
        if clock() - begin + needed > budget_s:
            break
        made = point.graph or made
        try:
            store.add(point, _measured(timer, point))
            measured += 1
        except Unmeasurable as reason:
            failed[str(reason)] += 1
        if place % 50 == 0:
            progress(f"{measured} points measured, {len(points) - place - 1} to go")
    left = len(points) - measured - held - sum(failed.values())
    return Swept(measured, held, left, dict(sorted(failed.items())))


def _measured(timer: Timer, point: Point) -> dict[str, Cell | None]:
    """The cells that were found."""
    if point.watched:
        return _power(timer.watch(point), timer.device.power_limit_w)
    timing = timer.time(point)
    if "moved" in point.sizes:
        return _rate(timing, point.sizes["moved"])
    if "steps" in point.sizes:
        return _latency(timing, point.sizes["steps"])
    return _times(timing, point)


def _times(timing: Timing, point: Point) -> dict[str, Cell | None]:
    own = {"impl" if point.file == "sparse.csv" else "kernel": timing.kernel}
    return {
        "time_us": MICRO * median(timing.samples),
        "time_us_min": MICRO * min(timing.samples),
        "time_us_max": MICRO * max(timing.samples),
        "n_src": len(timing.samples),
        "clock_mhz": timing.clock_mhz,
        **(own if timing.kernel else {}),
    }


def _rate(timing: Timing, moved: int) -> dict[str, Cell | None]:
    return {
        "value": moved / median(timing.samples) / 1e9,
        "unit": "GB/s",
        "clock_mhz": timing.clock_mhz,
    }


def _latency(timing: Timing, steps: int) -> dict[str, Cell | None]:
    if timing.clock_mhz is None:
        raise Unmeasurable("the clock is not known, in whose cycles latency is stated")
    return {
        "value": median(timing.samples) / steps * timing.clock_mhz * MICRO,
        "unit": "cycles",
        "clock_mhz": timing.clock_mhz,
    }


def _power(found: Watching, limit_w: float | None) -> dict[str, Cell | None]:
    return {
        "impl": "torch",
        "power_w": found.watts,
        "power_limit_w": limit_w,
        "time_us": MICRO * found.seconds,
        "energy_mj": 1e3 * found.watts * found.seconds,
        "clock_mhz": found.clock_mhz,
        "timing_method": f"{TIMING}+{found.method}",
    }
