"""A product in the mode of the array that suits it."""

from __future__ import annotations

from dataclasses import replace

from simulator.fpga.mapping.matrix_mode import MatrixMode
from simulator.fpga.mapping.products import Product, prefers_vectors
from simulator.fpga.mapping.sections import Section, Span, spans
from simulator.fpga.mapping.stream_mode import StreamMode
from simulator.fpga.mapping.vector_mode import VectorMode
from simulator.fpga.spec import FpgaSpec


def product(spec: FpgaSpec, one: Product) -> Section:
    """What the queues of a core do for one product."""
    if spec.core.gemm.stationary == "weights":
        return StreamMode(spec, one).section()
    if not prefers_vectors(spec, one):
        return MatrixMode(spec, one).section()
    together = spec.core.gemv.vectors or one.rows
    if one.rows <= together:
        return VectorMode(spec, one).section()
    # Each group of vectors streams the weights again.
    passes = [
        VectorMode(spec, _rows(one, span)).section().repeat(span.count)
        for span in spans(one.rows, together)
    ]
    return Section().then(*passes)


def _rows(one: Product, span: Span) -> Product:
    """The rows of a span, one repetition after another."""
    results = one.columns * one.results.unit
    return replace(
        one,
        rows=span.size,
        weights=one.weights.inside(0),
        inputs=one.inputs.later(span.first).inside(span.size * one.inputs.unit),
        results=one.results.later(span.first * one.columns).inside(span.size * results),
    )
