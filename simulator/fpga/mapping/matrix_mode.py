"""Matrix mode: a block of rows stays in the weight buffer, weights stream past it.

Weights come a few columns at a time through the activation buffer.  Each block of columns
lies in one channel, so consecutive loads use consecutive ports.  The depth is cut into
parts of which two fit the activation buffer.  Every block of rows streams all weights.

Source: FlightLLM's artifact (instruction generator of linear layers in prefill).  Left
out: blocks of rows that share one pass over the weights, overlap of two fills.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from simulator.engine.program import Compute, Release, Step, Wait
from simulator.fpga.mapping.data import single
from simulator.fpga.mapping.products import Product, padded, tile_depth
from simulator.fpga.mapping.sections import Section, Span, spans, sweep
from simulator.fpga.spec import FpgaSpec

Steps = tuple[Step, ...]
Tile = Callable[[Span, int, Span], Steps]
"""Steps for one tile: group of blocks, block in the group, part of the depth."""
Frame = Callable[[Span, int, Steps], Steps]


@dataclass(frozen=True, slots=True)
class MatrixMode:
    """One product in this mode; :meth:`section` is what the queues do."""

    spec: FpgaSpec
    product: Product

    def section(self) -> Section:
        """For each block of rows: load it, stream the weights, compute, store."""
        rows = (spans(self.product.rows, self.spec.core.gemm.m),)
        return Section(
            load=sweep(rows, self._load),
            matrix=sweep(rows, self._compute),
            store=sweep((*rows, self._groups), self._store),
        )

    @property
    def _blocks(self) -> int:
        return -(-self.product.columns // self.spec.core.gemm.outputs)

    @property
    def _block_columns(self) -> float:
        """Columns of a block, the short last one spread over all."""
        return self.product.columns / self._blocks

    @property
    def _groups(self) -> tuple[Span, ...]:
        """Blocks of columns, one for each port."""
        return spans(self._blocks, self.spec.channels.per_core)

    @property
    def _parts(self) -> tuple[Span, ...]:
        core, one = self.spec.core, self.product
        unit = core.gemm.outputs * one.weight_bytes
        return spans(one.depth, tile_depth(one.depth, core.gemm.k, unit, core.buffers.activations))

    def _rows(self, rows: Span) -> Steps:
        """The load of a block of rows; nothing if it is on chip."""
        return single(
            "read", "cross_read", self.product.inputs, rows.size, rows.first, (rows.size,)
        )

    def _tile(self, group: Span, block: int, depth: Span) -> Steps:
        """The load of one tile of weights; nothing if they are on chip."""
        share = self._block_columns / self.product.depth
        return single(
            "read",
            f"read{block}",
            self.product.weights,
            depth.size * share,
            first=group.first * self._block_columns + depth.first * share,
            # The same weights again for every block of rows.
            strides=(0, group.size * self._block_columns, depth.size * share),
            spread=self.spec.channels.per_core,
        )

    def _results(self, rows: Span, group: Span, block: int) -> Steps:
        """The store of one block of results; nothing if they stay on chip."""
        elements = rows.size * self._block_columns
        return single(
            "write",
            f"write{block}",
            self.product.results,
            elements,
            first=rows.first * self.product.columns + group.first * elements,
            strides=(rows.size * self.product.columns, group.size * elements),
            spread=self.spec.channels.per_core,
        )

    def _held_rows(self) -> int:
        core, one = self.spec.core, self.product
        size = math.ceil(core.gemm.m * one.depth * one.input_bytes)
        return min(size, core.buffers.weights)

    def _held_tile(self, depth: Span) -> int:
        core = self.spec.core
        size = math.ceil(core.gemm.outputs * depth.size * self.product.weight_bytes)
        return min(size, core.buffers.activations)

    def _held_results(self, rows: Span) -> int:
        size = math.ceil(rows.size * self._block_columns * self.product.results.unit)
        return min(size, self.spec.core.buffers.outputs)

    def _load(self, rows: Span) -> Steps:
        def tile(group: Span, block: int, depth: Span) -> Steps:
            loads = self._tile(group, block, depth)
            room = Wait("activations_room", self._held_tile(depth))
            return (room, *loads, Release("streamed")) if loads else ()

        block_of_rows = self._rows(rows)
        room = Wait("weights_room", self._held_rows())
        return (
            *((room, *block_of_rows, Release("stationary")) if block_of_rows else ()),
            *self._each_tile(tile),
        )

    def _compute(self, rows: Span) -> Steps:
        gemm = self.spec.core.gemm

        def tile(group: Span, block: int, depth: Span) -> Steps:
            size = padded(depth.size, gemm.k)
            run = Compute("gemm", self.product.macs(gemm.m, gemm.outputs, size))
            if not self._tile(group, block, depth):
                return (run,)
            return (Wait("streamed"), run, Release("activations_room", self._held_tile(depth)))

        def framed(group: Span, block: int, steps: Steps) -> Steps:
            if not self._results(rows, group, block):
                return steps
            return (Wait("outputs_room", self._held_results(rows)), *steps, Release("results"))

        computed = self._each_tile(tile, framed)
        if not self._rows(rows):
            return computed
        return (Wait("stationary"), *computed, Release("weights_room", self._held_rows()))

    def _store(self, rows: Span, group: Span) -> Steps:
        free = Release("outputs_room", self._held_results(rows))
        return tuple(
            step
            for block in range(group.size)
            if (stores := self._results(rows, group, block))
            for step in (Wait("results"), *stores, free)
        )

    def _each_tile(self, tile: Tile, framed: Frame = lambda group, block, steps: steps) -> Steps:
        """All tiles of weights, port after port; ``framed`` surrounds those of one block."""

        def group_steps(group: Span) -> Steps:
            return tuple(
                step
                for block in range(group.size)
                for step in framed(group, block, sweep((self._parts,), partial(tile, group, block)))
            )

        return sweep((self._groups,), group_steps)
