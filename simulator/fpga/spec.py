"""What an FPGA overlay description says: board, cores with queues, ports, memory.

An overlay is a few cores (one per super logic region) with in-order queues for load,
store, matrix, matrix-vector and special functions, fed from HBM through AXI ports.
Resource use that follows from the design is checked against the board.  Left out:
dataflow designs, several cards, switch hops, lookup-table estimates.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Defaults, Peak, Whole
from simulator.memory.spec import MemorySpec
from simulator.units import (
    Bytes,
    Count,
    Hertz,
    JoulesPerBit,
    JoulesPerMac,
    JoulesPerOperation,
    Seconds,
    Watts,
)

BRAM36_BYTES = 4608
URAM_BYTES = 36864


class Board(Block):
    """What the card offers."""

    dsp: Count
    bram36: Count
    uram: Whole
    lut: Count
    slr: Count
    """Super logic regions."""
    static_power: Watts
    """Card power with the bitstream loaded and nothing running, HBM background excluded."""

    @property
    def sram_bytes(self) -> int:
        """Block and ultra RAM together."""
        return self.bram36 * BRAM36_BYTES + self.uram * URAM_BYTES


class GemmArray(Block):
    """Parallelism of the matrix mode: n x k x m multiply-adds per clock."""

    n: Count
    k: Count
    m: Count
    """Rows of a block; fewer rows take as long."""
    outputs: Count
    """Output columns of one instruction."""

    @property
    def macs(self) -> int:
        """Multiply-adds per clock."""
        return self.n * self.k * self.m


class GemvArray(Block):
    """Parallelism of the matrix-vector mode."""

    n: Count
    k: Count
    outputs: Count
    """Output columns of one instruction; fewer columns take as long."""

    @property
    def macs(self) -> int:
        """Multiply-adds per clock."""
        return self.n * self.k


class Buffers(Block):
    """On-chip memories of one core."""

    weights: Bytes
    """Stationary side of a product: weights in matrix-vector mode, rows in matrix mode."""
    activations: Bytes
    """Streaming side: vectors in matrix-vector mode, weights in matrix mode."""
    outputs: Bytes
    """Results, scores and operands of the special-function lanes."""
    metadata: Bytes

    @property
    def bytes(self) -> int:
        """All of them."""
        return self.weights + self.activations + self.outputs + self.metadata


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


class Instructions(Block):
    """32-bit words of one instruction of each queue."""

    load: Count
    store: Count
    matrix: Count
    vector: Count
    special: Count
    system: Count


class Core(Block):
    """One core of the overlay."""

    gemm: GemmArray
    gemv: GemvArray
    macs_per_dsp: Count
    """8-bit multiply-adds packed into one DSP."""
    special_lanes: Count
    lane_operations: Count
    """Operations one lane chains in a single pass."""
    passes: Passes
    launch_cycles: Count
    """Fill of the array at the start of each matrix instruction."""
    sparsity: Sparsity
    buffers: Buffers
    instructions: Instructions


class Axi(Block):
    """A port from a core to one memory channel."""

    port_bits: Count
    clock: Hertz
    burst: Bytes
    outstanding: Count
    """Bursts in flight."""
    latency: Seconds
    """Controller and interconnect, there and back, beside DRAM array and port."""


class Channels(Block):
    """How the cores share the memory channels."""

    per_core: Count
    """Weights, KV cache and outputs of one core."""
    shared: Whole
    """Vectors the cores exchange, and instructions."""


class FpgaEnergy(Block):
    """Energy by event; the memory's is in its file, constant power with the board."""

    mac: JoulesPerMac
    """An 8-bit multiply-add in the array, operand delivery included."""
    special: JoulesPerOperation
    sram: JoulesPerBit
    port: JoulesPerBit
    """Controller, interconnect and port per bit of memory traffic."""


