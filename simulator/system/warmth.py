"""Where data is before a kernel starts: reuse distances over the whole trace.

The *reuse distance* of an operand is the number of bytes the run touches between two
uses of its storage.  It decides two things.  Bytes never touched before cannot be in
any cache: they bound the kernel from below.  And kernels that agree in work and in
the reuse distances of their operands meet the same cache: one simulation serves all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.trace.work import Operand, Work

NEVER = -1
"""Reuse distance of data the run has not touched."""
CLASSES_PER_CACHE = 8
MAX_CLASS = 12


@dataclass(frozen=True, slots=True)
class Warmth:
    """What is known about one work's operands when it starts."""

    first_touch_bytes: int
    """Bytes read that no earlier work read or wrote."""
    distances: tuple[int, ...]
    """Reuse distance of each operand, reads then writes; :data:`NEVER` if untouched."""
    dirty: tuple[bool, ...]
    """Whether the last use wrote the operand's storage."""

    def classes(self, cache_bytes: int) -> tuple[int, ...]:
        """Distances in eighths of the cache; far beyond it they no longer matter."""
        if not cache_bytes:
            return ()
        return tuple(
            NEVER
            if distance == NEVER
            else min(distance * CLASSES_PER_CACHE // cache_bytes, MAX_CLASS)
            for distance in self.distances
        )


def warmth(works: Sequence[Work]) -> list[Warmth]:
    """One entry per work, in program order."""
    histories: dict[int, _History] = {}
    scattered: dict[int, int] = {}
    clock = 0
    found = []
    for work in works:
        uses = [
            histories.setdefault(operand.storage, _History()).last(*_range(operand))
            for operand in (*work.reads, *work.writes)
        ]
        fresh = 0
        clock += work.bytes_read + work.bytes_written
        for operand in work.reads:
            # Of a strided operand, all that was touched before may be its own bytes; the
            # same operand read twice by one work is fresh once.
            start, stop = _range(operand)
            history = histories[operand.storage]
            new = history.last(start, stop).untouched
            known = stop - start - new + scattered.pop(operand.storage, 0)
            fresh += max(0, operand.bytes - known)
            history.put(start, stop, clock, False)
        for operand in work.writes:
            if operand.span > operand.bytes:
                # A token appended to every head of a cache spans the cache but is not the cache.
                scattered[operand.storage] = scattered.get(operand.storage, 0) + operand.bytes
            else:
                histories[operand.storage].put(*_range(operand), clock, True)
        before = clock - work.bytes_read - work.bytes_written
        found.append(
            Warmth(
                fresh,
                tuple(NEVER if use.untouched else before - use.clock for use in uses),
                tuple(use.dirty for use in uses),
            )
        )
    return found


def _range(operand: Operand) -> tuple[int, int]:
    return operand.offset, operand.offset + max(operand.span, operand.bytes)


@dataclass(frozen=True, slots=True)
class _Use:
    """What is known of a byte range: bytes never touched, the clock of its least recent
    use, whether any of it was last written."""

    untouched: int
    clock: int
    dirty: bool


class _History:
    """Last use of each byte of a storage: disjoint (start, stop, clock, dirty), ascending."""

    def __init__(self) -> None:
        self._segments: list[tuple[int, int, int, bool]] = []

    def last(self, start: int, stop: int) -> _Use:
        covered, oldest, dirty = 0, NEVER, False
        for low, high, clock, written in self._segments:
            overlap = min(high, stop) - max(low, start)
            if overlap > 0:
                covered += overlap
                oldest = clock if oldest == NEVER else min(oldest, clock)
                dirty = dirty or written
        return _Use(stop - start - covered, oldest, dirty)

    def put(self, start: int, stop: int, clock: int, dirty: bool) -> None:
        if start >= stop:
            return
        kept = []
        for low, high, when, written in self._segments:
            if low < start:
                kept.append((low, min(high, start), when, written))
            if high > stop:
                kept.append((max(low, stop), high, when, written))
        kept.append((start, stop, clock, dirty))
        self._segments = sorted(segment for segment in kept if segment[0] < segment[1])
