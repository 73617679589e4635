"""Row numbers of gathers and scatters, from the values recorded with index tensors.

An index argument may be a window that repeats a short list of rows (PyTorch
Geometric expands ``[edges]`` to ``[edges, features]``); the recorded array may
hold the list or its expansion.  Both come out as the list.  Without recorded
values the rows are None and footprints are those expected of uniform ones.
"""

from __future__ import annotations

from math import expm1, log1p, prod
from typing import Any, Final

import numpy as np

from simulator.errors import TraceError
from simulator.trace.lowering.operands import is_broadcast, numel, shape_of
from simulator.trace.schema import Tensor, Trace

Rows = np.ndarray[Any, np.dtype[Any]]
_DISTINCT: Final[dict[tuple[str, int, int], int]] = {}


def values(trace: Trace, index: Tensor) -> Rows | None:
    """Recorded values in the index's own shape (broadcast ones repeated), or None."""
    array = trace.arrays.get(index.data) if index.data is not None else None
    if array is None:
        return None
    shape = shape_of(index)
    if array.size == numel(index):
        return array.reshape(shape)
    stored = tuple(
        1 if stride == 0 else size for size, stride in zip(shape, index.strides, strict=True)
    )
    if array.size != prod(stored):
        raise TraceError(
            f"index tensor of shape {list(shape)} has {array.size} recorded values",
            where=f"tensor {index.id}",
            remedy="export the trace again",
        )
    return np.broadcast_to(array.reshape(stored), shape)


def is_row_list(index: Tensor, dim: int) -> bool:
    """Whether the index varies along ``dim`` alone."""
    others = [axis for axis in range(len(index.shape)) if axis != dim]
    return all(is_broadcast(index, range(axis, axis + 1)) for axis in others)


def row_list(trace: Trace, index: Tensor, dim: int) -> Rows | None:
    """The recorded values along ``dim`` of an index that is a row list."""
    whole = values(trace, index)
    if whole is None:
        return None
    along = tuple(slice(None) if axis == dim else 0 for axis in range(whole.ndim))
    return np.atleast_1d(whole[along])


def wrapped(rows: Rows, length: int) -> Rows:
    """Row numbers from 0 to ``length``: negative ones count from the end, others must fit."""
    if not rows.size:
        return rows
    least, most = int(rows.min()), int(rows.max())
    if least < -length or most >= length:
        raise TraceError(
            f"row number {most if most >= length else least} in a table of {length} rows",
            where="recorded index",
            remedy="record the index again",
        )
    return np.where(rows < 0, rows + length, rows) if least < 0 else rows


def repeated(rows: Rows | None, outer: int, length: int) -> Rows | None:
    """The same rows within each of ``outer`` consecutive blocks of ``length`` rows."""
    if rows is None or outer == 1:
        return rows
    starts = np.arange(outer, dtype=np.int64) * length
    return (starts[:, None] + rows[None, :]).ravel()


def elementwise_rows(trace: Trace, index: Tensor, dim: int, table: Tensor) -> Rows | None:
    """Flat element numbers in ``table`` of ``gather`` and its kin along ``dim``."""
    places = values(trace, index)
    if places is None:
        return None
    shape = shape_of(table)
    flat = np.zeros((1,) * places.ndim, np.int64)
    step = 1
    for axis in reversed(range(places.ndim)):
        if axis == dim:
            coordinate = wrapped(places, shape[axis])
        else:
            around = [1] * places.ndim
            around[axis] = places.shape[axis]
            coordinate = np.arange(places.shape[axis]).reshape(around)
        flat = flat + coordinate * step
        step *= shape[axis]
    return flat.ravel()


def distinct(rows: int, table_rows: int, index: Rows | None, sha: str | None = None) -> int:
    """Different rows touched: counted if known, else expected of uniform numbers."""
    if rows <= 1 or table_rows <= 1:
        return min(rows, table_rows)
    if index is None:
        missed = expm1(rows * log1p(-1.0 / table_rows))
        return min(rows, table_rows, max(1, round(-table_rows * missed)))
    key = (sha or "", rows, table_rows)
    if sha is not None and key in _DISTINCT:
        return _DISTINCT[key]
    touched = np.zeros(table_rows, np.bool_)
    touched[index] = True
    count = int(np.count_nonzero(touched))
    if sha is not None:
        _DISTINCT[key] = count
    return count
