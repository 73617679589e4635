"""What the case studies share: published rows beside simulated ones, and a comparison of systems.

A case is a folder with ``case.yaml`` and a ``run.py`` of two lines.  ``rows`` are published values
with provenance (board, paper, authors' simulator, third party); ``systems`` run one workload each
and are compared in speed, energy and cost, with prices as an input: ``--price NAME=DOLLARS``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from simulator.api import load_hardware, load_trace, simulate
from simulator.errors import AccsimError, OptionError, suggest
from simulator.results.result import Result

TABLE_WIDTH = 150
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


class Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Run(Model):
    """One simulation."""

    hardware: str
    model: str
    phase: str
    sizes: dict[str, int] = {}
    set: tuple[str, ...] = ()
    launch: Literal["queued", "eager", "graph"] = "queued"


class Row(Model):
    """A published value; ``quantity`` says what of the run it is.

    ``total`` sums decode steps from ``sizes.context`` on, as many as ``steps``, by Simpson's rule
    over three of them.
    """

    what: str
    value: float
    unit: str
    quantity: Literal["latency", "total", "tokens_per_s", "power", "energy", "share"] = "latency"
    kinds: tuple[str, ...] = ()
    """Kinds of work whose share of the time is meant."""
    steps: int = 1
    run: Run
    provenance: str
    source: str
    fitted: bool = False
    note: str = ""


class System(Model):
    """One system of the comparison."""

    name: str
    run: Run
    price: float | None = None
    price_source: str = ""
    published: str = ""


class Case(Model):
    title: str
    sources: dict[str, str]
    rows: tuple[Row, ...]
    per: str
    """What one run produces: a token, a frame."""
    baseline: str
    systems: tuple[System, ...] = Field(min_length=1)


@cache
def _result(text: str) -> Result:
    run = Run.model_validate_json(text)
    trace = load_trace(run.model, run.sizes, phase=run.phase)
    return simulate(trace, load_hardware(run.hardware, run.set), launch=run.launch)


def result(run: Run) -> Result:
    """The run's record; equal runs are simulated once."""
    return _result(run.model_dump_json())


def simulated(row: Row) -> float:
    """The row's quantity in its unit."""
    done = result(row.run)
    match row.quantity:
        case "latency":
            return done.latency_s / SECONDS[row.unit]
        case "total":
            return _total(row) / SECONDS[row.unit]
        case "tokens_per_s":
            return row.steps / _total(row) if row.steps > 1 else 1 / done.latency_s
        case "power":
            return done.energy_j / done.latency_s
        case "energy":
            return done.energy_j
        case "share":
            kinds = done.kinds.set_index("name").latency_s
            named = sum(float(kinds[kind]) for kind in row.kinds)
            return 100 * named / done.latency_s
    raise AssertionError(row.quantity)


def _total(row: Row) -> float:
    first = row.run.sizes["context"]
    contexts = (first, first + row.steps // 2, first + row.steps)
    begin, middle, end = (
        result(row.run.model_copy(update={"sizes": {"context": context}})).latency_s
        for context in contexts
    )
    return row.steps * (begin + 4 * middle + end) / 6


def load(folder: Path, prices: Sequence[str]) -> Case:
    """The case of a folder, with prices replaced."""
    file = folder / "case.yaml"
    try:
        case = Case.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, ValidationError, yaml.YAMLError) as error:
        reason = str(error).splitlines()[0]
        raise OptionError(reason, where=str(file), remedy="see validation/cases/case.py") from None
    given = dict(_price(text) for text in prices)
    names = [system.name for system in case.systems]
    for name in given:
        if name not in names:
            raise OptionError(f"no system '{name}'", where="--price", remedy=suggest(name, names))
    systems = tuple(
        system.model_copy(update={"price": given[system.name], "price_source": "--price"})
        if system.name in given
        else system
        for system in case.systems
    )
    return case.model_copy(update={"systems": systems})


