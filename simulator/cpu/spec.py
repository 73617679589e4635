"""What a processor's description says: cores that stream, a shared cache, memory channels.

Enough for work that memory binds.  A core is a number of SIMD lanes at one clock and the bytes
that it may have outstanding; what is inside it (issue, branches, L1) is left out.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Defaults, Peak
from simulator.memory.spec import MemorySpec
from simulator.units import (
    Bytes,
    Count,
    Hertz,
    JoulesPerBit,
    JoulesPerOperation,
    Seconds,
    Watts,
)


class Chip(Block):
    """Cores."""

    cores: Count
    clock: Hertz
    lanes: Count
    """Fused multiply-adds of a core per clock, or plain operations."""
    bytes_per_clk: Bytes
    """What a core loads or stores from beyond its private cache."""
    bytes_in_flight: Bytes
    """What a core may wait for at once."""
    private: Bytes
    """Cache of a core: a row that fits is walked once."""
    special: Count
    """Lane operations of an exponential, a root or a quotient."""


class SharedCache(Block):
    """The last level, shared by all cores."""

    capacity: Bytes
    line: Bytes
    ways: Count
    slices: Count
    slice_bytes_per_clk: Bytes
    hit_latency: Seconds
    miss_latency: Seconds
    """On top of a hit and of DRAM's own time."""


class CpuLaunch(Block):
    """How a loop becomes threads."""

    grain: Count
    """Elements below which it stays on one core."""
    fork: Seconds
    """To start all threads and to join them."""


class CpuEnergy(Block):
    """Power and energy by event; DRAM's own are in the memory's file."""

    idle: Watts
    core: Watts
    """Of each core while work runs, waiting or not."""
    operation: JoulesPerOperation
    llc: JoulesPerBit
    dram_path: JoulesPerBit


class CpuSpec(Block):
    """``hwconfigs/cpu``: one socket and its memory."""

    kind: Literal["cpu"]
    name: str
    title: str = ""
    memory: MemorySpec
    chip: Chip
    llc: SharedCache
    launch: CpuLaunch
    energy: CpuEnergy
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def capacity_bytes(self) -> int:
        """Memory of the socket."""
        return self.memory.capacity_bytes

    @property
    def lane_peak(self) -> float:
        """Lane operations per second of all cores (a multiply-add is one)."""
        return self.chip.cores * self.chip.lanes * self.chip.clock

    @property
    def llc_bytes_per_s(self) -> float:
        """All slices of the last-level cache."""
        return self.llc.slices * self.llc.slice_bytes_per_clk * self.chip.clock

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("vector float32", 2 * self.lane_peak, "op/s"),
            Peak("LLC bandwidth", self.llc_bytes_per_s, "B/s"),
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        llc = self.llc
        if not llc.line or llc.capacity % (llc.line * llc.ways):
            raise ValueError(
                f"llc.capacity of {llc.capacity} B is not a whole number of sets of {llc.ways} "
                f"lines of {llc.line} B; correct it"
            )
        if not self.chip.clock or self.chip.bytes_in_flight < llc.line:
            raise ValueError("chip.clock is above 0, chip.bytes_in_flight at least llc.line")
        return self
