"""A matrix product on one core, and which mode of the array it goes through.

Instructions take the time of their full number of columns and rows whatever they are
given.  Matrix-vector mode needs all vectors in the activation buffer; where both modes
are possible the one with fewer cycles is taken.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulator.fpga.core import Operands
from simulator.fpga.mapping.data import Stream
from simulator.fpga.spec import FpgaSpec


def pieces(operands: Operands, input_bits: int, weight_bits: int) -> int:
    """Passes through the array: wider operands go piece by piece, narrower ones are widened
    when they are loaded."""
    return -(-input_bits // operands.inputs) * -(-weight_bits // operands.weights)


@dataclass(frozen=True, slots=True)
class Product:
    """``rows`` x ``depth`` times ``depth`` x ``columns``, as far as one core computes it.

    ``weights`` streams columns, ``inputs`` rows, ``results`` elements.
    """

    operands: Operands

    rows: int
    columns: int
    depth: int
    weights: Stream
    inputs: Stream
    results: Stream
    input_bits: int
    weight_bits: int
    density: float = 1.0
    work: float = 1.0
    """Products like this one that the same operands go through."""

    @property
    def passes(self) -> int:
        """Operands wider than the array go through it piece by piece."""
        return pieces(self.operands, self.input_bits, self.weight_bits)

    @property
    def weight_bytes(self) -> float:
        """One weight in a buffer."""
        return max(self.weight_bits, self.operands.weights) / 8 * self.density

    @property
    def input_bytes(self) -> float:
        """One input in a buffer."""
        return max(self.input_bits, self.operands.inputs) / 8

    def macs(self, rows: int, columns: int, depth: int) -> int:
        """Multiply-adds of one instruction, its padding included."""
        return math.ceil(rows * columns * depth * self.density * self.passes * self.work)


def vector_macs(spec: FpgaSpec, rows: int, columns: int, depth: int) -> int:
    """Padded multiply-adds in matrix-vector mode."""
    gemv = spec.core.gemv
    return rows * gemv.padded(columns) * padded(depth, gemv.k)


def matrix_macs(spec: FpgaSpec, rows: int, columns: int, depth: int) -> int:
    """Padded multiply-adds in matrix mode."""
    gemm = spec.core.gemm
    return padded(rows, gemm.m) * padded(columns, gemm.outputs) * padded(depth, gemm.k)


def prefers_vectors(spec: FpgaSpec, product: Product) -> bool:
    """Whether matrix-vector mode is possible and takes fewer cycles."""
    size = (product.rows, product.columns, product.depth)
    if spec.core.gemm.stationary == "weights":
        return False
    together = min(product.rows, spec.core.gemv.vectors or product.rows)
    if together * product.depth * product.input_bytes > spec.core.buffers.activations:
        return False
    in_vectors = vector_macs(spec, *size) / spec.core.gemv.macs
    return in_vectors <= matrix_macs(spec, *size) / spec.core.gemm.macs


def deepest(spec: FpgaSpec, product: Product) -> int:
    """The depth whose block of rows still fits the weight buffer in matrix mode."""
    gemm = spec.core.gemm
    fits = int(spec.core.buffers.weights // (gemm.m * product.input_bytes))
    return max(gemm.k, fits // gemm.k * gemm.k)


def tile_depth(depth: int, granule: int, unit_bytes: float, buffer: int) -> int:
    """The depth of a tile of which two fit the buffer."""
    fits = max(granule, int(buffer / (2 * unit_bytes)) // granule * granule)
    pieces = -(-depth // fits)
    return min(depth, padded(-(-depth // pieces), granule))


def padded(value: int, granule: int) -> int:
    """The next whole multiple."""
    return -(-value // granule) * granule
