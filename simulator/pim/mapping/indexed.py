"""Gathers, scatters and sparse products: recorded rows, one by one, on the controller.

Rows of a table that is not in the SRAM are ordinary accesses at their recorded numbers, so
locality decides how many DRAM rows open; there is no cache.  Rows are taken in blocks
that fit a part of the SRAM.  A scatter that adds reads a row, adds on the lanes and writes it
back; rows that meet in one block are not merged.  Where the result is more than the
scattered rows (out of place), all of it is written first.  A sparse product gathers a
row of the dense matrix for each nonzero and writes each result row once.
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
from simulator.pim.mapping.controller import block_bytes, streamed, streaming
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.spec import PimSpec
from simulator.trace.work import Gather, Operand, Scatter, SparseDense

STAND_IN_SEED = 0
"""Row numbers that were not recorded are drawn evenly, always the same."""


def _rows(index: np.ndarray | None, rows: int, table_rows: int) -> np.ndarray:
    """Recorded row numbers, or even ones in their place."""
    if index is not None:
        return np.ascontiguousarray(index, dtype=np.int64).reshape(-1)
    generator = np.random.default_rng(STAND_IN_SEED)
    return generator.integers(0, max(1, table_rows), size=rows, dtype=np.int64)


def _indexed(
    spec: PimSpec,
    name: str,
    numbers: np.ndarray,
    row_bytes: int,
    table: Operand,
    table_kinds: tuple[str, ...],
    reads: Sequence[Operand],
    writes: Sequence[Operand],
    lanes_per_row: int,
    address: Addresses,
) -> Kernel:
    """Blocks of indexed rows, with even shares of the streamed operands beside them."""
    geometry = Geometry.of(spec)
    count = len(numbers)
    per_block = max(1, block_bytes(geometry) // (2 * max(1, row_bytes)))
    blocks = ceil_div(count, per_block)

    def share(kind: str, operand: Operand, token: str) -> Access:
        size = geometry.column_bytes * ceil_div(operand.bytes, blocks * geometry.column_bytes)
        base = address(operand)
        limit = base + operand.bytes
        place = (0, 0, size)
        pattern = Pattern(
            kind, geometry.path, chunk=size, base=base, coordinates=place, limit=limit
        )
        return Access(pattern, token)

    def rows(kind: str, token: str) -> Access:
        pattern = Pattern(
            kind,
            geometry.path,
            chunk=row_bytes,
            base=address(table),
            coordinates=(1,),
            inner=Coordinate(1),
            inner_stride=row_bytes,
            index=numbers,
        )
        return Access(pattern, token)

    stored = not geometry.resident(table)
    loads = [share("read", operand, "loaded") for operand in streamed(geometry, reads)]
    stores = [share("write", operand, "stored") for operand in streamed(geometry, writes)]
    if stored and "read" in table_kinds:
        loads.append(rows("read", "loaded"))
    if stored and "write" in table_kinds:
        stores.append(rows("write", "stored"))
    steps: list[Step] = list(loads)
    if loads:
        steps.append(Wait("loaded", len(loads)))
    steps.append(Compute("vector", Coordinate(1, lanes_per_row)))
    steps.extend(stores)
    tasks = np.zeros((blocks, 4), dtype=np.int64)
    tasks[:, 1] = np.arange(blocks) * per_block
    tasks[:, 2] = np.minimum(per_block, count - tasks[:, 1])
    tasks[:, 3] = np.arange(blocks)
    program = Program((tuple(steps),), {"loaded": 0, "stored": 0})
    needs = {"sram": min(geometry.sram_bytes, max(1, 2 * per_block * row_bytes))}
    return Kernel(name, "controller", (program,), tasks, needs=needs)


def _moved(row_bytes: int, operand: Operand) -> int:
    """Elements of a row; each holds a lane for a clock when it is moved."""
    return max(1, 8 * row_bytes // max(1, operand.bits))


def gather(spec: PimSpec, work: Gather, address: Addresses) -> Sequence[Kernel]:
    if not work.rows or not work.row_bytes:
        return ()
    table, *others = work.reads
    numbers = _rows(work.index, work.rows, work.table_rows)
    name = f"gather {work.rows} rows of {work.row_bytes} B"
    lanes = _moved(work.row_bytes, table)
    return (
        _indexed(
            spec,
            name,
            numbers,
            work.row_bytes,
            table,
            ("read",),
            others,
            work.writes,
            lanes,
            address,
        ),
    )


def scatter(spec: PimSpec, work: Scatter, address: Addresses) -> Sequence[Kernel]:
    if not work.rows or not work.row_bytes:
        return ()
    table, *others = work.writes
    numbers = _rows(work.index, work.rows, work.table_rows)
    kinds = ("read", "write") if work.atomic else ("write",)
    name = f"scatter {work.rows} rows of {work.row_bytes} B"
    lanes = _moved(work.row_bytes, table)
    rows = _indexed(
        spec,
        name,
        numbers,
        work.row_bytes,
        table,
        kinds,
        work.reads,
        others,
        lanes,
        address,
    )
    if table.bytes <= work.rows * work.row_bytes:
        return (rows,)
    moved = 8 * table.bytes // max(1, table.bits)
    return (streaming(spec, f"fill {table.bytes} B", (), (table,), moved, address), rows)


def sparse_dense(spec: PimSpec, work: SparseDense, address: Addresses) -> Sequence[Kernel]:
    if not work.nonzeros or not work.row_bytes:
        return ()
    dense, *others = work.reads
    numbers = _rows(work.indices, work.nonzeros, work.columns)
    name = f"sparse product {work.rows} rows, {work.nonzeros} nonzeros of {work.row_bytes} B"
    lanes = max(1, 2 * work.width)
    return (
        _indexed(
            spec,
            name,
            numbers,
            work.row_bytes,
            dense,
            ("read",),
            others,
            work.writes,
            lanes,
            address,
        ),
    )
