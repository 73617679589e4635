"""A product in the mode of the array that suits it."""

from __future__ import annotations

from simulator.fpga.mapping.matrix_mode import MatrixMode
from simulator.fpga.mapping.products import Product, prefers_vectors
from simulator.fpga.mapping.sections import Section
from simulator.fpga.mapping.vector_mode import VectorMode
from simulator.fpga.spec import FpgaSpec


def product(spec: FpgaSpec, one: Product) -> Section:
    """What the queues of a core do for one product."""
    mode = VectorMode if prefers_vectors(spec, one) else MatrixMode
    return mode(spec, one).section()
