"""The standard figures of one run and of a comparison, drawn from result documents.

Each function takes a document (see :mod:`simulator.results.document` and
:mod:`simulator.results.compare`) and returns a matplotlib figure; draw and save through
:mod:`simulator.results.style`.  The report, the comparison and the scripts in ``plots/``
share them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from simulator.results.aggregate import sum_by_key
from simulator.results.style import BLACK, BLUE, GREY, LIGHT, PALETTE, SKY, colours
from simulator.results.wording import percent, relation
from simulator.units import human

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Document = Mapping[str, Any]

WIDTH_INCHES = 7.0
_ROWS = 10
"""Kinds of work shown by name; the rest is one row."""
_OUTSIDE = "outside kernels"
_ROOF_LABEL: dict[str, Any] = {
    "size": 7.5,
    "zorder": 4,
    "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
}
"""Legible even where points crowd."""


def new_figure(height_inches: float, width_inches: float = WIDTH_INCHES) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches))


def breakdown(document: Document) -> Figure:
    """Where time and energy go: per kind of work, over its bound and by part of the device."""
    kinds = _fold(document["kinds"])
    names = [row["name"] for row in kinds]
    figure = new_figure(1.2 + 0.24 * (len(names) + 1))
    time, energy = figure.subplots(1, 2, sharey=True)
    _stack(
        time,
        {
            "bound": [row["bound_s"] for row in kinds] + [0.0],
            "above bound": [row["latency_s"] - row["bound_s"] for row in kinds] + [0.0],
            _OUTSIDE: [0.0] * len(kinds) + [document["idle_s"]],
        },
        {"bound": BLUE, "above bound": SKY, _OUTSIDE: LIGHT},
        "s",
    )
    outside = document["energy_outside_kernels_j"]
    parts = {
        part: [row["energy_by_part_j"].get(part, 0.0) for row in kinds] + [outside[part]]
        for part in _largest_first(document["energy_by_part_j"])
    }
    _stack(energy, parts, colours(parts), "J")
    time.set_yticks(range(len(names) + 1), [*names, _OUTSIDE])
    time.invert_yaxis()
    time.set_title(f"Time: {human(document['latency_s'], 's')}")
    energy.set_title(f"Energy: {human(document['energy_j'], 'J')}")
    # One column on the left: the energy parts of a device can fill most of the width.
    _legend_below(figure, time, "outside lower left", 1)
    _legend_below(figure, energy, "outside lower right", 4)
    return figure


def _legend_below(
    figure: Figure,
    axes: Axes,
    place: Literal["outside lower left", "outside lower right"],
    columns: int,
) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc=place,
            ncols=columns,
            handlelength=1,
            handletextpad=0.4,
            columnspacing=1,
        )


def _largest_first(energy_by_part_j: Mapping[str, float]) -> list[str]:
    return sorted(energy_by_part_j, key=lambda part: (-energy_by_part_j[part], part))


def _fold(kinds: Sequence[Document]) -> list[Document]:
    """The first rows by name and the sum of the rest."""
    if len(kinds) <= _ROWS:
        return list(kinds)
    rest = kinds[_ROWS - 1 :]
    parts = sorted({part for row in rest for part in row["energy_by_part_j"]})
    other = {
        "name": f"{len(rest)} other kinds",
        "latency_s": math.fsum(row["latency_s"] for row in rest),
        "bound_s": math.fsum(row["bound_s"] for row in rest),
        "energy_by_part_j": {
            part: math.fsum(row["energy_by_part_j"].get(part, 0.0) for row in rest)
            for part in parts
        },
    }
    return [*kinds[: _ROWS - 1], other]


def _stack(
    axes: Axes, series: Mapping[str, Sequence[float]], colour: Mapping[str, str], unit: str
) -> None:
    """Horizontal stacked bars; the row's total and its share stand at its end."""
    rows = len(next(iter(series.values()))) if series else 0
    ends = [0.0] * rows
    for name, values in series.items():
        if any(values):
            axes.barh(range(rows), values, left=ends, color=colour[name], label=name, height=0.72)
        ends = [end + value for end, value in zip(ends, values, strict=True)]
    total = math.fsum(ends)
    for row, end in enumerate(ends):
        label = f"{human(end, unit)} ({percent(end / total)})" if end else "0"
        axes.annotate(label, (end, row), (3, 0), textcoords="offset points", va="center", size=7)
    axes.set_xlim(0, 1.5 * max(ends, default=0) or 1)
    axes.xaxis.set_major_formatter(lambda value, _: human(value, unit, 2) if value else "0")
    axes.xaxis.set_major_locator(_few_ticks())
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(4)


