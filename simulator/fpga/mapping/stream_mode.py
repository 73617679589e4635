"""Weights stationary, rows streamed: how small devices with one shared linear engine work.

A block of columns whose weights fit half the weight buffer is loaded; then the rows pass in
chunks, are multiplied, and leave.  Where one block of columns is not all, the rows pass again.
The next block's weights load while the one before is used.

Source: sharc-lab/Edge-MoE, ``src/linear.cpp``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.engine.program import Compute, Release, Step, Wait
from simulator.fpga.mapping.data import single, striped
from simulator.fpga.mapping.products import Product, padded
from simulator.fpga.mapping.sections import Section, Span, spans, sweep
from simulator.fpga.spec import FpgaSpec

CHUNKS_IN_BUFFER = 4
"""Parts of the activation buffer: rows that arrive, wait, are used."""


@dataclass(frozen=True, slots=True)
class StreamMode:
    """One product in this mode; :meth:`section` is what the queues do."""

    spec: FpgaSpec
    product: Product

    def section(self) -> Section:
        """For each block of columns: load its weights, stream the rows, store results."""
        return Section(
            load=sweep((self._columns,), self._load),
            matrix=sweep((self._columns,), self._compute),
            store=sweep((self._columns, self._rows), self._store),
        )

    @property
    def _columns(self) -> tuple[Span, ...]:
        one, outputs = self.product, self.spec.core.gemm.outputs
        fits = int(self.spec.core.buffers.weights // (2 * one.depth * one.weight_bytes))
        return spans(one.columns, max(outputs, fits // outputs * outputs))

    @property
    def _rows(self) -> tuple[Span, ...]:
        room = self.spec.core.buffers.activations // CHUNKS_IN_BUFFER
        return spans(
            self.product.rows, max(1, int(room // (self.product.depth * self.product.input_bytes)))
        )

    def _held_weights(self, columns: Span) -> int:
        size = math.ceil(columns.size * self.product.depth * self.product.weight_bytes)
        return min(size, self.spec.core.buffers.weights)

    def _held_rows(self, rows: Span) -> int:
        size = math.ceil(rows.size * self.product.depth * self.product.input_bytes)
        return min(size, self.spec.core.buffers.activations)

    def _held_results(self, columns: Span, rows: Span) -> int:
        size = math.ceil(rows.size * columns.size * self.product.results.unit)
        return min(size, self.spec.core.buffers.outputs)

    def _weights(self, columns: Span) -> tuple[Step, ...]:
        size = columns.size
        return striped(self.spec, "read", self.product.weights, size, columns.first, (size,))

    def _chunk(self, rows: Span) -> tuple[Step, ...]:
        """The load of a chunk of rows; the same for every block of columns."""
        size = rows.size
        return single("read", "cross_read", self.product.inputs, size, rows.first, (0, size))

    def _results(self, columns: Span, rows: Span) -> tuple[Step, ...]:
        elements = rows.size * columns.size
        first = columns.first * self.product.rows + rows.first * columns.size
        strides = (columns.size * self.product.rows, elements)
        return striped(self.spec, "write", self.product.results, elements, first, strides)

    def _load(self, columns: Span) -> tuple[Step, ...]:
        def chunk(rows: Span) -> tuple[Step, ...]:
            loads = self._chunk(rows)
            room = Wait("activations_room", self._held_rows(rows))
            return (room, *loads, Release("streamed")) if loads else ()

        weights = self._weights(columns)
        room = Wait("weights_room", self._held_weights(columns))
        stationary = (room, *weights, Release("stationary")) if weights else ()
        return (*stationary, *sweep((self._rows,), chunk))

    def _compute(self, columns: Span) -> tuple[Step, ...]:
        gemm = self.spec.core.gemm
        size = padded(columns.size, gemm.outputs), padded(self.product.depth, gemm.k)

        def chunk(rows: Span) -> tuple[Step, ...]:
            run: tuple[Step, ...] = (Compute("gemm", self.product.macs(rows.size, *size)),)
            if self._chunk(rows):
                run = (Wait("streamed"), *run, Release("activations_room", self._held_rows(rows)))
            if self._results(columns, rows):
                room = Wait("outputs_room", self._held_results(columns, rows))
                run = (room, *run, Release("results"))
            return run

        computed = sweep((self._rows,), chunk)
        if not self._weights(columns):
            return computed
        free = Release("weights_room", self._held_weights(columns))
        return (Wait("stationary"), *computed, free)

    def _store(self, columns: Span, rows: Span) -> tuple[Step, ...]:
        stores = self._results(columns, rows)
        free = Release("outputs_room", self._held_results(columns, rows))
        return (Wait("results"), *stores, free) if stores else ()
