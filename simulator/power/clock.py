"""The clock that a power cap leaves: solved from energy, time and what the clock moves.

Dynamic energy of clocked parts goes with the square of the voltage, which falls with the
clock down to a floor; time grows with the clock's period in the share that clocked parts
bound.  Power at a clock share ``c`` is

    P(c) = static + (clocked * v(c)**2 + rest) / t(c),   v(c) = V_FLOOR + (1 - V_FLOOR) * c
    t(c) = t * (1 - s + s / c)

and the largest ``c`` with P(c) <= cap is the sustained clock.  Left out: temperature, leakage
that falls with the voltage, steps of the clock, and the limiter's own delay, which belongs to
how long somebody measures.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_CLOCK = 0.3
"""Share of the highest clock below which no board goes."""
V_FLOOR = 0.4
"""Voltage at no clock, as a share of that at the highest: V100 to H100 run from about 0.7 V at
half their highest clock to 1.05 V (guess from public voltage-frequency curves)."""
SHARPNESS = 4
"""Overlap is imperfect where two parts are equally busy: their shares add as such powers."""


def voltage(clock: float) -> float:
    """Share of the highest voltage at a share of the highest clock."""
    return V_FLOOR + (1 - V_FLOOR) * clock


@dataclass(frozen=True, slots=True)
class Draw:
    """What a piece of work draws at the highest clock."""

    seconds: float
    clocked_j: float
    """Energy of parts that run at the clock."""
    other_j: float
    """Energy of memory and its path."""
    static_w: float
    clocked_share: float
    """Share of the time that goes with the clock's period."""

    def seconds_at(self, clock: float) -> float:
        """Time at a share of the highest clock."""
        return self.seconds * (1 - self.clocked_share + self.clocked_share / clock)

    def watts_at(self, clock: float) -> float:
        """Power at a share of the highest clock."""
        energy = self.clocked_j * voltage(clock) ** 2 + self.other_j
        return self.static_w + energy / self.seconds_at(clock)


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
