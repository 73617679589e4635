"""What a memory description says: organisation, timings, controller, energy.

One file is one kind of DRAM with its controller.  *Channel* means an independent
pseudo-channel: its own banks and data pins.  The numbers follow the
JEDEC names (tRCD and so on, spelled out); a validator refuses what cannot be built,
such as bursts faster than the pins or an activate that costs nothing.  Left out: the
constraint table itself, command encodings, power-down and self-refresh.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.hardware.spec import Block, Choice, Peak
from simulator.memory.currents import Currents, EventEnergy, Times, derive
from simulator.memory.timing import Timing, TimingValue
from simulator.units import (
    BitsPerSecond,
    Bytes,
    Count,
    Fraction,
    Hertz,
    Joules,
    JoulesPerBit,
    Watts,
)


class Organization(Block):
    """How many of everything; a row is one bank's row in one pseudo-channel."""

    stacks: Count
    """Stacks, modules or packages."""
    channels_per_stack: Count
    pseudo_channels: Count
    """Pseudo-channels of a channel; 1 where the standard has none."""
    ranks: Count
    """Ranks, or stack ids of a tall HBM stack: banks that share a channel's pins."""
    bank_groups: Count
    banks_per_group: Count
    rows: Count
    row: Bytes
    access: Bytes
    """Bytes of one burst."""
    data_pins: Count
    """Data pins of one pseudo-channel."""

    @property
    def channels(self) -> int:
        """Independent (pseudo-)channels of the whole memory."""
        return self.stacks * self.channels_per_stack * self.pseudo_channels

    @property
    def banks(self) -> int:
        """Banks of one channel, all ranks."""
        return self.ranks * self.bank_groups * self.banks_per_group

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.access <= 0 or self.row % self.access:
            raise ValueError(
                f"a row of {self.row} B is not a whole number of accesses of {self.access} B; "
                "choose row and access so that they divide"
            )
        return self


class Refresh(Block):
    """``interval`` is tREFI, ``all_bank`` tRFC, ``per_bank`` tRFCpb."""

    mode: Literal["none", "all_bank", "per_bank"]
    interval: Timing
    all_bank: Timing
    per_bank: Timing


class Timings(Block):
    """Command-to-command times of one channel, in clocks or nanoseconds."""

    burst: Timing
    """Data bus time of one access."""
    read_latency: Timing
    """CL: read command to first data."""
    write_latency: Timing
    """CWL: write command to first data."""
    rcd_read: Timing
    rcd_write: Timing
    precharge: Timing
    """tRP."""
    ras: Timing
    rc: Timing
    rrd_s: Timing
    rrd_l: Timing
    faw: Timing
    ccd_s: Timing
    ccd_l: Timing
    write_recovery: Timing
    """tWR, from the end of the data."""
    read_to_precharge: Timing
    """tRTP."""
    wtr_s: Timing
    wtr_l: Timing
    rtw: Timing
    """Read command to write command."""
    refresh: Refresh

    # What only some command protocols need; see hwconfigs/standards.
    burst_long: Timing | None = None
    """LPDDR5: time a bank group is busy with one access (BL/n_max)."""
    ccd_l_write: Timing | None = None
    """DDR5: write to write, same bank group."""
    ccd_r: Timing | None = None
    """HBM3: read to read of another stack id (tCCDR)."""
    precharge_all: Timing | None = None
    """LPDDR5: tRPab."""
    precharge_to_precharge: Timing | None = None
    """tPPD."""
    rank_switch: Timing | None = None
    """Data bus hand-over between ranks (tCS)."""
    refresh_to_activate: Timing | None = None
    """Per-bank refresh to activate of another bank (tRREFD)."""
    refresh_to_refresh: Timing | None = None
    """Per-bank refresh to per-bank refresh of another bank."""
    activate_split: Timing | None = None
    """LPDDR5: longest time from ACT-1 to ACT-2 (tAAD)."""
    data_clock_postamble: Timing | None = None
    """LPDDR5: how long WCK runs on behind a burst (tWCKPST)."""


class Mapping(Block):
    """How addresses spread: consecutive bytes in one channel, then in one bank."""

    channel_interleave: Bytes
    bank_interleave: Bytes
    hashed: Choice
    """Higher address bits permute channel and bank, as GPUs do."""


class Controller(Block):
    """Per-channel scheduler."""

    scheduler: Literal["fr-fcfs", "row-hit-first", "fcfs"]
    """Whose command goes out: the oldest's of those that are ready, the same but rows stay open
    for older hits, or the oldest's of all."""
    write_high: Fraction
    """Share of the queue at which writes start to drain."""
    write_low: Fraction
    """Share of the queue at which draining stops."""
    queue: Count
    """Accesses of each kind a channel holds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.write_low >= self.write_high:
            raise ValueError(
                f"write_low {self.write_low} is not below write_high {self.write_high}; "
                "draining must stop below where it starts"
            )
        return self


class MemoryEnergy(Block):
    """Energy by event; ``background`` is drawn by each channel all the time."""

    activate: Joules
    """One activate with its precharge, one bank."""
    read: JoulesPerBit
    """Cell array to device boundary."""
    write: JoulesPerBit
    io: JoulesPerBit
    """Device boundary to the controller's pads."""
    background: Watts
    refresh: Joules
    """One all-bank refresh of a channel; per-bank refresh costs its share."""
    error_band: Fraction | None = None
    """How far these joules are known to miss measured ones, relative to measured."""


