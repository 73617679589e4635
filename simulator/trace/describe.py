"""What a trace holds, in numbers a person checks before running it.

Operators by name with what they ask for, bytes by role, scalar operations of
matrix products (fused attention counted causally), sizes, and every guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from simulator.trace.lowering import lower_all
from simulator.trace.placement import storage_sizes
from simulator.trace.schema import Tensor, Trace
from simulator.trace.work import Work


@dataclass(slots=True)
class OperatorTotals:
    """All operators of one name."""

    name: str
    kind: str
    count: int = 0
    matrix_operations: int = 0
    bytes_read: int = 0
    bytes_written: int = 0


@dataclass(frozen=True, slots=True)
class Description:
    """Totals of a concrete trace."""

    trace: Trace
    works: Sequence[Work]
    totals: Sequence[OperatorTotals]
    bytes_by_role: dict[str, int]

    @property
    def matrix_operations(self) -> int:
        return sum(total.matrix_operations for total in self.totals)

    def document(self) -> dict[str, Any]:
        """As plain data, for JSON."""
        header = self.trace.header
        return {
            "name": header.name,
            "model": header.model,
            "phase": header.phase,
            "sizes": dict(header.sizes),
            "ranges": {name: list(bounds) for name, bounds in header.ranges.items()},
            "source": dict(header.source),
            "guesses": list(header.guesses),
            "operators": len(self.trace.operators),
            "tensors": len(self.trace.tensors),
            "matrix_operations": self.matrix_operations,
            "bytes_by_role": dict(self.bytes_by_role),
            "by_name": [
                {
                    "name": total.name,
                    "kind": total.kind,
                    "count": total.count,
                    "matrix_operations": total.matrix_operations,
                    "bytes_read": total.bytes_read,
                    "bytes_written": total.bytes_written,
                }
                for total in self.totals
            ],
        }


def describe(trace: Trace) -> Description:
    """Totals of a concrete trace, operator names by bytes moved, largest first."""
    works = lower_all(trace)
    totals: dict[tuple[str, str], OperatorTotals] = {}
    for operator, work in zip(trace.operators, works, strict=True):
        key = (operator.name, work.kind)
        total = totals.setdefault(key, OperatorTotals(*key))
        total.count += 1
        total.matrix_operations += work.operations.get("matrix", 0)
        total.bytes_read += work.bytes_read
        total.bytes_written += work.bytes_written
    ordered = sorted(
        totals.values(), key=lambda t: (-t.bytes_read - t.bytes_written, t.name, t.kind)
    )
    return Description(trace, works, ordered, _bytes_by_role(trace))


def shape_text(tensor: Tensor) -> str:
    """``bfloat16[1,4096]``."""
    return f"{tensor.dtype}[{','.join(map(str, tensor.shape))}]"


def _bytes_by_role(trace: Trace) -> dict[str, int]:
    """Bytes of the storages that outlive an operator; activations come and go."""
    roles = {tensor.storage: tensor.role for tensor in trace.tensors.values()}
    amounts: dict[str, int] = {}
    for storage, size in storage_sizes(trace).items():
        role = roles[storage]
        if role not in ("activation", "index"):
            amounts[role] = amounts.get(role, 0) + size
    return amounts
