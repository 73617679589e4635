"""Energy from events: what a machine counted, times joules each, plus constant power.

One linear model serves every device kind: the platform names the joules of its events
(:class:`~simulator.engine.platform.EnergyRates`), the engine counted them.  DRAM refresh and
background are constant power of the channels.  Left out: temperature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simulator.engine.device import Snapshot
from simulator.engine.platform import EnergyRates
from simulator.memory.controller import layout
from simulator.power.clock import voltage

FEMTO = 1e-15


def dynamic_energy(
    rates: EnergyRates,
    activity: Snapshot,
    owners: Sequence[str],
    operations: Mapping[str, float],
) -> dict[str, float]:
    """Joules by part for what happened. ``owners`` names each component row."""
    parts: dict[str, float] = {}

    def add(part: str, joules: float) -> None:
        if joules:
            parts[part] = parts.get(part, 0.0) + float(joules)

    names = np.asarray(owners)
    for component, (part, each) in rates.per_unit.items():
        add(part, float(activity.units[names == component].sum()) * each)
    for unit, count in operations.items():
        if unit in rates.per_operation:
            part, each = rates.per_operation[unit]
            add(part, count * each)

    def issued(command: int) -> float:
        return activity.dram(layout.N_COMMAND + command)

    if rates.memory is not None:
        memory = rates.memory
        bits = 8 * rates.burst_bytes
        moved = memory.io + rates.per_dram_bit
        add("dram activate", activity.dram(layout.N_OPENED) * memory.activate)
        add("dram read", issued(layout.RD) * bits * (memory.read + moved))
        add("dram write", issued(layout.WR) * bits * (memory.write + moved))
    add("bank", (issued(layout.MACAB) + issued(layout.WRAB)) * rates.per_macro_column)
    add("buffer", issued(layout.BUF) * rates.per_buffer_burst)
    return parts


def at_clock(rates: EnergyRates, energy: Mapping[str, float], clock: float) -> dict[str, float]:
    """Energy (or constant power) at a share of the highest clock: that of clocked parts goes with
    the square of the voltage."""
    share = voltage(clock, rates.voltage_floor) ** 2
    return {
        part: joules * (share if part in rates.clocked else 1.0) for part, joules in energy.items()
    }


def static_power(rates: EnergyRates, refresh_interval_s: float) -> dict[str, float]:
    """Watts by part while the device is in the state that ``rates`` describes."""
    watts = dict(rates.static_w)
    if rates.memory is not None:
        watts["dram background"] = rates.channels * rates.memory.background
        if refresh_interval_s > 0:
            watts["dram refresh"] = rates.channels * rates.memory.refresh / refresh_interval_s
    return watts


def add_energy(total: dict[str, float], *more: Mapping[str, float]) -> dict[str, float]:
    """Sum by part, in place."""
    for parts in more:
        for part, joules in parts.items():
            total[part] = total.get(part, 0.0) + joules
    return total


def over(watts: Mapping[str, float], duration_fs: float) -> dict[str, float]:
    """Joules of constant power over a time."""
    return {part: power * duration_fs * FEMTO for part, power in watts.items()}
