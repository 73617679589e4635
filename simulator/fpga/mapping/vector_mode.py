"""Matrix-vector mode: vectors stay in the activation buffer, weights stream past them.

Each instruction computes a fixed number of output columns; their weights come through all
ports of the core at once into the weight buffer.  The depth is cut into parts of which
two fit that buffer.

Source: FlightLLM's artifact (instruction generator of linear layers in decode).  Left out:
overlap of two instructions' fills.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.engine.program import Compute, Release, Step, Wait
from simulator.fpga.mapping.data import single, striped
from simulator.fpga.mapping.products import Product, padded, tile_depth
from simulator.fpga.mapping.sections import Section, Span, spans, sweep
from simulator.fpga.spec import FpgaSpec


@dataclass(frozen=True, slots=True)
class VectorMode:
    """One product in this mode; :meth:`section` is what the queues do."""

    spec: FpgaSpec
    product: Product

    def section(self) -> Section:
        """Load the vectors, then tiles of weights; compute; store each block of columns."""
        gemv, one = self.spec.core.gemv, self.product
        buffer = self.spec.core.buffers.weights
        depth = tile_depth(one.depth, gemv.k, gemv.outputs * one.weight_bytes, buffer)
        columns, parts = spans(one.columns, gemv.outputs), spans(one.depth, depth)
        vectors = single("read", "cross_read", one.inputs, one.rows)
        stored = sweep((columns,), self._store)

        def block(columns: Span) -> tuple[Step, ...]:
            computed = sweep((parts,), lambda part: self._compute(columns, part))
            return (*computed, Release("results")) if stored else computed

        return Section(
            load=(*vectors, Release("vectors")) if vectors else (),
            matrix=(Wait("vectors"),) if vectors else (),
        ).then(
            Section(
                load=sweep((columns, parts), self._load),
                matrix=sweep((columns,), block),
                store=stored,
            )
        )

    def _tile(self, columns: Span, depth: Span) -> tuple[Step, ...]:
        """The load of one tile of weights; nothing if they are on chip."""
        share = columns.size / self.product.depth
        return striped(
            self.spec,
            "read",
            self.product.weights,
            depth.size * share,
            first=columns.first + depth.first * share,
            strides=(columns.size, depth.size * share),
        )

    def _held(self, depth: Span) -> int:
        """Bytes a tile takes in the weight buffer."""
        core = self.spec.core
        size = math.ceil(core.gemv.outputs * depth.size * self.product.weight_bytes)
        return min(size, core.buffers.weights)

    def _load(self, columns: Span, depth: Span) -> tuple[Step, ...]:
        loads = self._tile(columns, depth)
        room = Wait("weights_room", self._held(depth))
        return (room, *loads, Release("stationary")) if loads else ()

    def _compute(self, columns: Span, depth: Span) -> tuple[Step, ...]:
        gemv = self.spec.core.gemv
        size = padded(depth.size, gemv.k)
        run = Compute("gemv", self.product.macs(self.product.rows, gemv.padded(columns.size), size))
        if not self._tile(columns, depth):
            return (run,)
        return (Wait("stationary"), run, Release("weights_room", self._held(depth)))

    def _store(self, columns: Span) -> tuple[Step, ...]:
        rows = self.product.rows
        stores = striped(
            self.spec,
            "write",
            self.product.results,
            columns.size * rows,
            first=columns.first * rows,
            strides=(columns.size * rows,),
        )
        return (Wait("results"), *stores) if stores else ()
