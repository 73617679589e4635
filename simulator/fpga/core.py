"""What a description says of one overlay core: arrays, buffers, lanes, instructions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from simulator.fpga.board import BRAM36_BYTES, URAM_BYTES
from simulator.hardware.spec import Block, Number, Whole
from simulator.units import Bytes, Count

URAM_WORDS, BRAM_WORDS = 4096, 512
RAM_BITS = 64
"""Data bits of a block or ultra RAM's 72-bit word; the others hold check bits."""


class GemmArray(Block):
    """Parallelism of the matrix mode: n x k x m multiply-adds per clock."""

    n: Count
    k: Count
    m: Count
    """Rows of a block; fewer rows take as long."""
    outputs: Count
    """Output columns of one instruction."""
    stationary: Literal["rows", "weights"] = "rows"
    """What stays in the weight buffer while the other streams past it."""

    @property
    def macs(self) -> int:
        """Multiply-adds per clock."""
        return self.n * self.k * self.m


class GemvArray(Block):
    """Parallelism of the matrix-vector mode."""

    n: Count
    k: Count
    outputs: Count
    """Most output columns of one instruction."""
    granule: Count | None = None
    """Columns are computed in multiples of so many; none: an instruction is always full."""
    vectors: Count | None = None
    """Vectors that share one pass over the weights; none: as many as the buffer holds."""

    @property
    def macs(self) -> int:
        """Multiply-adds per clock."""
        return self.n * self.k

    def padded(self, columns: int) -> int:
        """Columns that instructions compute for so many."""
        granule = self.granule or self.outputs
        return -(-columns // granule) * granule


class Ram(Block):
    """Shape of one on-chip memory: banks that are read side by side."""

    kind: Literal["bram", "uram"]
    banks: Count
    width: Count
    """Bits of one bank's word."""

    def blocks(self, size: int) -> int:
        """Instances that hold ``size`` bytes in this shape."""
        words = URAM_WORDS if self.kind == "uram" else BRAM_WORDS
        depth = -(-size * 8 // (self.banks * self.width))
        return self.banks * -(-self.width // RAM_BITS) * -(-depth // words)


class Buffers(Block):
    """On-chip memories of one core."""

    weights: Bytes
    """Stationary side of a product: weights in matrix-vector mode, rows in matrix mode."""
    activations: Bytes
    """Streaming side: vectors in matrix-vector mode, weights in matrix mode."""
    outputs: Bytes
    """Results, scores and operands of the special-function lanes."""
    metadata: Bytes
    ram: dict[Literal["weights", "activations", "outputs", "metadata"], Ram] = Field(default={})
    """Shapes, as far as they are known; the others count by their bytes."""

    @property
    def bytes(self) -> int:
        """All of them, in whole instances where the shape is known."""
        plain = sum(size for name, size in self._sizes.items() if name not in self.ram)
        shaped = self.blocks("bram") * BRAM36_BYTES + self.blocks("uram") * URAM_BYTES
        return plain + shaped

    def blocks(self, kind: str) -> int:
        """Instances of block or ultra RAM."""
        sizes = self._sizes
        return sum(ram.blocks(sizes[name]) for name, ram in self.ram.items() if ram.kind == kind)

    @property
    def _sizes(self) -> dict[str, int]:
        return {
            "weights": self.weights,
            "activations": self.activations,
            "outputs": self.outputs,
            "metadata": self.metadata,
        }


class Passes(Block):
    """How often the special-function lanes walk a row."""

    softmax: Count
    norm: Count


class Sparsity(Block):
    """N:M weight sparsity in square blocks, each with its own N."""

    block: Count
    """Rows and columns of a block, M of N:M; its N is one byte of metadata."""
    index_bits: Whole
    """Position of a kept weight, stored for blocks that are not dense."""


class Scales(Block):
    """Scale and zero point that groups of quantised weights share, stored beside them."""

    group: Count
    bits: Count


class Instructions(Block):
    """32-bit words of one instruction of each queue."""

    load: Count
    store: Count
    matrix: Count
    vector: Count
    special: Count
    system: Count


class AttentionUnit(Block):
    """Multipliers that attention has for itself."""

    queries: Count
    """Queries that share a pass over the keys."""
    depth: Count
    """Elements of a key or value in one beat."""
    interval: Number
    """Clocks from one beat to the next."""

    @property
    def macs(self) -> float:
        """Multiply-adds per clock."""
        return self.queries * self.depth / self.interval


class Operands(Block):
    """Widths of the array's multipliers; wider operands go through it piece by piece."""

    inputs: Count
    weights: Count
    dsps: Number | None = None
    """DSPs of one multiply-add; none: 8-bit operands, packed as the board's DSPs allow."""


class Core(Block):
    """One core of the overlay."""

    gemm: GemmArray
    gemv: GemvArray
    operands: Operands
    attention: AttentionUnit | None = None
    """none: attention runs on the array."""
    special_lanes: Count
    lane_operations: Count
    """Operations one lane chains in a single pass."""
    passes: Passes
    launch_cycles: Count
    """Fill of the array at the start of each matrix instruction."""
    sparsity: Sparsity
    scales: Scales | None = None
    buffers: Buffers
    instructions: Instructions
