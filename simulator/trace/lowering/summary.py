"""What a trace amounts to, kind of work by kind of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from simulator.trace.lowering.registry import lower_all
from simulator.trace.schema import Trace
from simulator.trace.work import Unmapped, Work


@dataclass(slots=True)
class KindSummary:
    """Totals of one kind of work."""

    kind: str
    count: int = 0
    operations: dict[str, int] = field(default_factory=dict)
    """Scalar operations by unit kind: matrix, vector, special."""
    bytes_read: int = 0
    bytes_written: int = 0

    def add(self, work: Work) -> None:
        self.count += 1
        for unit, amount in work.operations.items():
            self.operations[unit] = self.operations.get(unit, 0) + amount
        self.bytes_read += work.bytes_read
        self.bytes_written += work.bytes_written


def summary(trace: Trace, works: Sequence[Work] | None = None) -> list[KindSummary]:
    """One line per kind of work, in order of first appearance."""
    kinds: dict[str, KindSummary] = {}
    for work in lower_all(trace) if works is None else works:
        kinds.setdefault(work.kind, KindSummary(work.kind)).add(work)
    return list(kinds.values())


def unmapped(works: Sequence[Work]) -> list[str]:
    """Names of the operators that no mapping function knows, each once, sorted."""
    return sorted({work.name for work in works if isinstance(work, Unmapped)})
