"""``accsim hw``: which hardware is described, and what a description says."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from simulator.hardware import Description, Peak, Provenance, catalogue, resolve
from simulator.units import human

app = typer.Typer(
    help="Hardware descriptions: list them, show one with sources and peaks.",
    no_args_is_help=True,
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a value, e.g. chip.sms=64."),
]


@app.command("list")
def list_hardware(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the shipped descriptions."""
    entries = catalogue()
    if as_json:
        rows = [{"name": one.name, "kind": one.kind, "title": one.title} for one in entries]
        typer.echo(json.dumps(rows, indent=2))
        return
    width = max(len(entry.name) for entry in entries)
    kind = ""
    for entry in entries:
        if entry.kind != kind:
            kind = entry.kind
            typer.echo(kind)
        typer.echo(f"  {entry.name:<{width}}  {entry.title}")


@app.command("show")
def show_hardware(
    name: Annotated[str, typer.Argument(help="Name from 'accsim hw list', or a YAML file.")],
    overrides: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show a resolved description: every value with quality and source, and derived peaks."""
    from simulator.system.specs import check, peaks

    description = resolve(name, overrides or ())
    limits = peaks(check(description))
    if as_json:
        typer.echo(json.dumps(_document(description, limits), indent=2))
    else:
        typer.echo("\n".join(_lines(description, limits)))


def _document(description: Description, limits: tuple[Peak, ...]) -> dict[str, Any]:
    return {
        "name": description.name,
        "kind": description.kind,
        "digest": description.digest,
        "values": description.tree,
        "provenance": {
            path: {"source": mark.source, "quality": mark.quality, "note": mark.note}
            for path, mark in description.provenance.items()
            if path in description.numbers
        },
        "qualities": description.qualities,
        "peaks": {
            peak.name: {"value": peak.value, "unit": peak.unit or "count"} for peak in limits
        },
    }


def _lines(description: Description, limits: tuple[Peak, ...]) -> list[str]:
    """The description for people: sources are numbered and listed once at the end."""
    values = _flat(description.tree)
    title = values.pop("title", "")
    lines = [f"{description.name}  {title}".rstrip(), ""]
    sources: dict[str, int] = {}
    key_width = max(len(key.rpartition(".")[2]) for key in values)
    value_width = max(len(_shown(values[path])) for path in description.numbers)
    block, note = None, None
    for path, value in values.items():
        above, _, key = path.rpartition(".")
        if above != block:
            block, note = above, None
            lines.append(above or "device")
        mark = description.provenance[path]
        # A block's note is told once, not on each of its values.
        remark = f"  {mark.note}" if mark.note and mark.note != note else ""
        note = mark.note
        line = f"  {key:<{key_width}}  {_shown(value):<{value_width}}  {_credit(mark, sources)}"
        lines.append(f"{line}{remark}".rstrip())
    if limits:
        lines += ["", "derived"]
        width = max(len(peak.name) for peak in limits) + 2
        lines += [f"  {peak.name:<{width}}{_amount(peak)}" for peak in limits]
    counts = ", ".join(f"{count} {quality}" for quality, count in description.qualities.items())
    lines += ["", f"numbers by quality: {counts}", "sources"]
    lines += [f"  [{number}] {source}" for source, number in sources.items()]
    return lines


def _credit(mark: Provenance, sources: dict[str, int]) -> str:
    if mark.source is None:
        return ""
    number = sources.setdefault(mark.source, len(sources) + 1)
    return f"{mark.quality or '':<9} [{number}]"


def _amount(peak: Peak) -> str:
    return human(peak.value, peak.unit, 4) if peak.unit else f"{peak.value:,.0f}"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict):
            blocks |= _flat(value, path)
        else:
            flat[path] = value
    # Values before blocks, so that a block's own values stand together.
    return flat | blocks
