"""DRAM energy of a run from its commands: activate, read and write, I/O, background, refresh.

Two models price the same commands.  ``per-bit`` takes the joules of each event from the
memory's description, which has them from publications (O'Connor et al., MICRO 2017, for
HBM2) or derived them once.  ``currents`` derives them here from supply currents (Micron
TN-41-01 and TN-40-07, see :mod:`simulator.memory.currents`).  Left out: power-down states,
temperature, data toggling beyond the average of the source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from simulator.errors import OptionError, suggest
from simulator.memory.currents import EventEnergy
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import Device

ERROR_BAND = 0.4
"""|printed - measured| / measured, where a description does not say otherwise.

A model with DRAMsim3's currents misses the power of measured HBM2 by 21 % (zeros) to 40 %
(random data) on average over workloads (CMU-SAFARI HBM-Power).
"""
PER_BIT = "per-bit"
CURRENTS = "currents"


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """What an event costs, by which model, and how far that is known to be off."""

    name: str
    events: EventEnergy
    error_band: float


def energy_model(spec: MemorySpec, name: str = PER_BIT) -> EnergyModel:
    """The model called ``per-bit``, ``currents`` (the preferred set) or ``currents:SET``."""
    kind, _, chosen = name.partition(":")
    if kind == PER_BIT and not chosen:
        per = spec.energy
        events = EventEnergy(
            activate=per.activate,
            read_bit=per.read,
            write_bit=per.write,
            io_bit=per.io,
            open_watts=per.background,
            closed_watts=per.background,
            refresh=per.refresh,
            refresh_bank=None,
        )
        return EnergyModel(name, events, _band(per.error_band))
    if kind != CURRENTS:
        raise OptionError(
            f"unknown energy model '{name}'",
            where="--energy",
            remedy=suggest(
                kind, (PER_BIT, CURRENTS), f"write {PER_BIT}, {CURRENTS} or {CURRENTS}:SET"
            ),
        )
    sets = spec.currents or {}
    if not sets:
        raise OptionError(
            f"memory '{spec.name}' gives no supply currents",
            where="--energy",
            remedy=f"use {PER_BIT}, or a memory with currents: {', '.join(_with_currents())}",
        )
    chosen = chosen or next(iter(sets))
    if chosen not in sets:
        raise OptionError(
            f"memory '{spec.name}' has no currents called '{chosen}'",
            where="--energy",
            remedy=suggest(chosen, sets, f"choose one of {', '.join(sets)}"),
        )
    currents = sets[chosen]
    return EnergyModel(
        f"{CURRENTS}:{chosen}", spec.from_currents(currents), _band(currents.error_band)
    )


def energy(
    spec: MemorySpec,
    device: Device,
    commands: Mapping[str, int],
    channels: int,
    seconds: float,
    model: EnergyModel | None = None,
    open_share: float = 1.0,
) -> dict[str, float]:
    """Joules by part and in total, by ``model`` or else by the description's joules.

    ``open_share`` is the share of time in which a refresh group has an open bank.  1, active
    standby all the time, is the upper bound and right for channels with open rows.
    """
    if not 0.0 <= open_share <= 1.0:
        raise OptionError(
            f"expected a share of time from 0 to 1, got {open_share:g}", where="open_share"
        )
    events = (model or energy_model(spec)).events
    access_bits = 8 * device.access_bytes
    reads, writes = commands.get("RD", 0), commands.get("WR", 0)
    independent = channels * spec.organization.pseudo_channels
    # ``refresh`` is all banks of one pseudo-channel; a refresh group may be one of its ranks.
    group = events.refresh * spec.organization.pseudo_channels / device.groups
    bank = events.refresh_bank
    if bank is None:
        bank = group / (device.banks // device.groups)
    standby = open_share * events.open_watts + (1.0 - open_share) * events.closed_watts
    parts = {
        "activate": commands.get("ACT", 0) * events.activate,
        "read": reads * access_bits * events.read_bit,
        "write": writes * access_bits * events.write_bit,
        "io": (reads + writes) * access_bits * events.io_bit,
        "background": independent * standby * seconds,
        "refresh": commands.get("REFab", 0) * group + commands.get("REFpb", 0) * bank,
    }
    return {**parts, "total": sum(parts.values())}


def _band(said: float | None) -> float:
    return ERROR_BAND if said is None else said


def _with_currents() -> list[str]:
    """Catalogued memories that give currents; read only to word an error."""
    from simulator.hardware import catalogue, resolve

    names = (entry.name for entry in catalogue() if entry.kind == "memory")
    return [name for name in names if resolve(name).tree.get("currents")]
