"""Kernels whose addresses are data: gather, scatter, sparse-dense products.

Row numbers come from the trace, so locality in the L2 is that of the real index
tensors, address by address.  Where a trace has none, seeded uniform numbers stand in;
the run lists that as a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Kernel,
    Pattern,
    Program,
    Step,
    Wait,
)
from simulator.gpu.mapping.rates import vector_units
from simulator.gpu.mapping.streams import MAX_TASKS, PIECE_BYTES, block_needs, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Gather, Operand, Scatter, SparseDense

STAND_IN_SEED = 0


def _numbers(index: np.ndarray | None, count: int, table_rows: int) -> np.ndarray:
    if index is not None:
        return np.ascontiguousarray(index, dtype=np.int64).ravel()[:count]
    generator = np.random.default_rng(STAND_IN_SEED)
    return generator.integers(0, max(table_rows, 1), count, dtype=np.int64)


def _pieces(rows: int, row_bytes: int) -> np.ndarray:
    """(first row, rows) of each thread block."""
    per_task = max(1, PIECE_BYTES // max(row_bytes, 1), -(-rows // MAX_TASKS))
    first = np.arange(0, rows, per_task, dtype=np.int64)
    return np.column_stack([np.zeros_like(first), first, np.minimum(rows - first, per_task)])


def _span(kind: str, operand: Operand, address: Addresses, rows: int) -> Pattern:
    """The part of a dense operand that belongs to a block's rows."""
    base = address(operand)
    per_row = max(1, operand.bytes // max(rows, 1))
    return Pattern(
        kind,
        "store" if kind == "write" else "load",
        chunk=per_row,
        base=base,
        coordinates=(per_row,),
        inner=Coordinate(1),
        inner_stride=per_row,
        limit=base + operand.bytes,
    )


def gather(spec: GpuSpec, work: Gather, address: Addresses) -> Sequence[Kernel]:
    """Copy rows of a table to consecutive rows."""
    if not work.rows or not work.row_bytes:
        return ()
    table = work.reads[0]
    numbers = _numbers(work.index, work.rows, work.table_rows)
    fetch = Pattern(
        "read",
        "load",
        chunk=work.row_bytes,
        base=address(table),
        coordinates=(1,),
        inner=Coordinate(1),
        inner_stride=work.row_bytes,
        index=numbers,
    )
    steps: list[Step] = [start(spec)]
    steps += [Access(_span("read", operand, address, work.rows)) for operand in work.reads[1:2]]
    steps.append(Access(fetch))
    steps += [Access(_span("write", operand, address, work.rows)) for operand in work.writes[:1]]
    tasks = _pieces(work.rows, work.row_bytes)
    return (Kernel("gather", "sm", (Program((tuple(steps),)),), tasks, block_needs()),)


def scatter(spec: GpuSpec, work: Scatter, address: Addresses) -> Sequence[Kernel]:
    """Write or atomically add consecutive rows to rows of a table."""
    if not work.rows or not work.row_bytes:
        return ()
    target = work.writes[0]
    numbers = _numbers(work.index, work.rows, work.table_rows)
    combine = Pattern(
        "atomic" if work.atomic else "write",
        "store",
        chunk=work.row_bytes,
        base=address(target),
        coordinates=(1,),
        inner=Coordinate(1),
        inner_stride=work.row_bytes,
        index=numbers,
    )
    sources = [operand for operand in work.reads if operand.bytes][:2]
    steps: list[Step] = [start(spec)]
    steps += [
        Access(_span("read", operand, address, work.rows), token="loaded") for operand in sources
    ]
    if sources:
        steps.append(Wait("loaded", len(sources)))
    steps.append(Access(combine))
    tasks = _pieces(work.rows, work.row_bytes)
    program = Program((tuple(steps),), {"loaded": 0})
    return (Kernel("scatter", "sm", (program,), tasks, block_needs()),)


def sparse_dense(spec: GpuSpec, work: SparseDense, address: Addresses) -> Sequence[Kernel]:
    """CSR times dense: blocks of about equal nonzeros, neighbours gathered row by row."""
    if not work.rows or not work.nonzeros:
        return ()
    dense = work.reads[0]
    columns = _numbers(work.indices, work.nonzeros, work.columns)
    if work.indptr is not None:
        indptr = np.ascontiguousarray(work.indptr, dtype=np.int64)
    else:
        indptr = np.arange(work.rows + 1, dtype=np.int64) * work.nonzeros // work.rows
    per_task = max(1, PIECE_BYTES // max(work.row_bytes, 1), -(-work.nonzeros // MAX_TASKS))
    # Cut rows so that each block has about the same number of neighbours to visit.
    wanted = np.arange(0, work.nonzeros, per_task, dtype=np.int64)
    first = np.unique(np.searchsorted(indptr, wanted, side="right") - 1)
    stop = np.append(first[1:], work.rows)
    tasks = np.column_stack(
        [
            np.zeros_like(first),
            indptr[first],
            indptr[stop] - indptr[first],
            first,
            stop - first,
        ]
    )
    fetch = Pattern(
        "read",
        "load",
        chunk=work.row_bytes,
        base=address(dense),
        coordinates=(1,),
        inner=Coordinate(1),
        inner_stride=work.row_bytes,
        index=columns,
    )
    steps: list[Step] = [start(spec)]
    for operand in work.reads[1:]:
        per_row = operand.bytes // max(work.nonzeros, 1)
        if per_row:
            steps.append(Access(_span("read", operand, address, work.nonzeros)))
    steps.append(Access(fetch))
    steps.append(Compute("vector", Coordinate(1, vector_units(spec, 2 * work.width))))
    out = work.writes[0]
    base = address(out)
    row = out.bytes // work.rows
    steps.append(
        Access(
            Pattern(
                "write",
                "store",
                chunk=max(row, 1),
                base=base,
                coordinates=(0, 0, row),
                inner=Coordinate(3),
                inner_stride=row,
            )
        )
    )
    return (Kernel("sparse-dense", "sm", (Program((tuple(steps),)),), tasks, block_needs()),)
