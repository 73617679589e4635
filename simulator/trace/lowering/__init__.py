"""Lowering: from ATen operators to device-free :mod:`~simulator.trace.work`.

``lower(operator, trace)`` finds the mapping function by the operator's base name;
one module per family registers them.  See README.md for how to add one.
"""

from simulator.trace.lowering import (  # noqa: F401  (imported to register their operators)
    attention,
    copies,
    elementwise,
    indexing,
    matmul,
    rowwise,
    sparse,
    views,
)
from simulator.trace.lowering.operands import numel, operand, shape_of
from simulator.trace.lowering.registry import Call, lower, lower_all, lowers, mapped_names
from simulator.trace.lowering.summary import KindSummary, summary, unmapped

__all__ = [
    "Call",
    "KindSummary",
    "lower",
    "lower_all",
    "lowers",
    "mapped_names",
    "numel",
    "operand",
    "shape_of",
    "summary",
    "unmapped",
]
