"""Figures of a sweep, drawn from its table: Pareto front, tornado, an objective along an axis.

As :mod:`simulator.results.figures`: functions that return a matplotlib figure, drawn and saved
through :mod:`simulator.results.style`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.errors import SweepError
from simulator.results.figures import new_figure
from simulator.results.style import BLACK, BLUE, GREY, LIGHT, ORANGE, PALETTE
from simulator.sweep.analysis import levels
from simulator.sweep.formula import number
from simulator.sweep.results import SweepResults

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_MARKERS = "osD^vP*X"
_COLUMN_INCHES = 3.5
_UNITS = {"_per_s": "", "_s": "s", "_j": "J", "_w": "W", "_bytes": "B"}
_WIDE = 20.0
"""Ratio of largest to smallest beyond which an axis is drawn in logarithms."""


def pareto(results: SweepResults, goals: Mapping[str, str] | None = None) -> Figure:
    """All points by the first two objectives, and the front among them."""
    goals = dict(goals or results.goals)
    if len(goals) < 2:
        raise SweepError("a front needs two objectives", remedy="give COLUMN:min,COLUMN:max")
    first, second = list(goals)[:2]
    pair = {name: goals[name] for name in (first, second)}
    points, front = results.done.dropna(subset=list(pair)), results.pareto(pair)
    figure = new_figure(2.8, _COLUMN_INCHES)
    axes = figure.subplots()
    group = "device" if points["device"].nunique() > 1 else None
    named = points.groupby(group, sort=False) if group else [("points", points)]
    for (label, rows), colour, marker in zip(
        named, cycle(PALETTE if group else (GREY,)), cycle(_MARKERS), strict=False
    ):
        axes.plot(rows[first], rows[second], marker, ms=3.5, color=colour, alpha=0.6, label=label)
    axes.plot(
        front[first],
        front[second],
        "o-",
        color=BLACK,
        lw=1,
        ms=4.5,
        mfc="none",
        label="front",
    )
    for name, axis in ((first, axes.xaxis), (second, axes.yaxis)):
        _measure(axis, name, points[name])
        axis.set_label_text(
            f"{_named(name)}, {'less' if goals[name] == 'min' else 'more'} is better"
        )
    axes.set_title(f"{len(front)} of {len(points)} points are not beaten")
    axes.grid(True)
    axes.legend()
    return figure


def tornado(table: pd.DataFrame, objective: str) -> Figure:
    """Left: the objective's range along each axis from the base point; right: Sobol shares."""
    names = list(table["axis"])
    figure = new_figure(1.1 + 0.3 * len(names))
    swing, share = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = np.arange(len(names))
    known = table[table["low"].notna()]
    for row in known.index:
        low, high = table["low"][row], table["high"][row]
        swing.barh(row, high - low, left=low, height=0.6, color=BLUE)
        for value, at, side in (
            (low, table["low_at"][row], "right"),
            (high, table["high_at"][row], "left"),
        ):
            swing.annotate(
                f"{at}",
                (value, row),
                xytext=(-3 if side == "right" else 3, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                size=7,
            )
    swing.use_sticky_edges = False  # Room for the values at the ends.
    if known.empty:
        swing.text(0.5, 0.5, "no points differ in\none axis alone", transform=swing.transAxes)
    else:
        swing.margins(x=0.3)
    _measure(swing.xaxis, objective)
    swing.set_title("One axis at a time")
    for offset, column, colour, label in (
        (-0.19, "first_order", BLUE, "alone"),
        (0.19, "total_order", ORANGE, "with interactions"),
    ):
        values = table[column].astype(float).fillna(0)
        share.barh(rows + offset, values, height=0.34, color=colour, label=label)
    share.set_xlim(0, 1)
    share.set_xlabel("share of variance")
    share.set_title("All points")
    share.legend(loc="lower right")
    swing.set_yticks(rows, names)
    swing.invert_yaxis()
    return figure


def lines(results: SweepResults, axis: str, objective: str, series: str | None = None) -> Figure:
    """An objective along an axis: median of all points there, band from least to most."""
    for name in (axis, series):
        if name is not None and name not in results.sweep.axis_names:
            raise SweepError(f"no axis '{name}'", remedy=", ".join(results.sweep.axis_names))
    results.check_column(objective)
    points = results.done.dropna(subset=[objective])
    order = levels(points[axis])
    sizes = [number(value) for value in order]
    numeric = all(isinstance(size, int | float) for size in sizes)
    figure = new_figure(2.8, _COLUMN_INCHES)
    axes = figure.subplots()
    place = dict(zip(order, sizes if numeric else range(len(order)), strict=True))
    groups = [(None, points)] if series is None else list(points.groupby(series, sort=False))
    for (label, rows), colour, marker in zip(
        groups, cycle(PALETTE), cycle(_MARKERS), strict=False
    ):  # fmt: skip
        by_value = rows.groupby(rows[axis].map(place))[objective]
        low, middle, high = by_value.min(), by_value.median(), by_value.max()
        if (high > low).any():
            axes.fill_between(low.index, low, high, color=colour, alpha=0.2, lw=0)
        name = f"{series} {label!s}" if series else "median"
        axes.plot(middle.index, middle, marker=marker, ms=3.5, color=colour, label=name)
    _scale(axes, axis, order, place, numeric)
    _measure(axes.yaxis, objective, points[objective])
    axes.grid(True, color=LIGHT)
    if series is not None:
        figure.legend(loc="outside upper left", ncols=3)
    return figure


def _scale(
    axes: Axes, axis: str, order: list[Any], place: Mapping[Any, Any], numeric: bool
) -> None:
    axes.set_xlabel(axis)
    if numeric and min(place.values()) > 0 and max(place.values()) >= 8 * min(place.values()):
        axes.set_xscale("log", base=2)
    if len(order) <= 12:
        axes.set_xticks([place[value] for value in order], [str(value) for value in order])
        axes.minorticks_off()


def _measure(axis: Axis, column: str, values: pd.Series[Any] | None = None) -> None:
    """Name an axis and write its ticks with the unit of the column: ``60 µs``."""
    from matplotlib.ticker import EngFormatter

    axis.set_label_text(_named(column))
    if values is not None and values.min() > 0 and values.max() > _WIDE * values.min():
        scale = axis.axes.set_xscale if axis is axis.axes.xaxis else axis.axes.set_yscale
        scale("log")
    unit = next((unit for end, unit in _UNITS.items() if column.endswith(end)), None)
    if unit is not None:
        axis.set_major_formatter(EngFormatter(unit))


def _named(column: str) -> str:
    """``latency`` for ``latency_s``, ``tokens per s`` for ``tokens_per_s``."""
    end = next((end for end in _UNITS if column.endswith(end)), "")
    per_second = " per s" if end == "_per_s" else ""
    return column.removesuffix(end).replace("_", " ") + per_second
