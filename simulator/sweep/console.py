"""A sweep on the terminal: progress while it runs, what came of it, its analyses as tables."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from simulator.results.wording import percent
from simulator.sweep.results import SweepResults
from simulator.sweep.run import Progress
from simulator.units import human

if TYPE_CHECKING:
    import pandas as pd

_MOST_ROWS = 20
_QUIET_S = 60.0
"""Between two lines where nobody watches, as in the log of a night."""
_UNITS = {"_s": "s", "_j": "J", "_w": "W", "_bytes": "B"}


@contextmanager
def watch() -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on stderr; without a terminal, a line a minute."""
    pace = _Pace()
    if not sys.stderr.isatty():
        last = [time.monotonic()]

        def line(progress: Progress) -> None:
            now, status = time.monotonic(), pace.status(progress)
            if now - last[0] >= _QUIET_S:
                last[0] = now
                print(f"accsim: {status}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    with Bar(BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=None)

        def update(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.points,
                completed=progress.points - progress.left,
                description=pace.status(progress),
            )

        yield update


class _Pace:
    """Points per second of late: the first ones wait for processes to start and compile."""

    WINDOW = 100

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque(maxlen=self.WINDOW)

    def status(self, progress: Progress) -> str:
        """``40 of 100 points, 2 failed, 1.3 points/s, 46 s left``."""
        if progress.done and (not self._marks or self._marks[-1][1] < progress.done):
            self._marks.append((time.monotonic(), progress.done))
        text = f"{progress.points - progress.left} of {progress.points} points"
        failed = progress.failed + len(progress.troubles)
        if failed:
            text += f", {failed} failed"
        if len(self._marks) > 1:
            (start, before), (end, done) = self._marks[0], self._marks[-1]
            rate = (done - before) / max(end - start, 1e-9)
            text += f", {_rate(rate)}, {_duration(progress.left / rate)} left"
        return text


def _rate(per_s: float) -> str:
    return f"{per_s:.3g} points/s" if per_s >= 1 else f"{1 / per_s:.3g} s/point"


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def print_sweep(
    results: SweepResults,
    progress: Progress,
    left_out: int,
    out: Path,
    console: Console | None = None,
) -> None:
    """What came of a sweep: counts, the best point by each objective, where the table is."""
    console = console or Console()
    frame, done = results.frame, results.done
    facts = [f"{len(frame)} points", f"{progress.kept} were kept", f"{progress.done} run"]
    if left_out:
        facts.append(f"{left_out} combinations left out")
    _say(console, ", ".join(facts))
    for name, goal in results.goals.items():
        best = done.dropna(subset=[name])
        if not best.empty:
            values = best[name].to_numpy(dtype=float)
            row = best.iloc[int(values.argmin() if goal == "min" else values.argmax())]
            where = ", ".join(f"{axis} {row[axis]}" for axis in results.axes)
            _say(
                console, f"{goal} {name}: {cell(name, row[name])}" + (f" at {where}" * bool(where))
            )
    failed = frame[frame["status"] != "done"]
    for reason, count in failed["error"].value_counts(sort=True).head(5).items():
        _say(console, f"no result for {count}: {reason}")
    _say(console, f"table: {out / 'results.csv'}")


def print_front(
    results: SweepResults,
    front: pd.DataFrame,
    goals: Mapping[str, str],
    console: Console | None = None,
) -> None:
    """The front: axes and objectives."""
    goal = ", ".join(f"{name} {goal}" for name, goal in goals.items())
    _say(console, f"{len(front)} of {len(results.done)} points are not beaten ({goal})")
    _table(front[[*results.axes, *goals]], console)


def print_sensitivity(table: pd.DataFrame, objective: str, console: Console | None = None) -> None:
    """Axes, the most important first."""
    shown = table.astype(object).where(table.notna(), None)
    for name in ("low", "high"):
        shown[name] = [
            None if value is None else f"{cell(objective, value)} at {at}"
            for value, at in zip(shown[name], shown[f"{name}_at"], strict=True)
        ]
    for name in ("first_order", "total_order"):
        shown[name] = [None if share is None else percent(share) for share in shown[name]]
    shown["swing"] = [None if swing is None else f"{swing:.3g}×" for swing in shown["swing"]]
    _say(console, f"{objective} by axis, the most important first")
    _table(shown.drop(columns=["low_at", "high_at"]), console)


def cell(name: str, value: Any) -> str:
    """A value with the unit its column's name carries."""
    if not isinstance(value, int | float) and not hasattr(value, "dtype"):
        return "" if value is None else str(value)
    if value != value:
        return ""
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), None)
    if name.endswith(("_per_s",)) or unit is None:
        return f"{value:.4g}"
    return human(float(value), unit)


def _table(frame: pd.DataFrame, console: Console | None) -> None:
    table = Table(box=None, pad_edge=False)
    for name in frame.columns:
        table.add_column(str(name), overflow="fold")
    for row in frame.head(_MOST_ROWS).itertuples(index=False):
        table.add_row(*(cell(str(name), value) for name, value in zip(frame, row, strict=True)))
    (console or Console()).print(table)
    if len(frame) > _MOST_ROWS:
        _say(console, f"... and {len(frame) - _MOST_ROWS} more; see --out or --json")


def _say(console: Console | None, text: str) -> None:
    (console or Console()).print(text, highlight=False, markup=False, soft_wrap=True)
