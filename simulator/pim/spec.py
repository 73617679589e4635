"""What a processing-in-memory description says: banks that multiply, and a controller.

Every bank has multiply-accumulate lanes beside its row buffer; all banks of a channel
act in lockstep on columns of their open rows, against an activation vector held in
the channel's buffer.  A controller chip issues commands and runs everything else on a
small vector unit.  ``mapping`` holds the choices of how work is laid over the banks, so
that a sweep can vary them.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Choice, Defaults, Peak, Whole
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
    """The multiply-accumulate unit of one bank, or of several that take turns."""

    shared: Annotated[Count, Field(le=128)] = 1
    """Banks that share a unit: 1 beside each bank, a bank group's, all on the buffer die."""
    lanes: Count
    """Products per column access."""
    bits: Count
    """Bits of one operand."""
    mac_interval: Timing
    """Between lockstep column accesses."""
    rcd_compute: Timing
    """Activate to first lockstep column."""
    accumulators: Count
    """Partial sums a unit holds, or registers for elementwise work."""
    initialize: Choice = False
    """Start values of accumulators are written, instead of cleared."""
    adds_lanes: Choice = True
    """A sum is one number (an adder tree); without it each lane keeps its own."""
    row_buffers: Annotated[Count, Field(le=2)] = 1
    """2: ordinary accesses have row buffers of their own, so that they and lockstep columns do not
    exclude each other (NeuPIMs, Heo et al., ASPLOS 2024)."""


class Buffer(Block):
    """The channel's buffer of activations, broadcast to its banks."""

    capacity: Bytes
    overlap: Choice = False
    """Transfers have a path, and units two of each register, so that they hide behind columns."""
    switch: Timing | None = None
    """Between columns, fills and results: units change what their registers are for."""
    results: Literal["pins", "banks"] = "pins"
    """Sums are sent out, or written to a row by lockstep columns and read from there."""


class Fence(Block):
    """The issuer waits for columns to be done before it sends more."""

    columns: Count
    """Lockstep columns between two fences, at most; a buffer fill has one too."""
    time: Timing
    """From the end of the columns to the next ones; rows open meanwhile."""


class Modes(Block):
    """Accesses that lead into lockstep work and out of it, a fence behind each stage.

    Banks are parked and switched by ordinary accesses to reserved rows, so each stage opens one;
    then writes go to all banks at once."""

    park: Whole
    """Banks that are opened one by one before."""
    enter: Whole
    """Writes that switch all banks to lockstep."""
    program: Whole
    """Writes of the units' program."""
    start: Whole
    """Writes that start it, for each block of results."""
    leave: Whole
    """Writes that switch back."""
    unpark: Whole
    """Banks that are opened one by one behind."""


class PowerBudget(Block):
    """What activates and lockstep columns of a stack may draw."""

    stack: Watts
    window: Seconds
    """By how much of it a controller may run ahead of the average."""


class Functions(Block):
    """Steps (multiply-adds) of one element of a function on the controller's lanes, and how others
    are made of them (``approximations.py``)."""

    exp: Count
    divide: Count
    rsqrt: Count
    gelu: Literal["formula", "tanh", "sigmoid", "polynomial"] = "formula"
    silu: Literal["formula", "sigmoid", "hard"] = "formula"
    softmax: Literal["exact", "base2"] = "exact"


class PimController(Block):
    """The chip that commands the memory and computes what banks cannot."""

    clock: Hertz
    vector_lanes: Count
    """Elementwise operations per clock."""
    sram: Bytes
    functions: Functions
    link_latency: Seconds
    """Controller to memory channel, one way."""
    port: BytesPerSecond | None = None
    """What the controller reads and writes by ordinary accesses, all channels together."""


class Launch(Block):
    """What lies between two kernels."""

    gap: Seconds
    """The controller starts the next command program this long after the last result."""


