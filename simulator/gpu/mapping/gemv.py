"""One row of A times B on the vector lanes: a kernel that does nothing but stream B.

A thread block owns a few rows of B along K; its threads hold their pieces in registers, multiply,
fetch the next, and add up at the end.  No tile is filled, K is not split over kernels.  Libraries
have such kernels for some GPUs only (``launch.gemv_rows``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import Access, Compute, Kernel, Loop, Pattern, Program, Step, Wait
from simulator.gpu.mapping.rates import vector_units
from simulator.gpu.mapping.streams import BLOCK_THREADS, block_needs, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Gemm, Operand

ROWS = (8, 4, 2, 1)
"""Of B in a block: as many as leave a block for every SM."""
HELD_BYTES = 64
"""Of B in a thread's registers: four 16-byte vectors."""
REGISTERS = 64
VECTOR_PER_ELEMENT = 2
"""Conversion to fp32, multiply-add."""


def gemv(
    spec: GpuSpec, work: Gemm, row: Operand, rows: Operand, address: Addresses
) -> Sequence[Kernel]:
    """``work.batch`` times C (n) of ``row`` (k) and ``rows`` (n, k)."""
    n = max(work.m, work.n)
    total = work.batch * n
    each = next((each for each in ROWS if total >= each * spec.chip.sms), ROWS[-1])
    owned = max(1, each * rows.bytes // total)
    steps = _steps(owned, each)
    blocks = math.ceil(total / each)
    row_bytes = max(1, row.bytes // work.batch)
    load = Pattern(
        "read",
        "load",
        chunk=-(-owned // steps),
        base=address(rows),
        coordinates=(owned,),
        loops=(-(-owned // steps),),
        limit=address(rows) + max(rows.span, rows.bytes),
    )
    vector = Pattern("read", "load", chunk=row_bytes, base=address(row), coordinates=(0, row_bytes))
    added = [
        Access(_share("read", operand, blocks, address), "added")
        for operand in work.reads[2:]
        if operand.bytes
    ]
    units = vector_units(spec, VECTOR_PER_ELEMENT * each * work.k / steps)
    body = (Access(load, "held"), Wait("held"), Compute("vector", units))
    # The row arrives beside the first pieces of the matrix; the last step has needed all of it.
    first = (start(spec), Access(vector, "row"), Loop(steps, body, alike=True), Wait("row"))
    last: tuple[Step, ...] = (*added, Wait("added", len(added))) if added else ()
    store = Access(_share("write", work.writes[0], blocks, address))
    program = Program(((*first, *last, store),), {"row": 0, "held": 0, "added": 0})
    numbers = np.arange(blocks, dtype=np.int64)
    tasks = np.column_stack([np.zeros_like(numbers), numbers, numbers * each // n])
    return (Kernel("gemv", "sm", (program,), tasks, block_needs(registers=REGISTERS)),)


def _steps(owned: int, each: int) -> int:
    """Equal pieces of a block's rows that its registers can hold; whole rows if there are none."""
    fewest = math.ceil(owned / (BLOCK_THREADS * HELD_BYTES))
    return next((steps for steps in range(fewest, 2 * fewest + 1) if owned % steps == 0), each)


def _share(kind: str, operand: Operand, blocks: int, address: Addresses) -> Pattern:
    """A block's part of an operand that all blocks pass once."""
    size = -(-operand.bytes // blocks)
    base = address(operand)
    return Pattern(
        kind,
        "store" if kind == "write" else "load",
        chunk=size,
        base=base,
        coordinates=(size,),
        limit=base + max(operand.span, operand.bytes),
    )
