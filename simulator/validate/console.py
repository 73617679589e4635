"""A validation for the terminal: errors of time and energy by group and by size, the worst rows,
what was skipped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.units import human

WORST_SHOWN = 8
NAMES_SHOWN = 6
TABLE_WIDTH = 170
"""Columns where the output is not a terminal."""

_SCORES = (
    ("MAPE", "mape"),
    ("median", "median"),
    ("p90", "p90"),
    ("bias", "bias"),
    ("in spread", "within_spread"),
    ("roofline", "roofline_mape"),
    ("fitted roofline", "fitted_roofline_mape"),
)
_ENERGY = (
    ("energy n", "n"),
    ("energy MAPE", "mape"),
    ("median", "median"),
    ("p90", "p90"),
    ("bias", "bias"),
)


def print_report(report: Mapping[str, Any], console: Console | None = None) -> None:
    """The report's document as tables."""
    console = console or Console()
    if not console.is_terminal:
        console.width = TABLE_WIDTH
    parts: list[RenderableType] = [
        _heading(report),
        _block(_table(("GPU", "operator", "type"), report["rows"], ("gpu", "op", "dtype"))),
        Text("by measured time", "bold"),
        _block(
            _table(
                ("GPU", "operator", "type", "time"),
                report["by_size"],
                ("gpu", "op", "dtype", "size"),
            )
        ),
        Text("worst rows", "bold"),
        _block(_worst(report["worst"])),
        *_skipped(report["skipped"]),
    ]
    console.print(Group(*parts), highlight=False)


def _heading(report: Mapping[str, Any]) -> Text:
    text = Text.assemble(
        (f"{report['rows_compared']} measured rows", "bold"), " against the simulator"
    )
    outside = report["rows_outside_sample"]
    if outside:
        text.append(f"   {outside} more outside the sample (seed {report['seed']})", "dim")
    return text


def _block(inner: RenderableType) -> Padding:
    return Padding(inner, (0, 0, 1, 2))


def _table(heads: Sequence[str], rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    powered = _ENERGY if any(row["energy"] for row in rows) else ()
    for head in ("n", *(head for head, _ in (*_SCORES, *powered))):
        table.add_column(head, justify="right")
    for row in rows:
        scores = (_percent(row[key]) for _, key in _SCORES)
        energies = (_energy(row["energy"], key) for _, key in powered)
        table.add_row(*(str(row[key]) for key in (*keys, "n")), *scores, *energies)
    return table


def _energy(errors: Mapping[str, Any] | None, key: str) -> str:
    """Of joules a call, or of watts where the time is not known."""
    if errors is None:
        return "-"
    if key != "n":
        return _percent(errors[key])
    return f"{errors['n']}{' (W)' if errors['of'] == 'watts' else ''}"


def _percent(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{100 * share:.1f} %"


def _worst(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for head in ("GPU", "operator", "shape"):
        table.add_column(head, overflow="fold")
    for head in ("measured", "simulated", "error"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in sorted(rows, key=lambda row: -abs(_error(row)))[:WORST_SHOWN]:
        what, unit = ("s", "s") if row["measured_s"] is not None else ("w", "W")
        pair = (human(row[f"{end}_{what}"], unit) for end in ("measured", "simulated"))
        table.add_row(row["gpu"], row["op"], row["shape"], *pair, _percent(_error(row)))
    return table


def _error(row: Mapping[str, Any]) -> float:
    """Of the time, or of watts where no time is known."""
    error = row["energy_error"] if row["error"] is None else row["error"]
    return float(error)


def _skipped(rows: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Rows not compared, by reason, with the GPUs (or files) they are of."""
    counts: Counter[str] = Counter()
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row["reason"]] += row["rows"]
        names[row["reason"]][row["gpu"] or row["file"]] += row["rows"]
    if not counts:
        return []
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for reason, count in counts.most_common():
        named = [name for name, _ in names[reason].most_common()]
        more = f" and {len(named) - NAMES_SHOWN} more" if len(named) > NAMES_SHOWN else ""
        table.add_row(str(count), f"{reason}: {', '.join(named[:NAMES_SHOWN])}{more}")
    return [Text("rows not compared", "bold"), _block(table)]
