"""From an ATen operator to the work it asks for: the registry of mapping functions.

Adding an operator is one function::

    @lowers("mm")
    def mm(call: Call) -> Work:
        a, b = call.tensor(0), call.tensor(1)
        ...

Functions are found by base name: ``aten.add.Tensor``, ``aten.add.Scalar`` and
the in-place ``aten.add_.Tensor`` all reach ``"add"``; :class:`Call` knows
which tensors the operator writes.  An operator whose outputs all live in its
inputs' storages is a view and needs no function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from simulator.errors import TraceError
from simulator.trace.lowering.operands import operand
from simulator.trace.schema import Operator, Tensor, TensorRef, Trace
from simulator.trace.work import Operand, Unmapped, View, Work

Mapping = Callable[["Call"], Work]

_MAPPINGS: Final[dict[str, Mapping]] = {}


def lowers(*names: str) -> Callable[[Mapping], Mapping]:
    """Register a mapping function for these base names."""

    def register(mapping: Mapping) -> Mapping:
        for name in names:
            if name in _MAPPINGS:
                raise ValueError(f"two mapping functions for operator '{name}'")
            _MAPPINGS[name] = mapping
        _resolve.cache_clear()
        return mapping

    return register


def mapped_names() -> tuple[str, ...]:
    """Base names of all operators that can be lowered."""
    return tuple(sorted(_MAPPINGS))


@lru_cache(maxsize=4096)
def _resolve(name: str) -> tuple[Mapping | None, str, bool, bool]:
    """Mapping function, base name without the in-place mark, in-place?, out-variant?"""
    parts = name.split(".")
    base = parts[1] if len(parts) > 1 else parts[0]
    overload = parts[2] if len(parts) > 2 else ""
    inplace = base.endswith("_") and not base.endswith("__")
    stem = base[:-1] if inplace else base
    mapping = _MAPPINGS.get(base) or _MAPPINGS.get(stem)
    return mapping, stem, inplace, overload == "out" or overload.endswith("_out")


class Call:
    """One operator with its arguments resolved: what mapping functions look at."""

    __slots__ = ("args", "inplace", "kwargs", "name", "operator", "trace", "variant_out")

    def __init__(
        self, operator: Operator, trace: Trace, name: str, inplace: bool, variant_out: bool
    ) -> None:
        self.operator = operator
        self.trace = trace
        self.name = name
        """Base name without namespace, overload and in-place mark."""
        self.inplace = inplace
        self.variant_out = variant_out
        # Imported profiles know an operator's tensors but not its argument list.
        self.args = operator.args or tuple(TensorRef(id) for id in operator.inputs)
        self.kwargs = operator.kwargs

    def value(self, position: int, name: str, default: Any = None) -> Any:
        """An argument given by position or by name."""
        if position < len(self.args):
            return self.args[position]
        return self.kwargs.get(name, default)

    def optional(self, position: int, name: str = "") -> Tensor | None:
        """A tensor argument, or None where there is none."""
        value = self.value(position, name)
        return self.trace.tensors[value.id] if isinstance(value, TensorRef) else None

    def tensor(self, position: int, name: str = "") -> Tensor:
        """A tensor argument that must be there."""
        found = self.optional(position, name)
        if found is None:
            raise TraceError(
                f"argument {position} of {self.operator.name} must be a tensor",
                where=f"operator {self.operator.id}",
                remedy="export the trace again",
            )
        return found

    def tensors(self, position: int, name: str = "") -> list[Tensor]:
        """The tensors of a list argument, or the one tensor standing alone."""
        return [self.trace.tensors[ref.id] for ref in _refs(self.value(position, name))]

    @property
    def inputs(self) -> list[Tensor]:
        tensors = self.trace.tensors
        return [tensors[id] for id in dict.fromkeys(self.operator.inputs)]

    @property
    def outputs(self) -> list[Tensor]:
        """What the operator writes: for an in-place one its first argument(s)."""
        if self.inplace:
            return self.tensors(0)
        if self.variant_out and "out" in self.kwargs:
            return [self.trace.tensors[ref.id] for ref in _refs(self.kwargs["out"])]
        tensors = self.trace.tensors
        return [tensors[id] for id in self.operator.outputs]

    @property
    def output(self) -> Tensor:
        """The first output."""
        outputs = self.outputs
        if not outputs:
            raise TraceError(
                f"{self.operator.name} must have an output",
                where=f"operator {self.operator.id}",
                remedy="export the trace again",
            )
        return outputs[0]

    def reads(self, *tensors: Tensor | None) -> tuple[Operand, ...]:
        """Operands of these tensors in order; absent ones are skipped."""
        return tuple(operand(tensor) for tensor in tensors if tensor is not None)

    def all_reads(self) -> tuple[Operand, ...]:
        """Operands of all inputs, each once."""
        return tuple(operand(tensor) for tensor in self.inputs)

    def rest(self, *known: Tensor | None) -> tuple[Operand, ...]:
        """Operands of the inputs other than ``known``."""
        seen = {tensor.id for tensor in known if tensor is not None}
        return tuple(operand(tensor) for tensor in self.inputs if tensor.id not in seen)

    def writes(self) -> tuple[Operand, ...]:
        return tuple(operand(tensor) for tensor in self.outputs)


def _refs(value: Any) -> Iterable[TensorRef]:
    if isinstance(value, TensorRef):
        return (value,)
    if isinstance(value, (list, tuple)):
        return tuple(item for item in value if isinstance(item, TensorRef))
    return ()


def _only_views(operator: Operator, trace: Trace, known: bool) -> bool:
    """Whether every output is another window into an input's storage.

    An unknown operator that returns an input itself may have written to it.
    """
    if not operator.outputs:
        return False
    tensors = trace.tensors
    storages = {tensors[id].storage for id in operator.inputs}
    for id in operator.outputs:
        if tensors[id].storage not in storages or (not known and id in operator.inputs):
            return False
    return True


def lower(operator: Operator, trace: Trace) -> Work:
    """The work of one operator of a concrete trace; :class:`Unmapped` if nobody knows it."""
    if trace.header.parametric:
        raise TraceError(
            "a parametric trace has no work until its sizes are bound",
            where=trace.header.name,
            remedy="bind it first (simulator.trace.parametric.bind)",
        )
    mapping, stem, inplace, variant_out = _resolve(operator.name)
    if not inplace and not variant_out and _only_views(operator, trace, mapping is not None):
        return View((), ())
    call = Call(operator, trace, stem, inplace, variant_out)
    if mapping is None:
        return Unmapped(call.all_reads(), call.writes(), operator.name)
    return mapping(call)


def lower_all(trace: Trace) -> list[Work]:
    """The work of every operator, in program order."""
    return [lower(operator, trace) for operator in trace.operators]
