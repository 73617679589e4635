"""Kernels that walk memory: elementwise chains, norms, softmax, reductions.

A thread block loads its share of every input, computes, stores its share of the
output; many resident blocks hide each other's latency.  Work on hundreds of small
tensors (an optimizer step) becomes one kernel over a list of pieces, as PyTorch's
multi-tensor kernels do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.engine.assembly import FEMTO
from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Program,
    Step,
    Wait,
    grid,
)
from simulator.gpu.mapping.rates import special_units, vector_units
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Elementwise, Operand, RowWise, Work

BLOCK_THREADS = 256
BLOCK_REGISTERS = 32
PIECE_BYTES = 4096
"""Bytes a block takes of its largest operand: 256 threads with a 16-byte vector each."""
SECTOR_BYTES = 32
MAX_TASKS = 1 << 16
"""Beyond this many blocks each takes a larger piece; the simulated traffic is the same."""
STREAM_TASKS = 1 << 21
"""The same where all operands are dense: larger pieces would reach DRAM in another order."""
FEW_OPERANDS = 8


def block_needs(
    shared: int = 0, threads: int = BLOCK_THREADS, registers: int = BLOCK_REGISTERS
) -> dict[str, int]:
    """Resources of one thread block."""
    return {
        "threads": threads,
        "registers": threads * registers,
        "shared": shared,
        "blocks": 1,
    }


def start(spec: GpuSpec) -> Delay:
    """Ramp of a thread block: instruction fetch, parameters, first address."""
    return Delay(round(spec.chip.sm.block_start * FEMTO))


def elementwise(spec: GpuSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    """One pass over all operands."""
    if len(work.reads) + len(work.writes) > FEW_OPERANDS:
        return (_multi_tensor(spec, work, address),)
    largest = max((operand.bytes for operand in (*work.reads, *work.writes)), default=0)
    count = _tasks(largest, PIECE_BYTES)
    return (_walk(spec, work, address, "elementwise", count),)


def rowwise(spec: GpuSpec, work: RowWise, address: Addresses) -> Sequence[Kernel]:
    """Rows are kept on chip when they fit; otherwise each pass reads them again.

    Few long rows are split over many blocks. If they are reduced, a second kernel joins
    the parts; if not, each pass is a kernel, since it needs the whole row of the one before.
    """
    bytes_read = max(work.bytes_read, 1)
    row_bytes = -(-bytes_read // max(work.rows, 1))
    fits = row_bytes <= spec.chip.sm.shared_memory // 2
    passes = 1 if fits else work.passes
    split = not fits and work.rows < spec.chip.sms
    per_task = PIECE_BYTES if split else max(row_bytes, PIECE_BYTES)
    count = _tasks(bytes_read, per_task)
    if not split:
        count = min(count, max(work.rows, 1))
    reduces = work.bytes_written < work.bytes_read // 16
    if not split:
        return (_walk(spec, work, address, "rowwise", count, passes, loops=passes),)
    parts = replace(work, writes=())
    if not reduces:
        kernels = [
            _walk(spec, sweep, address, f"rowwise pass {number}", count, passes)
            for number, sweep in enumerate([parts] * (passes - 1) + [work], 1)
        ]
        return tuple(kernels)
    joined = Elementwise(work.writes, work.writes, elements=count)
    joins = _tasks(work.bytes_written, PIECE_BYTES)
    return (
        _walk(spec, parts, address, "rowwise parts", count, passes, loops=passes),
        _walk(spec, joined, address, "rowwise join", joins),
    )


def _tasks(size: int, piece: int) -> int:
    return max(1, min(STREAM_TASKS, -(-size // piece)))


def _pieces(operand: Operand, tasks: int) -> tuple[int, int]:
    """How many pieces of an operand one task touches, and their bytes: whole sectors."""
    share = -(-operand.bytes // tasks)
    count = -(-share // PIECE_BYTES)
    return count, -(-share // (count * SECTOR_BYTES)) * SECTOR_BYTES


def share(kind: str, operand: Operand, address: Addresses, tasks: int) -> Pattern:
    """A task's part of an operand that all tasks pass once."""
    base = address(operand)
    count, size = _pieces(operand, tasks)
    span = max(operand.span, operand.bytes)
    # A strided operand spreads the same bytes over a wider range.
    spread = max(1, span // max(operand.bytes, 1))
    return Pattern(
        kind,
        "store" if kind == "write" else "load",
        chunk=size,
        base=base,
        coordinates=(count * size * spread,),
        inner=count,
        inner_stride=size * spread,
        limit=base + max(operand.span, operand.bytes),
    )


def _walk(
    spec: GpuSpec,
    work: Work,
    address: Addresses,
    name: str,
    tasks: int,
    passes: int = 1,
    loops: int = 1,
) -> Kernel:
    """Reads every operand ``loops`` times, writes once; each time does one of the work's
    ``passes``."""
    operations = work.operations
    load: list[Step] = [
        Access(share("read", operand, address, tasks), token="loaded")
        for operand in work.reads
        if operand.bytes
    ]
    steps: list[Step] = [start(spec)]
    body: list[Step] = [*load]
    if load:
        body.append(Wait("loaded", len(load)))
    vector = vector_units(spec, operations.get("vector", 0) / tasks / passes)
    special = special_units(spec, operations.get("special", 0) / tasks / passes)
    if vector:
        body.append(Compute("vector", vector))
    if special:
        body.append(Compute("special", special))
    steps.extend(body if loops == 1 else [Loop(loops, tuple(body))])
    steps.extend(
        Access(share("write", operand, address, tasks)) for operand in work.writes if operand.bytes
    )
    program = Program((tuple(steps),), {"loaded": 0})
    return Kernel(name, "sm", (program,), grid(tasks), block_needs())


def _multi_tensor(spec: GpuSpec, work: Work, address: Addresses) -> Kernel:
    """Whole pieces and tails of many tensors; coordinates are address and sectors. Reads
    and writes alternate in proportion, so that every stretch of blocks has the same mix."""
    total = work.bytes_read + work.bytes_written
    piece = max(1, -(-total // (MAX_TASKS * PIECE_BYTES))) * PIECE_BYTES
    rows: list[np.ndarray] = []
    places: list[np.ndarray] = []
    for writes, operands in enumerate((work.reads, work.writes)):
        side: list[np.ndarray] = []
        for operand in operands:
            base = address(operand)
            whole, rest = divmod(operand.bytes, piece)
            starts = base + piece * np.arange(whole, dtype=np.int64)
            side.append(
                np.column_stack(
                    [np.full(whole, 2 * writes), starts, np.zeros(whole, dtype=np.int64)]
                )
            )
            if rest:
                side.append(np.array([[2 * writes + 1, base + whole * piece, -(-rest // 32)]]))
        if side:
            rows.append(np.concatenate(side))
            places.append(np.linspace(0, 1, len(rows[-1])))
    order = np.argsort(np.concatenate(places), kind="stable")
    tasks = np.concatenate(rows).astype(np.int64)[order]
    operations = work.operations
    reading = int((tasks[:, 0] < 2).sum()) or 1
    compute: list[Step] = []
    vector = vector_units(spec, operations.get("vector", 0) / reading)
    special = special_units(spec, operations.get("special", 0) / reading)
    if vector:
        compute.append(Compute("vector", vector))
    if special:
        compute.append(Compute("special", special))
    programs = []
    for kind, path in (("read", "load"), ("write", "store")):
        after = compute if kind == "read" else []
        whole_piece = Pattern(kind, path, chunk=piece, coordinates=(1,))
        tail = Pattern(kind, path, chunk=32, coordinates=(1,), inner=Coordinate(1), inner_stride=32)
        for pattern in (whole_piece, tail):
            programs.append(Program(((start(spec), Access(pattern), *after),)))
    return Kernel("multi-tensor", "sm", tuple(programs), tasks, block_needs())