class MemorySpec(Block):
    """``hwconfigs/memory``: one DRAM system and its controller."""

    kind: Literal["memory"]
    name: str
    title: str = ""
    standard: str
    protocol: str | None = None
    """Command and constraint table in ``hwconfigs/standards``; none if not modelled by command."""
    data_rate: BitsPerSecond
    """Of one pin."""
    clock: Hertz
    """Command clock; one ``ck`` is its period (tCK)."""
    organization: Organization
    timing: Timings
    mapping: Mapping
    controller: Controller
    energy: MemoryEnergy
    currents: dict[str, Currents] | None = None
    """Sets of supply currents, the first one preferred; another way to give energy."""

    @property
    def channels(self) -> int:
        """Independent (pseudo-)channels."""
        return self.organization.channels

    @property
    def banks(self) -> int:
        """Banks of one channel."""
        return self.organization.banks

    @property
    def channel_bytes_per_s(self) -> float:
        """What the pins of one channel carry."""
        return self.organization.data_pins * self.data_rate / 8

    @property
    def peak_bytes_per_s(self) -> float:
        """What all pins carry."""
        return self.channels * self.channel_bytes_per_s

    @property
    def capacity_bytes(self) -> int:
        """Bytes of the whole memory."""
        return self.channels * self.banks * self.organization.rows * self.organization.row

    def cycles(self, timing: TimingValue) -> int:
        """A timing parameter in command clocks."""
        return timing.cycles(self.clock)

    def femtoseconds(self, timing: TimingValue) -> int:
        """A timing parameter, rounded up to whole command clocks."""
        return timing.femtoseconds(self.clock)

    def from_currents(self, currents: Currents) -> EventEnergy:
        """Joules per event of one (pseudo-)channel, by its supply currents."""
        timing = self.timing
        rc, ras, rfc, rfc_bank = (
            self.cycles(value) / self.clock
            for value in (timing.rc, timing.ras, timing.refresh.all_bank, timing.refresh.per_bank)
        )
        return derive(
            currents,
            Times(rc, ras, rfc, rfc_bank),
            self.organization.data_pins * (currents.at.data_rate or self.data_rate),
            self.organization.ranks,
            self.energy.io,
        )

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            Peak("DRAM bandwidth", self.peak_bytes_per_s, "B/s"),
            Peak("DRAM capacity", self.capacity_bytes, "B"),
            Peak("DRAM channels", self.channels, ""),
            Peak("banks per channel", self.banks, ""),
        )

    @model_validator(mode="after")
    def _buildable(self) -> Self:
        if not self.clock or not self.data_rate:
            raise ValueError("clock and data_rate must be above 0; give both")
        timing, access = self.timing, self.organization.access
        on_pins_s = access / self.channel_bytes_per_s
        burst_s = self.cycles(timing.burst) / self.clock
        # tCK is quoted to the picosecond, so bursts match the pins to a percent only.
        if burst_s < 0.99 * on_pins_s:
            raise ValueError(
                f"a burst of {access} B in {burst_s * 1e9:.3g} ns is faster than the pins, which "
                f"need {on_pins_s * 1e9:.3g} ns; raise timing.burst, data_rate or data_pins"
            )
        if burst_s > 1.01 * on_pins_s + 0.5 / self.clock:
            raise ValueError(
                f"the pins carry {access} B in {on_pins_s * 1e9:.3g} ns but a burst takes "
                f"{burst_s * 1e9:.3g} ns; change clock together with data_rate"
            )
        order = (
            ("ccd_s", "burst", timing.ccd_s, timing.burst),
            ("ccd_l", "ccd_s", timing.ccd_l, timing.ccd_s),
            ("rrd_l", "rrd_s", timing.rrd_l, timing.rrd_s),
            ("faw", "rrd_s", timing.faw, timing.rrd_s),
            ("rc", "ras", timing.rc, timing.ras),
            ("wtr_l", "wtr_s", timing.wtr_l, timing.wtr_s),
        )
        for longer, shorter, upper, lower in order:
            if self.cycles(upper) < self.cycles(lower):
                raise ValueError(
                    f"timing.{longer} ({upper}) is shorter than timing.{shorter} ({lower}); "
                    "correct one of them"
                )
        refresh = timing.refresh
        if refresh.mode != "none" and self.cycles(refresh.interval) <= self.cycles(
            refresh.all_bank
        ):
            raise ValueError(
                f"timing.refresh.interval ({refresh.interval}) leaves no time beside "
                f"timing.refresh.all_bank ({refresh.all_bank}); raise the interval"
            )
        return self

    @model_validator(mode="after")
    def _energy_is_spent(self) -> Self:
        for name, currents in (self.currents or {}).items():
            events = self.from_currents(currents)
            if events.activate <= 0:
                raise ValueError(
                    f"currents.{name}: an activate would cost {events.activate * 1e12:.4g} pJ: "
                    "idd0 is below the standby it is measured on; idd3n is with all banks open, "
                    "so give idd3n1, with one bank open"
                )
            if min(events.read_bit, events.write_bit) <= 0:
                raise ValueError(
                    f"currents.{name}: io_included is more than reads or writes draw; lower it"
                )
        return self
