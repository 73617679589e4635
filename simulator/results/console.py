"""What a person reads in ten seconds: results as text for a terminal.

Rich draws it; without a terminal there is no colour, and where the encoding is not
Unicode the few signs beyond ASCII are replaced.  On a narrow terminal the tables keep
their leading columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from simulator.results.compare import Comparison
from simulator.results.document import Document
from simulator.results.result import Result
from simulator.results.wording import describe_work, facts, percent, rate, times
from simulator.units import human

_BAR_CELLS = 24
_ASCII = str.maketrans({"█": "#", "░": ".", "×": "x", "·": "-", "…": "~"})


def print_summary(result: Result, console: Console | None = None) -> None:
    """The run: what it took, what it cost, what binds it, and how far to trust it."""
    console = console or Console()
    document = result.to_json()
    _print(
        console,
        [
            _title(document),
            Padding(_facts(document), (0, 0, 1, 2)),
            Padding(_bars(document["utilization"]), (0, 0, 1, 2)),
            Padding(_kinds_table(document, console.width), (0, 0, 1, 2)),
            *_remarks(document),
        ],
    )


def print_operation(
    result: Result, console: Console | None = None, explanation: str | None = None
) -> None:
    """A single operator: its kernels, their bound, the device's utilization."""
    console = console or Console()
    document = result.to_json()
    names = "  ".join(row["name"] for row in document["kernels"])
    heading = Text.assemble((document["workload"], "bold"), " on ", (document["hardware"], "bold"))
    parts: list[RenderableType] = [
        heading,
        Padding(_facts(document, [("kernel", names)]), (0, 0, 1, 2)),
        Padding(_bars(document["utilization"]), (0, 0, 1, 2)),
    ]
    if explanation:
        parts.append(Text(explanation.rstrip() + "\n"))
    _print(console, [*parts, *_remarks(document)])


def operation_document(result: Result) -> Document:
    """What ``accsim op --json`` prints: the run's document with the kernel by name."""
    document = result.to_json()
    document["kernel"] = ", ".join(row["name"] for row in document["kernels"])
    return document


def print_comparison(comparison: Comparison, console: Console | None = None) -> None:
    """Devices side by side."""
    console = console or Console()
    base = comparison.rows[0]
    heading = Text.assemble(
        (describe_work(base), "bold"), ", relative to ", (base["hardware"], "bold")
    )
    columns = ("device", "latency", "speed-up", "tokens/s", "energy", "× bound", "bound by")
    if all(row["tokens"] for row in comparison.rows):
        columns = (*columns[:4], "energy/token", *columns[5:])
    elif any(row["graphs_per_s"] for row in comparison.rows):
        columns = (*columns[:3], "graphs/s", *columns[4:])
    rows = [
        {
            "device": row["label"],
            "latency": human(row["latency_s"], "s"),
            "speed-up": times(row["speedup"]),
            "tokens/s": rate(row["tokens_per_s"]),
            "graphs/s": rate(row["graphs_per_s"]),
            "energy": human(row["energy_j"], "J"),
            "energy/token": human(row["energy_per_token_j"] or 0.0, "J"),
            "× bound": times(row["bound_ratio"]),
            "bound by": row["bound_by"],
        }
        for row in comparison.rows
    ]
    body = Padding(_table(columns, rows, console.width), (0, 0, 1, 2))
    _print(console, [heading, body, *(_remark("note", note) for note in comparison.notes)])


def _print(console: Console, parts: Iterable[RenderableType]) -> None:
    if not console.options.ascii_only:
        console.print(Group(*parts), highlight=False)
        return
    with console.capture() as capture:
        console.print(Group(*parts), highlight=False)
    console.file.write(capture.get().translate(_ASCII))


def _title(document: Document) -> Text:
    options = document["options"]
    how = " · ".join(str(options[key]) for key in ("launch", "fidelity", "clock") if key in options)
    text = Text.assemble((describe_work(document), "bold"), " on ", (document["hardware"], "bold"))
    return text.append(f"   {how}", "dim") if how else text


def _facts(document: Document, first: Sequence[tuple[str, str]] = ()) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in [*first, *facts(document)]:
        grid.add_row(Text(name), Text(value))
    return grid


def _bars(utilization: Mapping[str, float]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, share in utilization.items():
        full = min(_BAR_CELLS, round(share * _BAR_CELLS))
        bar = Text("█" * full, "cyan").append("░" * (_BAR_CELLS - full), "dim")
        grid.add_row(Text(name), bar, Text(percent(share), justify="right"))
    return grid


def _kinds_table(document: Document, width: int) -> Table:
    rows = [
        {
            "kind": row["name"],
            "kernels": str(row["count"]),
            "time": human(row["latency_s"], "s"),
            "share": percent(row["latency_share"] or 0.0),
            "× bound": times(row["bound_ratio"]),
            "bound by": row["bound_by"],
            "energy": human(row["energy_j"], "J"),
            "DRAM traffic": human(row["dram_bytes_read"] + row["dram_bytes_written"], "B"),
        }
        for row in document["kinds"]
    ]
    outside = {
        "kind": "outside kernels",
        "time": human(document["idle_s"], "s"),
        "share": percent(document["idle_s"] / document["latency_s"] if rows else 0.0),
        "energy": human(sum(document["energy_outside_kernels_j"].values()), "J"),
    }
    columns = ("kind", "time", "share", "× bound", "bound by", "energy", "kernels", "DRAM traffic")
    return _table(columns, [*rows, outside], width)


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, str]], width: int) -> Table:
    """As many leading columns as fit the width."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    room = width - 2
    for place, column in enumerate(columns):
        cells = [column, *(line for row in rows for line in row.get(column, "").splitlines())]
        room -= max(map(len, cells)) + 2
        if place and room < -2:
            break
        table.add_column(column, justify="left" if place == 0 else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(row.get(column, "")) for column in columns[: len(table.columns)]))
    return table


def _remarks(document: Document) -> list[RenderableType]:
    """Everything that weakens the numbers."""
    remarks = [_remark("warning", text) for text in document["warnings"]]
    remarks += [_remark("guess", text) for text in document["guesses"]]
    if document["approximated"]:
        names = ", ".join(document["approximated"])
        remarks.append(_remark("approximated", f"by memory traffic only: {names}"))
    if document["quality"]:
        remarks.append(_remark("hardware numbers", document["quality"]))
    return remarks


def _remark(kind: str, text: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    style = "yellow" if kind in ("warning", "note") else "dim"
    grid.add_row(Text(f"{kind}:", style), Text(text))
    return grid
