"""From work to GPU kernels: one function per kind of work.

A mapping function takes the GPU's specification, the work and the operands' addresses,
and returns the kernels in launch order.  To teach the GPU a new kind of work, write
such a function and enter it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.gpu.mapping.attention import attention
from simulator.gpu.mapping.gemm import gemm, grouped_gemm
from simulator.gpu.mapping.irregular import gather, scatter, sparse_dense
from simulator.gpu.mapping.rows import activation_rows, library_rows
from simulator.gpu.mapping.streams import elementwise, rowwise
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    GroupedGemm,
    RowWise,
    Scatter,
    SparseDense,
    Work,
)

Mapping = Callable[[GpuSpec, Any, Addresses], Sequence[Kernel]]


def _elementwise(spec: GpuSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    return (activation_rows if work.rows else elementwise)(spec, work, address)


def _rowwise(spec: GpuSpec, work: RowWise, address: Addresses) -> Sequence[Kernel]:
    return (library_rows if work.library and work.rows else rowwise)(spec, work, address)


MAPPINGS: dict[type[Work], Mapping] = {
    Attention: attention,
    Elementwise: _elementwise,
    Gather: gather,
    Gemm: gemm,
    GroupedGemm: grouped_gemm,
    RowWise: _rowwise,
    Scatter: scatter,
    SparseDense: sparse_dense,
}
