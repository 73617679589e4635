"""What an FPGA overlay description says: board, cores with queues, ports, memory.

An overlay is a few cores, none across super logic regions, with in-order queues for load,
store, matrix, matrix-vector and special functions, fed from memory through AXI ports;
several cards are joined in a ring.  Resource use that follows from the design is checked
against the board.  Left out: estimates of lookup tables.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal, Self

from pydantic import model_validator

from simulator.fpga.board import Board
from simulator.fpga.core import Core
from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Choice, Defaults, Peak, Whole
from simulator.memory.spec import MemorySpec
from simulator.units import (
    Bytes,
    BytesPerSecond,
    Count,
    Hertz,
    JoulesPerBit,
    JoulesPerMac,
    JoulesPerOperation,
    Seconds,
    Watts,
)


class Axi(Block):
    """A port from a core to one memory channel."""

    port_bits: Count
    clock: Hertz
    burst: Bytes
    outstanding: Count
    """Bursts in flight."""
    latency: Seconds
    """Controller and interconnect, there and back, beside DRAM array and port."""
    switch: Seconds = 0.0
    """Added where a port reaches channels other than its own, mean over distances."""


class Channels(Block):
    """How the cores share the memory channels."""

    per_core: Count
    """Weights, KV cache and outputs of one core."""
    shared: Whole
    """Vectors the cores exchange, and instructions."""


class Link(Block):
    """The ring that joins the cards."""

    bandwidth: BytesPerSecond
    latency: Seconds
    """From a core on one card to a core on the next, both ends' protocol included."""


class FpgaEnergy(Block):
    """Energy by event; the memory's is in its file, constant power with the board."""

    mac: JoulesPerMac
    """A multiply-add of the array's own width, operand delivery included."""
    special: JoulesPerOperation
    sram: JoulesPerBit
    port: JoulesPerBit
    """Controller, interconnect and port per bit of memory traffic."""
    clocked: Watts = 0.0
    """Clock tree and registers of the running design, whatever it computes."""


