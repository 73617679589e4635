"""What a processing-in-memory description says: banks that multiply, and a controller.

Every bank has multiply-accumulate lanes beside its row buffer; all banks of a channel
act in lockstep on columns of their open rows, against an activation vector held in
the channel's buffer.  A controller chip issues commands and runs everything else on a
small vector unit.  ``mapping`` holds the choices of how work is laid over the banks, so
that a sweep can vary them.  Left out: units shared by banks, dual row buffers, power
windows, host and PIM sharing a channel.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Choice, Defaults, Peak
from simulator.memory.spec import MemorySpec
from simulator.memory.timing import Timing
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


class BankUnit(Block):
    """The multiply-accumulate unit of one bank."""

    lanes: Count
    """Products per column access."""
    bits: Count
    """Bits of one operand."""
    mac_interval: Timing
    """Between lockstep column accesses."""
    rcd_compute: Timing
    """Activate to first lockstep column."""
    accumulators: Count
    """Partial sums a unit holds."""


class Buffer(Block):
    """The channel's buffer of activations, broadcast to its banks."""

    capacity: Bytes


class Functions(Block):
    """Steps (multiply-adds) of one element of a function on the controller's lanes.

    GELU, SiLU and the like are made of these and of plain arithmetic."""

    exp: Count
    divide: Count
    rsqrt: Count


class PimController(Block):
    """The chip that commands the memory and computes what banks cannot."""

    clock: Hertz
    vector_lanes: Count
    """Elementwise operations per clock."""
    sram: Bytes
    functions: Functions
    link_latency: Seconds
    """Controller to memory channel, one way."""


class Launch(Block):
    """What lies between two kernels."""

    gap: Seconds
    """The controller starts the next command program this long after the last result."""


class PimMapping(Block):
    """How work is laid over channels, banks and rows."""

    order: Literal["activation_stationary", "output_stationary"]
    """Keep a chunk of activations and send out partial sums, or keep partial sums in the
    accumulators and send the chunks again for every group of outputs."""
    pack: Choice
    """Several short vectors share a row, instead of a row each."""
    spread: Literal["heads", "tokens"]
    """A head's cache lies in as few channels as keep all busy, or in all of them."""


class HostLink(Block):
    """Link to the host, for inputs and outputs."""

    bandwidth: BytesPerSecond
    latency: Seconds


class PimEnergy(Block):
    """Energy by event; activates, refresh and background are in the memory's file."""

    mac: JoulesPerMac
    column: JoulesPerBit
    """Row buffer to the bank's unit."""
    buffer: JoulesPerBit
    """Activation buffer to the banks."""
    controller_operation: JoulesPerOperation
    controller_static: Watts


class PimSpec(Block):
    """``hwconfigs/pim``: memory with computing banks and its controller."""

    kind: Literal["pim"]
    name: str
    title: str = ""
    memory: MemorySpec
    bank: BankUnit
    buffer: Buffer
    activation: Literal["faw", "relaxed", "group_faw"]
    """Activating all banks obeys tFAW, ignores it, or obeys it per bank group."""
    refresh: Literal["together", "staggered"]
    """The controller refreshes all channels at once, or each at its own phase."""
    controller: PimController
    host_link: HostLink
    launch: Launch
    mapping: PimMapping
    energy: PimEnergy
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def capacity_bytes(self) -> int:
        """Device memory."""
        return self.memory.capacity_bytes

    @property
    def mac_interval_s(self) -> float:
        """Between lockstep columns, in whole memory clocks."""
        return self.memory.cycles(self.bank.mac_interval) / self.memory.clock

    @property
    def mac_peak(self) -> float:
        """Operations per second of all banks (a multiply-add is two)."""
        units = self.memory.channels * self.memory.banks
        return 2 * units * self.bank.lanes / self.mac_interval_s

    @property
    def internal_bytes_per_s(self) -> float:
        """What all row buffers deliver to their units."""
        units = self.memory.channels * self.memory.banks
        return units * self.memory.organization.access / self.mac_interval_s

    @property
    def vector_peak(self) -> float:
        """Operations per second of the controller's lanes."""
        return self.controller.vector_lanes * self.controller.clock

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("in-bank bandwidth", self.internal_bytes_per_s, "B/s"),
            Peak("in-bank multiply-add", self.mac_peak, "op/s"),
            Peak("controller vector", self.vector_peak, "op/s"),
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        access = self.memory.organization.access
        if self.bank.lanes * self.bank.bits != 8 * access:
            raise ValueError(
                f"bank.lanes x bank.bits is {self.bank.lanes * self.bank.bits} bits, a column is "
                f"{8 * access}; a unit consumes one column per interval"
            )
        if not self.buffer.capacity or self.buffer.capacity % access:
            raise ValueError(
                f"buffer.capacity is not a whole number of columns of {access} B; correct it"
            )
        if self.memory.cycles(self.bank.mac_interval) < 1 or not self.controller.clock:
            raise ValueError("bank.mac_interval and controller.clock must be above 0; give both")
        return self
