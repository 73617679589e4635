"""The trace under construction: operators as they are dispatched, tensors as windows.

A tensor is identified by the window it makes into a storage (offset, shape,
strides, dtype), so two Python objects for the same bytes are one tensor of the
trace, and dependencies follow from storages alone.  Storages are kept alive
until the trace is finished: their addresses are their identity, and a freed
address would be reused.

Roles and names belong to storages (a transposed weight is the same weight) and
are resolved when the trace is finished, because a gradient is known to be one
only after the backward pass.

Left out: values.  Only index tensors whose values were given keep them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.trace.arrays import array_digest
from simulator.trace.codec import references
from simulator.trace.schema import Header, Operator, Tensor, TensorRef, Trace

PLACEMENT_ARGUMENTS = frozenset({"device", "layout", "pin_memory", "non_blocking"})
"""Arguments that say where a tensor lives: the simulated device decides that."""

IGNORED_NAMESPACES = frozenset({"profiler", "prim"})
"""Instrumentation and metadata queries: no device executes them."""

Window = tuple[int, int, tuple[int, ...], tuple[int, ...], str]


@dataclass(slots=True)
class Recorder:
    """Collects operators; :meth:`finish` makes the trace."""

    phase: str
    module: str = ""
    operators: list[Operator] = field(default_factory=list)
    guesses: Counter[str] = field(default_factory=Counter)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    _paused: int = 0
    _storages: dict[int, tuple[int, Any]] = field(default_factory=dict)
    _windows: dict[Window, int] = field(default_factory=dict)
    _roles: dict[int, str] = field(default_factory=dict)
    _names: dict[int, str] = field(default_factory=dict)
    _data: dict[int, str] = field(default_factory=dict)

    @property
    def is_paused(self) -> bool:
        return self._paused > 0

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What happens inside is not part of the trace."""
        self._paused += 1
        try:
            yield
        finally:
            self._paused -= 1

    def storage_id(self, tensor: Any) -> int:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._storages:
            self._storages[key] = (len(self._storages), storage)
        return self._storages[key][0]

    def tensor_id(self, tensor: Any) -> int:
        window = (
            self.storage_id(tensor),
            int(tensor.storage_offset()),
            tuple(tensor.shape),
            tuple(tensor.stride()),
            dtype_name(tensor.dtype),
        )
        return self._windows.setdefault(window, len(self._windows))

    def declare(self, tensor: Any, role: str, name: str = "") -> None:
        """Give the tensor's storage a role and a name."""
        storage = self.storage_id(tensor)
        self._roles[storage] = role
        if name:
            self._names.setdefault(storage, name)

    def attach(self, tensor: Any, values: np.ndarray) -> None:
        """Keep the values of an index tensor, addressed by their content."""
        array = np.ascontiguousarray(values)
        digest = array_digest(array)
        self.arrays[digest] = array
        self._data[self.tensor_id(tensor)] = digest

    def record(
        self,
        name: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        results: Any,
        guess: str | None = None,
    ) -> None:
        """Append one operator, unless recording is paused.

        ``results`` are all tensors it wrote, arguments that it changed included.
        """
        if self.is_paused or name.partition(".")[0] in IGNORED_NAMESPACES:
            return
        plain_args = tuple(self.plain(value) for value in args)
        plain_kwargs = {
            key: self.plain(value)
            for key, value in kwargs.items()
            if key not in PLACEMENT_ARGUMENTS and value is not None
        }
        operator = Operator(
            id=len(self.operators),
            name=name,
            inputs=references(plain_args, plain_kwargs),
            outputs=references((self.plain(results),), {}),
            args=plain_args,
            kwargs=plain_kwargs,
            module=self.module,
            phase=self.phase,
            guess=guess,
        )
        if guess is not None:
            self.guesses[guess] += 1
        self.operators.append(operator)

    def plain(self, value: Any) -> Any:
        """An argument without PyTorch's types: tensors become references."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list | tuple):
            return [self.plain(item) for item in value]
        if isinstance(value, dict):
            return {str(key): self.plain(item) for key, item in value.items()}
        if hasattr(value, "untyped_storage"):
            return TensorRef(self.tensor_id(value))
        return str(value).removeprefix("torch.")

    def finish(
        self,
        name: str,
        model: str,
        phase: str,
        sizes: Mapping[str, int],
        source: Mapping[str, str],
        ranges: Mapping[str, tuple[int, int]] | None = None,
    ) -> Trace:
        """The trace of everything recorded so far."""
        used = {id for operator in self.operators for id in (*operator.inputs, *operator.outputs)}
        tensors = {
            id: Tensor(
                id=id,
                storage=storage,
                offset=offset,
                shape=shape,
                strides=strides,
                dtype=dtype,
                role=self._roles.get(storage, _default_role(dtype)),
                name=self._names.get(storage, ""),
                data=self._data.get(id),
            )
            for (storage, offset, shape, strides, dtype), id in self._windows.items()
            if id in used
        }
        kept = {tensor.data for tensor in tensors.values()}
        header = Header(
            name=name,
            model=model,
            phase=phase,
            sizes=dict(sizes),
            source={"exporter": "accsim dispatch", **source},
            guesses=tuple(f"{guess} ({count}x)" for guess, count in sorted(self.guesses.items())),
            ranges=dict(ranges or {}),
        )
        arrays = {digest: array for digest, array in self.arrays.items() if digest in kept}
        return Trace(header, tensors, self.operators, arrays)


def dtype_name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _default_role(dtype: str) -> str:
    """Integer tensors steer addresses; everything else computed is an activation."""
    return "index" if dtype.startswith(("int", "uint")) else "activation"
