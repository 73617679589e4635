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
    touched: dict[int, _Ranges] = {}
    scattered: dict[int, int] = {}
    last_use: dict[int, tuple[int, bool]] = {}
    clock = 0
    found = []
    for work in works:
        fresh = 0
        for operand in work.reads:
            if operand.bytes:
                ranges = touched.setdefault(operand.storage, _Ranges())
                new = ranges.add(operand.offset, operand.offset + _extent(operand))
                fresh += max(0, min(operand.bytes, new) - scattered.pop(operand.storage, 0))
        distances, dirty = [], []
        for operand in (*work.reads, *work.writes):
            use = last_use.get(operand.storage)
            distances.append(NEVER if use is None else clock - use[0])
            dirty.append(use is not None and use[1])
        for operand in work.writes:
            if operand.span > operand.bytes:
                # A token appended to every head of a cache spans the cache but is not the cache.
                scattered[operand.storage] = scattered.get(operand.storage, 0) + operand.bytes
                continue
            ranges = touched.setdefault(operand.storage, _Ranges())
            ranges.add(operand.offset, operand.offset + _extent(operand))
        clock += work.bytes_read + work.bytes_written
        for operand in work.reads:
            last_use[operand.storage] = (clock, False)
        for operand in work.writes:
            last_use[operand.storage] = (clock, True)
        found.append(Warmth(fresh, tuple(distances), tuple(dirty)))
    return found


def _extent(operand: Operand) -> int:
    return max(operand.span, operand.bytes)


class _Ranges:
    """Disjoint touched byte ranges of a storage, ascending."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int]] = []

    def add(self, start: int, stop: int) -> int:
        """Mark ``[start, stop)``; returns how many of its bytes were new."""
        new = stop - start
        kept: list[tuple[int, int]] = []
        for low, high in self._ranges:
            if high < start or low > stop:
                kept.append((low, high))
                continue
            new -= max(0, min(high, stop) - max(low, start))
            start, stop = min(low, start), max(high, stop)
        kept.append((start, stop))
        kept.sort()
        self._ranges = kept
        # Ranges merged above may reach beyond the request; overlap was subtracted once.
        return max(0, new)
