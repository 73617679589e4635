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
from simulator.gpu.mapping.streams import (
    MAX_TASKS,
    PIECE_BYTES,
    SECTOR_BYTES,
    block_needs,
    start,
)
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Gather, Operand, Scatter, SparseDense

STAND_IN_SEED = 0


def _numbers(index: np.ndarray | None, count: int, table_rows: int) -> np.ndarray:
    if index is not None:
        return np.ascontiguousarray(index, dtype=np.int64).ravel()[:count]
    generator = np.random.default_rng(STAND_IN_SEED)
    return generator.integers(0, max(table_rows, 1), count, dtype=np.int64)


def _per_task(rows: int, row_bytes: int) -> int:
    """Rows of one thread block."""
    return max(1, PIECE_BYTES // max(row_bytes, 1), -(-rows // MAX_TASKS))


def _pieces(rows: int, per_task: int) -> np.ndarray:
    """(first row, rows) of each thread block."""
    first = np.arange(0, rows, per_task, dtype=np.int64)
    return np.column_stack([np.zeros_like(first), first, np.minimum(rows - first, per_task)])


def _piece(kind: str, operand: Operand, address: Addresses, rows: int, per_task: int) -> Pattern:
    """The part of a dense operand that belongs to a block's rows; they lie side by side."""
    base = address(operand)
    per_row = -(-operand.bytes // max(rows, 1))
    return Pattern(
        kind,
        "store" if kind == "write" else "load",
        chunk=per_row * per_task,
        base=base,
        coordinates=(per_row,),
        limit=base + operand.bytes,
    )


def _indexed(
    kind: str, operand: Operand, address: Addresses, row_bytes: int, numbers: np.ndarray
) -> Pattern:
    """The rows whose numbers stand at a block's place in the index."""
    return Pattern(
        kind,
        "load" if kind == "read" else "store",
        chunk=row_bytes,
        base=address(operand),
        coordinates=(1,),
        inner=Coordinate(1),
        inner_stride=row_bytes,
        index=numbers,
    )


def gather(spec: GpuSpec, work: Gather, address: Addresses) -> Sequence[Kernel]:
    """Copy rows of a table to consecutive rows."""
    if not work.rows or not work.row_bytes:
        return ()
    numbers = _numbers(work.index, work.rows, work.table_rows)
    per_task = _per_task(work.rows, work.row_bytes)
    fetch = _indexed("read", work.reads[0], address, work.row_bytes, numbers)
    steps: list[Step] = [start(spec)]
    steps += [
        Access(_piece("read", operand, address, work.rows, per_task))
        for operand in work.reads[1:2]
        if operand.bytes
    ]
    steps.append(Access(fetch))
    steps += [
        Access(_piece("write", operand, address, work.rows, per_task))
        for operand in work.writes[:1]
    ]
    program = Program((tuple(steps),))
    tasks = _pieces(work.rows, per_task)
    alike = work.index is None
    return (Kernel("gather", "sm", (program,), tasks, block_needs(), alike=alike),)


def scatter(spec: GpuSpec, work: Scatter, address: Addresses) -> Sequence[Kernel]:
    """Write or atomically add consecutive rows to rows of a table."""
    if not work.rows or not work.row_bytes:
        return ()
    numbers = _numbers(work.index, work.rows, work.table_rows)
    per_task = _per_task(work.rows, work.row_bytes)
    kind = "atomic" if work.atomic else "write"
    combine = _indexed(kind, work.writes[0], address, work.row_bytes, numbers)
    sources = [operand for operand in work.reads if operand.bytes][:2]
    steps: list[Step] = [start(spec)]
    steps += [
        Access(_piece("read", operand, address, work.rows, per_task), token="loaded")
        for operand in sources
    ]
    if sources:
        steps.append(Wait("loaded", len(sources)))
    steps.append(Access(combine))
    program = Program((tuple(steps),), {"loaded": 0})
    tasks = _pieces(work.rows, per_task)
    alike = work.index is None
    return (Kernel("scatter", "sm", (program,), tasks, block_needs(), alike=alike),)


def sparse_dense(spec: GpuSpec, work: SparseDense, address: Addresses) -> Sequence[Kernel]:
    """CSR times dense: blocks of about equal nonzeros, neighbours gathered row by row.

    A block's coordinates are its first nonzero, nonzeros, first row, rows, and sectors of
    each operand that has an entry per nonzero.
    """
    if not work.rows or not work.nonzeros:
        return ()
    columns = _numbers(work.indices, work.nonzeros, work.columns)
    if work.indptr is not None:
        indptr = np.ascontiguousarray(work.indptr, dtype=np.int64)
    else:
        indptr = np.arange(work.rows + 1, dtype=np.int64) * work.nonzeros // work.rows
    # Cut rows so that each block has about the same number of neighbours to visit.
    per_task = _per_task(work.nonzeros, work.row_bytes)
    wanted = np.arange(0, work.nonzeros, per_task, dtype=np.int64)
    first = np.unique(np.searchsorted(indptr, wanted, side="right") - 1)
    first[0] = 0
    stop = np.append(first[1:], work.rows)
    count = indptr[stop] - indptr[first]
    tasks = np.column_stack([np.zeros_like(first), indptr[first], count, first, stop - first])
    steps: list[Step] = [start(spec)]
    pointers, *entries = work.reads[1:] or (None,)
    if pointers is not None and pointers.bytes:
        steps.append(Access(_rows("read", pointers, address, work.rows)))
    for operand in entries[:2]:
        if not operand.bytes:
            continue
        each = -(-operand.bytes // work.nonzeros)
        tasks = np.column_stack([tasks, -(-count * each // SECTOR_BYTES)])
        base = address(operand)
        steps.append(
            Access(
                Pattern(
                    "read",
                    "load",
                    chunk=SECTOR_BYTES,
                    base=base,
                    coordinates=(each,),
                    inner=Coordinate(tasks.shape[1] - 2),
                    inner_stride=SECTOR_BYTES,
                    limit=base + operand.bytes,
                )
            )
        )
    steps.append(Access(_indexed("read", work.reads[0], address, work.row_bytes, columns)))
    steps.append(Compute("vector", Coordinate(1, vector_units(spec, 2 * work.width))))
    steps.append(Access(_rows("write", work.writes[0], address, work.rows)))
    program = Program((tuple(steps),))
    alike = work.indices is None
    return (Kernel("sparse-dense", "sm", (program,), tasks, block_needs(), alike=alike),)


def _rows(kind: str, operand: Operand, address: Addresses, rows: int) -> Pattern:
    """The rows of a dense operand that belong to a block of a sparse product."""
    base = address(operand)
    per_row = max(1, operand.bytes // rows)
    return Pattern(
        kind,
        "store" if kind == "write" else "load",
        chunk=per_row,
        base=base,
        coordinates=(0, 0, per_row),
        inner=Coordinate(3),
        inner_stride=per_row,
        limit=base + operand.bytes,
    )
