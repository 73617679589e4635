#!/usr/bin/env python3
"""Published figures beside simulated ones: ``python validation/published.py``.

Simulates every figure of ``published/`` on the descriptions as they are and prints both, their
ratio, what kind of figure it is, and the errors by kind.  Nothing is fitted here; figures from
whose source a description was derived are marked and counted apart.  ``--only PREFIX`` chooses
by name, ``--json`` prints everything for programs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from probes import PROBES

from simulator.api import load_hardware
from simulator.errors import AccsimError, OptionError, suggest
from simulator.hardware import catalogue
from simulator.validate.published import Figure, FigureError, description_of, load

TABLE_WIDTH = 150
"""Columns where the output is not a terminal."""


@dataclass(frozen=True)
class Comparison:
    """A figure and what the simulator makes of it, in the figure's unit."""

    figure: Figure
    simulated: float

    @property
    def ratio(self) -> float:
        return self.figure.ratio(self.simulated)

    @property
    def error(self) -> float | None:
        """Relative distance to the published value; a floor has none, unless undercut."""
        error = abs(self.ratio - 1)
        return None if self.figure.relation == "floor" and self.ratio >= 1 else error


def described(figures: Sequence[Figure]) -> list[Figure]:
    """Those of boards that have a description, or a relative that has one."""
    names = [entry.name for entry in catalogue()]
    return [figure for figure in figures if description_of(figure, names) is not None]


def choose(figures: Sequence[Figure], prefix: str) -> list[Figure]:
    """The figures whose name starts with ``prefix``."""
    chosen = [figure for figure in figures if figure.name.startswith(prefix)]
    if not chosen:
        names = [figure.name for figure in figures]
        boards = sorted({".".join(name.split(".")[:2]) for name in names})
        raise OptionError(
            f"no figure's name starts with '{prefix}'",
            where="--only",
            remedy=suggest(prefix, names, f"names start with one of {', '.join(boards)}"),
        )
    return chosen


def compare(figure: Figure) -> Comparison:
    """Simulate what the figure measured."""
    probe = PROBES.get(figure.probe)
    if probe is None:
        raise FigureError(
            f"unknown probe '{figure.probe}'",
            where=figure.name,
            remedy=suggest(figure.probe, PROBES),
        )
    if probe.si != figure.si or not probe.accepts(figure.arguments):
        raise FigureError(
            f"probe '{figure.probe}' answers in {probe.si} and takes other arguments or units",
            where=figure.name,
            remedy="see the probe's signature in validation/probes",
        )
    name = description_of(figure, [entry.name for entry in catalogue()]) or figure.hardware
    hardware = load_hardware(name, figure.setting(name))
    return Comparison(figure, figure.in_unit(probe(hardware, figure.arguments)))


def errors(comparisons: Iterable[Comparison]) -> dict[str, float | int] | None:
    """Count, mean and median of absolute relative errors."""
    known = [one.error for one in comparisons if one.error is not None]
    return {"count": len(known), "mean": mean(known), "median": median(known)} if known else None


def summary(comparisons: Sequence[Comparison]) -> dict[str, dict[str, Any]]:
    """Errors by kind: of all figures, and of those no description was derived from."""
    kinds = sorted({one.figure.kind for one in comparisons})
    return {
        kind: {
            "all": errors(one for one in comparisons if one.figure.kind == kind),
            "independent": errors(
                one
                for one in comparisons
                if one.figure.kind == kind and not one.figure.used_in_description
            ),
        }
        for kind in kinds
    }


def document(comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Everything, as plain data."""
    rows = [
        {
            **one.figure.model_dump(mode="json", by_alias=True),
            "simulated": one.simulated,
            "ratio": one.ratio,
        }
        for one in comparisons
    ]
    return {"figures": rows, "errors": summary(comparisons)}


def number(value: float) -> str:
    """Four significant digits, without an exponent."""
    return f"{value:.0f}" if value >= 1000 else f"{value:#.4g}".rstrip(".")


def published(figure: Figure) -> str:
    """The value as the table shows it."""
    low, high = figure.value
    floor = "≥ " if figure.relation == "floor" else ""
    span = f"{low:g}" if low == high else f"{low:g} – {high:g}"
    return f"{floor}{span} {figure.unit}"


def show(comparisons: Sequence[Comparison]) -> None:
    """Print the tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what", overflow="fold")
    for name in ("published", "simulated", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("source", no_wrap=True)
    group = ""
    for one in comparisons:
        figure = one.figure
        if group and figure.name.rpartition(".")[0] != group:
            table.add_section()
        group = figure.name.rpartition(".")[0]
        mark = " *" if figure.used_in_description else ""
        table.add_row(
            figure.what,
            published(figure),
            f"{number(one.simulated)} {figure.unit}",
            f"{one.ratio:.2f}",
            figure.kind,
            figure.source + mark,
        )
    console.print(table)
    console.print("* a description was derived from this figure or its source", style="dim")
    totals = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("absolute error", "figures", "mean", "median", "independent", "mean", "median"):
        totals.add_column(name, justify="left" if name == "absolute error" else "right")
    for kind, parts in summary(comparisons).items():
        cells = [cell for part in ("all", "independent") for cell in _cells(parts[part])]
        totals.add_row(kind, *cells)
    console.print(totals)


def _cells(part: dict[str, float | int] | None) -> tuple[str, str, str]:
    if part is None:
        return ("0", "–", "–")
    return (str(part["count"]), f"{part['mean']:.1%}", f"{part['median']:.1%}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Published figures beside simulated ones.")
    parser.add_argument("--only", default="", metavar="PREFIX", help="figures by name")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    try:
        from rich.console import Console
        from rich.progress import track

        comparisons = [
            compare(figure)
            for figure in track(
                choose(described(load()), options.only),
                "simulating",
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
        ]
    except AccsimError as error:
        print(f"published.py: error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(document(comparisons), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show(comparisons)
    return 0


if __name__ == "__main__":
    sys.exit(main())
