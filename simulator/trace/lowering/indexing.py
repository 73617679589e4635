"""Gathers and scatters: ``embedding``, ``index_select``, ``gather``, ``scatter_add`` and kin.

Both are lists of row numbers into a table seen as ``[outer, length, inner]``: a
row is the ``inner`` elements that lie together.  Reads and writes count only the
rows touched, once each.  An operator out of place also copies its table.
A scalar where values are expected stands as an operand of no bytes.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from simulator.trace.lowering import recorded
from simulator.trace.lowering.elementwise import elementwise
from simulator.trace.lowering.operands import bytes_for, limited, numel, operand, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.schema import Tensor, TensorRef
from simulator.trace.work import Elementwise, Gather, Operand, Scatter, Work


class Rows:
    """Which rows of a table an index addresses."""

    __slots__ = ("count", "index", "row_bytes", "sha", "table_rows")

    def __init__(
        self,
        count: int,
        row_bytes: int,
        table_rows: int,
        index: np.ndarray | None,
        sha: str | None = None,
    ) -> None:
        self.count = count
        self.row_bytes = row_bytes
        self.table_rows = table_rows
        self.index = index
        self.sha = sha
        """Content address of ``index``, if it is a recorded array as it stands."""

    def touched(self, table: Tensor) -> Operand:
        """The table, as far as these rows cover it."""
        rows = recorded.distinct(self.count, self.table_rows, self.index, self.sha)
        return limited(operand(table), rows * self.row_bytes)

    @classmethod
    def flat(cls, call: Call, index: Tensor, length: int, row_bytes: int) -> Rows:
        """Every element of the index names one of ``length`` rows."""
        known = recorded.values(call.trace, index)
        rows = None if known is None else recorded.wrapped(known.reshape(-1), length)
        return cls(numel(index), row_bytes, length, rows, index.data)

    @classmethod
    def along(cls, call: Call, table: Tensor, dim: int, index: Tensor) -> Rows:
        """A one-dimensional list of rows along one dimension of the table."""
        shape = shape_of(table) or (1,)
        dim %= len(shape)
        return cls._of_list(
            recorded.row_list(call.trace, index, 0),
            numel(index),
            shape[:dim],
            shape[dim],
            bytes_for(prod(shape[dim + 1 :]), table.bits),
            index.data,
        )

    @classmethod
    def at_elements(cls, call: Call, table: Tensor, dim: int, index: Tensor) -> Rows:
        """An index of the result's shape: a row list if it only repeats one, else elements."""
        shape = shape_of(table) or (1,)
        dim %= len(shape)
        lookups = shape_of(index) or (1,)
        tail = lookups[dim + 1 :]
        if recorded.is_row_list(index, dim) and tail == shape[dim + 1 :]:
            return cls._of_list(
                recorded.row_list(call.trace, index, dim),
                lookups[dim],
                lookups[:dim],
                shape[dim],
                bytes_for(prod(tail), table.bits),
                index.data,
            )
        places = recorded.elementwise_rows(call.trace, index, dim, table)
        return cls(numel(index), bytes_for(1, table.bits), numel(table), places)

    @classmethod
    def _of_list(
        cls,
        rows: np.ndarray | None,
        count: int,
        outer_shape: tuple[int, ...],
        length: int,
        row_bytes: int,
        sha: str | None,
    ) -> Rows:
        outer = prod(outer_shape)
        listed = None if rows is None else recorded.wrapped(rows, length)
        as_recorded = listed is rows and outer == 1
        index = recorded.repeated(listed, outer, length)
        return cls(outer * count, row_bytes, outer * length, index, sha if as_recorded else None)

    @classmethod
    def at_indices(cls, call: Call, table: Tensor, places: list[Tensor | None], total: int) -> Rows:
        """Advanced indexing by one tensor per dimension; ``total`` elements are addressed.

        Masks address the elements they keep; only their number and order are known.
        """
        shape = shape_of(table)
        spans, axis = [], 0
        for place in places:
            width = max(len(place.shape), 1) if place is not None and place.dtype == "bool" else 1
            if place is not None:
                spans.append((axis, width, place))
            axis += width
        first = spans[0][0]
        last = spans[-1][0] + spans[-1][1]
        outer, length = prod(shape[:first]), prod(shape[first:last])
        inner = prod(shape[last:])
        count = total // inner if inner else 0
        row_bytes = bytes_for(inner, table.bits)
        adjacent = last - first == sum(width for _, width, _ in spans)
        masked = any(place.dtype == "bool" for _, _, place in spans)
        index = None
        if adjacent and not masked:
            index = _combined(call, [place for _, _, place in spans], shape[first:last])
            index = recorded.repeated(index, outer, length)
            if index is not None and index.size != count:
                index = None
        elif masked and len(spans) == 1:
            # A mask keeps order: all elements in sequence, or as many evenly spread.
            index = np.arange(count, dtype=np.int64) * (outer * length) // max(count, 1)
        sha = spans[0][2].data if len(spans) == 1 and outer == 1 else None
        return cls(count, row_bytes, outer * length, index, sha)


