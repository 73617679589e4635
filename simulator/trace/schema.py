"""The operator trace: what a PyTorch run did, without its values.

A trace is a header, a table of tensors and a list of operators in program
order.  Shapes, strides, offsets and integer arguments are either integers (a
*concrete* trace) or expressions of named sizes such as ``batch*prompt`` (a
*parametric* trace); :func:`simulator.trace.parametric.bind` turns the second
into the first.  Tensors name the storage they live in, so dependencies follow
from storage and byte range and views cost nothing.

Integer tensors whose values decide memory locality (graph edges, embedding
ids, expert routing) are kept as arrays, addressed by their SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SCHEMA_VERSION = 1

Dim = int | str
"""An integer, or an expression of named sizes in a parametric trace."""

ROLES = (
    "weight",
    "activation",
    "kv_cache",
    "index",
    "gradient",
    "optimizer_state",
    "input",
)
PHASES = ("prefill", "decode", "forward", "backward", "optimizer")

DTYPE_BITS: Mapping[str, int] = {
    "float64": 64,
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "float8": 8,
    "float4": 4,
    "int64": 64,
    "int32": 32,
    "int16": 16,
    "int8": 8,
    "uint8": 8,
    "bool": 8,
    "complex64": 64,
    "complex128": 128,
    **{f"int{bits}": bits for bits in (2, 3, 4, 5, 6)},
}
"""Bits of one element; the sub-byte types come from quantization transforms."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """A strided window into a storage. ``offset`` and ``strides`` count elements."""

    id: int
    storage: int
    offset: Dim
    shape: tuple[Dim, ...]
    strides: tuple[Dim, ...]
    dtype: str
    role: str = "activation"
    name: str = ""
    data: str | None = None
    """SHA-256 of the recorded values, if they were recorded."""

    @property
    def bits(self) -> int:
        return DTYPE_BITS[self.dtype]


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor among an operator's arguments."""

    id: int


@dataclass(frozen=True, slots=True)
class Operator:
    """One dispatched operator. ``args`` and ``kwargs`` keep the call's structure:
    numbers, strings, booleans, None, :class:`TensorRef`, and (nested) lists."""

    id: int
    name: str
    """ATen name and overload: ``aten.mm.default``."""
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    module: str = ""
    phase: str = "forward"
    stream: int = 0
    measured_us: float | None = None
    guess: str | None = None
    """The policy that decided a data-dependent result here, if one did."""


@dataclass(frozen=True, slots=True)
class Header:
    """How the trace was made."""

    name: str
    model: str
    phase: str
    sizes: Mapping[str, int]
    """Named sizes: bound values of a concrete trace, defaults of a parametric one."""
    parametric: bool = False
    source: Mapping[str, str] = field(default_factory=dict)
    """``exporter``, ``torch``, ``transformers``, ``torch_geometric``, ``configuration`` ..."""
    guesses: tuple[str, ...] = ()
    """Every decision that data would have made, in words, with its count."""
    ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Inclusive range of each size over which a parametric trace holds."""
    schema: int = SCHEMA_VERSION


@dataclass(slots=True)
class Trace:
    """Header, tensors by id, operators in program order, recorded arrays by SHA-256."""

    header: Header
    tensors: dict[int, Tensor]
    operators: list[Operator]
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    recipes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """How to make an array again instead of storing it, by SHA-256
    (:mod:`simulator.trace.graphs.recipes`)."""
