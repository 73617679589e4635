"""Single pieces of work from words: ``gemm m=128 n=4096 k=4096 dtype=bfloat16``.

Operands lie one after another in memory, dense.  Row numbers of gathers, scatters and
sparse products are seeded and uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.errors import OptionError, nearest, suggest
from simulator.trace.schema import DTYPE_BITS
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    Operand,
    RowWise,
    Scatter,
    SparseDense,
    Work,
)

MAX_EXTENT = 1 << 40
MAX_INDICES = 1 << 26
MAX_INPUTS = 64
SHORT = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32", "fp8": "float8"}


@dataclass(slots=True)
class Arguments:
    """What the user gave; ``take`` remembers what an operator understands."""

    operator: str
    values: dict[str, str]
    known: list[str]

    def number(self, name: str, default: int | None = None) -> int:
        self.known.append(name)
        text = self.values.get(name)
        if text is None:
            if default is None:
                near = nearest(name, [key for key in self.values if key not in self.known])
                remedy = f"'{near}' is not known, write {name}" if near else f"add {name}=4096"
                raise OptionError(f"'{self.operator}' needs {name}=N", where="op", remedy=remedy)
            return default
        if not text.isascii() or not text.isdigit() or not 0 < int(text[:20]) <= MAX_EXTENT:
            raise OptionError(
                f"{name}={text} is not a whole number from 1 to {MAX_EXTENT}",
                where="op",
                remedy=f"write {name}=4096",
            )
        return int(text)

    def flag(self, name: str) -> bool:
        self.known.append(name)
        text = self.values.get(name, "false").lower()
        if text not in ("true", "false"):
            raise OptionError(
                f"{name}={text} is neither true nor false", where="op", remedy=f"write {name}=true"
            )
        return text == "true"

    def dtype(self, name: str = "dtype", default: str = "bfloat16") -> str:
        self.known.append(name)
        text = self.values.get(name, default)
        text = SHORT.get(text, text)
        if text not in DTYPE_BITS:
            raise OptionError(
                f"unknown type '{text}'", where="op", remedy=suggest(text, DTYPE_BITS)
            )
        return text


@dataclass(slots=True)
class _Operands:
    count: int = 0

    def __call__(self, elements: int, dtype: str, role: str = "activation") -> Operand:
        self.count += 1
        size = -(-elements * DTYPE_BITS[dtype] // 8)
        return Operand(self.count, 0, size, DTYPE_BITS[dtype], dtype, role, size)


def _gemm(a: Arguments) -> Work:
    m, n, k, batch = a.number("m"), a.number("n"), a.number("k"), a.number("batch", 1)
    dtype = a.dtype()
    weights = a.dtype("weights", dtype)
    new = _Operands()
    reads = (new(batch * m * k, dtype), new(batch * n * k, weights, "weight"))
    return Gemm(reads, (new(batch * m * n, dtype),), batch=batch, m=m, n=n, k=k)


def _attention(a: Arguments) -> Work:
    batch, heads = a.number("batch", 1), a.number("heads")
    kv_heads = a.number("kv_heads", heads)
    q_len, head_dim = a.number("q_len", 1), a.number("head_dim", 128)
    kv_len, causal, dtype = a.number("kv_len"), a.flag("causal"), a.dtype()
    if heads % kv_heads:
        raise OptionError(
            f"heads={heads} is not a multiple of kv_heads={kv_heads}",
            where="op",
            remedy="give query heads that share key-value heads evenly",
        )
    new = _Operands()
    query = batch * heads * q_len * head_dim
    cache = batch * kv_heads * kv_len * head_dim
    return Attention(
        (new(query, dtype), new(cache, dtype, "kv_cache"), new(cache, dtype, "kv_cache")),
        (new(query, dtype),),
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        q_len=q_len,
        kv_len=kv_len,
        head_dim=head_dim,
        value_dim=head_dim,
        causal=causal,
    )


def _elementwise(a: Arguments) -> Work:
    elements, inputs, dtype = a.number("elements"), a.number("inputs", 2), a.dtype()
    new = _Operands()
    if inputs > MAX_INPUTS:
        raise OptionError(
            f"inputs={inputs} is more than {MAX_INPUTS}", where="op", remedy="give fewer inputs"
        )
    reads = tuple(new(elements, dtype) for _ in range(inputs))
    return Elementwise(reads, (new(elements, dtype),), elements=elements)


def _copy(a: Arguments) -> Work:
    size = a.number("bytes")
    new = _Operands()
    reads, writes = (new(size, "uint8"),), (new(size, "uint8"),)
    return Elementwise(reads, writes, elements=size, vector_per_element=0)


def _rows(passes: int, vector: int, special: int, keeps: bool) -> Callable[[Arguments], Work]:
    def build(a: Arguments) -> Work:
        rows, columns, dtype = a.number("rows"), a.number("columns"), a.dtype()
        new = _Operands()
        return RowWise(
            (new(rows * columns, dtype),),
            (new(rows * columns if keeps else rows, dtype),),
            rows=rows,
            columns=columns,
            passes=passes,
            vector_per_element=vector,
            special_per_element=special,
            special_per_row=1,
        )

    return build


def _indices(count: int, rows: int) -> np.ndarray:
    if count > MAX_INDICES:
        raise OptionError(
            f"{count} indices are more than {MAX_INDICES}", where="op", remedy="ask for fewer"
        )
    return np.random.default_rng(0).integers(0, rows, count, dtype=np.int64)


def _sparse(table: Operand, index: np.ndarray, row_bytes: int) -> Operand:
    """A table of which only the rows in ``index`` are touched."""
    return replace(table, bytes=int(np.unique(index).size) * row_bytes, span=table.bytes)


def _indexed(kind: type[Gather] | type[Scatter]) -> Callable[[Arguments], Work]:
    def build(a: Arguments) -> Work:
        rows, row_bytes = a.number("rows"), a.number("row_bytes", 512)
        table_rows = a.number("table_rows")
        index = _indices(rows, table_rows)
        new = _Operands()
        table = _sparse(new(table_rows * row_bytes, "uint8"), index, row_bytes)
        dense = new(rows * row_bytes, "uint8")
        numbers = new(rows, "int64", "index")
        reads, writes = ((table, numbers), (dense,))
        if kind is Scatter:
            reads, writes = ((dense, numbers), (table,))
        return kind(
            reads,
            writes,
            rows=rows,
            row_bytes=row_bytes,
            table_rows=table_rows,
            index=index,
        )

    return build


def _spmm(a: Arguments) -> Work:
    rows, nonzeros, width = a.number("rows"), a.number("nonzeros"), a.number("width", 128)
    dtype = a.dtype(default="float32")
    new = _Operands()
    row_bytes = width * DTYPE_BITS[dtype] // 8
    indices = _indices(nonzeros, rows)
    dense = _sparse(new(rows * width, dtype), indices, row_bytes)
    pointers, numbers = new(rows + 1, "int64", "index"), new(nonzeros, "int64", "index")
    return SparseDense(
        (dense, pointers, numbers),
        (new(rows * width, dtype),),
        rows=rows,
        columns=rows,
        nonzeros=nonzeros,
        row_bytes=row_bytes,
        width=width,
        indptr=np.arange(rows + 1, dtype=np.int64) * nonzeros // rows,
        indices=indices,
    )


BUILDERS: dict[str, Callable[[Arguments], Work]] = {
    "attention": _attention,
    "copy": _copy,
    "elementwise": _elementwise,
    "gather": _indexed(Gather),
    "gemm": _gemm,
    "norm": _rows(passes=2, vector=6, special=0, keeps=True),
    "reduce": _rows(passes=1, vector=1, special=0, keeps=False),
    "scatter": _indexed(Scatter),
    "softmax": _rows(passes=3, vector=4, special=1, keeps=True),
    "spmm": _spmm,
}


def single_work(operator: str, extents: Sequence[str]) -> tuple[Work, str]:
    """The work that ``operator`` with ``KEY=VALUE`` extents describes, and its name."""
    if operator not in BUILDERS:
        raise OptionError(
            f"unknown operator '{operator}'", where="op", remedy=suggest(operator, BUILDERS)
        )
    values: dict[str, str] = {}
    for extent in extents:
        key, equals, value = extent.partition("=")
        if not equals or not key or not value:
            raise OptionError(f"'{extent}' is not KEY=VALUE", where="op", remedy="write m=128")
        if key in values:
            raise OptionError(f"'{key}' is given twice", where="op", remedy="give each key once")
        values[key] = value
    arguments = Arguments(operator, values, [])
    work = BUILDERS[operator](arguments)
    for key in values:
        if key not in arguments.known:
            raise OptionError(
                f"'{operator}' has no extent '{key}'",
                where="op",
                remedy=suggest(key, arguments.known),
            )
    return work, " ".join([operator, *extents])
