"""What a kernel has done at checkpoints, and which stretches between them are alike.

A row of stretches (groups of tasks, steps of loops) that repeat in time and in traffic stands for
what :mod:`simulator.system.kernels` leaves out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.engine.device import Snapshot
from simulator.engine.program import Access, Amount, Coordinate, Kernel, Loop, Pattern

TIME_TOLERANCE = 0.02
"""Stretches of a kernel (groups of tasks, steps of loops) are alike if the halves of a row of
them differ in time by less than this share ..."""
TRAFFIC_TOLERANCE = 0.05
"""... and in DRAM traffic by less than this share of the larger."""


@dataclass(frozen=True, slots=True)
class Mark:
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

    def since(self, earlier: Mark) -> Mark:
        return self.plus(earlier, -1)

    def plus(self, other: Mark, times: float) -> Mark:
        return Mark(
            self.time + times * other.time,
            self.read + times * other.read,
            self.written + times * other.written,
            self.hits + times * other.hits,
            self.misses + times * other.misses,
            self.snapshot.plus(other.snapshot, times),
            self.asked + times * other.asked,
            self.windows + times * other.windows,
        )

    def stretched(self, traffic: float, time: float) -> Mark:
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
class Row:
    """Stretches in a row that are alike: all together, how many they are (of the shortest, from
    one checkpoint to the next), and how far their mean time may be off and their ends lie
    apart, relative to it."""

    stretch: Mark
    count: float
    error: float
    scatter: float


def alike_loops(kernel: Kernel) -> list[list[Loop]]:
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


def loops_of(kernel: Kernel) -> tuple[int, int]:
    """How many loops that are alike a task has, and how often the longest iterates."""
    loops, longest = 0, 0
    for number, alike in enumerate(alike_loops(kernel)):
        columns = kernel.tasks[kernel.tasks[:, 0] == number, 1:]
        if len(columns):
            loops = max(loops, len(alike))
            longest = max([longest, *(int(_amounts(loop.count, columns).max()) for loop in alike)])
    return loops, longest


def touched_sectors(kernel: Kernel, group: int, sector: int, iteration: int) -> float:
    """Sectors of a cache that an iteration of the loops that are alike touches, mean over loops
    and the first ``group`` tasks; 0 if accesses are not made of whole sectors."""
    tasks = kernel.tasks[:group]
    touched, loops = 0, 0
    for number, alike in enumerate(alike_loops(kernel)):
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
    # A pattern may name more coordinates than its tasks have, as long as they do not count.
    factors = np.array(pattern.coordinates[: columns.shape[1]], dtype=np.int64)
    place = pattern.base + columns[:, : len(factors)] @ factors
    place = place + iteration * (pattern.loops[0] if pattern.loops else 0)
    inner = _amounts(pattern.inner, columns)
    i, j = np.arange(pattern.outer), np.arange(inner.max(initial=0))
    runs = i[:, None] * pattern.outer_stride + j * pattern.inner_stride
    size = np.full((len(columns), *runs.shape), pattern.chunk)
    if pattern.limit:
        size = np.clip(pattern.limit - place[:, None, None] - runs, 0, pattern.chunk)
    size[np.broadcast_to(j >= inner[:, None, None], size.shape)] = 0
    return size


def alike_row(
    marks: list[Mark], counts: Sequence[int], parts: int, touched: Touched | None = None
) -> Row | None:
    """The longest row of last stretches, of so many ``parts`` from checkpoint to checkpoint,
    whose halves are alike."""
    for count in counts:
        if count * parts < len(marks):
            row = _row(marks[-1 - count * parts :: parts], touched)
            if row is not None:
                return row
    return None


def _row(marks: list[Mark], touched: Touched | None) -> Row | None:
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
    drift, ends = 4 * abs(apart[count // 2]), 2 * apart.std()
    if touched:
        # A step that ends late is followed by one that is shorter: only the row's ends are off.
        error = (drift / 2 + ends) / (mean * count)
    else:
        # Groups are late or early on their own, and what drifts goes on to.
        error = (drift / count + np.diff(times).std() / np.sqrt(count)) / mean
    scatter = float(apart.std() / mean)
    stretches = whole.windows if touched else count
    return Row(whole.stretched(traffic, time), stretches, float(error), scatter)
