"""Products of a sparse matrix (compressed rows) with a dense one, and index conversions.

A sparse argument stands in the trace as the list of its members: row pointers,
columns, values.  The dense operand is the first matrix that follows them.  The
transposed product of a backward pass reads rows in order and scatters them; it
is priced as the product that gathers.  Left out: sparse results.
"""

from __future__ import annotations

from simulator.trace.lowering import recorded
from simulator.trace.lowering.operands import bytes_for, limited, numel, operand, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.schema import Tensor
from simulator.trace.work import Elementwise, RowWise, SparseDense, Unmapped, Work

INTEGERS = ("int64", "int32")


@lowers(
    "_sparse_mm_reduce_impl",
    "_sparse_mm_reduce_impl_backward",
    "_sparse_mm",
    "_sparse_addmm",
    "spmm",
    "spmm_sum",
    "spmm_mean",
)
def sparse_dense(call: Call) -> Work:
    inputs = call.inputs
    members = [x for x in inputs if len(x.shape) == 1 and x.dtype in INTEGERS][:2]
    if len(members) == 2:
        indptr, indices = members
        for tensor in inputs[inputs.index(indices) :]:
            if len(tensor.shape) == 2 and tensor.dtype not in INTEGERS:
                return _product(call, indptr, indices, tensor)
    return Unmapped(call.all_reads(), call.writes(), call.operator.name)


def _product(call: Call, indptr: Tensor, indices: Tensor, dense: Tensor) -> SparseDense:
    columns, width = shape_of(dense)
    nonzeros = numel(indices)
    row_bytes = bytes_for(width, dense.bits)
    known = recorded.values(call.trace, indices)
    rows_read = recorded.distinct(nonzeros, columns, known, indices.data)
    touched = limited(operand(dense), rows_read * row_bytes)
    return SparseDense(
        (touched, operand(indptr), operand(indices), *call.rest(dense, indptr, indices)),
        call.writes(),
        numel(indptr) - 1,
        columns,
        nonzeros,
        row_bytes,
        width,
        recorded.values(call.trace, indptr),
        known,
    )


@lowers("_convert_indices_from_coo_to_csr")
def to_row_pointers(call: Call) -> RowWise:
    """One walk over sorted rows; each change of row sets a pointer."""
    return RowWise(call.all_reads(), call.writes(), 1, numel(call.tensor(0)), 1, 1)


@lowers("_convert_indices_from_csr_to_coo")
def from_row_pointers(call: Call) -> Elementwise:
    return Elementwise(call.all_reads(), call.writes(), numel(call.output), 1, 0)
