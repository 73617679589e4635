"""Simulated against measured time, log-log, one panel per GPU, coloured by operator.

The diagonal is agreement; the band around it is a factor of 1.25 to either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from simulator.results.figures import new_figure
from simulator.results.style import GREY, LIGHT, colours
from simulator.units import human
from simulator.validate.run import Compared

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BAND = 1.25
_NAMED = 9
"""Operators with a colour of their own, the most frequent ones; the rest share grey."""
_OTHERS = "others"
_PANELS_IN_A_ROW = 3


def agreement(rows: Sequence[Compared]) -> Figure:
    """The figure of all compared rows whose time is known."""
    rows = [one for one in rows if one.row.timed]
    counts = Counter(one.row.op for one in rows)
    named = [op for op, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))][:_NAMED]
    series = [*named, *([_OTHERS] if len(counts) > len(named) else [])]
    colour = {**colours(named), _OTHERS: GREY}

    def called(one: Compared) -> str:
        return one.row.op if one.row.op in named else _OTHERS

    gpus = sorted({one.row.gpu for one in rows})
    across = min(len(gpus), _PANELS_IN_A_ROW)
    down = -(-len(gpus) // across)
    figure = new_figure(0.5 + 2.6 * down)
    panels = figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).ravel()
    times = [time for one in rows for time in (one.row.seconds, one.call.seconds)]
    ends = (min(times) / 1.5, max(times) * 1.5)
    for panel, gpu in zip(panels, gpus, strict=False):
        panel.fill_between(
            ends, [end / BAND for end in ends], [end * BAND for end in ends], color=LIGHT, lw=0
        )
        panel.plot(ends, ends, color=GREY, lw=0.8)
        for name in series:
            own = [one for one in rows if one.row.gpu == gpu and called(one) == name]
            panel.scatter(
                [one.row.seconds for one in own],
                [one.call.seconds for one in own],
                s=9,
                color=colour[name],
                linewidths=0,
                alpha=0.8,
                zorder=3,
            )
        panel.set_title(gpu)
        panel.set_xscale("log")
        panel.set_yscale("log")
        panel.set_xlim(ends)
        panel.set_ylim(ends)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter(lambda value, _: human(value, "s", 1))
    for panel in panels[len(gpus) :]:
        panel.set_visible(False)
    figure.supxlabel("measured", size=9)
    figure.supylabel("simulated", size=9)
    # Empty series, so that the legend holds every operator once and marks of one size.
    marks = [panels[0].scatter([], [], s=20, color=colour[name], label=name) for name in series]
    figure.legend(handles=marks, loc="outside right upper", title="operator")
    return figure
