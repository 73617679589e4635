"""A finished sweep as a Python object: its frame, its Pareto front, what it is sensitive to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import OptionError, SweepError, suggest
from simulator.sweep import analysis
from simulator.sweep.spec import Sweep, load_sweep

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SweepResults:
    """A sweep and the table of its points."""

    sweep: Sweep
    frame: pd.DataFrame
    """One row per point, whether it succeeded or not (see :mod:`simulator.sweep.table`)."""

    @property
    def done(self) -> pd.DataFrame:
        """The rows that have a result."""
        return self.frame[self.frame["status"] == "done"].reset_index(drop=True)

    @property
    def axes(self) -> list[str]:
        """Axes that take more than one value."""
        return [name for name in self.sweep.axis_names if self.frame[name].nunique() > 1]

    @property
    def goals(self) -> dict[str, str]:
        """The sweep's objectives: column -> ``min`` or ``max``."""
        return {name: objective.goal for name, objective in self.sweep.objectives.items()}

    def pareto(self, goals: Mapping[str, str] | None = None) -> pd.DataFrame:
        """Points that no other beats in one objective without losing in another."""
        goals = dict(goals or self.goals)
        for name, goal in goals.items():
            self.check_column(name)
            if goal not in ("min", "max"):
                raise SweepError(f"'{name}' is to be {goal!r}", remedy="say min or max")
        return analysis.pareto(self._with_rows("pareto"), goals)

    def sensitivity(
        self, objective: str | None = None, base: Mapping[str, str] | None = None
    ) -> pd.DataFrame:
        """How much each axis moves an objective (see :func:`analysis.sensitivity`)."""
        name = self.check_column(objective or next(iter(self.goals)))
        frame = self._with_rows("sensitivity")
        axes = [axis for axis in self.axes if frame[axis].nunique() > 1]
        if not axes:
            raise SweepError("no axis takes two values", remedy="sweep something first")
        return analysis.sensitivity(frame, axes, name, base, self.sweep.sample is not None)

    def check_column(self, name: str) -> str:
        """The column of that name, which must be one of numbers."""
        numeric = list(self.frame.select_dtypes("number").columns)
        if name not in numeric:
            raise SweepError(f"no column of numbers '{name}'", remedy=suggest(name, numeric))
        return name

    def _with_rows(self, what: str) -> pd.DataFrame:
        frame = self.done
        if frame.empty:
            raise SweepError(f"no point has a result: no {what}", remedy="see column 'error'")
        return frame


def open_results(folder: str | Path) -> SweepResults:
    """The results that ``accsim sweep --out FOLDER`` wrote."""
    import pandas as pd

    place = Path(folder)
    place = place.parent if place.name == "results.csv" else place
    table = place / "results.csv"
    try:
        frame = pd.read_csv(table, low_memory=False)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"cannot read: {getattr(error, 'strerror', None) or error}",
            where=table,
            remedy="give the folder that 'accsim sweep --out' wrote",
        ) from None
    sweep = load_sweep(place / "sweep.yaml")
    missing = [name for name in (*sweep.axis_names, "status") if name not in frame.columns]
    if missing:
        raise SweepError(
            f"has no column '{missing[0]}'", where=table, remedy="run the sweep into it again"
        )
    return SweepResults(sweep, frame)


def parse_goals(text: str | None) -> dict[str, str]:
    """``latency_s:min,tokens_per_s:max`` as column -> goal; nothing without text."""
    goals = {}
    for part in text.split(",") if text else ():
        name, colon, goal = part.strip().rpartition(":")
        if not (name and colon):
            raise OptionError(
                f"expected COLUMN:min or COLUMN:max, got '{part.strip():.60}'",
                where="--objectives",
                remedy="write it like --objectives latency_s:min,tokens_per_s:max",
            )
        goals[name] = goal
    return goals
