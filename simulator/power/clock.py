"""The clock that a power cap leaves: solved from energy, time and what the clock moves.

Dynamic energy of clocked parts, and constant power of parts that are awake, go with the square of
the voltage, which falls with the clock; time grows with the clock's period in the share that
clocked parts bound.  Power at a clock share ``c`` is

    P(c) = static + awake * v(c)**2 + (clocked * v(c)**2 + rest) / t(c)
    v(c) = floor + (1 - floor) * c,   t(c) = t * (1 - s + s / c)

The largest ``c`` with P(c) <= cap is the *sustained* clock.  Work runs at the *burst* clock before
the limiter has acted: the largest that the peak leaves which a board may draw for a moment.  Left
out: temperature, steps of the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

CLOCKS = ("sustained", "burst")
"""Modes: the clock that the cap leaves, and the one that the momentary peak leaves."""
LEAST_CLOCK = 0.3
"""Share of the highest clock below which no board goes."""
SHARPNESS = 4
"""Overlap is imperfect where two parts are equally busy: their shares add as such powers."""


def voltage(clock: float, floor: float) -> float:
    """Share of the highest voltage at a share of the highest clock: a straight line that would
    reach ``floor`` at none."""
    return floor + (1 - floor) * clock


@dataclass(frozen=True, slots=True)
class Draw:
    """What a piece of work draws at the highest clock."""

    seconds: float
    clocked_j: float
    """Energy of parts that run at the clock."""
    other_j: float
    """Energy of memory and its path."""
    static_w: float
    """Constant power, whatever the clock."""
    awake_w: float
    """Constant power that falls with the voltage: clock tree, leakage."""
    clocked_share: float
    """Share of the time that goes with the clock's period."""
    voltage_floor: float

    def seconds_at(self, clock: float) -> float:
        """Time at a share of the highest clock."""
        return self.seconds * (1 - self.clocked_share + self.clocked_share / clock)

    def watts_at(self, clock: float) -> float:
        """Power at a share of the highest clock."""
        share = voltage(clock, self.voltage_floor) ** 2
        energy = self.clocked_j * share + self.other_j
        return self.static_w + self.awake_w * share + energy / self.seconds_at(clock)


def clocked_share(clocked_busy: float, other_busy: float) -> float:
    """Share of the time that goes with the clock, from how busy the busiest clocked part and the
    memory are."""
    clocked, other = clocked_busy**SHARPNESS, other_busy**SHARPNESS
    return clocked / (clocked + other) if clocked + other else 1.0


def sustained_clock(draw: Draw, cap_w: float) -> float:
    """The largest share of the highest clock whose power is within the cap; at least
    :data:`LEAST_CLOCK`."""
    if draw.watts_at(1.0) <= cap_w:
        return 1.0
    low, high = LEAST_CLOCK, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if draw.watts_at(middle) <= cap_w else (low, middle)
    return low


def settled(start_s: float, end_s: float, limiter_s: float) -> float:
    """Mean share of the way from burst to sustained operation between two times since the load
    began: the limiter closes the gap exponentially, with time constant ``limiter_s``."""
    if not limiter_s:
        return 1.0
    start, end = start_s / limiter_s, end_s / limiter_s
    if end <= start:
        return -math.expm1(-start)
    return 1 + math.exp(-start) * math.expm1(start - end) / (end - start)
