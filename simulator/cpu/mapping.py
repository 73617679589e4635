"""From work to loops of a processor: every thread streams its share of every operand.

A loop over fewer elements than the grain stays on one core, others are divided among all of
them, attention by heads.  A thread's loads run ahead of its arithmetic by what a core may have
outstanding, which over their latency is its bandwidth (Little's law).  16-bit operands are
widened in the lanes, one operation an element; a function costs ``chip.special``.  Rows that fit
the private cache are walked once.

Memory-bound work only: blocking for caches and registers is left out, so products whose
multiply-adds take longer than their operands' way from memory are refused, as are scatters and
sparse products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.cpu.machine import CORE, LANES
from simulator.cpu.spec import CpuSpec
from simulator.engine.assembly import FEMTO
from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Step,
    Wait,
    grid,
)
from simulator.errors import UnmappedOperatorError
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    GroupedGemm,
    Operand,
    RowWise,
    Unmapped,
    View,
    Work,
)

AHEAD = 4
"""Pieces into which the bytes that a core may have outstanding are divided."""
NARROW_BITS = 16
SEED = 0
"""Of row numbers that no trace recorded."""


def kernels(spec: CpuSpec, work: Work, address: Addresses) -> Sequence[Kernel]:
    """What the cores run for one piece of work. Raises UnmappedOperatorError."""
    match work:
        case View():
            return ()
        case Gemm() | GroupedGemm():
            elements = work.operations["matrix"] // 2
            _memory_bound(spec, work)
        case Attention() if not work.backward:
            _memory_bound(spec, work)
            units = work.batch * work.kv_heads
            return (_streamed(spec, work, address, units),) if work.pairs else ()
        case Elementwise():
            elements = work.elements
        case RowWise():
            elements = work.rows * work.columns
        case Gather():
            return _gather(work, address)
        case _:
            name = work.name if isinstance(work, Unmapped) else work.kind
            raise UnmappedOperatorError(
                f"no CPU loop for '{name}': this kind of device runs memory-bound work only",
                where=spec.name,
                remedy="run it on a GPU, or with --approximate-unmapped as its memory traffic",
            )
    if not elements and not (work.bytes_read or work.bytes_written):
        return ()
    threads = min(spec.chip.cores, -(-elements // spec.launch.grain))
    return (_streamed(spec, work, address, max(1, threads)),)


def lane_operations(spec: CpuSpec, work: Work) -> int:
    """Lane operations of the work; a multiply-add is one."""
    operations = work.operations
    products = operations.get("matrix", 0) // 2
    widened = sum(8 * one.bytes // one.bits for one in work.reads if one.bits <= NARROW_BITS)
    special = operations.get("special", 0) * spec.chip.special
    return products + operations.get("vector", 0) + special + (widened if products else 0)


def _memory_bound(spec: CpuSpec, work: Work) -> None:
    """Refuse products whose arithmetic takes longer than their operands' way from memory."""
    arithmetic = lane_operations(spec, work) / spec.lane_peak
    moved = (work.bytes_read + work.bytes_written) / spec.memory.peak_bytes_per_s
    if arithmetic > moved:
        raise UnmappedOperatorError(
            f"'{work.kind}' is bound by arithmetic ({arithmetic * 1e6:.0f} us of lanes, "
            f"{moved * 1e6:.0f} us of memory), and this device runs memory-bound work only",
            where=spec.name,
            remedy="choose a smaller batch or the decode phase, or another kind of device",
        )


def _walks(spec: CpuSpec, work: Work) -> int:
    if not isinstance(work, RowWise):
        return 1
    row = -(-work.bytes_read // max(work.rows, 1))
    return work.passes if row > spec.chip.private else 1


def _streamed(spec: CpuSpec, work: Work, address: Addresses, tasks: int) -> Kernel:
    """``tasks`` equal shares: pieces of every operand, loaded ahead of the arithmetic."""
    line = spec.llc.line
    piece_bytes = max(line, spec.chip.bytes_in_flight // AHEAD)
    reads = [one for one in work.reads if one.bytes]
    writes = [one for one in work.writes if one.bytes]
    longest = max((one.bytes for one in (*reads, *writes)), default=0)
    pieces = max(1, -(-longest // (tasks * piece_bytes)))

    def piece(kind: str, operand: Operand) -> Pattern:
        size = line * -(-operand.bytes // (tasks * pieces * line))
        base = address(operand)
        span = max(operand.span, operand.bytes)
        # A strided operand has a share of its bytes in an equal share of its range.
        stride = max(size * pieces, -(-span // (tasks * line)) * line)
        port = "store" if kind == "write" else "load"
        return Pattern(
            kind,
            port,
            chunk=size,
            base=base,
            coordinates=(stride,),
            loops=(size,),
            limit=base + span,
        )

    walks = _walks(spec, work)
    units = -(-lane_operations(spec, work) // (tasks * pieces * walks))
    loads: list[Step] = [Wait("room"), *(Access(piece("read", one), "loaded") for one in reads)]
    body: list[Step] = [Wait("loaded", len(reads))] if reads else []
    body += [Compute(LANES, units)] if units else []
    body += [Release("room")] if reads else []
    stores = [Access(piece("write", one)) for one in writes]
    passes: list[Step] = [Loop(pieces * (walks - 1), tuple(body))] if walks > 1 else []
    loop = Loop(pieces, (*body, *stores), alike=True)
    threads = [(*passes, loop)]
    if reads:
        again = [Loop(pieces, tuple(loads))] * (walks - 1)
        threads.append((*again, Loop(pieces, tuple(loads), alike=True)))
    program = Program(
        tuple(threads), {"loaded": 0, "room": spec.chip.bytes_in_flight // piece_bytes}
    )
    fork = round(spec.launch.fork * FEMTO) if tasks > 1 else 0
    name = f"{work.kind} on {min(tasks, spec.chip.cores)} cores"
    return Kernel(name, CORE, (program,), grid(tasks), {"thread": 1}, ramp=fork)


def _gather(work: Gather, address: Addresses) -> Sequence[Kernel]:
    """Rows of a table, one after the other on one core."""
    if not work.rows or not work.row_bytes:
        return ()
    numbers = work.index
    if numbers is None:
        generator = np.random.default_rng(SEED)
        numbers = generator.integers(0, max(work.table_rows, 1), work.rows, dtype=np.int64)
    numbers = np.ascontiguousarray(numbers, dtype=np.int64).ravel()[: work.rows]
    table, out = work.reads[0], work.writes[0]
    fetch = Pattern(
        "read",
        "load",
        chunk=work.row_bytes,
        base=address(table),
        inner=work.rows,
        inner_stride=work.row_bytes,
        index=numbers,
    )
    base = address(out)
    keep = Pattern("write", "store", chunk=out.bytes, base=base, limit=base + out.bytes)
    program = Program(((Access(fetch), Access(keep)),))
    return (Kernel("gather on 1 core", CORE, (program,), grid(1), {"thread": 1}),)
