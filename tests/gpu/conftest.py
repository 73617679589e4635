"""A GPU to play works on, and what its ports, cache and DRAM counted.

Test modules get everything through the fixture ``lab``: ``lab.play(lab.gemm(64, 64, 64))``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.engine.device import Device
from simulator.engine.program import Kernel
from simulator.gpu.platform import GpuPlatform
from simulator.system.kernels import Runner
from simulator.system.specs import load_hardware
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    GroupedGemm,
    Operand,
    RowWise,
    Scatter,
    SparseDense,
    Work,
)

FEMTO = 1e-15
REGION = 1 << 30
SECTOR = 32
DTYPES = {8: "int8", 16: "bfloat16", 32: "float32", 64: "int64"}


@dataclass(frozen=True)
class Played:
    """One work, alone on the device."""

    seconds: float
    loaded: int
    """Bytes through the load ports of all SMs."""
    stored: int
    dram_read: float
    dram_written: float
    hits: float
    misses: float
    kernels: tuple[str, ...]
    simulated_share: float
    error_estimate: float


def address(operand: Operand) -> int:
    return operand.storage * REGION + operand.offset


class Bench:
    """A device that keeps its cache between works."""

    def __init__(self, platform: GpuPlatform, exact: bool = True) -> None:
        self.platform = platform
        self.device = Device(platform.assemble(exact))
        self.runner = Runner(self.device, platform.cache_bytes, exact)

    def play(self, work: Work) -> Played:
        return self.run(*self.platform.kernels(work, address))

    def run(self, *kernels: Kernel) -> Played:
        owners = np.asarray(self.device.names.owners)
        before = self.device.snapshot()
        runs = [self.runner.run(kernel, self.device.now) for kernel in kernels]
        units = self.device.snapshot().since(before).units
        return Played(
            seconds=sum(run.duration_fs for run in runs) * FEMTO,
            loaded=int(units[owners == "load"].sum()),
            stored=int(units[owners == "store"].sum()),
            dram_read=sum(run.dram_read for run in runs),
            dram_written=sum(run.dram_written for run in runs),
            hits=sum(run.hits for run in runs),
            misses=sum(run.misses for run in runs),
            kernels=tuple(run.name for run in runs),
            simulated_share=min((run.simulated_share for run in runs), default=1.0),
            error_estimate=max((run.error_estimate for run in runs), default=0.0),
        )


def platform(name: str = "a100-sxm-80gb", *overrides: str) -> GpuPlatform:
    spec = load_hardware(name, overrides).spec
    assert spec.kind == "gpu"
    return GpuPlatform(spec)


def operand(storage: int, size: int, bits: int = 16) -> Operand:
    return Operand(storage, 0, size, bits, DTYPES[bits], "activation", size)


def gemm(m: int, n: int, k: int, batch: int = 1) -> Gemm:
    reads = (operand(1, 2 * batch * m * k), operand(2, 2 * batch * n * k))
    return Gemm(reads, (operand(3, 2 * batch * m * n),), batch, m, n, k)


def grouped(rows: tuple[int, ...], n: int, k: int) -> GroupedGemm:
    used = sum(1 for count in rows if count)
    reads = (operand(1, 2 * sum(rows) * k), operand(2, 2 * used * n * k))
    return GroupedGemm(reads, (operand(3, 2 * sum(rows) * n),), rows, n, k)


def attention(
    heads: int,
    kv_len: int,
    *,
    kv_heads: int | None = None,
    q_len: int = 1,
    dim: int = 64,
    batch: int = 1,
    causal: bool = False,
    backward: bool = False,
) -> Attention:
    kv_heads = kv_heads or heads
    queries, cache = 2 * batch * heads * q_len * dim, 2 * batch * kv_heads * kv_len * dim
    reads = (operand(1, queries), operand(2, cache), operand(3, cache))
    sizes = (batch, heads, kv_heads, q_len, kv_len, dim, dim)
    return Attention(reads, (operand(4, queries),), *sizes, causal, backward)


def elementwise(elements: int, inputs: int = 1, outputs: int = 1, special: int = 0) -> Elementwise:
    reads = tuple(operand(1 + i, 2 * elements) for i in range(inputs))
    writes = tuple(operand(20 + i, 2 * elements) for i in range(outputs))
    return Elementwise(reads, writes, elements, 1, special)


def rowwise(rows: int, columns: int, passes: int = 2) -> RowWise:
    size = 2 * rows * columns
    return RowWise((operand(1, size),), (operand(2, size),), rows, columns, passes)


def reduction(rows: int, columns: int) -> RowWise:
    return RowWise((operand(1, 2 * rows * columns),), (operand(2, 2 * rows),), rows, columns)


def gather(index: np.ndarray, row_bytes: int, table_rows: int) -> Gather:
    table = operand(1, len(np.unique(index)) * row_bytes)
    reads = (table, operand(2, 8 * len(index), 64))
    out = operand(3, len(index) * row_bytes)
    return Gather(reads, (out,), len(index), row_bytes, table_rows, index)


def scatter(index: np.ndarray, row_bytes: int, table_rows: int, atomic: bool = True) -> Scatter:
    reads = (operand(1, len(index) * row_bytes), operand(2, 8 * len(index), 64))
    table = operand(3, len(np.unique(index)) * row_bytes)
    return Scatter(reads, (table,), len(index), row_bytes, table_rows, atomic, index)


def sparse(indptr: np.ndarray, indices: np.ndarray, columns: int, width: int) -> SparseDense:
    rows, nonzeros = len(indptr) - 1, len(indices)
    reads = (
        operand(1, len(np.unique(indices)) * 4 * width, 32),
        operand(2, 8 * (rows + 1), 64),
        operand(3, 8 * nonzeros, 64),
    )
    out = operand(4, 4 * rows * width, 32)
    return SparseDense(reads, (out,), rows, columns, nonzeros, 4 * width, width, indptr, indices)


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    a100 = platform()

    def play(work: Work, exact: bool = True, on: GpuPlatform = a100) -> Played:
        return Bench(on, exact).play(work)

    names: list[Callable[..., object]] = [
        attention, elementwise, gather, gemm, grouped, operand, platform, reduction, rowwise,
        scatter, sparse,
    ]  # fmt: skip
    return SimpleNamespace(
        **{function.__name__: function for function in names},
        Bench=Bench,
        a100=a100,
        address=address,
        play=play,
        SECTOR=SECTOR,
    )
