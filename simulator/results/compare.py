"""Devices side by side: one table, one figure, four files.

The first result is the baseline.  Speed-up and energy gain are given only where a row
runs the baseline's workload at its sizes; a row that does not (a device without the
capacity, say, that ran a smaller model) keeps its own numbers and a note says so.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.errors import OptionError
from simulator.results import document
from simulator.results.document import Document, ratio
from simulator.results.files import write_folder
from simulator.results.result import Result
from simulator.results.wording import describe_work

if TYPE_CHECKING:
    import pandas as pd

COMPARISON_SCHEMA = 1

_COPIED = (
    "hardware",
    "workload",
    "phase",
    "sizes",
    "options",
    "latency_s",
    "bound_latency_s",
    "bound_ratio",
    "bound_by",
    "tokens",
    "tokens_per_s",
    "graphs_per_s",
    "energy_j",
    "energy_by_part_j",
    "energy_per_token_j",
    "mean_power_w",
    "footprint_bytes",
    "capacity_bytes",
    "simulated_share",
    "error_estimate",
    "warnings",
)


@dataclass(frozen=True)
class Comparison:
    """Results against the first of them."""

    documents: tuple[Document, ...]

    @cached_property
    def rows(self) -> list[Document]:
        return [self._row(index) for index in range(len(self.documents))]

    def _row(self, index: int) -> Document:
        this, base = self.documents[index], self.documents[0]
        comparable = _same_work(this, base)
        row = {key: this[key] for key in _COPIED}
        row["label"] = _label(this, self.documents)
        row["comparable"] = comparable
        row["speedup"] = ratio(base["latency_s"], this["latency_s"]) if comparable else None
        row["energy_gain"] = ratio(base["energy_j"], this["energy_j"]) if comparable else None
        return row

    @property
    def notes(self) -> list[str]:
        base = self.documents[0]
        return [
            f"{row['hardware']} ran {describe_work(row)}, not the baseline's "
            f"{describe_work(base)}: no speed-up is given"
            for row in self.rows
            if not row["comparable"]
        ]

    @property
    def table(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame([document.flatten(row) for row in self.rows])

    def to_json(self) -> dict[str, Any]:
        return {"schema": COMPARISON_SCHEMA, "rows": self.rows, "notes": self.notes}

    def dumps(self) -> str:
        return document.dumps(self.to_json())

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write compare.json, .csv, .svg and .html, or nothing."""
        from simulator.results import figures, style
        from simulator.results.report import render_comparison

        content = self.to_json()
        skipped = ("options", "warnings", "sizes")
        table = [{key: row[key] for key in row if key not in skipped} for row in self.rows]
        files = {
            "compare.html": render_comparison(content),
            "compare.svg": style.svg(lambda: figures.comparison(content)),
            "compare.csv": document.rows_to_csv(table),
            "compare.json": self.dumps(),
        }
        write_folder(folder, files)


def compare(results: Sequence[Result | Document]) -> Comparison:
    """Compare results, or result documents, with the first of them."""
    if not results:
        raise OptionError("nothing to compare", remedy="give at least one result")
    documents = (item.to_json() if isinstance(item, Result) else item for item in results)
    return Comparison(tuple(documents))


def _same_work(this: Document, base: Document) -> bool:
    return all(this[key] == base[key] for key in ("workload", "phase", "sizes"))


def _label(this: Document, documents: Sequence[Document]) -> str:
    """The device, and what else tells this row from the others of the same device."""
    label = str(this["hardware"])
    if not _same_work(this, documents[0]):
        label += f"\n{this['workload']} {this['phase']}"
    twins = [other for other in documents if other["hardware"] == this["hardware"]]
    differing = [
        f"{key}={this['options'][key]}"
        for key in sorted(this["options"])
        if any(other["options"].get(key) != this["options"][key] for other in twins)
    ]
    return label + (f"\n{' '.join(differing)}" if differing else "")
