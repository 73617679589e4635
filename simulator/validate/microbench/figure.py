"""One panel per curve: what the machine does, and published points on top of it.

A full mark was measured on the board that is described, a hollow one on a relative.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulator.results.figures import new_figure
from simulator.results.style import BLACK, PALETTE
from simulator.units import human
from simulator.validate.microbench.curves import BENCHMARKS, Axis, Curve
from simulator.validate.microbench.run import Comparison, Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ACROSS = 2
_PANEL_INCHES = 2.1


def panels(report: Report) -> Figure:
    """The figure of all curves."""
    down = -(-len(report.curves) // _ACROSS)
    figure = new_figure(_PANEL_INCHES * down)
    axes = figure.subplots(down, _ACROSS, squeeze=False).ravel()
    for panel, curve in zip(axes, report.curves, strict=False):
        _draw(panel, curve, [one for one in report.comparisons if one.benchmark == curve.benchmark])
    for panel in axes[len(report.curves) :]:
        panel.set_visible(False)
    return figure


def _draw(panel: Axes, curve: Curve, comparisons: list[Comparison]) -> None:
    entry = BENCHMARKS[curve.benchmark]
    for colour, series in zip(PALETTE, curve.series, strict=False):
        panel.plot(
            [x for x, _ in series.points],
            [y for _, y in series.points],
            color=colour,
            marker="o",
            markersize=2.5,
            label=series.name,
        )
    labelled: set[bool] = set()
    for one in comparisons:
        place = entry.place(one.figure.arguments)
        if place is None or one.figure.unit != entry.y.unit:
            continue
        low, high = one.figure.value
        label = "published, a relative" if one.stand_in else "published"
        panel.plot(
            [place] * 2,
            [low, high],
            color=BLACK,
            marker="D",
            markersize=3.5,
            markerfacecolor="white" if one.stand_in else BLACK,
            linewidth=0.8,
            linestyle="-" if low < high else "none",
            label=None if one.stand_in in labelled else label,
            zorder=4,
        )
        labelled.add(one.stand_in)
    panel.set_title(entry.title)
    _scale(panel, "x", entry.x)
    _scale(panel, "y", entry.y)
    if curve.series:
        panel.legend()


def _scale(panel: Axes, which: str, axis: Axis) -> None:
    """Linear axes start at zero; sizes are told in words."""
    own = panel.xaxis if which == "x" else panel.yaxis
    if axis.log:
        (panel.set_xscale if which == "x" else panel.set_yscale)("log")
    elif which == "x":
        panel.set_xlim(left=0)
    else:
        panel.set_ylim(bottom=0)
    if axis.unit == "B":
        own.set_major_formatter(lambda value, _: human(value, "B", 1))
        own.set_minor_formatter(lambda value, _: "")
    told = axis.label if axis.unit in ("", "B") else f"{axis.label} ({axis.unit})"
    (panel.set_xlabel if which == "x" else panel.set_ylabel)(told)
