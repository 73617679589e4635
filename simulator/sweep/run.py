"""The loop over points: hand out what is not kept yet, keep what comes back, outlive workers.

A worker may die at any time (killed, out of memory, its node gone).  The points it had are then
run again, one at a time with nothing beside them; a point that takes its worker down
``ATTEMPTS`` times alone is at fault, and the sweep goes on without it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import AccsimError
from simulator.sweep.executors import Place, opener
from simulator.sweep.plan import Plan, Point, plan
from simulator.sweep.results import SweepResults
from simulator.sweep.spec import Sweep
from simulator.sweep.store import Record, Store, default_store
from simulator.sweep.table import frame_of, rows_of
from simulator.sweep.worker import Batch, run_points

ATTEMPTS = 3

Tell = Callable[["Progress"], None]
Open = Callable[[], Place]


@dataclass
class Progress:
    """Where a sweep stands."""

    points: int
    """Distinct points of the sweep."""
    kept: int
    """Of these, done before this call."""
    done: int = 0
    failed: int = 0
    """Of those done in this call."""
    troubles: dict[str, str] = field(default_factory=dict)
    """Points that got no result, by key: what became of them."""

    @property
    def left(self) -> int:
        return self.points - self.kept - self.done - len(self.troubles)


def sweep(
    spec: Sweep,
    *,
    jobs: int | None = None,
    store: str | Path | None = None,
    many: bool = False,
    open_place: Open | None = None,
) -> SweepResults:
    """Run a sweep on ``jobs`` processes (all cores if not given) and return its table.

    Points that the ``store`` holds are not run again.  ``open_place`` runs elsewhere
    (:func:`simulator.sweep.executors.opener`).  Raises SweepError about the sweep file; what
    fails in a point is in its row.
    """
    planned = plan(spec, many)
    kept = Store(Path(store) if store is not None else default_store())
    progress = execute(planned, kept, open_place or opener("local", jobs))
    return SweepResults(spec, frame_of(rows_of(spec, planned, kept, progress.troubles)))


def execute(
    planned: Plan, store: Store, open_place: Open, tell: Tell = lambda progress: None
) -> Progress:
    """Bring every point of a plan into the store, or say why it is not there."""
    distinct = {point.key: point for point in planned.points}
    pending = [point for point in distinct.values() if store.get(point.key) is None]
    progress = Progress(len(distinct), len(distinct) - len(pending))
    tell(progress)
    if pending:
        _Loop(store, open_place, progress, tell).run(pending)
    return progress


class _Loop:
    """Points in flight, and those that wait."""

    def __init__(self, store: Store, open_place: Open, progress: Progress, tell: Tell) -> None:
        self.store = store
        self.open_place = open_place
        self.progress = progress
        self.tell = tell
        self.flying: dict[Future[Batch], list[Point]] = {}
        self.suspects: deque[Point] = deque()
        self.lost: dict[str, int] = {}

    def run(self, points: Iterable[Point]) -> None:
        waiting = deque(points)
        place = self.open_place()
        try:
            # The first point compiles the event core, if nobody has; the others find it done.
            alone = not _compiled()
            while waiting or self.suspects or self.flying:
                if not self._feed(place, waiting, alone):
                    place.close()
                    place = self.open_place()
                    continue
                alone = False
                finished, _ = wait(self.flying, return_when=FIRST_COMPLETED)
                broken = [self._take(future) for future in finished]
                if any(broken):
                    self._abandon()
                    place.close()
                    place = self.open_place()
        finally:
            place.close()

    def _feed(self, place: Place, waiting: deque[Point], alone: bool) -> bool:
        """Hand out points; False if the executor takes none because it is broken."""
        try:
            if self.suspects:
                if not self.flying:
                    self._submit(place, [self.suspects[0]])
                    self.suspects.popleft()
                return True
            width = 1 if alone else place.width
            while waiting and len(self.flying) < width:
                batch = _next(waiting, 1 if alone else place.batch)
                self._submit(place, batch)
                for _ in batch:
                    waiting.popleft()
        except BrokenExecutor:
            self._abandon()
            return False
        return True

    def _submit(self, place: Place, batch: list[Point]) -> None:
        self.flying[place.executor.submit(run_points, batch, self.store.folder)] = batch

    def _take(self, future: Future[Batch]) -> bool:
        """Keep what came back; True if the executor is broken."""
        points = self.flying.pop(future)
        try:
            records, troubles = future.result()
        except AccsimError:
            raise
        except Exception as error:
            # Whatever happened, it happened to the worker: errors of points are records.
            self._suspect(points, f"its worker died: {type(error).__name__}")
            return isinstance(error, BrokenExecutor)
        for record in records:
            self._keep(record)
        self.progress.troubles.update(troubles)
        self.tell(self.progress)
        return False

    def _keep(self, record: Record) -> None:
        if self.store.get(record["key"]) is None:
            self.store.put(record)
        self.progress.done += 1
        self.progress.failed += record["status"] == "failed"

    def _abandon(self) -> None:
        """All that was in flight is suspect: any of it may have broken the executor."""
        for points in self.flying.values():
            self._suspect(points, "its worker died")
        self.flying.clear()

    def _suspect(self, points: Iterable[Point], reason: str) -> None:
        for point in points:
            kept = self.store.get(point.key)
            self.lost[point.key] = self.lost.get(point.key, 0) + 1
            if kept is not None:
                self._keep(kept)
            elif self.lost[point.key] > ATTEMPTS:
                self.progress.troubles[point.key] = f"{reason}, {self.lost[point.key]} times"
            else:
                self.suspects.append(point)
        self.tell(self.progress)


def _next(waiting: deque[Point], count: int) -> list[Point]:
    return [waiting[place] for place in range(min(count, len(waiting)))]


def _compiled() -> bool:
    from simulator.compiled import is_warm

    return is_warm()