def roofline(document: Document) -> Figure:
    """Each distinct kernel against the device's bandwidth and compute peaks, log-log."""
    figure = new_figure(3.6)
    axes = figure.subplots()
    kernels = [row for row in document["kernels"] if _total(row["operations"]) and row["latency_s"]]
    memory = [c for c in document["components"] if c["name"] in ("dram", "bank") and c["peak"]]
    compute = [
        c
        for c in document["components"]
        if c["unit"] == "op/s" and c["name"] != "special" and c["peak"]
    ]
    left, right = _intensity_range(kernels, memory, compute)
    _draw_roofs(axes, memory, compute, left, right)
    kinds = [row["name"] for row in document["kinds"]]
    for kind, colour, marker in _kind_marks(kinds):
        members = [row for row in kernels if row["kind"] == kind]
        if members:
            # An empty series of one size, so that the legend's marks are alike.
            axes.scatter([], [], s=28, color=colour, marker=marker, label=kind)
            axes.scatter(
                [min(_intensity(row), right) for row in members],
                [_total(row["operations"]) / row["latency_s"] for row in members],
                s=[18 + 260 * (row["latency_share"] or 0) for row in members],
                color=colour,
                marker=marker,
                alpha=0.8,
                linewidths=0.6,
                edgecolors="white",
                zorder=3,
                clip_on=False,
            )
    axes.set_xlim(left, right)
    axes.set_xlabel("operations per byte of DRAM traffic")
    axes.set_ylabel("operations per second")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: human(value, "op/s", 1))
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value:g}" if value < 1000 else human(value, "", 1).strip()
    )
    axes.grid(True, which="major")
    if kernels:
        figure.legend(loc="outside right upper", title="kind of work")
    else:
        axes.text(0.5, 0.5, "no kernel computes", transform=axes.transAxes, ha="center")
    return figure


def _total(operations: Mapping[str, float]) -> float:
    return math.fsum(operations.values())


def _intensity(row: Document) -> float:
    """Operations per DRAM byte; infinite if the caches served everything."""
    moved = row["dram_bytes_read"] + row["dram_bytes_written"]
    return _total(row["operations"]) / moved if moved else math.inf


def _intensity_range(
    kernels: Sequence[Document], memory: Sequence[Document], compute: Sequence[Document]
) -> tuple[float, float]:
    points = [value for value in map(_intensity, kernels) if math.isfinite(value)]
    ridges = [roof["peak"] / slope["peak"] for roof in compute for slope in memory]
    everything = points + ridges or [1.0]
    return min(0.05, *everything) / 2, max(10.0, *everything) * 4


def _draw_roofs(
    axes: Axes,
    memory: Sequence[Document],
    compute: Sequence[Document],
    left: float,
    right: float,
) -> None:
    top = max((roof["peak"] for roof in compute), default=math.inf)
    for place, slope in enumerate(sorted(memory, key=lambda slope: -float(slope["peak"]))):
        ridge = min(right, top / slope["peak"])
        axes.plot([left, ridge], [slope["peak"] * left, slope["peak"] * ridge], color=BLACK)
        # The widest memory's label stands above its line, another's below, between the lines.
        at = math.sqrt(left * ridge) if place == 0 else left * (ridge / left) ** 0.1
        axes.annotate(
            f"{slope['name']} {human(slope['peak'], 'B/s')}",
            (at, slope["peak"] * at),
            (-5, 4) if place == 0 else (6, -8),
            textcoords="offset points",
            ha="right" if place == 0 else "left",
            **_ROOF_LABEL,
        )
    # A compute roof begins where the widest memory feeds it.
    steepest = max((slope["peak"] for slope in memory), default=math.inf)
    for roof in compute:
        start = max(left, roof["peak"] / steepest)
        axes.plot([start, right], [roof["peak"]] * 2, color=BLACK)
        axes.annotate(
            f"{roof['name']} {human(roof['peak'], roof['unit'])}",
            (right, roof["peak"]),
            (-3, 3),
            textcoords="offset points",
            ha="right",
            **_ROOF_LABEL,
        )


