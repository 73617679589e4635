"""GPUs that are not there: one in closed form, one that is the simulator itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from simulator.validate.live.timer import GpuAtHand, Point, Timing, Watching
from simulator.validate.rows import TABLES, Row
from simulator.validate.trials import times

A100 = GpuAtHand("NVIDIA A100-SXM4-80GB", 108, 80 << 30, "bf16", 400.0, {"torch": "none"})
POINT_S = 0.25


class FakeTimer:
    """Times by a function of the point, on a clock of its own."""

    def __init__(self, seconds: Callable[[Point], float], device: GpuAtHand = A100) -> None:
        self.device, self._seconds = device, seconds
        self.asked: list[Point] = []
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def time(self, point: Point) -> Timing:
        self.asked.append(point)
        self.now += POINT_S
        seconds = self._seconds(point)
        return Timing((0.99 * seconds, seconds, 1.02 * seconds), "a_kernel", 1410.0)

    def watch(self, point: Point) -> Watching:
        self.asked.append(point)
        self.now += POINT_S
        return Watching(300.0, 100 * self._seconds(point), "nvml_energy_counter", 1300.0)


def closed_form(point: Point) -> float:
    """A launch, and something that grows with the sizes."""
    return 3e-6 + 1e-9 * sum(point.sizes.values())


def simulated(hardware: str, overrides: Sequence[str] = ()) -> Callable[[Point], float]:
    """What the simulator says, so that measuring is exact and its cause is known."""

    def seconds(point: Point) -> float:
        row = Row(
            file=point.file,
            line=0,
            kind=TABLES[point.file].kind,
            gpu="",
            op=str(point.columns["op"]),
            dtype=point.dtype,
            source="",
            timing_method=str(point.columns["timing_method"]),
            seconds=1.0,
            lowest=None,
            highest=None,
            sizes=point.sizes,
            words={},
            family="",
        )
        return times(hardware, overrides, [row])[0]

    return seconds


@pytest.fixture
def fake_timer() -> Callable[..., FakeTimer]:
    """``fake_timer()`` in closed form, ``fake_timer(function)``."""

    def make(seconds: Callable[[Point], float] = closed_form, **given: Any) -> FakeTimer:
        return FakeTimer(seconds, **given)

    return make


@pytest.fixture
def simulated_timer() -> Callable[..., FakeTimer]:
    """``simulated_timer("h100-sxm", ["l2.usable=0.5"])``."""
    return lambda hardware, overrides=(): FakeTimer(simulated(hardware, overrides))