class FpgaSpec(Block):
    """``hwconfigs/fpga``: one overlay on one board."""

    kind: Literal["fpga"]
    template: Literal["overlay"] = "overlay"
    name: str
    title: str = ""
    board: Board
    cards: Count = 1
    link: Link | None = None
    clock: Hertz
    cores: Count
    """On each card."""
    core: Core
    memory: MemorySpec
    axi: Axi
    channels: Channels
    staged_attention: Choice = False
    """In decode the program copies the KV cache through the output buffer, then computes the
    scores of all heads, then their values, each with a barrier behind it."""
    sync_cycles: Count
    """A barrier between cores."""
    operator_gap: Seconds
    """From the last instruction of an operator to the first of the next."""
    energy: FpgaEnergy
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def total_cores(self) -> int:
        """Cores of all cards."""
        return self.cards * self.cores

    @property
    def capacity_bytes(self) -> int:
        """Memory of the channels that hold weights and KV cache."""
        share = self.total_cores * self.channels.per_core
        return self.memory.capacity_bytes // self.memory.channels * share

    @property
    def core_dsps(self) -> int:
        """DSPs of one core's array."""
        unit = self.core.attention
        macs = self.core.gemm.macs + (unit.queries * unit.depth if unit else 0)
        if self.core.operands.dsps is None:
            return -(-macs // self.board.macs_per_dsp)
        return math.ceil(macs * self.core.operands.dsps)

    @property
    def dsps(self) -> int:
        """DSPs of the arrays of one card."""
        return self.cores * self.core_dsps

    @property
    def gemm_peak(self) -> float:
        """Operations per second in matrix mode (a multiply-add is two)."""
        return 2 * self.total_cores * self.core.gemm.macs * self.clock

    @property
    def gemv_peak(self) -> float:
        """Operations per second in matrix-vector mode."""
        return 2 * self.total_cores * self.core.gemv.macs * self.clock

    @property
    def special_peak(self) -> float:
        """Elements per second of the special-function lanes, one pass."""
        return self.total_cores * self.core.special_lanes * self.clock

    @property
    def port_bytes_per_s(self) -> float:
        """One AXI port."""
        return self.axi.port_bits / 8 * self.axi.clock

    @property
    def weight_bytes_per_s(self) -> float:
        """What the cores' own channels deliver through their ports."""
        channel = min(self.port_bytes_per_s, self.memory.channel_bytes_per_s)
        return self.total_cores * self.channels.per_core * channel

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("weight-channel bandwidth", self.weight_bytes_per_s, "B/s"),
            Peak("matrix mode", self.gemm_peak, "op/s"),
            Peak("matrix-vector mode", self.gemv_peak, "op/s"),
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
        if self.cards > 1 and self.link is None:
            raise ValueError(f"{self.cards} cards need a link; describe it or lower cards")
        self._memory_is_on_board()
        for what, needed, available, key in self._needs():
            if needed > available:
                raise ValueError(
                    f"the design needs {needed} {what}, the board has {available}; lower {key}"
                )
        if self.core.gemv.macs > self.core.gemm.macs:
            raise ValueError("core.gemv uses more multipliers than core.gemm has; lower it")
        self._tiles_fit()
        return self

    def _memory_is_on_board(self) -> None:
        known = self.board.memories
        if self.memory.name not in known:
            raise ValueError(
                f"the board {self.board.name} has no memory '{self.memory.name}'; it has "
                f"{', '.join(known)}; choose one, or list the memory under board.memories"
            )
        channels = known[self.memory.name]
        if self.memory.channels > channels:
            raise ValueError(
                f"the memory has {self.memory.channels} channels, the board {channels} of "
                f"'{self.memory.name}'; lower memory.organization.stacks"
            )

    def _needs(self) -> Iterator[tuple[str, int, int, str]]:
        """What one card's cores take of the board, and what to lower if that is too much."""
        board, buffers = self.board, self.core.buffers
        yield "DSPs", self.dsps, board.dsp, "cores or core.gemm"
        yield from self._region_needs()
        for kind, has in (("bram", board.bram36), ("uram", board.uram)):
            needed = self.cores * buffers.blocks(kind)
            yield f"{kind.upper()} blocks of on-chip memory", needed, has, "core.buffers"
        yield (
            "bytes of on-chip memory",
            self.cores * buffers.bytes,
            board.sram_bytes,
            "core.buffers",
        )
        channels = self.cores * self.channels.per_core + self.channels.shared
        yield "memory channels", channels, self.memory.channels, "channels.per_core"

    def _region_needs(self) -> Iterator[tuple[str, int, int, str]]:
        """The same for the region with the most cores, none of which lies across regions."""
        board, here = self.board, -(-self.cores // self.board.slr)
        if board.slr == 1 or self.cores < board.slr:
            return
        needed = here * self.core_dsps
        yield "DSPs in one of its SLRs", needed, board.dsp // board.slr, "cores or core.gemm"
        for kind, has in (("bram", board.bram36), ("uram", board.uram)):
            needed = here * self.core.buffers.blocks(kind)
            what = f"{kind.upper()} blocks of on-chip memory in one of its SLRs"
            yield what, needed, has // board.slr, "cores or core.buffers"

    def _tiles_fit(self) -> None:
        """The smallest tiles a mapping may cut fit twice into their buffers."""
        core, gemm = self.core, self.core.gemm
        weight, entry = core.operands.weights / 8, core.operands.inputs / 8
        columns, rows = core.gemv.outputs * core.gemv.k * weight, gemm.m * gemm.k * entry
        smallest = (
            ("weights", 2 * max(columns, rows), core.buffers.weights),
            ("activations", 2 * gemm.outputs * gemm.k * weight, core.buffers.activations),
            ("outputs", 8 * gemm.m * gemm.outputs, core.buffers.outputs),
        )
        for name, needed, available in smallest:
            if needed > available:
                raise ValueError(
                    f"core.buffers.{name} of {available} B does not hold two of the smallest tiles "
                    f"({math.ceil(needed)} B); raise it or lower the array"
                )
