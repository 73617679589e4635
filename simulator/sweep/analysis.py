"""What a table of points says: the Pareto front, and which axes move an objective.

Sensitivity from points that are there, without new runs:

- *one at a time*: from a base point, each axis to all its values with the others at the base's;
- *first order* (Sobol, 1993): the share of the objective's variance that an axis explains on
  its own, Var(E[y | x]) / Var(y);
- *total order* (Homma and Saltelli, 1996): the share that is left when all other axes are
  known, E[Var(y | all but x)] / Var(y).

On a full grid both are exact, with every value of an axis weighing the same.  Of a sample, the
first order is estimated by classes of equal count and freed of the bias of few points per class
(the ANOVA correction, epsilon squared: Kelley, 1935); the total order needs points that differ in
one axis alone, and one at a time as well: both are left empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import SweepError, suggest
from simulator.sweep.formula import number

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 16
"""Of a sampled axis: more would hold too few points each."""


def pareto(frame: pd.DataFrame, goals: Mapping[str, str]) -> pd.DataFrame:
    """Rows that no other dominates, best in the first goal first; equal rows all stay."""
    known = frame.dropna(subset=list(goals))
    signed = [known[name] * (1 if goal == "min" else -1) for name, goal in goals.items()]
    costs = np.column_stack(signed).astype(float)
    order = np.lexsort(costs.T[::-1])
    front: list[int] = []
    for place in order:
        # Sorted by the first goal, a row can only be dominated by one that came before.
        best = costs[front]
        worse = (best <= costs[place]).all(axis=1) & (best < costs[place]).any(axis=1)
        if not worse.any():
            front.append(int(place))
    return known.iloc[front].reset_index(drop=True)


def sensitivity(
    frame: pd.DataFrame,
    axes: Sequence[str],
    objective: str,
    base: Mapping[str, str] | None = None,
    sampled: bool = False,
) -> pd.DataFrame:
    """One row per axis, the most important first.

    Columns: ``axis``, ``base`` (its value in the base point), ``low`` and ``high`` (the objective's
    range with the others at the base), ``low_at`` and ``high_at`` (the axis's values there),
    ``swing`` (high over low), ``first_order``, ``total_order``.
    """
    import pandas as pd

    known = frame.dropna(subset=[objective])
    centre = _base(known, axes, base or {})
    rows = [
        {
            "axis": axis,
            "base": centre[axis],
            **_one_at_a_time(known, axes, axis, objective, centre, sampled),
            "first_order": _first_order(known, axis, objective, sampled),
            "total_order": _total_order(known, axes, axis, objective),
        }
        for axis in axes
    ]
    table = pd.DataFrame(rows)
    rank = table["total_order"].fillna(table["first_order"]).fillna(table["swing"])
    return table.loc[rank.sort_values(ascending=False, kind="stable").index].reset_index(drop=True)


def levels(column: pd.Series[Any]) -> list[Any]:
    """An axis's values in their order: numbers and quantities by size, words as they come."""
    values = list(dict.fromkeys(column))
    sizes = [number(value) for value in values]
    if all(isinstance(size, int | float) for size in sizes):
        return [value for _, value in sorted(zip(sizes, values, strict=True))]
    return values


def _base(frame: pd.DataFrame, axes: Sequence[str], given: Mapping[str, str]) -> dict[str, Any]:
    """The base point: as given, elsewhere the middle value, or the first word."""
    for name in given:
        if name not in axes:
            raise SweepError(f"no axis '{name}'", where="--base", remedy=suggest(name, axes))
    centre = {}
    for axis in axes:
        values = levels(frame[axis])
        numeric = isinstance(number(values[0]), int | float)
        centre[axis] = values[len(values) // 2 if numeric else 0]
        if axis in given:
            named = {str(value): value for value in values}
            if given[axis] not in named:
                raise SweepError(
                    f"{axis} was never {given[axis]}",
                    where="--base",
                    remedy=suggest(given[axis], named),
                )
            centre[axis] = named[given[axis]]
    return centre


def _one_at_a_time(
    frame: pd.DataFrame,
    axes: Sequence[str],
    axis: str,
    objective: str,
    centre: Mapping[str, Any],
    sampled: bool,
) -> dict[str, Any]:
    others = [name for name in axes if name != axis]
    here = np.ones(len(frame), dtype=bool)
    for name in others:
        here &= (frame[name] == centre[name]).to_numpy()
    line = frame[here]
    if sampled or line[axis].nunique() < 2:
        return dict.fromkeys(("low", "low_at", "high", "high_at", "swing"))
    values = line[objective].to_numpy(dtype=float)
    low, high = int(values.argmin()), int(values.argmax())
    least, most = float(values[low]), float(values[high])
    return {
        "low": least,
        "low_at": line[axis].iloc[low],
        "high": most,
        "high_at": line[axis].iloc[high],
        "swing": most / least if least > 0 else None,
    }


def _first_order(
    frame: pd.DataFrame, axis: str, objective: str, sampled: bool
) -> float | None:  # fmt: skip
    values = frame[objective].to_numpy(dtype=float)
    classes = _classes(frame[axis], sampled)
    count, groups = len(values), np.unique(classes)
    total = float(((values - values.mean()) ** 2).sum())
    if total == 0 or len(groups) < 2 or count <= len(groups):
        return 0.0 if total == 0 else None
    within = sum(
        float(((values[classes == group] - values[classes == group].mean()) ** 2).sum())
        for group in groups
    )
    if not sampled:
        return 1 - within / total
    return max(0.0, 1 - (within / (count - len(groups))) / (total / (count - 1)))


def _classes(column: pd.Series[Any], sampled: bool) -> np.ndarray[Any, Any]:
    """Which class of its axis each row is in."""
    rank = {value: place for place, value in enumerate(levels(column))}
    places = np.array([rank[value] for value in column])
    most = max(2, min(MOST_CLASSES, len(places) // 8))
    if not sampled or len(rank) <= most:
        return places
    order = np.argsort(places, kind="stable")
    classes = np.empty(len(places), dtype=int)
    classes[order] = np.arange(len(places)) * most // len(places)
    return classes


def _total_order(
    frame: pd.DataFrame, axes: Sequence[str], axis: str, objective: str
) -> float | None:
    others = [name for name in axes if name != axis]
    variance = float(frame[objective].var(ddof=0))
    if variance == 0:
        return 0.0
    if not others:
        return 1.0
    groups = frame.groupby(others, sort=False)[objective]
    sizes = groups.transform("size")
    if (sizes < 2).any():
        return None
    within = ((frame[objective] - groups.transform("mean")) ** 2).mean()
    return float(within) / variance