def _kind_marks(kinds: Sequence[str]) -> list[tuple[str, str, str]]:
    """Colour and marker per kind; markers tell kinds apart that share a colour."""
    markers = "osD^vP"
    return [
        (kind, PALETTE[place % 7], markers[(place // 7 + place) % len(markers)])
        for place, kind in enumerate(kinds)
    ]


def utilization(document: Document) -> Figure:
    """How busy each component is over the run, with its mean."""
    strips = document["utilization_over_time"]
    figure = new_figure(0.95 + 0.26 * max(1, len(strips)))
    axes = figure.subplots()
    if not strips:
        axes.text(0.5, 0.5, "no component reported", transform=axes.transAxes, ha="center")
        return figure
    rows = list(strips)
    image = axes.imshow(
        [[100 * share for share in strips[name]] for name in rows],
        aspect="auto",
        interpolation="none",
        vmin=0,
        vmax=100,
        extent=(0, document["latency_s"] or 1, len(rows) - 0.5, -0.5),
    )
    axes.set_yticks(range(len(rows)), rows)
    axes.set_yticks([row + 0.5 for row in range(len(rows) - 1)], minor=True)
    axes.grid(True, axis="y", which="minor", color="white", linewidth=2)
    axes.tick_params(axis="y", which="both", length=0)
    for row, name in enumerate(rows):
        axes.annotate(
            percent(document["utilization"][name]),
            (1, row),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            size=7.5,
        )
    axes.annotate(
        "mean", (1, 1), (4, 5), xycoords="axes fraction", textcoords="offset points", size=7.5
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.xaxis.set_major_formatter(lambda value, _: human(value, "s", 2) if value else "0")
    bar = figure.colorbar(image, ax=axes, pad=0.07, fraction=0.03, aspect=12)
    bar.set_ticks([0, 50, 100], labels=["0 %", "50 %", "100 %"])
    bar.outline.set_visible(False)
    return figure


def comparison(document: Document) -> Figure:
    """Devices side by side: latency, and energy by part."""
    rows = document["rows"]
    per_token = all(row["energy_per_token_j"] is not None for row in rows)
    figure = new_figure(1.2 + 0.36 * len(rows))
    time, energy = figure.subplots(1, 2, sharey=True)
    latencies = [row["latency_s"] for row in rows]
    shades = [BLUE if row["comparable"] else GREY for row in rows]
    time.barh(range(len(rows)), latencies, color=shades, height=0.7)
    _label_ends(time, latencies, "s", [row["speedup"] for row in rows], ("faster", "slower"))
    parts = _largest_first(sum_by_key(row["energy_by_part_j"] for row in rows))
    chosen = colours(parts)
    ends = [0.0] * len(rows)
    for part in parts:
        values = [
            row["energy_by_part_j"].get(part, 0.0) / (row["tokens"] if per_token else 1)
            for row in rows
        ]
        if any(values):
            energy.barh(
                range(len(rows)), values, left=ends, color=chosen[part], label=part, height=0.7
            )
        ends = [end + value for end, value in zip(ends, values, strict=True)]
    _label_ends(energy, ends, "J", [row["energy_gain"] for row in rows], ("less", "more"))
    time.set_yticks(range(len(rows)), [row["label"] for row in rows])
    time.invert_yaxis()
    time.set_title("Latency")
    energy.set_title("Energy per token" if per_token else "Energy")
    _legend_below(figure, energy, "outside lower right", 6)
    return figure


def _label_ends(
    axes: Axes,
    values: Sequence[float],
    unit: str,
    gains: Sequence[float | None],
    words: tuple[str, str],
) -> None:
    for row, (value, gain) in enumerate(zip(values, gains, strict=True)):
        related = relation(gain, *words) if row else ""
        axes.annotate(
            human(value, unit) + (f" ({related})" if related else ""),
            (value, row),
            (3, 0),
            textcoords="offset points",
            va="center",
            size=7,
        )
    axes.set_xlim(0, 1.75 * max(values, default=0) or 1)
    axes.xaxis.set_major_formatter(lambda value, _: human(value, unit, 2) if value else "0")
    axes.xaxis.set_major_locator(_few_ticks())
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
