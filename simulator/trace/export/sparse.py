"""Compressed sparse row adjacency in a trace: its three members stand for it.

PyTorch's sparse tensors hold row pointers, columns and values.  Under capture
the first two are real and the values only have a shape, which no sparse tensor
allows; so a sparse tensor carries unused zeros, and this mode, which sees each
operator first, puts the shape-only values in their place.  Products are recorded
with the list ``[row pointers, columns, values]`` for the sparse argument; making
and taking apart a sparse tensor is free, as it is in PyTorch.

Covered: the products of :mod:`torch_geometric`'s ``spmm``, forward and backward.
The transposed product of the backward pass, for which PyTorch calls ``mm``, is
recorded as ``aten._sparse_mm`` with ``transposed``.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from simulator.errors import TraceError
from simulator.trace.export.mixed import MixedExecution, as_meta, mapped, tensors_of
from simulator.trace.export.recorder import Recorder

_MEMBERS = ("crow_indices", "col_indices", "ccol_indices", "row_indices")
_FREE = ("detach", "t", "alias")
REDUCE = "_sparse_mm_reduce_impl"


def sparse_mode(recorder: Recorder, execution: MixedExecution) -> Any:
    """A dispatch mode to enter inside :func:`.capture.capture`."""
    from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

    adjacencies = _Adjacencies(recorder, execution)

    class SparseMode(TorchDispatchMode):  # type: ignore[misc,no-untyped-call,unused-ignore]
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            options = kwargs or {}
            if _stays(operator, args, options):
                with _disable_current_modes():
                    return args[0].detach()
            makes = "sparse" in str(options.get("layout", ""))
            if makes or any(is_sparse(tensor) for tensor in tensors_of((args, options))):
                return adjacencies.run(operator, args, options)
            return operator(*args, **options)

    mode: Any = SparseMode
    return mode()


@contextmanager
def quiet() -> Iterator[None]:
    """Without PyTorch's notes that sparse tensors are in beta and unchecked."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Sparse (CSR tensor support|invariant checks)")
        yield


def _stays(operator: Any, args: Any, kwargs: Any) -> bool:
    """Whether a tensor is only moved between host and meta device: one device is simulated."""
    return (
        str(operator) == "aten._to_copy.default"
        and kwargs.get("device") not in (None, args[0].device)
        and kwargs.get("dtype") in (None, args[0].dtype)
    )


def is_sparse(tensor: Any) -> bool:
    return str(tensor.layout) in ("torch.sparse_csr", "torch.sparse_csc")


def declare_adjacency(recorder: Recorder, matrix: Any, name: str) -> Any:
    """Give the row pointers and columns of an input matrix their role and name."""
    recorder.declare(matrix.crow_indices(), "index", f"{name}.crow_indices")
    recorder.declare(matrix.col_indices(), "index", f"{name}.col_indices")
    return matrix


class _Adjacencies:
    """What sparse tensors mean, and their operators."""

    def __init__(self, recorder: Recorder, execution: MixedExecution) -> None:
        self._recorder = recorder
        self._execution = execution
        self._values: dict[int, tuple[Any, Any]] = {}
        """Shape-only values by the storage of the zeros that stand for them (kept alive)."""

    def run(self, operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        import torch
        from torch.utils._python_dispatch import _disable_current_modes

        name = operator._schema.name.removeprefix("aten::")
        with _disable_current_modes(), torch.no_grad():
            if name == "sparse_compressed_tensor":
                return self._make(operator, args, kwargs)
            if name == "values":
                return self._values_of(args[0]).detach()  # autograd wants a tensor of its own
            if name in _MEMBERS or name in _FREE:
                return operator(*args, **kwargs)
            if name == "_sparse_addmm" and kwargs.get("beta", 1) == 0:
                sparse, dense = args[1], args[2]
                result = _product(sparse, dense)
                self._record("aten._sparse_mm.default", (sparse, dense), {}, result)
                return result
            if name in ("mm", "_sparse_mm") and is_sparse(args[0]):
                result = _product(*args)
                options = {"transposed": str(args[0].layout) == "torch.sparse_csc"}
                self._record("aten._sparse_mm.default", args, options, result)
                return result
            if name == REDUCE and args[2] in ("sum", "mean"):
                result = _product(args[0], args[1])
                # The second result, the place of each extremum, is empty for these two.
                places = torch.empty(0, dtype=torch.int64)
                self._record(str(operator), args, kwargs, result)
                return result, places
            if name == f"{REDUCE}_backward" and args[3] in ("sum", "mean"):
                result = torch.empty_like(args[2])
                self._record(str(operator), args[:4], kwargs, result)
                return None, result
        raise TraceError(
            f"operator {operator} is not known on a compressed adjacency",
            where=self._recorder.module,
            remedy="export with the edge list instead (--adjacency edges)",
        )

    def _make(self, operator: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        import torch

        pointers, members, values, *rest = args
        zeros = torch.zeros(values.shape, dtype=values.dtype)
        options = {**kwargs, "device": None, "dtype": values.dtype}
        made = operator(pointers, members, zeros, *rest, **options)
        key = made.values().untyped_storage()._cdata
        self._values[key] = (made, as_meta(values))
        return made

    def _values_of(self, sparse: Any) -> Any:
        key = sparse.values().untyped_storage()._cdata
        if key not in self._values:
            zeros = sparse.values()
            self._values[key] = (sparse, as_meta(zeros))
        return self._values[key][1]

    def _members(self, sparse: Any) -> list[Any]:
        rows = str(sparse.layout) == "torch.sparse_csr"
        indices = (
            (sparse.crow_indices(), sparse.col_indices())
            if rows
            else (sparse.ccol_indices(), sparse.row_indices())
        )
        for tensor in indices:
            self._execution.keep(tensor)
        return [*indices, self._values_of(sparse)]

    def _record(self, name: str, args: Any, kwargs: Any, result: Any) -> None:
        def shown(tensor: Any) -> Any:
            return self._members(tensor) if is_sparse(tensor) else tensor

        self._recorder.record(name, mapped(shown, tuple(args)), kwargs, result)


def _product(sparse: Any, dense: Any) -> Any:
    import torch

    return torch.empty((sparse.shape[0], dense.shape[1]), dtype=dense.dtype, device="meta")
