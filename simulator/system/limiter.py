"""The clock a kernel runs at under the board's power cap.

A kernel is simulated at the highest clock; its events say what that would draw, and the cap
stretches it to the clock that :mod:`simulator.power.clock` solves for.  Steady state is assumed:
the limiter has seen such kernels for longer than its time constant.  Left out: kernels of several
streams at once, which run at the highest clock, and power that one kernel saves for the next.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simulator.engine.device import Device
from simulator.engine.platform import Platform
from simulator.power.accounting import dynamic_energy, static_power
from simulator.power.clock import Draw, clocked_share, sustained_clock
from simulator.system.kernels import KernelRun
from simulator.trace.work import Work

FEMTO = 10**15


def draw(
    platform: Platform, owners: Sequence[str], work: Work, run: KernelRun, first: bool
) -> Draw:
    """Energy of one kernel at the highest clock, and what bounds its time. ``owners`` names each
    component row; the first kernel of a work pays its operations."""
    rates = platform.energy_rates(work)
    energy = dynamic_energy(rates, run.activity, owners, work.operations if first else {})
    constant = static_power(rates, 0.0)
    awake_w = sum(watts for part, watts in constant.items() if part in rates.clocked)
    clocked_j = sum(joules for part, joules in energy.items() if part in rates.clocked)
    seconds = run.duration_fs / FEMTO
    names = np.asarray(owners)
    busy = {
        part.component: float(run.activity.busy[names == part.component].sum())
        / (part.instances * max(run.duration_fs, 1))
        for part in platform.parts()
    }
    memory = next(part.peak for part in platform.parts() if part.component == "dram")
    moved = (run.dram_read + run.dram_written) / memory
    return Draw(
        seconds,
        clocked_j,
        sum(energy.values()) - clocked_j,
        sum(constant.values()) - awake_w,
        awake_w,
        clocked_share(max(busy.values()), moved / max(seconds, 1 / FEMTO)),
        rates.voltage_floor,
    )


def limit(
    platform: Platform, device: Device, clock: str, work: Work, run: KernelRun, first: bool
) -> None:
    """Stretch a kernel to the clock that the power cap leaves, or at ``burst`` clocks to the one
    that the board's peak leaves."""
    rates = platform.energy_rates(work)
    cap_w = rates.peak_w if clock == "burst" else rates.power_cap_w
    if math.isinf(cap_w) or not run.duration_fs:
        return
    drawn = draw(platform, device.names.owners, work, run, first)
    run.clock = sustained_clock(drawn, cap_w)
    if run.clock < 1:
        run.duration_fs = round(drawn.seconds_at(run.clock) * FEMTO)
