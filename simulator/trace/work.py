"""What an operator asks of a machine, free of PyTorch and of any device.

ATen has hundreds of operators; a machine sees a dozen kinds of work.
:mod:`simulator.trace.lowering` lowers the first to the second, each device's
``mapping`` package turns the second into kernels.  All sizes are elements,
all ``bytes`` are bytes, ``operations`` count scalar operations (a
multiply-add is two) by the kind of unit that performs them:

- ``matrix``: multiply-adds of matrix products, in the dtype of the operands;
- ``vector``: fp32-class arithmetic;
- ``special``: exponentials, square roots, divisions, trigonometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

RowLibrary = Literal["", "norm", "softmax", "serving"]
"""Whose kernel walks rows: PyTorch's norms, its softmax, norms of serving stacks; "": any."""


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor as memory sees it: a byte range of a storage."""

    storage: int
    offset: int
    """Bytes from the start of the storage."""
    bytes: int
    """Distinct bytes touched (broadcast dimensions count once)."""
    bits: int
    """Bits of one element."""
    dtype: str
    role: str
    span: int = 0
    """Bytes from first to last touched byte; equals ``bytes`` when dense."""


@dataclass(frozen=True, slots=True)
class Work:
    """Base of all kinds of work."""

    reads: tuple[Operand, ...]
    writes: tuple[Operand, ...]

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()

    @property
    def operations(self) -> dict[str, int]:
        """Scalar operations by unit kind."""
        return {}

    @property
    def dtype(self) -> str:
        """Element type that selects the unit's rate: that of the first read."""
        operands = self.reads or self.writes
        return operands[0].dtype if operands else "float32"

    @property
    def bytes_read(self) -> int:
        return sum(operand.bytes for operand in self.reads)

    @property
    def bytes_written(self) -> int:
        return sum(operand.bytes for operand in self.writes)


@dataclass(frozen=True, slots=True)
class View(Work):
    """No work: the operator only makes another window into the same storage."""


@dataclass(frozen=True, slots=True)
class Elementwise(Work):
    """Each output element from the inputs at the same place (after broadcasting)."""

    elements: int = 0
    vector_per_element: int = 1
    special_per_element: int = 0
    rows: int = 0
    """Rows that a serving stack's kernel walks element by element, a thread block each; 0 for
    kernels that load vectors, wherever rows begin."""
    function: str = ""
    """What an activation is called (``gelu``, ``silu``, ``tanh`` ...), for devices that approximate
    it in their own way."""

    @property
    def operations(self) -> dict[str, int]:
        return {
            "vector": self.elements * self.vector_per_element,
            "special": self.elements * self.special_per_element,
        }


@dataclass(frozen=True, slots=True)
class Gemm(Work):
    """``batch`` products C[m,n] = A[m,k] B[k,n]; reads = (A, B[, bias]), writes = (C,).

    ``b_shared`` says that all batches use the same B.  ``density`` is the share
    of B's elements kept (N:M sparsity), already applied to B's bytes.  ``epilogue`` is
    what is done to each element of C before it is stored; it has no operands of its own.
    """

    batch: int = 1
    m: int = 1
    n: int = 1
    k: int = 1
    b_shared: bool = False
    density: float = 1.0
    epilogue: Elementwise | None = None

    @property
    def operations(self) -> dict[str, int]:
        products = int(2 * self.batch * self.m * self.n * self.k * self.density)
        after = self.epilogue.operations if self.epilogue else {}
        return {"matrix": products, **after}


@dataclass(frozen=True, slots=True)
class GroupedGemm(Work):
    """One product per expert: rows[e] x n x k; reads = (A, B[, bias]).

    B holds all experts, its bytes are those of the experts in use; ``density`` as
    in :class:`Gemm`.
    """

    rows: tuple[int, ...] = ()
    n: int = 1
    k: int = 1
    density: float = 1.0

    @property
    def operations(self) -> dict[str, int]:
        return {"matrix": int(2 * sum(self.rows) * self.n * self.k * self.density)}


@dataclass(frozen=True, slots=True)
class Attention(Work):
    """Fused attention; reads = (Q, K, V[, mask]), writes = (O,) (gradients if backward).

    ``causal`` aligns the last query with the last key.  Operations count the
    pairs a causal kernel must visit.
    """

    batch: int = 1
    heads: int = 1
    kv_heads: int = 1
    q_len: int = 1
    kv_len: int = 1
    head_dim: int = 64
    value_dim: int = 64
    causal: bool = False
    backward: bool = False

    @property
    def pairs(self) -> int:
        """Query-key pairs of one head."""
        if not self.causal:
            return self.q_len * self.kv_len
        square = min(self.q_len, self.kv_len)
        return self.q_len * self.kv_len - square * (square - 1) // 2

    @property
    def operations(self) -> dict[str, int]:
        pairs = self.batch * self.heads * self.pairs
        products = 5 if self.backward else 2  # dQ, dK, dV and two recomputed products
        dims = self.head_dim + self.value_dim
        return {
            "matrix": pairs * dims * products,
            "vector": 4 * pairs,
            "special": pairs,
        }


@dataclass(frozen=True, slots=True)
class RowWise(Work):
    """Work along rows: norms, softmax, reductions, sorts.

    ``passes`` is how often a row is walked when it is not kept on chip.
    """

    rows: int = 1
    columns: int = 1
    passes: int = 1
    vector_per_element: int = 2
    special_per_element: int = 0
    special_per_row: int = 0
    library: RowLibrary = ""

    @property
    def operations(self) -> dict[str, int]:
        elements = self.rows * self.columns
        return {
            "vector": elements * self.vector_per_element,
            "special": elements * self.special_per_element + self.rows * self.special_per_row,
        }


@dataclass(frozen=True, slots=True)
class Gather(Work):
    """``rows`` rows of ``row_bytes`` from a table; reads = (table, index), writes = (out,).

    ``index`` holds the row numbers when they were recorded; otherwise
    ``uniform`` seeded numbers stand in for them and the run says so.
    """

    rows: int = 0
    row_bytes: int = 0
    table_rows: int = 0
    index: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Scatter(Work):
    """``rows`` rows of ``row_bytes`` combined into a table at recorded row numbers.

    reads = (values, index), writes = (table,).  ``atomic`` marks read-modify-write
    at the cache (scatter_add, index_add); a plain scatter only writes.
    """

    rows: int = 0
    row_bytes: int = 0
    table_rows: int = 0
    atomic: bool = True
    index: np.ndarray | None = None

    @property
    def operations(self) -> dict[str, int]:
        return {"vector": self.rows * self.row_bytes // 4 if self.atomic else 0}


@dataclass(frozen=True, slots=True)
class SparseDense(Work):
    """CSR (``indptr``, ``indices``) times a dense matrix of ``row_bytes`` per row.

    reads = (dense, indptr, indices[, values]), writes = (out,).
    """

    rows: int = 0
    columns: int = 0
    nonzeros: int = 0
    row_bytes: int = 0
    width: int = 0
    indptr: np.ndarray | None = None
    indices: np.ndarray | None = None

    @property
    def operations(self) -> dict[str, int]:
        return {"vector": 2 * self.nonzeros * self.width}


@dataclass(frozen=True, slots=True)
class Unmapped(Work):
    """An operator nobody has taught us. A run fails on it unless it is told to
    approximate it by its memory traffic."""

    name: str = ""
