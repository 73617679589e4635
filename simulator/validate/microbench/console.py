"""A microbenchmark run for the terminal: one table, published beside simulated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

TABLE_WIDTH = 150
"""Columns where the output is not a terminal."""
NONE = "–"


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """The report's document as a table: what each curve settles at, then published figures."""
    console = console or Console(highlight=False)
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("benchmark", no_wrap=True)
    table.add_column("quantity", overflow="fold")
    for head in ("simulated", "published", "ratio"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("source", no_wrap=True)
    for curve in report["curves"]:
        name = curve["benchmark"]
        for one in curve["plateaus"]:
            table.add_row(name, one["quantity"], _value(one["value"], one["unit"]), NONE, NONE, "")
        for one in report["comparisons"]:
            if one["benchmark"] == name:
                table.add_row(*_row(one))
        table.add_section()
    console.print(table, highlight=False)
    rows = report["comparisons"]
    console.print(
        f"{report['within_tolerance']} of {len(rows)} published figures within "
        f"{report['tolerance']:.0%}",
        highlight=False,
    )
    if any(one["used_in_description"] for one in rows):
        console.print("* the description was derived from this figure or its source", style="dim")
    boards = sorted({one["board"] for one in rows if one["stand_in"]})
    if boards:
        console.print(
            f"† another board ({', '.join(boards)}), approached by overrides of this description",
            style="dim",
        )


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    low, high = one["published"]
    published = f"{low:g}" if low == high else f"{low:g} – {high:g}"
    marks = "*" * one["used_in_description"] + "†" * one["stand_in"]
    return (
        one["benchmark"],
        one["quantity"],
        _value(one["simulated"], one["unit"]),
        f"{published} {one['unit']}",
        f"{one['ratio']:.2f}",
        f"{one['source']} {marks}".rstrip(),
    )


def _value(value: float, unit: str) -> str:
    """Four significant digits, without an exponent."""
    shown = f"{value:.0f}" if value >= 1000 else f"{value:#.4g}".rstrip(".")
    return f"{shown} {unit}"
