"""Running kernels on a machine that is otherwise idle: whole, extrapolated, or reused.

``exact`` plays every task.  ``fast`` is the same mechanism with three shortcuts: a kernel
whose waves of thread blocks repeat in time and traffic is played until they do, its
tail is played, and the waves between are counted; so are the iterations of loops that all
resident tasks are in; and work that meets the same conditions again is not played a second
time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np

from simulator.engine import layout
from simulator.engine.device import Device, Snapshot
from simulator.engine.program import Access, Amount, Coordinate, Kernel, Loop, Pattern

FOREVER = 1 << 62
TIME_TOLERANCE = 0.02
"""Stretches of a kernel (groups of tasks, steps of loops) are alike if the halves of a row of
them differ in time by less than this share ..."""
TRAFFIC_TOLERANCE = 0.05
"""... and in DRAM traffic by less than this share of the larger."""
ERROR_LIMIT = 0.015
"""Share of a kernel's time by which leaving work out may be wrong, as estimated."""
WINDOWS = 128
"""In so many stretches, at most, a loop of the resident tasks is divided."""
PARTS = 4
"""Checkpoints in a stretch."""
ROWS = (64, 48, 32, 24, 16)
"""So many checkpoints in a row may stand for those that are left out."""
GROUPS = (8, 4, 2)
"""The same for groups of resident tasks; single ones may alternate, when two generations of
resident tasks take turns."""
MIN_GROUPS = 5
"""Of a kernel with fewer groups of resident tasks no task is left out."""
MANY_GROUPS = 16
"""After so many the cache counts as settled, however little moves."""
REFRESHES = 2
"""Refresh intervals of the memory, after which tasks no longer go through it in step, and again
so many that a row covers ..."""
SMOOTH = 8
"""... or so many whole stretches alone, if nothing scatters: then memory holds nobody up."""
SCATTER = 0.002
"""Share of a stretch's time by which the ends of such stretches lie apart at most."""
AGREEING = 2
"""So many stretches confirm what an earlier generation of tasks has shown."""
MIN_STEPS = 20
"""Of a shorter loop no iteration is left out."""
KEPT_STEPS = 4
"""Iterations of a loop that are played after some were left out."""