class PimMapping(Block):
    """How work is laid over channels, banks and rows."""

    products: Literal["banks", "controller"] = "banks"
    """Who multiplies: units, or the controller that reads the weights over the pins."""
    elementwise: Literal["controller", "banks"] = "controller"
    """Who does sums, products and limits of large operands element by element."""
    collect: Choice = True
    """The controller reads results that lie in banks; traces of other simulators leave that out."""
    order: Literal["activation_stationary", "output_stationary"]
    """Keep a chunk of activations and send out partial sums, or keep partial sums in the
    accumulators and send the chunks again for every group of outputs."""
    fill: Literal["channels", "units"] = "channels"
    """Consecutive outputs go round all channels, or fill the accumulators of a channel's units
    first."""
    pack: Choice
    """Several short vectors share a row, instead of a row each."""
    spread: Literal["heads", "channels", "tokens"]
    """A head's cache lies in as few pseudo-channels as keep all busy, the same but whole channels
    at least, or in all of them."""
    spread_values: Literal["heads", "channels", "tokens"] | None = None
    """The same for values, where they are spread otherwise than keys; scores then all pass through
    the controller before the first values are used."""
    heads_share_rows: Choice = False
    """Keys of a token's heads lie side by side, where values are spread otherwise than keys."""
    scale_scores: Literal["controller", "banks"] = "controller"
    """Who multiplies scores by their factors, where all of them pass through the controller."""
    attention_accumulators: Count | None = None
    """Accumulators that attention uses between two reads; all of them if not given."""
    append: Choice = True
    """Attention stores the keys and values it is the first to use; traces of other simulators leave
    that out."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        apart = self.spread_values not in (None, self.spread)
        if not apart and (self.heads_share_rows or self.scale_scores == "banks"):
            raise ValueError(
                "heads_share_rows and scale_scores need all scores at the controller between "
                "keys and values; give mapping.spread_values another value than mapping.spread"
            )
        return self


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
    activation: Literal["faw", "relaxed", "group_faw", "power"]
    """Activating all banks obeys tFAW, ignores it, obeys it per bank group, or obeys ``power``."""
    power: PowerBudget | None = None
    """Limits activates and columns where ``activation`` says so."""
    fence: Fence | None = None
    modes: Modes | None = None
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
    def units(self) -> int:
        """Multipliers of a channel."""
        return self.memory.banks // self.bank.shared

    @property
    def mac_interval_s(self) -> float:
        """Between lockstep columns, in whole memory clocks."""
        return self.memory.cycles(self.bank.mac_interval) / self.memory.clock

    @property
    def mac_peak(self) -> float:
        """Operations per second of all units (a multiply-add is two)."""
        return 2 * self.memory.channels * self.units * self.bank.lanes / self.mac_interval_s

    @property
    def internal_bytes_per_s(self) -> float:
        """What row buffers deliver to all units."""
        return (
            self.memory.channels
            * self.units
            * self.memory.organization.access
            / self.mac_interval_s
        )

    @property
    def vector_peak(self) -> float:
        """Operations per second of the controller's lanes."""
        return self.controller.vector_lanes * self.controller.clock

    @property
    def activate_energy(self) -> float:
        """Joules of one lockstep activate: a row in each bank that works at once."""
        return self.units * self.memory.energy.activate

    @property
    def column_energy(self) -> float:
        """Joules of one lockstep column: cells to units, and products."""
        bits = 8 * self.memory.organization.access
        return self.units * (self.bank.lanes * self.energy.mac + bits * self.energy.column)

    @property
    def channel_power(self) -> float:
        """A channel's share of the power budget in watts; infinite without one."""
        if self.power is None or self.activation != "power":
            return math.inf
        return self.power.stack * self.memory.organization.stacks / self.memory.channels

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("in-bank bandwidth", self.internal_bytes_per_s, "B/s"),
            Peak("in-bank multiply-add", self.mac_peak, "op/s"),
            Peak("controller vector", self.vector_peak, "op/s"),
        )

    def _affordable(self) -> None:
        if self.power is None:
            raise ValueError("activation 'power' has no power budget; give power.stack and window")
        ahead = self.channel_power * self.power.window
        needed = max(self.activate_energy, self.column_energy)
        if ahead < needed:
            raise ValueError(
                f"power.window lets a channel draw {ahead * 1e9:.3g} nJ at once, a lockstep "
                f"activate or column needs {needed * 1e9:.3g} nJ; raise power.window or power.stack"
            )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        access = self.memory.organization.access
        if self.bank.lanes * self.bank.bits != 8 * access:
            raise ValueError(
                f"bank.lanes x bank.bits is {self.bank.lanes * self.bank.bits} bits, a column is "
                f"{8 * access}; a unit consumes one column per interval"
            )
        if self.memory.banks % self.bank.shared:
            raise ValueError(
                f"bank.shared {self.bank.shared} does not divide the {self.memory.banks} banks of "
                "a channel; choose a divisor"
            )
        if self.bank.shared > 1 and self.activation in ("faw", "group_faw"):
            raise ValueError(
                f"activation '{self.activation}' opens banks one by one, which shared units do "
                "not; choose relaxed or power"
            )
        if self.activation == "power":
            self._affordable()
        if self.buffer.overlap and self.buffer.switch is not None:
            raise ValueError(
                "buffer.overlap hides transfers behind columns, which buffer.switch keeps apart; "
                "give one of them"
            )
        if not self.buffer.capacity or self.buffer.capacity % access:
            raise ValueError(
                f"buffer.capacity is not a whole number of columns of {access} B; correct it"
            )
        if self.memory.cycles(self.bank.mac_interval) < 1 or not self.controller.clock:
            raise ValueError("bank.mac_interval and controller.clock must be above 0; give both")
        return self