class FpgaSpec(Block):
    """``hwconfigs/fpga``: one overlay on one board."""

    kind: Literal["fpga"]
    name: str
    title: str = ""
    board: Board
    clock: Hertz
    cores: Count
    core: Core
    memory: MemorySpec
    axi: Axi
    channels: Channels
    sync_cycles: Count
    """A barrier between cores."""
    operator_gap: Seconds
    """From the last instruction of an operator to the first of the next."""
    energy: FpgaEnergy
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def capacity_bytes(self) -> int:
        """Memory of the channels that hold weights and KV cache."""
        share = self.cores * self.channels.per_core
        return self.memory.capacity_bytes // self.memory.channels * share

    @property
    def dsps(self) -> int:
        """DSPs of the arrays."""
        return -(-self.cores * self.core.gemm.macs // self.core.macs_per_dsp)

    @property
    def gemm_peak(self) -> float:
        """Operations per second in matrix mode (a multiply-add is two)."""
        return 2 * self.cores * self.core.gemm.macs * self.clock

    @property
    def gemv_peak(self) -> float:
        """Operations per second in matrix-vector mode."""
        return 2 * self.cores * self.core.gemv.macs * self.clock

    @property
    def special_peak(self) -> float:
        """Elements per second of the special-function lanes, one pass."""
        return self.cores * self.core.special_lanes * self.clock

    @property
    def port_bytes_per_s(self) -> float:
        """One AXI port."""
        return self.axi.port_bits / 8 * self.axi.clock

    @property
    def weight_bytes_per_s(self) -> float:
        """What the cores' own channels deliver through their ports."""
        channel = min(self.port_bytes_per_s, self.memory.channel_bytes_per_s)
        return self.cores * self.channels.per_core * channel

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("weight-channel bandwidth", self.weight_bytes_per_s, "B/s"),
            Peak("matrix mode int8", self.gemm_peak, "op/s"),
            Peak("matrix-vector mode int8", self.gemv_peak, "op/s"),
            Peak("special functions", self.special_peak, "op/s"),
            Peak("array DSPs", self.dsps, ""),
        )

    @model_validator(mode="after")
    def _fits_the_board(self) -> Self:
        if not self.clock or not self.axi.clock or self.axi.port_bits % 8:
            raise ValueError("clock and axi.clock are above 0, axi.port_bits a multiple of 8")
        access = self.memory.organization.access
        if not self.axi.burst or self.axi.burst % access:
            raise ValueError(
                f"axi.burst of {self.axi.burst} B is not a whole number of memory accesses of "
                f"{access} B; correct it"
            )
        needs = (
            ("DSPs", self.dsps, self.board.dsp, "cores or core.gemm"),
            ("SLRs", self.cores, self.board.slr, "cores"),
            (
                "bytes of on-chip memory",
                self.cores * self.core.buffers.bytes,
                self.board.sram_bytes,
                "core.buffers",
            ),
            (
                "memory channels",
                self.cores * self.channels.per_core + self.channels.shared,
                self.memory.channels,
                "channels.per_core",
            ),
        )
        for what, needed, available, key in needs:
            if needed > available:
                raise ValueError(
                    f"the design needs {needed} {what}, the board has {available}; lower {key}"
                )
        if self.core.gemv.macs > self.core.gemm.macs:
            raise ValueError("core.gemv uses more multipliers than core.gemm has; lower it")
        self._tiles_fit()
        return self

    def _tiles_fit(self) -> None:
        """The smallest tiles a mapping may cut fit twice into their buffers."""
        core = self.core
        columns, rows = core.gemv.outputs * core.gemv.k, core.gemm.m * core.gemm.k
        smallest = (
            ("weights", 2 * max(columns, rows), core.buffers.weights),
            ("activations", 2 * core.gemm.outputs * core.gemm.k, core.buffers.activations),
            ("outputs", 8 * core.gemm.m * core.gemm.outputs, core.buffers.outputs),
        )
        for name, needed, available in smallest:
            if needed > available:
                raise ValueError(
                    f"core.buffers.{name} of {available} B does not hold two of the smallest tiles "
                    f"({needed} B); raise it or lower the array"
                )