@dataclass(slots=True)
class KernelRun:
    """What one kernel did on the machine. Counters are those of the whole kernel."""

    name: str
    duration_fs: int
    activity: Snapshot
    dram_read: float
    dram_written: float
    hits: float
    misses: float
    simulated_share: float = 1.0
    error_estimate: float = 0.0
    started_fs: int = 0
    clock: float = 1.0
    """Share of the highest clock that the power cap leaves."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """Running totals of a kernel at a checkpoint, with what has been left out before."""

    time: float
    read: float
    written: float
    hits: float
    misses: float
    snapshot: Snapshot
    asked: float = 0.0
    """Bytes of missing sectors, fetched or on their way."""
    windows: float = 0.0
    """Checkpoints of steps, those left out included."""

    @property
    def moved(self) -> float:
        return self.read + self.written

    def since(self, earlier: _Mark) -> _Mark:
        return self.plus(earlier, -1)

    def plus(self, other: _Mark, times: float) -> _Mark:
        return _Mark(
            self.time + times * other.time,
            self.read + times * other.read,
            self.written + times * other.written,
            self.hits + times * other.hits,
            self.misses + times * other.misses,
            self.snapshot.plus(other.snapshot, times),
            self.asked + times * other.asked,
            self.windows + times * other.windows,
        )

    def stretched(self, traffic: float, time: float) -> _Mark:
        """DRAM traffic and time times a factor each."""
        snapshot = replace(self.snapshot, channel=self.snapshot.channel * traffic)
        return replace(
            self,
            time=self.time * time,
            read=self.read * traffic,
            written=self.written * traffic,
            snapshot=snapshot,
        )


Touched = Callable[[int], float]
"""Sectors of a cache that a stretch of steps touches, by its number."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Stretches in a row that are alike: all together, how many they are (of the shortest, from
    one checkpoint to the next), and how far their mean time may be off and their ends lie
    apart, relative to it."""

    stretch: _Mark
    count: float
    error: float
    scatter: float


@dataclass(slots=True)
class Runner:
    """Plays kernels one at a time on a device. ``cache_bytes`` is how much traffic it takes
    until the cache's replacement has settled."""

    device: Device
    cache_bytes: int
    exact: bool
    resources: dict[str, np.ndarray] = field(init=False)
    refresh_fs: int = field(init=False)
    """The longest refresh interval of the memories."""
    sector: int = field(init=False)
    """Bytes that a miss of the cache fetches; 0 without one."""

    def __post_init__(self) -> None:
        names = self.device.names
        agent = self.device.machine.agent
        self.resources = {
            name: agent[agent[:, layout.A_CLASS] == number][
                0, layout.A_LEFT_0 : layout.A_LEFT_0 + layout.RESOURCES
            ].copy()
            for name, number in names.classes.items()
        }
        self.refresh_fs = self.device.refresh_interval()
        self.sector = int(self.device.machine.component[:, layout.K_SECTOR].max())

    def resident(self, kernel: Kernel) -> int:
        """Tasks that run at the same time when the whole machine is theirs."""
        names = self.device.names
        room = [
            int(self.resources[kernel.agents][i]) // need
            for i, resource in enumerate(names.resources[kernel.agents])
            if (need := kernel.needs.get(resource, 0))
        ]
        return max(1, names.counts[kernel.agents] * min(room, default=1))

    def run(self, kernel: Kernel, at: int) -> KernelRun:
        """Play a kernel that starts at ``at``; nothing else is on the machine."""
        device = self.device
        device.refresh_until(at)
        before = device.snapshot()
        if self.exact:
            handle = device.launch(kernel, at)
            return _result(kernel, self._mark(handle, device.advance(FOREVER).time, before))
        return self._extrapolated(kernel, at, before)

    def _mark(
        self, handle: int, time: int, before: Snapshot, left_out: _Mark | None = None
    ) -> _Mark:
        row = self.device.kernel_row(handle)
        played = _Mark(
            time - int(row[layout.J_START]),
            int(row[layout.J_DRAM_READ]),
            int(row[layout.J_DRAM_WRITE]),
            int(row[layout.J_HITS]),
            int(row[layout.J_MISSES]),
            self.device.snapshot().since(before),
            int(row[layout.J_MISSES]) * self.sector,
            int(row[layout.J_STEPS]) / max(int(row[layout.J_STEP_CHECK]), 1),
        )
        return played if left_out is None else played.plus(left_out, 1)

    def _extrapolated(self, kernel: Kernel, at: int, before: Snapshot) -> KernelRun:
        device, group = self.device, self.resident(kernel)
        by_groups = kernel.alike and kernel.count >= MIN_GROUPS * group
        steps, touched = self._windows(kernel, group)
        handle = device.launch(kernel, at, group if by_groups else 0, steps)
        left_out: _Mark | None = None
        error = 0.0
        groups: list[_Mark] = []
        windows: list[_Mark] = []
        known: _Row | None = None
        while (outcome := device.advance(FOREVER)).reason != "finished":
            by_tasks = outcome.reason == "checkpoint"
            marks = groups if by_tasks else windows
            marks.append(self._mark(handle, outcome.time, before, left_out))
            row = _alike(marks, GROUPS, 1) if by_tasks else self._steady(marks, known, touched)
            if row is None:
                continue
            if by_tasks:
                repeats: float = self._skip_tasks(handle, group, marks, row)
            elif row.error <= ERROR_LIMIT:
                repeats = device.skip_steps(handle, KEPT_STEPS) / steps
            else:
                continue
            if repeats > 0:
                times = repeats / row.count
                nothing = row.stretch.plus(row.stretch, -1)
                left_out = (left_out or nothing).plus(row.stretch, times)
                error += row.error * times * row.stretch.time
                windows.clear()
                known = known if by_tasks else row
        total = self._mark(handle, outcome.time, before, left_out)
        run = _result(kernel, total)
        if left_out is not None:
            run.simulated_share = 1 - left_out.time / total.time
            run.error_estimate = error / total.time
        return run

    def _windows(self, kernel: Kernel, group: int) -> tuple[int, Touched]:
        """Iterations of loops that are alike, over all resident tasks, from one checkpoint to
        the next, 0 if the loops are too short to leave some out; and how many sectors of the
        cache such a stretch of iterations touches, by its number."""
        loops, longest = _loops(kernel)
        iterations = loops * min(group, kernel.count)
        steps = -(-longest // WINDOWS) * iterations // PARTS if longest >= MIN_STEPS else 0

        @cache
        def touched(window: int) -> float:
            iteration = window * steps // iterations % longest
            return steps * _touched(kernel, group, self.sector, iteration) if self.sector else 0.0

        return steps, touched

    def _steady(self, windows: list[_Mark], known: _Row | None, touched: Touched) -> _Row | None:
        """The last windows as a row of their own, or, if they repeat what an earlier generation
        of tasks has shown, together with it."""
        last = None if known is None else _alike(windows, (AGREEING,), PARTS, touched)
        if known is not None and last is not None:
            per_window = known.stretch.time / known.count
            error = abs(last.stretch.time / last.count / per_window - 1)
            moved, before = (row.stretch.moved / row.count for row in (last, known))
            alike = abs(moved - before) <= TRAFFIC_TOLERANCE * max(moved, before)
            if alike and error <= ERROR_LIMIT:
                together = known.stretch.plus(last.stretch, 1)
                return _Row(together, known.count + last.count, error, 0.0)
        smooth = _alike(windows, (SMOOTH,), PARTS, touched)
        if smooth is not None and smooth.scatter <= SCATTER:
            return smooth
        settle = REFRESHES * self.refresh_fs
        settled = [
            count
            for count in ROWS
            if count < len(windows)
            and windows[-1 - count].time >= settle
            and windows[-1].time - windows[-1 - count].time >= settle
        ]
        return _alike(windows, settled, 1, touched)

    def _skip_tasks(self, handle: int, group: int, groups: list[_Mark], row: _Row) -> int:
        """Leave out the groups that are neither played nor the tail; how many those are."""
        device, last = self.device, groups[-1]
        # Once the cache has filled, it takes as much again until what was written leaves steadily.
        settled = last.read + last.written >= 2 * self.cache_bytes or len(groups) > MANY_GROUPS
        tasks = device.kernel_row(handle)
        first = int(tasks[layout.J_NEXT])
        left = (int(tasks[layout.J_TASKS]) - first) // group - 1
        share = left * group / int(tasks[layout.J_TASKS])
        if not settled or left < 1 or row.error * share > ERROR_LIMIT:
            return 0
        device.skip(handle, first, first + left * group)
        device.stop_checks(handle)
        return left


def _alike_loops(kernel: Kernel) -> list[list[Loop]]:
    """Of each program, the loops whose iterations are alike."""
    return [
        [
            step
            for thread in program.threads
            for step in thread
            if isinstance(step, Loop) and step.alike
        ]
        for program in kernel.programs
    ]


def _amounts(amount: Amount, columns: np.ndarray) -> np.ndarray:
    """An amount for each task, of whose coordinates there is a row."""
    if isinstance(amount, Coordinate):
        return columns[:, amount.number] * amount.scale
    return np.full(len(columns), amount)


def _loops(kernel: Kernel) -> tuple[int, int]:
    """How many loops that are alike a task has, and how often the longest iterates."""
    loops, longest = 0, 0
    for number, alike in enumerate(_alike_loops(kernel)):
        columns = kernel.tasks[kernel.tasks[:, 0] == number, 1:]
        if len(columns):
            loops = max(loops, len(alike))
            longest = max([longest, *(int(_amounts(loop.count, columns).max()) for loop in alike)])
    return loops, longest


def _touched(kernel: Kernel, group: int, sector: int, iteration: int) -> float:
    """Sectors of a cache that an iteration of the loops that are alike touches, mean over loops
    and the first ``group`` tasks; 0 if accesses are not made of whole sectors."""
    tasks = kernel.tasks[:group]
    touched, loops = 0, 0
    for number, alike in enumerate(_alike_loops(kernel)):
        columns = tasks[tasks[:, 0] == number, 1:]
        loops += len(columns) * len(alike)
        for loop in alike:
            for step in loop.body:
                if isinstance(step, Access):
                    size = _bytes(step.pattern, columns, iteration)
                    if size is None or np.any(size % sector):
                        return 0.0
                    touched += int(size.sum()) // sector
    return touched / loops if loops else 0.0


def _bytes(pattern: Pattern, columns: np.ndarray, iteration: int) -> np.ndarray | None:
    """Bytes of an access in an iteration, (task, outer, inner), or None if an index array says
    which."""
    if pattern.index is not None:
        return None
    coordinates = np.array(pattern.coordinates, dtype=np.int64)
    place = pattern.base + columns[:, : len(coordinates)] @ coordinates
    place = place + iteration * (pattern.loops[0] if pattern.loops else 0)
    inner = _amounts(pattern.inner, columns)
    i, j = np.arange(pattern.outer), np.arange(inner.max(initial=0))
    runs = i[:, None] * pattern.outer_stride + j * pattern.inner_stride
    size = np.full((len(columns), *runs.shape), pattern.chunk)
    if pattern.limit:
        size = np.clip(pattern.limit - place[:, None, None] - runs, 0, pattern.chunk)
    size[np.broadcast_to(j >= inner[:, None, None], size.shape)] = 0
    return size


def _alike(
    marks: list[_Mark], counts: Sequence[int], parts: int, touched: Touched | None = None
) -> _Row | None:
    """The longest row of last stretches, of so many ``parts`` from checkpoint to checkpoint,
    whose halves are alike."""
    for count in counts:
        if count * parts < len(marks):
            row = _row(marks[-1 - count * parts :: parts], touched)
            if row is not None:
                return row
    return None


def _row(marks: list[_Mark], touched: Touched | None) -> _Row | None:
    """The stretches between checkpoints as a row, if its halves are alike.

    Checkpoints count iterations, of which many end at once where memory holds all tasks up. What
    they ask of memory is known, and how fast it comes is told by the traffic: where that scatters
    less than the checkpoints do, it decides the row's time.
    """
    first, middle, last = marks[0], marks[len(marks) // 2], marks[-1]
    count, duration, read = len(marks) - 1, last.time - first.time, last.read - first.read
    half, half_read = middle.time - first.time, middle.read - first.read
    uneven = abs(2 * half - duration)
    uneven_traffic = abs(2 * half - duration * 2 * half_read / read) if read else uneven
    if min(uneven, uneven_traffic) > TIME_TOLERANCE / 2 * duration:
        return None
    whole = last.since(first)
    halves = middle.since(first), last.since(middle)
    sectors = [half.hits + half.misses for half in halves]
    known = touched is not None and min(sectors) > 0
    asked = [
        half.misses / total if known else half.moved
        for half, total in zip(halves, sectors, strict=True)
    ]
    if abs(asked[1] - asked[0]) > TRAFFIC_TOLERANCE * max(asked):
        return None
    times = np.array([mark.time - first.time for mark in marks])
    apart = times - duration / count * np.arange(count + 1)
    traffic, time = 1.0, 1.0
    expected = whole.windows * touched(round(middle.windows)) if touched else 0.0
    if known and expected and read > 0:
        traffic = whole.asked / sum(sectors) * expected / read
        by_traffic = times - duration / read * np.array([mark.read - first.read for mark in marks])
        if by_traffic.std() < apart.std():
            apart, time = by_traffic, traffic
    mean = time * duration / count
    if 4 * abs(apart[count // 2]) > TIME_TOLERANCE * mean * count:
        return None
    error = 2 * (abs(apart[count // 2]) + apart.std()) / (mean * count)
    scatter = float(apart.std() / mean)
    stretches = whole.windows if touched else count
    return _Row(whole.stretched(traffic, time), stretches, float(error), scatter)


def _result(kernel: Kernel, total: _Mark) -> KernelRun:
    return KernelRun(
        kernel.name,
        round(total.time),
        total.snapshot,
        total.read,
        total.written,
        total.hits,
        total.misses,
    )
