"""Tensors as memory sees them: element counts, distinct bytes, spans.

A dimension of stride 0 is a broadcast: its elements share one place, so it adds
nothing to the bytes touched.  Sub-byte element types are packed.  Windows that
overlap themselves in other ways (``unfold``) are bounded by their span.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil, prod

from simulator.trace.schema import DTYPE_BITS, Tensor
from simulator.trace.work import Operand


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The concrete shape; lowering happens after named sizes are bound."""
    return tensor.shape  # type: ignore[return-value]


def numel(tensor: Tensor) -> int:
    """Elements, broadcast ones included."""
    return prod(shape_of(tensor))


def bytes_for(elements: int, bits: int) -> int:
    """Bytes of packed elements."""
    return -(-elements * bits // 8)


def extent(tensor: Tensor) -> tuple[int, int]:
    """Distinct elements, and elements from the first to the last one touched."""
    distinct, last = 1, 0
    for size, stride in zip(tensor.shape, tensor.strides, strict=True):
        if size == 0:
            return 0, 0
        if stride != 0:
            distinct *= size  # type: ignore[assignment]
            last += (size - 1) * stride  # type: ignore[operator]
    span = last + 1
    return min(distinct, span), span


def operand(tensor: Tensor) -> Operand:
    """The byte range behind a tensor."""
    distinct, span = extent(tensor)
    bits = DTYPE_BITS[tensor.dtype]
    return Operand(
        tensor.storage,
        tensor.offset * bits // 8,  # type: ignore[operator]
        -(-distinct * bits // 8),
        bits,
        tensor.dtype,
        tensor.role,
        -(-span * bits // 8),
    )


def scaled(whole: Operand, share: float) -> Operand:
    """The operand when only ``share`` of its bytes are stored or touched."""
    return whole if share >= 1.0 else replace(whole, bytes=ceil(whole.bytes * share))


def limited(whole: Operand, limit: int) -> Operand:
    """The operand when at most ``limit`` of its bytes are touched."""
    return whole if limit >= whole.bytes else replace(whole, bytes=max(0, limit))


def is_broadcast(tensor: Tensor, dims: range) -> bool:
    """Whether all of ``dims`` repeat the same elements."""
    return all(tensor.strides[dim] == 0 or tensor.shape[dim] == 1 for dim in dims)
