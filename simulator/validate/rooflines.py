"""What a roofline says of the same rows: from the data sheet, and with three fitted numbers.

The second one, ``launch + max(compute / e_c, memory / e_m)`` per work, is what a simulator must
beat to be worth its cost.  Its numbers are fitted to the half of the shape families that a row
does not belong to, so every row is scored by a fit that has not seen its family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from simulator.engine.platform import Platform
from simulator.validate.works import Works

FEWEST_ROWS = 8
"""A half with fewer rows is not fitted."""
_STARTS = (0.9, 0.5)
"""Efficiencies to start from; the better end counts."""
_MEMORY = "dram"
_CACHE = "l2"
"""No roof of a data sheet."""


@dataclass(frozen=True, slots=True)
class Roof:
    """Seconds at data-sheet rates, work by work."""

    compute: tuple[float, ...]
    memory: tuple[float, ...]

    @property
    def seconds(self) -> float:
        """Each work takes the longer of both."""
        return sum(max(pair) for pair in zip(self.compute, self.memory, strict=True))


def roof_of(platform: Platform, works: Works) -> Roof:
    """Operations at peak, and every operand through DRAM once."""
    compute, memory = [], []
    for work in works:
        limits = platform.limits(work, work.bytes_read + work.bytes_written)
        memory.append(max((one.seconds for one in limits if one.name == _MEMORY), default=0.0))
        compute.append(
            max((one.seconds for one in limits if one.name not in (_MEMORY, _CACHE)), default=0.0)
        )
    return Roof(tuple(compute), tuple(memory))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A roofline's three numbers."""

    launch_s: float
    compute_efficiency: float
    memory_efficiency: float

    def seconds(self, roofs: Sequence[Roof]) -> np.ndarray:
        compute, memory = _padded(roofs)
        return _seconds(
            compute, memory, self.launch_s, self.compute_efficiency, self.memory_efficiency
        )


def fit(roofs: Sequence[Roof], measured: Sequence[float]) -> Fitted | None:
    """The numbers with the least mean error; None if there are too few rows."""
    from scipy.optimize import minimize

    if len(roofs) < FEWEST_ROWS:
        return None
    compute, memory = _padded(roofs)
    times = np.asarray(measured)
    shortest = float(times.min())

    def error(logarithms: np.ndarray) -> float:
        return float(np.abs(_seconds(compute, memory, *np.exp(logarithms)) / times - 1).mean())

    ends = [
        minimize(
            error,
            np.log([0.5 * shortest, start, start]),
            method="Nelder-Mead",
            options={"maxiter": 400, "xatol": 1e-3, "fatol": 1e-5},
        )
        for start in _STARTS
    ]
    best = min(ends, key=lambda end: float(end.fun))
    return Fitted(*(float(number) for number in np.exp(best.x)))


def crossed(
    roofs: Sequence[Roof], measured: Sequence[float], halves: Sequence[int]
) -> Callable[[Roof, int], float | None]:
    """A roofline for rows of one kind: ``(roof, half)`` to seconds by the fit on the other
    half."""
    fits = []
    for half in (0, 1):
        own = [place for place, other in enumerate(halves) if other == half]
        fits.append(fit([roofs[place] for place in own], [measured[place] for place in own]))

    def seconds(roof: Roof, half: int) -> float | None:
        other = fits[1 - half]
        return None if other is None else float(other.seconds([roof])[0])

    return seconds


def _padded(roofs: Sequence[Roof]) -> tuple[np.ndarray, np.ndarray]:
    works = max(len(roof.compute) for roof in roofs)
    both = np.zeros((2, len(roofs), works))
    for place, roof in enumerate(roofs):
        both[0, place, : len(roof.compute)] = roof.compute
        both[1, place, : len(roof.memory)] = roof.memory
    return both[0], both[1]


def _seconds(
    compute: np.ndarray, memory: np.ndarray, launch: float, of_compute: float, of_memory: float
) -> np.ndarray:
    longer = np.maximum(compute / of_compute, memory / of_memory)
    total: np.ndarray = launch + longer.sum(axis=1)
    return total
