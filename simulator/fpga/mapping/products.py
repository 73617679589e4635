"""One matrix product on one core, in matrix-vector or in matrix mode.

*Matrix-vector mode* keeps the vectors in the activation buffer and streams weights through
the weight buffer: per instruction a fixed number of output columns, the depth cut into
parts of which two fit the buffer.  *Matrix mode* keeps a block of rows in the weight
buffer and streams weights, a few columns at a time, through the activation buffer; each
column block lies in one channel, so consecutive loads use different ports.  Instructions
always take the time of their full number of columns and rows.

Source: FlightLLM's artifact (instruction generators of linear layers).  Left out: blocks of
rows that share one pass over the weights, overlap of two instructions' fills.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.engine.program import Compute, Release, Step, Wait
from simulator.fpga.mapping.data import Stream, single, striped
from simulator.fpga.mapping.sections import Section, Span, spans, sweep
from simulator.fpga.spec import FpgaSpec

ARRAY_BITS = 8
"""Operand width of the array; narrower weights are widened when they are loaded."""


@dataclass(frozen=True, slots=True)
class Product:
    """``rows`` x ``depth`` times ``depth`` x ``columns``, as far as one core computes it.

    ``weights`` streams columns, ``inputs`` rows, ``results`` elements.
    """

    rows: int
    columns: int
    depth: int
    weights: Stream
    inputs: Stream
    results: Stream
    input_bits: int = ARRAY_BITS
    weight_bits: int = ARRAY_BITS
    density: float = 1.0
    work: float = 1.0
    """Products like this one that the same operands go through."""

    @property
    def passes(self) -> int:
        """Operands wider than the array go through it piece by piece."""
        return math.ceil(self.input_bits / ARRAY_BITS) * math.ceil(self.weight_bits / ARRAY_BITS)

    @property
    def weight_bytes(self) -> float:
        """One weight in a buffer."""
        return max(self.weight_bits, ARRAY_BITS) / 8 * self.density

    @property
    def input_bytes(self) -> float:
        """One input in a buffer."""
        return max(self.input_bits, ARRAY_BITS) / 8

    def macs(self, rows: int, columns: int, depth: int) -> int:
        """Multiply-adds of one instruction, its padding included."""
        return math.ceil(rows * columns * depth * self.density * self.passes * self.work)


def vector_macs(spec: FpgaSpec, rows: int, columns: int, depth: int) -> int:
    """Padded multiply-adds in matrix-vector mode."""
    outputs = spec.core.gemv.outputs
    return rows * -(-columns // outputs) * outputs * _padded(depth, spec.core.gemv.k)


def matrix_macs(spec: FpgaSpec, rows: int, columns: int, depth: int) -> int:
    """Padded multiply-adds in matrix mode."""
    gemm = spec.core.gemm
    return _padded(rows, gemm.m) * _padded(columns, gemm.outputs) * _padded(depth, gemm.k)


def prefers_vectors(spec: FpgaSpec, product: Product) -> bool:
    """Whether matrix-vector mode is possible and takes fewer cycles."""
    size = (product.rows, product.columns, product.depth)
    if product.rows * product.depth * product.input_bytes > spec.core.buffers.activations:
        return False
    in_vectors = vector_macs(spec, *size) / spec.core.gemv.macs
    return in_vectors <= matrix_macs(spec, *size) / spec.core.gemm.macs


def deepest(spec: FpgaSpec, product: Product) -> int:
    """The depth whose block of rows still fits the weight buffer in matrix mode."""
    gemm = spec.core.gemm
    fits = int(spec.core.buffers.weights // (gemm.m * product.input_bytes))
    return max(gemm.k, fits // gemm.k * gemm.k)


def product(spec: FpgaSpec, one: Product) -> Section:
    """The product in the mode that suits it."""
    return matrix_vector(spec, one) if prefers_vectors(spec, one) else matrix_matrix(spec, one)


def matrix_vector(spec: FpgaSpec, one: Product) -> Section:
    """Vectors stay, weights stream."""
    gemv = spec.core.gemv
    part = _part(one.depth, gemv.k, gemv.outputs * one.weight_bytes, spec.core.buffers.weights)
    levels = (spans(one.columns, gemv.outputs), spans(one.depth, part))

    def held(depth: Span) -> int:
        size = math.ceil(gemv.outputs * depth.size * one.weight_bytes)
        return min(size, spec.core.buffers.weights)

    def tile(columns: Span, depth: Span) -> tuple[Step, ...]:
        share = columns.size / one.depth
        return striped(
            spec,
            "read",
            one.weights,
            depth.size * share,
            first=columns.first + depth.first * share,
            strides=(columns.size, depth.size * share),
        )

    def load(columns: Span, depth: Span) -> tuple[Step, ...]:
        loads = tile(columns, depth)
        room = Wait("weights_room", held(depth))
        return (room, *loads, Release("stationary")) if loads else ()

    def compute(columns: Span, depth: Span) -> tuple[Step, ...]:
        size = _padded(depth.size, gemv.k)
        run = Compute("gemv", one.macs(one.rows, gemv.outputs, size))
        if not tile(columns, depth):
            return (run,)
        return (Wait("stationary"), run, Release("weights_room", held(depth)))

    def store(columns: Span) -> tuple[Step, ...]:
        stores = striped(
            spec,
            "write",
            one.results,
            columns.size * one.rows,
            first=columns.first * one.rows,
            strides=(columns.size * one.rows,),
        )
        return (Wait("results"), *stores) if stores else ()

    vectors = single("read", "cross_read", one.inputs, one.rows)
    stored = sweep(levels[:1], store)
    matrix = sweep(
        levels[:1],
        lambda columns: (
            *sweep((levels[1],), lambda depth: compute(columns, depth)),
            *((Release("results"),) if stored else ()),
        ),
    )
    return Section(
        load=(*vectors, *((Release("vectors"),) if vectors else ()), *sweep(levels, load)),
        matrix=(*((Wait("vectors"),) if vectors else ()), *matrix),
        store=stored,
    )


def matrix_matrix(spec: FpgaSpec, one: Product) -> Section:
    """A block of rows stays, weights stream in blocks of columns."""
    gemm, buffers = spec.core.gemm, spec.core.buffers
    blocks = -(-one.columns // gemm.outputs)
    block_columns = one.columns / blocks
    part = _part(one.depth, gemm.k, gemm.outputs * one.weight_bytes, buffers.activations)
    rows_levels = spans(one.rows, gemm.m)
    groups = spans(blocks, spec.channels.per_core)
    parts = spans(one.depth, part)
    rows_held = min(math.ceil(gemm.m * one.depth * one.input_bytes), buffers.weights)

    def weights(rows: Span, group: Span, block: int, depth: Span) -> tuple[Step, ...]:
        share = block_columns / one.depth
        return single(
            "read",
            f"read{block}",
            one.weights,
            depth.size * share,
            first=group.first * block_columns + depth.first * share,
            # The same weights again for every block of rows.
            strides=(0, group.size * block_columns, depth.size * share),
            spread=spec.channels.per_core,
        )

    def held(depth: Span) -> int:
        return min(math.ceil(gemm.outputs * depth.size * one.weight_bytes), buffers.activations)

    def load_rows(rows: Span) -> tuple[Step, ...]:
        loads = single(
            "read",
            "cross_read",
            one.inputs,
            rows.size,
            first=rows.first,
            strides=(rows.size,),
        )
        room = Wait("weights_room", rows_held)
        return (room, *loads, Release("stationary")) if loads else ()

    def load(rows: Span) -> tuple[Step, ...]:
        def group_loads(group: Span) -> tuple[Step, ...]:
            def part_load(block: int, depth: Span) -> tuple[Step, ...]:
                loads = weights(rows, group, block, depth)
                room = Wait("activations_room", held(depth))
                return (room, *loads, Release("streamed")) if loads else ()

            return tuple(
                step
                for block in range(group.size)
                for step in sweep((parts,), lambda depth, block=block: part_load(block, depth))
            )

        return (*load_rows(rows), *sweep((groups,), group_loads))

    def output_bytes(rows: Span) -> int:
        size = math.ceil(rows.size * block_columns * one.results.unit)
        return min(size, buffers.outputs)

    def stores(rows: Span, group: Span, block: int) -> tuple[Step, ...]:
        return single(
            "write",
            f"write{block}",
            one.results,
            rows.size * block_columns,
            first=rows.first * one.columns + group.first * rows.size * block_columns,
            strides=(rows.size * one.columns, group.size * rows.size * block_columns),
            spread=spec.channels.per_core,
        )

    def compute(rows: Span) -> tuple[Step, ...]:
        has_rows = bool(load_rows(rows))

        def group_work(group: Span) -> tuple[Step, ...]:
            steps: list[Step] = []
            for block in range(group.size):
                out = bool(stores(rows, group, block))

                def part_work(depth: Span, block: int = block) -> tuple[Step, ...]:
                    size = _padded(depth.size, gemm.k)
                    run = Compute("gemm", one.macs(gemm.m, gemm.outputs, size))
                    if not weights(rows, group, block, depth):
                        return (run,)
                    return (Wait("streamed"), run, Release("activations_room", held(depth)))

                if out:
                    steps.append(Wait("outputs_room", output_bytes(rows)))
                steps += sweep((parts,), part_work)
                if out:
                    steps.append(Release("results"))
            return tuple(steps)

        return (
            *((Wait("stationary"),) if has_rows else ()),
            *sweep((groups,), group_work),
            *((Release("weights_room", rows_held),) if has_rows else ()),
        )

    def store(rows: Span, group: Span) -> tuple[Step, ...]:
        return tuple(
            step
            for block in range(group.size)
            if (written := stores(rows, group, block))
            for step in (
                Wait("results"),
                *written,
                Release("outputs_room", output_bytes(rows)),
            )
        )

    return Section(
        load=sweep((rows_levels,), load),
        matrix=sweep((rows_levels,), compute),
        store=sweep((rows_levels, groups), store),
    )


def _part(depth: int, granule: int, unit_bytes: float, buffer: int) -> int:
    """The depth of a tile of which two fit the buffer."""
    fits = max(granule, int(buffer / (2 * unit_bytes)) // granule * granule)
    pieces = -(-depth // fits)
    return min(depth, _padded(-(-depth // pieces), granule))


def _padded(value: int, granule: int) -> int:
    return -(-value // granule) * granule