def _combined(call: Call, places: list[Tensor], shape: tuple[int, ...]) -> np.ndarray | None:
    """Flat row numbers of index tensors that broadcast against each other."""
    if len(places) == 1:
        only = recorded.values(call.trace, places[0])
        return None if only is None else recorded.wrapped(only.reshape(-1), shape[0])
    flat: np.ndarray | None = None
    for place, length in zip(places, shape, strict=True):
        known = recorded.values(call.trace, place)
        if known is None:
            return None
        known = recorded.wrapped(known, length)
        flat = known if flat is None else flat * length + known
    return None if flat is None else np.ravel(flat)


def _gather(call: Call, table: Tensor, index: tuple[Operand, ...], rows: Rows) -> Gather:
    return Gather(
        (rows.touched(table), *index),
        call.writes(),
        rows.count,
        rows.row_bytes,
        rows.table_rows,
        rows.index,
    )


@lowers("embedding")
def embedding(call: Call) -> Gather:
    table, ids = call.tensor(0), call.tensor(1)
    length, width = shape_of(table)
    rows = Rows.flat(call, ids, length, bytes_for(width, table.bits))
    return _gather(call, table, call.reads(ids), rows)


@lowers("index_select")
def index_select(call: Call) -> Gather:
    table, index = call.tensor(0), call.tensor(2)
    return _gather(
        call, table, call.reads(index), Rows.along(call, table, call.value(1, "dim"), index)
    )


@lowers("gather", "take_along_dim")
def gather(call: Call) -> Gather:
    table, index = call.tensor(0), call.tensor(2)
    rows = Rows.at_elements(call, table, call.value(1, "dim"), index)
    return _gather(call, table, call.reads(index), rows)


@lowers("take")
def take(call: Call) -> Gather:
    table, index = call.tensor(0), call.tensor(1)
    rows = Rows.flat(call, index, numel(table), bytes_for(1, table.bits))
    return _gather(call, table, call.reads(index), rows)


@lowers("index", "_unsafe_index")
def index_tensors(call: Call) -> Work:
    table, places = call.tensor(0), _places(call)
    given = [place for place in places if place is not None]
    if not given:
        return elementwise(call, (0, 0))
    rows = Rows.at_indices(call, table, places, numel(call.output))
    return _gather(call, table, call.reads(*given), rows)


def _places(call: Call) -> list[Tensor | None]:
    tensors = call.trace.tensors
    listed = call.value(1, "indices", ())
    refs = listed if isinstance(listed, (list, tuple)) else (listed,)
    return [tensors[ref.id] if isinstance(ref, TensorRef) else None for ref in refs]


def _scatter(
    call: Call,
    table: Tensor,
    source: Tensor | None,
    index: tuple[Operand, ...],
    rows: Rows,
    *,
    atomic: bool,
) -> Scatter:
    values = operand(source) if source is not None else _nothing(index[0])
    return Scatter(
        (values, *index) if call.inplace else (values, *index, operand(table)),
        (rows.touched(table),) if call.inplace else call.writes(),
        rows.count,
        rows.row_bytes,
        rows.table_rows,
        atomic,
        rows.index,
    )


