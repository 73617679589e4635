"""Operators that do no work: views, metadata, allocations, host synchronisations.

An allocation (``empty``) touches no memory; what fills it later does.  Reading
one value on the host (``item``) is a view that reads: the host waits for it,
and the few bytes cross the link.
"""

from __future__ import annotations

from simulator.trace.lowering.names import words
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.work import View

VIEWS = words(
    "_neg_view _reshape_alias _unsafe_view alias as_strided chunk detach diagonal expand expand_as "
    "imag lift_fresh movedim moveaxis narrow numpy_T mT permute real select slice split "
    "split_with_sizes squeeze swapaxes swapdims t tensor_split transpose unbind unfold "
    "unsafe_chunk unsafe_split unsqueeze view view_as view_as_complex view_as_real "
    "broadcast_to broadcast_in_dim collapse_view split_dim view_of"
)

ALLOCATIONS = words("empty empty_like empty_strided new_empty new_empty_strided resize set")

METADATA = words(
    "device size stride storage_offset numel dim sym_size sym_stride sym_numel sym_storage_offset "
    "is_same_size is_pinned requires_grad record_stream _record_function_enter "
    "_record_function_enter_new _record_function_exit _assert_async _assert_tensor_metadata "
    "_functional_assert_async _has_compatible_shallow_copy_type crow_indices col_indices "
    "ccol_indices row_indices values _values indices _indices _nnz sparse_compressed_tensor "
    "_sparse_compressed_tensor_unsafe sparse_csr_tensor _sparse_csr_tensor_unsafe "
    "_validate_sparse_compressed_tensor_args _sparse_coo_tensor_with_dims_and_tensors"
)


@lowers(*VIEWS, *ALLOCATIONS, *METADATA)
def view(call: Call) -> View:
    return View((), ())


@lowers("item", "_local_scalar_dense", "is_nonzero", "equal")
def host_read(call: Call) -> View:
    return View(call.all_reads(), ())
