"""Which operators each operator must wait for.

Two operators conflict when they touch a common byte range of a storage and one
of them writes: read after write, write after read, write after write.  Ranges
run from an operand's first to its last byte, so interleaved windows (heads of a
fused projection) count as overlapping.  Each storage keeps a map of disjoint
segments with their last writer and the readers since; older accesses are
implied by newer ones.  Views touch nothing and wait for nothing.

Left out: order that no data demands (streams, a synchronising host), and reuse
of freed addresses, which a stream-ordered allocator makes safe.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.trace.lowering import lower_all
from simulator.trace.schema import Trace
from simulator.trace.work import Operand, Work

NOBODY = -1


def dependencies(trace: Trace, works: Sequence[Work] | None = None) -> list[tuple[int, ...]]:
    """For each operator the positions, ascending, of those it must wait for.

    ``works`` are the trace's lowered operators, if they are at hand.  An
    operator that another awaited one waits for itself is not listed again.
    """
    storages: defaultdict[int, SegmentMap] = defaultdict(SegmentMap)
    awaited: list[tuple[int, ...]] = []
    for position, work in enumerate(lower_all(trace) if works is None else works):
        found: set[int] = set()
        for operand in work.reads:
            if operand.span:
                storages[operand.storage].read(*_range(operand), position, found)
        for operand in work.writes:
            if operand.span:
                storages[operand.storage].write(*_range(operand), position, found)
        found -= {NOBODY, position}
        if len(found) > 1:
            found -= {earlier for other in found for earlier in awaited[other]}
        awaited.append(tuple(sorted(found)))
    return awaited


def _range(operand: Operand) -> tuple[int, int]:
    return operand.offset, operand.offset + operand.span


@dataclass(slots=True)
class Segment:
    """Bytes ``[start, end)`` with the same history."""

    start: int
    end: int
    writer: int = NOBODY
    readers: list[int] = field(default_factory=list)


@dataclass(slots=True)
class SegmentMap:
    """Last accesses of one storage: disjoint segments in ascending order."""

    segments: list[Segment] = field(default_factory=list)

    def read(self, start: int, end: int, reader: int, found: set[int]) -> None:
        """Record a read; add the writers it must wait for to ``found``."""
        first, last = self._cut(start, end)
        covered = self._without_gaps(first, last, start, end)
        for segment in covered:
            found.add(segment.writer)
            segment.readers.append(reader)
        if len(covered) != last - first:
            self.segments[first:last] = covered

    def write(self, start: int, end: int, writer: int, found: set[int]) -> None:
        """Record a write; add the accesses it must wait for to ``found``."""
        first, last = self._cut(start, end)
        for segment in self.segments[first:last]:
            found.add(segment.writer)
            found.update(segment.readers)
        self.segments[first:last] = [Segment(start, end, writer)]

    def _cut(self, start: int, end: int) -> tuple[int, int]:
        """Split at both ends; the slice of segments inside ``[start, end)``."""
        first = self._cut_at(start)
        segments = self.segments
        if first < len(segments) and segments[first].end == end:
            return first, first + 1
        return first, self._cut_at(end)

    def _cut_at(self, place: int) -> int:
        """Make ``place`` a boundary; the number of segments before it."""
        segments = self.segments
        at = bisect_left(segments, place, key=_start)
        if at and segments[at - 1].end > place:
            before = segments[at - 1]
            after = Segment(place, before.end, before.writer, before.readers.copy())
            before.end = place
            segments.insert(at, after)
        return at

    def _without_gaps(self, first: int, last: int, start: int, end: int) -> list[Segment]:
        """The segments of a slice with the bytes nobody touched yet filled in."""
        filled: list[Segment] = []
        at = start
        for segment in self.segments[first:last]:
            if at < segment.start:
                filled.append(Segment(at, segment.start))
            filled.append(segment)
            at = segment.end
        if at < end:
            filled.append(Segment(at, end))
        return filled


def _start(segment: Segment) -> int:
    return segment.start
