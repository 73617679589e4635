"""Small traces written by hand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from simulator.trace.lowering import lower
from simulator.trace.schema import Header, Operator, Tensor, TensorRef, Trace
from simulator.trace.work import Work


@dataclass
class Builder:
    """Makes tensors, then operators on them."""

    trace: Trace = field(
        default_factory=lambda: Trace(Header("test", "test", "forward", {}), {}, [])
    )

    def tensor(
        self,
        *shape: int,
        dtype: str = "float32",
        strides: tuple[int, ...] | None = None,
        storage: int | None = None,
        offset: int = 0,
        role: str = "activation",
        data: np.ndarray | None = None,
    ) -> Tensor:
        id = len(self.trace.tensors)
        sha = None
        if data is not None:
            sha = hashlib.sha256(data.tobytes()).hexdigest()
            self.trace.arrays[sha] = data
        tensor = Tensor(
            id=id,
            storage=1000 + id if storage is None else storage,
            offset=offset,
            shape=shape,
            strides=contiguous(shape) if strides is None else strides,
            dtype=dtype,
            role=role,
            data=sha,
        )
        self.trace.tensors[id] = tensor
        return tensor

    def index(self, values: Any, *, strides: tuple[int, ...] | None = None) -> Tensor:
        array = np.asarray(values, np.int64)
        return self.tensor(*array.shape, dtype="int64", role="index", data=array, strides=strides)

    def operator(self, name: str, *args: Any, out: Any = (), **kwargs: Any) -> Operator:
        outputs = [out] if isinstance(out, Tensor) else list(out)
        operator = Operator(
            id=len(self.trace.operators),
            name=name,
            inputs=tuple(tensor.id for tensor in tensors_in((args, tuple(kwargs.values())))),
            outputs=tuple(tensor.id for tensor in outputs),
            args=tuple(refs(arg) for arg in args),
            kwargs={key: refs(value) for key, value in kwargs.items()},
        )
        self.trace.operators.append(operator)
        return operator

    def lower(self, name: str, *args: Any, out: Any = (), **kwargs: Any) -> Work:
        return lower(self.operator(name, *args, out=out, **kwargs), self.trace)


def contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def refs(value: Any) -> Any:
    if isinstance(value, Tensor):
        return TensorRef(value.id)
    if isinstance(value, list | tuple):
        return [refs(item) for item in value]
    return value


def tensors_in(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in tensors_in(item)]
    return []


@pytest.fixture
def build() -> Builder:
    return Builder()
