"""Run operators with real index tensors and unallocated floating-point ones.

Locality is decided by integers: edges, self-loops appended to them, their
sorted and compressed forms.  Those are computed for real, on the host, however
they derive from each other; a floating-point tensor only has a shape, on the
meta device, so a graph's features and messages cost nothing.  An operator that
mixes both runs on the meta device and its index tensors keep their values in
the trace: one number per row where PyTorch broadcasts an index over features.

Left out: integers that depend on floating-point values (top-k, sampling); they
have a shape but no values, and writing them into a real tensor is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simulator.errors import TraceError
from simulator.trace.export.recorder import Recorder
from simulator.trace.graphs.recipes import compact

_INDEXING = ("aten.index", "aten.gather.", "aten.scatter", "aten.embedding")


class MixedExecution:
    """Executes dispatched operators for :func:`.capture.capture`."""

    def __init__(self, recorder: Recorder, keep_values: bool = True) -> None:
        self._recorder = recorder
        self._keeps = keep_values
        self._kept: set[int] = set()

    def __call__(self, operator: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        tensors = tensors_of((args, kwargs))
        shapes_only = any(tensor.is_meta for tensor in tensors)
        if shapes_only:
            self._keep_values(tensors)
        elif str(operator).startswith(_INDEXING):
            self._keep_values(tensors_of((args[1:], kwargs)))
        device = {"device": "meta" if shapes_only else "cpu"} if "device" in kwargs else {}
        options = {**kwargs, **device}
        if not shapes_only:
            return mapped(_without_fractions, operator(*args, **options))
        _refuse_lost_writes(operator, args)
        return operator(*mapped(as_meta, tuple(args)), **mapped(as_meta, options))

    def _keep_values(self, tensors: Sequence[Any]) -> None:
        for tensor in tensors:
            if not tensor.is_meta and _is_integer(tensor):
                self.keep(tensor)

    def keep(self, tensor: Any) -> None:
        """Store a real index tensor's values in the trace, once."""
        if not self._keeps or self._recorder.is_paused:
            return
        id = self._recorder.tensor_id(tensor)
        if id not in self._kept:
            self._kept.add(id)
            self._recorder.attach(tensor, row_values(tensor))


def row_values(tensor: Any) -> np.ndarray:
    """Values without the dimensions that only repeat them, or hold one after the first."""
    places = tuple(
        0 if (stride == 0 and size > 1) or (axis and size == 1) else slice(None)
        for axis, (size, stride) in enumerate(zip(tensor.shape, tensor.stride(), strict=True))
    )
    return np.atleast_1d(compact(tensor.detach().numpy()[places]))


def as_meta(tensor: Any) -> Any:
    """The same window without values."""
    import torch

    if tensor.is_meta:
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def tensors_of(value: Any) -> list[Any]:
    """All tensors in nested lists and mappings."""
    found: list[Any] = []
    mapped(found.append, value)
    return found


def mapped(function: Callable[[Any], Any], value: Any) -> Any:
    """``value`` with ``function`` applied to each tensor in it."""
    if isinstance(value, list | tuple):
        return type(value)([mapped(function, item) for item in value])
    if isinstance(value, dict):
        return {key: mapped(function, item) for key, item in value.items()}
    return function(value) if hasattr(value, "untyped_storage") else value


def on_device(tensor: Any) -> bool:
    """Whether the simulated device holds this; a real scalar fraction is the host's own."""
    return bool(tensor.is_meta or tensor.dim() or not tensor.is_floating_point())


def _without_fractions(tensor: Any) -> Any:
    return as_meta(tensor) if tensor.is_floating_point() and tensor.dim() else tensor


def _is_integer(tensor: Any) -> bool:
    return str(tensor.dtype) in ("torch.int64", "torch.int32")


def _refuse_lost_writes(operator: Any, args: Sequence[Any]) -> None:
    for argument, value in zip(operator._schema.arguments, args, strict=False):
        writes = argument.alias_info is not None and argument.alias_info.is_write
        if writes and any(not tensor.is_meta for tensor in tensors_of(value)):
            raise TraceError(
                f"{operator} writes values that are not known into a tensor that has values",
                remedy="compute index tensors from index tensors alone; make others buffers",
            )
