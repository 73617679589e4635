"""The result of a run, as a Python object: numbers, data frames, files.

A thin face on the run record.  Making one checks the record's laws, so whatever a
:class:`Result` says has passed them.  Pandas is loaded by the frames, matplotlib by
:meth:`Result.save`, neither by the numbers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from simulator.results import document
from simulator.results.document import Document
from simulator.results.files import write_folder
from simulator.results.laws import check
from simulator.system.records import RunRecord

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Result:
    """One simulated run."""

    record: RunRecord

    def __post_init__(self) -> None:
        check(self.record)

    @cached_property
    def _document(self) -> Document:
        return document.build(self.record)

    def _number(self, key: str) -> float:
        return float(self._document[key])

    def _optional(self, key: str) -> float | None:
        value = self._document[key]
        return None if value is None else float(value)

    @property
    def latency_s(self) -> float:
        return self._number("latency_s")

    @property
    def bound_latency_s(self) -> float:
        return self._number("bound_latency_s")

    @property
    def bound_ratio(self) -> float | None:
        """Latency over its lower bound, at least one; None if the bound is zero."""
        return self._optional("bound_ratio")

    @property
    def tokens_per_s(self) -> float | None:
        return self._optional("tokens_per_s")

    @property
    def graphs_per_s(self) -> float | None:
        return self._optional("graphs_per_s")

    @property
    def energy_j(self) -> float:
        return self._number("energy_j")

    @property
    def energy_per_token_j(self) -> float | None:
        return self._optional("energy_per_token_j")

    @property
    def energy_by_part_j(self) -> dict[str, float]:
        return dict(self._document["energy_by_part_j"])

    @property
    def utilization(self) -> dict[str, float]:
        """Component -> busy share of the run, 0 to 1."""
        return dict(self._document["utilization"])

    @property
    def simulated_share(self) -> float:
        """Share of the kernel time that was played event by event."""
        return self._number("simulated_share")

    @property
    def operators(self) -> pd.DataFrame:
        """One row per operator and kind of work, longest first."""
        return _frame(self._document["operators"])

    @property
    def kinds(self) -> pd.DataFrame:
        """One row per kind of work, longest first."""
        return _frame(self._document["kinds"])

    @property
    def kernels(self) -> pd.DataFrame:
        """One row per kernel in program order; times in integer femtoseconds."""
        import pandas as pd

        from simulator.results.timeline import KERNEL_COLUMNS, kernel_row

        rows = [kernel_row(kernel) for kernel in self.record.kernels]
        return pd.DataFrame(rows, columns=None if rows else list(KERNEL_COLUMNS))

    def to_json(self) -> dict[str, Any]:
        """The result document (see :mod:`simulator.results.document`); yours to change."""
        return document.build(self.record)

    def dumps(self) -> str:
        """The document's canonical text, as ``--json`` prints and ``result.json`` holds."""
        return document.dumps(self._document)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write result.json, operators.csv, timeline.json and report.html, or nothing."""
        from simulator.results import timeline
        from simulator.results.report import render

        files = {
            "report.html": render(self._document),
            "timeline.json": timeline.dumps(self.record),
            "operators.csv": document.rows_to_csv(self._document["operators"]),
            "result.json": self.dumps(),
        }
        write_folder(folder, files)


def _frame(rows: list[Document]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([document.flatten(row) for row in rows])
