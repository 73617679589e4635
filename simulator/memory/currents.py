"""DRAM energy per event from supply currents: the IDD values of a data sheet or of a meter.

The equations are Micron's (TN-41-01 and TN-40-07, DRAM system power calculators), which
DRAMsim3 and DRAMPower share.  A current is that of a loop which repeats one event; what
the loop draws above standby, times how long it takes, is the energy of the event::

    activate + precharge  VDD (IDD0 tRC - IDD3N tRAS - IDD2N (tRC - tRAS))
    read, write           VDD (IDD4R - IDD3N) tBurst, VDD (IDD4W - IDD3N) tBurst
    refresh               VDD (IDD5B - IDD3N) tRFC, one bank VDD (IDD5PB - IDD3N) tRFCpb
    background            VDD IDD3N while any bank is open, else VDD IDD2N; VPP IPP always

Times are seconds, never cycles, so the clock has no part in them; every current counts
for each of ``devices``.  Left out: power-down and self-refresh, temperature, data
toggling other than that of the loop, VPP beyond its standing current.  IDD leaves out
what drives the data pins: that comes from the description's joules (``energy.io``),
unless the currents are of a rail that feeds the pins too (``io_included``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from pydantic import model_validator

from simulator.hardware.spec import Block
from simulator.units import Amperes, BitsPerSecond, Fraction, JoulesPerBit, Ratio, Seconds, Volts


class Conditions(Block):
    """How the currents were taken, where that is not how this memory runs.

    A current and the period of its loop belong together: 330 mA of gapless reads at
    1.2 Gb/s are 4.94 pJ/bit, at 2 Gb/s those reads would have drawn more.
    """

    data_rate: BitsPerSecond | None = None
    """Of one pin, in the read and write loops."""
    rc: Seconds | None = None
    """Activate to activate in the IDD0 loop."""
    ras: Seconds | None = None
    rfc: Seconds | None = None
    """Refresh to refresh in the IDD5B loop."""
    rfc_bank: Seconds | None = None


class Currents(Block):
    """Supply currents of one device in JEDEC's measurement loops."""

    devices: Ratio
    """Devices that one rank of a (pseudo-)channel has; a channel of a stack is a share."""
    vdd: Volts
    idd0: Amperes
    """Activate and precharge one bank every tRC."""
    idd2n: Amperes
    """Standby, all banks closed."""
    idd3n: Amperes
    """Standby, all banks open."""
    idd3n1: Amperes | None = None
    """Standby with one bank open, as in the IDD0 loop; without it IDD3N stands in."""
    idd4r: Amperes
    """Reads without a gap."""
    idd4w: Amperes
    idd5b: Amperes
    """All-bank refresh every tRFC."""
    idd5pb: Amperes | None = None
    """Refresh of one bank every tRFCpb; without it a bank costs its share of IDD5B's."""
    vpp: Volts | None = None
    ipp: Amperes | None = None
    """Word-line supply; sheets give nearly the same current in every state."""
    io_included: JoulesPerBit | None = None
    """What the currents above spend on the data pins; moved from read and write to I/O."""
    at: Conditions = Conditions()
    error_band: Fraction | None = None
    """How far these currents are known to miss measured ones, relative to measured."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        loops = (
            ("idd3n", self.idd3n, "idd2n", self.idd2n),
            ("idd4r", self.idd4r, "idd3n", self.idd3n),
            ("idd4w", self.idd4w, "idd3n", self.idd3n),
            ("idd5b", self.idd5b, "idd3n", self.idd3n),
            ("idd5pb", self.idd5pb, "idd3n", self.idd3n),
        )
        for name, above, base, below in loops:
            # Equal standby currents are possible, an event that costs nothing is not.
            if above is not None and (above < below or (above == below and name != "idd3n")):
                raise ValueError(
                    f"{name} of {above * 1e3:g} mA is not above {base} of {below * 1e3:g} mA, so "
                    "the event would give energy back; take both from one table and device"
                )
        if (self.vpp is None) != (self.ipp is None):
            raise ValueError("vpp and ipp belong together; give both or neither")
        return self


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of this memory: what the loops take unless ``at`` says otherwise."""

    rc: float
    ras: float
    rfc: float
    rfc_bank: float


@dataclass(frozen=True, slots=True)
class EventEnergy:
    """Joules per event and watts of one pseudo-channel, whatever they were derived from."""

    activate: float
    """One activate with its precharge."""
    read_bit: float
    """Joules per bit, cell array to device boundary."""
    write_bit: float
    io_bit: float
    open_watts: float
    """Standby with an open bank."""
    closed_watts: float
    refresh: float
    """All banks of the pseudo-channel, all ranks."""
    refresh_bank: float | None
    """None where one bank costs its share of ``refresh``."""


def activate_joules(currents: Currents, times: Times) -> float:
    """One activate and precharge of one device; may be negative where a table misleads."""
    rc, ras = currents.at.rc or times.rc, currents.at.ras or times.ras
    one_open = currents.idd3n if currents.idd3n1 is None else currents.idd3n1
    return currents.vdd * (currents.idd0 * rc - one_open * ras - currents.idd2n * (rc - ras))


def derive(
    currents: Currents, times: Times, bits_per_s: float, ranks: int, io_bit: float
) -> EventEnergy:
    """Energy per event; ``bits_per_s`` is what the loop's pins carry in one pseudo-channel."""
    devices, vdd, at = currents.devices, currents.vdd, currents.at
    included = currents.io_included or 0.0

    def over_open(current: float) -> float:
        """Watts of a loop above active standby."""
        return devices * vdd * (current - currents.idd3n)

    def standby(current: float) -> float:
        return ranks * devices * (vdd * current + (currents.vpp or 0.0) * (currents.ipp or 0.0))

    rank_refresh = over_open(currents.idd5b) * (at.rfc or times.rfc)
    bank_refresh = None
    if currents.idd5pb is not None:
        bank_refresh = over_open(currents.idd5pb) * (at.rfc_bank or times.rfc_bank)
    return EventEnergy(
        activate=devices * activate_joules(currents, times),
        read_bit=over_open(currents.idd4r) / bits_per_s - included,
        write_bit=over_open(currents.idd4w) / bits_per_s - included,
        io_bit=io_bit if currents.io_included is None else included,
        open_watts=standby(currents.idd3n),
        closed_watts=standby(currents.idd2n),
        refresh=ranks * rank_refresh,
        refresh_bank=bank_refresh,
    )
