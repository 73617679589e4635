"""Work of the special-function lanes: elementwise operators and work along rows.

Operands stream from memory through the output buffer in tiles, or are on chip already.
Each lane takes one element a clock and pass; a pass chains a few operations.  Rows are
divided among the cores; where there are fewer rows than cores, the cores share each row
and combine their parts in a barrier.  A row too long for the buffer is read again for
each pass.  Copies that touch memory bypass the lanes.

Source: FlightLLM's artifact (special-function passes, rows streamed through the global
buffer).  Left out: fusion with a matrix product, gaps in windows of a tensor (streamed as
if dense), which lanes offer which function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.engine.platform import Addresses
from simulator.engine.program import Compute, Kernel, Release, Step, Wait
from simulator.fpga.mapping.data import Stream, on_chip, striped
from simulator.fpga.mapping.kernels import barrier, kernel
from simulator.fpga.mapping.sections import Section
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Elementwise, Operand, RowWise

TILES_IN_BUFFER = 8
SEPARATE_STREAMS = 4
"""Operands with loads of their own; a longer list is streamed as one."""


def elementwise(spec: FpgaSpec, work: Elementwise, address: Addresses) -> list[Kernel]:
    """Each core takes an equal part of the elements."""
    operations = work.vector_per_element + work.special_per_element
    passes = max(1, math.ceil(operations / spec.core.lane_operations))
    moved = [x for x in (*work.reads, *work.writes) if x.bytes and not on_chip(spec, x)]
    if operations == 0 and moved:
        passes = 0
    if not work.elements:
        return []
    parts = min(spec.total_cores, -(-work.elements // spec.core.special_lanes))
    section = streamed(spec, address, work.reads, work.writes, work.elements * passes, parts)
    return [kernel(spec, "elementwise", [section] * parts)]


def rowwise(spec: FpgaSpec, work: RowWise, address: Addresses) -> list[Kernel]:
    """Each core takes whole rows, or a part of each of a few."""
    elements = work.rows * work.columns
    if not elements:
        return []
    passes = _passes(spec, work)
    units = elements * passes + work.rows * work.special_per_row
    row_bytes = sum(operand.bytes for operand in work.reads) / work.rows
    walks = work.passes if row_bytes > spec.core.buffers.outputs / 2 else 1
    shared = work.rows < spec.cores and work.columns >= spec.cores * spec.core.special_lanes
    # Several cards each walk few rows on their own: cheaper than to meet over the ring.
    alone = spec.cards > 1 and work.rows < spec.total_cores
    parts = spec.cores if shared or alone else min(spec.total_cores, work.rows)
    section = streamed(spec, address, work.reads, work.writes, units, parts, walks)
    if shared and spec.cores > 1:
        section = section.then(Section(special=barrier(spec, spec.total_cores)))
    return [kernel(spec, "rowwise", [section] * (spec.total_cores if alone else parts))]


def _passes(spec: FpgaSpec, work: RowWise) -> int:
    """Walks of the lanes over a row: the design's own for norms and softmax."""
    operations = work.vector_per_element + work.special_per_element
    chained = max(1, math.ceil(operations / spec.core.lane_operations))
    if work.passes == 3 and work.special_per_element:
        return max(spec.core.passes.softmax, chained)
    if work.passes == 2 and work.special_per_row:
        return max(spec.core.passes.norm, chained)
    return max(work.passes, chained)


def streamed(
    spec: FpgaSpec,
    address: Addresses,
    reads: Sequence[Operand],
    writes: Sequence[Operand],
    units: int,
    parts: int,
    walks: int = 1,
) -> Section:
    """One of ``parts`` equal shares: load tiles, pass them through the lanes, store them."""
    sources = _streams(spec, address, reads, parts, walks)
    sinks = _streams(spec, address, writes, parts)
    total = sum(stream.unit for stream in (*sources, *sinks))
    tiles = max(1, math.ceil(total * TILES_IN_BUFFER / spec.core.buffers.outputs))
    share = 1 / tiles
    held = math.ceil(total * share)
    loads = _moved(spec, "read", sources, share)
    stores = _moved(spec, "write", sinks, share)
    lanes = spec.core.special_lanes
    work = -(-math.ceil(units / parts / tiles) // lanes) * lanes
    room: tuple[Step, ...] = (Wait("outputs_room", held),) if held else ()
    free: tuple[Step, ...] = (Release("outputs_room", held),) if held else ()
    return Section(
        load=(*room, *loads, Release("operands")) if loads else (),
        special=(
            *((Wait("operands"),) if loads else room),
            *((Compute("special", work),) if work else ()),
            *((Release("computed"),) if stores else free),
        ),
        store=(Wait("computed"), *stores, *free) if stores else (),
    ).repeat(tiles)


def _streams(
    spec: FpgaSpec, address: Addresses, operands: Sequence[Operand], parts: int, walks: int = 1
) -> list[Stream]:
    """A core's share of each operand that lies in memory, its unit the whole share."""
    outside = [operand for operand in operands if operand.bytes and not on_chip(spec, operand)]
    streams = [
        Stream(address(operand) // spec.total_cores, operand.bytes * walks / parts)
        for operand in outside
    ]
    if len(streams) <= SEPARATE_STREAMS:
        return streams
    return [Stream(streams[0].base, sum(stream.unit for stream in streams))]


def _moved(spec: FpgaSpec, kind: str, streams: Sequence[Stream], share: float) -> tuple[Step, ...]:
    return tuple(
        step for stream in streams for step in striped(spec, kind, stream, share, strides=(share,))
    )