@lowers("scatter_add", "scatter_reduce", "scatter")
def scatter(call: Call) -> Scatter:
    table, index = call.tensor(0), call.tensor(2)
    source = call.optional(3, "src")
    atomic = call.name != "scatter" or call.value(4, "reduce") is not None
    rows = Rows.at_elements(call, table, call.value(1, "dim"), index)
    return _scatter(call, table, source, call.reads(index), rows, atomic=atomic)


@lowers("index_add", "index_copy", "index_fill", "index_reduce")
def index_rows(call: Call) -> Scatter:
    table, index = call.tensor(0), call.tensor(2)
    rows = Rows.along(call, table, call.value(1, "dim"), index)
    atomic = call.name in ("index_add", "index_reduce")
    source = call.optional(3, "source")
    return _scatter(call, table, source, call.reads(index), rows, atomic=atomic)


@lowers("index_put", "_unsafe_index_put", "_index_put_impl")
def index_put(call: Call) -> Work:
    table, places = call.tensor(0), _places(call)
    source = call.optional(2, "values")
    atomic = bool(call.value(3, "accumulate", False))
    given = [place for place in places if place is not None]
    if not given:
        return elementwise(call, (1 if atomic else 0, 0))
    total = _addressed(table, places, source)
    rows = Rows.at_indices(call, table, places, total)
    return _scatter(call, table, source, call.reads(*given), rows, atomic=atomic)


def _addressed(table: Tensor, places: list[Tensor | None], source: Tensor | None) -> int:
    """Elements an ``index_put`` writes: the shape of the indexed result, without making it."""
    shape = shape_of(table)
    given = [place for place in places if place is not None]
    if any(place.dtype == "bool" for place in given):
        whole = numel(source) if source is not None else 0
        return whole if whole > 1 else numel(table)
    lookups = prod(np.broadcast_shapes(*(shape_of(place) for place in given)))
    kept = [size for axis, size in enumerate(shape) if axis >= len(places) or places[axis] is None]
    return lookups * prod(kept)


@lowers("embedding_dense_backward")
def embedding_backward(call: Call) -> Scatter:
    """Rows of the gradient added into a zeroed table, which is written whole."""
    grad, ids = call.tensor(0), call.tensor(1)
    table = call.output
    length, width = shape_of(table)
    rows = Rows.flat(call, ids, length, bytes_for(width, table.bits))
    return _into_zeroed(call, operand(grad), ids, rows, atomic=True)


@lowers("histc", "bincount")
def histogram(call: Call) -> Scatter:
    """Every element adds one to its bin; which bin is known of recorded bin numbers only."""
    x, bins = call.tensor(0), call.output
    counts = call.name == "bincount"
    known = recorded.values(call.trace, x) if counts else None
    rows = Rows(
        numel(x),
        bytes_for(1, bins.bits),
        numel(bins),
        None if known is None else recorded.wrapped(known.reshape(-1), numel(bins)),
    )
    return _into_zeroed(call, _nothing(operand(x)), x, rows, atomic=True)


@lowers("one_hot")
def one_hot(call: Call) -> Scatter:
    """One element per row of the result, which is zeroed first and so written whole."""
    ids, out = call.tensor(0), call.output
    classes = shape_of(out)[-1]
    known = recorded.values(call.trace, ids)
    flat = None
    if known is not None:
        places = recorded.wrapped(known.reshape(-1), classes)
        flat = np.arange(places.size, dtype=np.int64) * classes + places
    rows = Rows(numel(ids), bytes_for(1, out.bits), numel(out), flat)
    return _into_zeroed(call, _nothing(operand(ids)), ids, rows, atomic=False)


def _into_zeroed(
    call: Call, values: Operand, index: Tensor, rows: Rows, *, atomic: bool
) -> Scatter:
    return Scatter(
        (values, operand(index)),
        call.writes(),
        rows.count,
        rows.row_bytes,
        rows.table_rows,
        atomic,
        rows.index,
    )


def _nothing(like: Operand) -> Operand:
    """Stands for a scalar where values are expected."""
    return replace(like, bytes=0, span=0)


@lowers("masked_scatter")
def masked_scatter(call: Call) -> Elementwise:
    """A scan of the mask, then a select."""
    return elementwise(call, (2, 0))