def _price(text: str) -> tuple[str, float]:
    name, _, dollars = text.rpartition("=")
    try:
        value = float(dollars)
    except ValueError:
        value = -1.0
    if not name or not 0 < value < 1e9:
        raise OptionError(
            f"expected NAME=DOLLARS, got '{text:.60}'", where="--price", remedy='"A100=10000"'
        )
    return name, value


def compared(case: Case) -> list[dict[str, Any]]:
    """Speed, power, energy and cost of each system; ratios to the baseline."""
    rows: list[dict[str, Any]] = []
    for system in case.systems:
        done = result(system.run)
        speed = 1 / done.latency_s
        rows.append(
            {
                "system": system.name,
                "per_s": speed,
                "power_w": done.energy_j / done.latency_s,
                "per_j": 1 / done.energy_j,
                "price": system.price,
                "price_source": system.price_source,
                "per_s_per_kilodollar": 1000 * speed / system.price if system.price else None,
                "published": system.published,
            }
        )
    base = next(row for row in rows if row["system"] == case.baseline)
    for row in rows:
        row["energy_ratio"] = row["per_j"] / base["per_j"]
        costs = row["per_s_per_kilodollar"], base["per_s_per_kilodollar"]
        row["cost_ratio"] = costs[0] / costs[1] if all(costs) else None
    return rows


def document(case: Case) -> dict[str, Any]:
    """Everything, as plain data."""
    rows = []
    for row in case.rows:
        value = simulated(row)
        rows.append(
            {**row.model_dump(mode="json"), "simulated": value, "error": value / row.value - 1}
        )
    return {"title": case.title, "rows": rows, "systems": compared(case)}


def show(case: Case, found: dict[str, Any]) -> None:
    """Print both tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else TABLE_WIDTH, highlight=False)
    table = Table(title=case.title, box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    for name in ("what", "published", "simulated", "error", "provenance"):
        right = name in ("published", "simulated", "error")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in found["rows"]:
        table.add_row(
            row["what"] + (" *" if row["fitted"] else ""),
            f"{row['value']:g} {row['unit']}",
            f"{row['simulated']:.4g} {row['unit']}",
            f"{row['error']:+.1%}",
            f"{row['provenance']} ({row['source']})",
        )
    console.print(table)
    console.print("* fitted to this row, no evidence", style="dim")
    for row in found["rows"]:
        if row["note"]:
            console.print(f"{row['what']}: {row['note']}", style="dim")
    for key, text in case.sources.items():
        console.print(f"({key}) {text}", style="dim")
    other = Table(title="simulated systems", box=box.SIMPLE_HEAD, pad_edge=False)
    names = ("system", f"{case.per}/s", "W", f"{case.per}/J", "energy", "$", f"{case.per}/s/k$")
    for name in (*names, "cost", "published"):
        other.add_column(name, justify="left" if name in ("system", "published") else "right")
    for row in found["systems"]:
        other.add_row(
            row["system"],
            f"{row['per_s']:.4g}",
            f"{row['power_w']:.3g}",
            f"{row['per_j']:.3g}",
            f"{row['energy_ratio']:.2f}x",
            f"{row['price']:g}" if row["price"] else "–",
            f"{row['per_s_per_kilodollar']:.3g}" if row["price"] else "–",
            f"{row['cost_ratio']:.2f}x" if row["cost_ratio"] else "–",
            row["published"],
        )
    console.print(other)
    for row in found["systems"]:
        if row["price"]:
            console.print(f"price of {row['system']}: {row['price_source']}", style="dim")


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """The command of a case."""
    parser = argparse.ArgumentParser(description=f"Case study {folder.name}.")
    parser.add_argument("--json", action="store_true", help="print everything for programs")
    parser.add_argument(
        "--price", action="append", default=[], metavar="NAME=DOLLARS", help="price of a system"
    )
    options = parser.parse_args(arguments)
    try:
        case = load(folder, options.price)
        found = document(case)
    except AccsimError as error:
        print(f"{folder.name}: error: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False))
    else:
        show(case, found)
    return 0
