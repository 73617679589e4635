"""Traces written by hand, and recorded ones, replayed through the public API.

A hand-made operator is ``lab.call("aten.mm.default", ((64, 64), (64, 64)), (64, 64))``; an
input may also be the number of an earlier operator, whose output it then reads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

import pytest

from simulator.api import load_hardware, load_trace, simulate
from simulator.system.records import RunRecord
from simulator.trace.schema import Header, Operator, Tensor, TensorRef, Trace

Shape = tuple[int, ...]
A100 = "a100-sxm-80gb"


@dataclass(frozen=True)
class Call:
    """One operator of a hand-made trace."""

    name: str
    inputs: tuple[Shape | int, ...]
    output: Shape
    stream: int = 0
    arguments: tuple[object, ...] = ()
    view: bool = False


def copy(rows: int = 4096, columns: int = 4096, stream: int = 0) -> Call:
    """A memory-bound operator."""
    return Call("aten.neg.default", ((rows, columns),), (rows, columns), stream)


def product(size: int, stream: int = 0) -> Call:
    """A compute-bound operator if ``size`` is large."""
    return Call("aten.mm.default", ((size, size), (size, size)), (size, size), stream)


def trace(calls: Sequence[Call], dtype: str = "bfloat16") -> Trace:
    """A concrete trace; every tensor has its own storage, but for views."""
    tensors: dict[int, Tensor] = {}
    outputs: list[int] = []

    def tensor(shape: Shape, role: str, storage: int | None = None) -> int:
        strides = [1] * len(shape)
        for axis in range(len(shape) - 2, -1, -1):
            strides[axis] = strides[axis + 1] * shape[axis + 1]
        number = len(tensors)
        place = number if storage is None else storage
        tensors[number] = Tensor(number, place, 0, shape, tuple(strides), dtype, role)
        return number

    operators = []
    for number, call in enumerate(calls):
        inputs = tuple(
            outputs[item] if isinstance(item, int) else tensor(item, "input")
            for item in call.inputs
        )
        source = tensors[inputs[0]].storage if call.view else None
        outputs.append(tensor(call.output, "activation", source))
        arguments = (*map(TensorRef, inputs), *call.arguments)
        operators.append(
            Operator(number, call.name, inputs, (outputs[-1],), arguments, stream=call.stream)
        )
    return Trace(Header("hand-made", "hand-made", "forward", {}), tensors, operators)


def run(
    calls: Sequence[Call], fidelity: str = "exact", launch: str = "graph", hw: str = A100
) -> RunRecord:
    """Replay a hand-made trace."""
    result = simulate(trace(calls), load_hardware(hw), fidelity=fidelity, launch=launch)
    return result.record


@cache
def recorded(
    name: str, phase: str, fidelity: str = "fast", launch: str = "graph", **sizes: int
) -> RunRecord:
    """Replay a recorded trace on an A100, once per session."""
    workload = load_trace(name, sizes or None, phase=phase)
    return simulate(workload, load_hardware(A100), fidelity=fidelity, launch=launch).record


def read_bytes(record: RunRecord) -> int:
    return sum(kernel.dram_bytes_read for kernel in record.kernels)


def dram_bytes(record: RunRecord) -> int:
    return sum(kernel.dram_bytes for kernel in record.kernels)


def played(record: RunRecord) -> int:
    """Kernels that were simulated and not reused."""
    return sum(not kernel.reused for kernel in record.kernels)


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    names: list[Callable[..., object]] = [
        copy, product, trace, run, recorded, read_bytes, dram_bytes, played,
    ]  # fmt: skip
    return SimpleNamespace(
        **{function.__name__: function for function in names}, call=Call, A100=A100
    )
