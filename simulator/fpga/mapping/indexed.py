"""Gathers, scatters and sparse-dense products: rows at recorded places.

A core takes a contiguous part of the index and fetches the rows it names, wherever they
lie, as bursts through its ``cross`` port; each row number is read from memory too.  A
scatter that combines reads the old row, adds on the lanes and writes it back.  A sparse
matrix is divided by rows, so uneven rows leave cores idle.

Row numbers that were not recorded are drawn uniformly, from a seed that depends on the
sizes alone.  Left out: caching of rows on chip, hazards between scatters to one row, rows
in the order of their banks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Kernel,
    Pattern,
    Release,
    Step,
    Wait,
)
from simulator.fpga.mapping.data import on_chip, own_stream, stores, striped
from simulator.fpga.mapping.kernels import indexed_kernel, kernel
from simulator.fpga.mapping.lanes import TILES_IN_BUFFER
from simulator.fpga.mapping.sections import Section, Span, spans, split, sweep
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Gather, Operand, Scatter, SparseDense

Stage = Callable[[Span], tuple[Step, ...]]


def gather(spec: FpgaSpec, work: Gather, address: Addresses) -> list[Kernel]:
    """Rows of a table, stored in order."""
    if not work.rows * work.row_bytes:
        return []
    table, *indices = work.reads
    index = _index(work.index, work.rows, work.table_rows)
    out = own_stream(spec, address, work.writes[0], work.rows)
    inside = on_chip(spec, table)

    def fetch(tile: Span) -> tuple[Step, ...]:
        return () if inside else _rows(spec, "read", address(table), work.row_bytes, index, tile)

    def store(tile: Span) -> tuple[Step, ...]:
        return striped(spec, "write", out, tile.size, tile.first, (tile.size,))

    lanes = work.row_bytes if inside else 0
    shares = split(work.rows, spec.total_cores)
    return [_kernel(spec, "gather", shares, work.row_bytes, address, indices, fetch, store, lanes)]


def scatter(spec: FpgaSpec, work: Scatter, address: Addresses) -> list[Kernel]:
    """Rows written to, or combined with, rows of a table; what else of the table is written
    (zeros, or a copy) is stored first."""
    if not work.rows * work.row_bytes:
        return []
    values, *others = work.reads
    table = work.writes[0]
    index = _index(work.index, work.rows, work.table_rows)
    source = own_stream(spec, address, values, work.rows)
    inside = on_chip(spec, table)

    def rows(kind: str, tile: Span) -> tuple[Step, ...]:
        return () if inside else _rows(spec, kind, address(table), work.row_bytes, index, tile)

    def fetch(tile: Span) -> tuple[Step, ...]:
        given = striped(spec, "read", source, tile.size, tile.first, (tile.size,))
        return (*given, *(rows("read", tile) if work.atomic else ()))

    def store(tile: Span) -> tuple[Step, ...]:
        return rows("write", tile)

    lanes = -(-work.row_bytes // 4) if work.atomic or inside else 0
    shares = split(work.rows, spec.total_cores)
    rest = max(0, table.bytes - work.rows * work.row_bytes)
    filled = Section(store=stores(spec, address, (replace(table, bytes=rest),)))
    return [
        *([kernel(spec, "fill", [filled] * spec.total_cores)] if rest and not inside else []),
        _kernel(spec, "scatter", shares, work.row_bytes, address, others, fetch, store, lanes),
    ]


def sparse_dense(spec: FpgaSpec, work: SparseDense, address: Addresses) -> list[Kernel]:
    """Rows of a dense matrix summed along the rows of a sparse one."""
    if not work.nonzeros * work.row_bytes:
        return []
    dense, *others = work.reads
    index = _index(work.indices, work.nonzeros, work.columns)
    shares = _nonzeros(work, spec.total_cores)
    # Each core stores its rows as it goes: an equal part of the result for each neighbour.
    out = own_stream(spec, address, work.writes[0], work.nonzeros)
    inside = on_chip(spec, dense)

    def fetch(tile: Span) -> tuple[Step, ...]:
        return () if inside else _rows(spec, "read", address(dense), work.row_bytes, index, tile)

    def store(tile: Span) -> tuple[Step, ...]:
        return striped(spec, "write", out, tile.size, tile.first, (tile.size,))

    return [
        _kernel(
            spec, "sparse dense", shares, work.row_bytes, address, others, fetch, store, work.width
        )
    ]


def _kernel(
    spec: FpgaSpec,
    name: str,
    shares: Sequence[int],
    row_bytes: int,
    address: Addresses,
    indices: Sequence[Operand],
    fetch: Stage,
    store: Stage,
    lane_elements: int,
) -> Kernel:
    """Fetch, combine and store tiles of rows; ``lane_elements`` a row pass the lanes."""
    total = sum(shares)
    tile_rows = max(1, spec.core.buffers.outputs // (TILES_IN_BUFFER * row_bytes))
    numbers = [own_stream(spec, address, operand, total) for operand in indices]
    lanes = spec.core.special_lanes

    def section(share: int) -> Section:
        def held(tile: Span) -> int:
            return min(tile.size * row_bytes, spec.core.buffers.outputs)

        def load(tile: Span) -> tuple[Step, ...]:
            named = (
                step
                for stream in numbers
                for step in striped(spec, "read", stream, tile.size, tile.first, (tile.size,))
            )
            return (Wait("outputs_room", held(tile)), *named, *fetch(tile), Release("operands"))

        def combine(tile: Span) -> tuple[Step, ...]:
            units = tile.size * math.ceil(lane_elements / lanes) * lanes
            run = (Compute("special", units),) if units else ()
            done = Release("computed") if store(tile) else Release("outputs_room", held(tile))
            return (Wait("operands"), *run, done)

        def write(tile: Span) -> tuple[Step, ...]:
            written = store(tile)
            return (
                (Wait("computed"), *written, Release("outputs_room", held(tile))) if written else ()
            )

        tiles = (spans(share, tile_rows),)
        return Section(
            load=sweep(tiles, load), special=sweep(tiles, combine), store=sweep(tiles, write)
        )

    starts = [sum(shares[:core]) for core in range(len(shares))]
    return indexed_kernel(spec, name, [section(share) for share in shares], starts)


def _rows(
    spec: FpgaSpec, kind: str, base: int, row_bytes: int, index: np.ndarray, tile: Span
) -> tuple[Step, ...]:
    """A tile of rows at the places the index names, through the ``cross`` port."""
    return (
        Access(
            Pattern(
                kind,
                f"cross_{kind}",
                chunk=row_bytes,
                base=base,
                # The task's place in the index, plus the tile's: its second coordinate is 1.
                coordinates=(1, tile.first),
                loops=(tile.size,),
                inner=tile.size,
                inner_stride=row_bytes,
                index=index,
            )
        ),
    )


def _index(recorded: np.ndarray | None, rows: int, table_rows: int) -> np.ndarray:
    if recorded is not None:
        return np.ascontiguousarray(recorded, dtype=np.int64)
    return np.random.default_rng((rows, table_rows)).integers(0, max(table_rows, 1), rows)


def _nonzeros(work: SparseDense, cores: int) -> list[int]:
    """Neighbours of each core's rows."""
    if work.indptr is None:
        return split(work.nonzeros, cores)
    ends = np.cumsum([0, *split(work.rows, cores)])
    return [int(count) for count in np.diff(work.indptr[ends])]
