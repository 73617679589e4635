"""Errors of a set of simulated times against measured ones; all are fractions.

An error is ``simulated / measured - 1``: bias is its mean, the others are of its absolute value.
A measured spread counts only where it is one (its ends differ).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a set of times is off."""

    n: int
    mape: float
    median: float
    p90: float
    bias: float


def errors(simulated: Sequence[float], measured: Sequence[float]) -> Errors | None:
    """None for an empty set."""
    if not simulated:
        return None
    relative = np.asarray(simulated) / np.asarray(measured) - 1
    size = np.abs(relative)
    return Errors(
        len(size),
        float(size.mean()),
        float(np.median(size)),
        float(np.quantile(size, 0.9)),
        float(relative.mean()),
    )


def within_spread(
    simulated: Sequence[float], lowest: Sequence[float | None], highest: Sequence[float | None]
) -> tuple[int, float | None]:
    """How many rows have a spread, and the share of them whose time is inside."""
    inside = [
        low <= time <= high
        for time, low, high in zip(simulated, lowest, highest, strict=True)
        if low is not None and high is not None and low < high
    ]
    return len(inside), sum(inside) / len(inside) if inside else None
