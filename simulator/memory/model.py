"""From a memory description to the controller of one of its channels.

The constraint tables of the memory's protocol in ticks; queues, watermarks and refresh as the
description has them; open rows that are kept while requests hit them.  For processing in
memory a description of its lockstep rows adds the commands of
``hwconfigs/standards/extensions/lockstep.yaml``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.memory.controller.layout import POWER, Settings, Sizes, Tables
from simulator.memory.controller.tables import build_tables
from simulator.memory.policy import Policy, first_refresh, issued_commands, sizes_and_settings
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import Device, Lockstep, compile_device


@dataclass(frozen=True)
class Channel:
    """A controller for channels of one memory."""

    device: Device
    sizes: Sizes
    settings: Settings
    tables: Tables
    first_refresh: int
    pseudo_channels: int
    """Of a channel, each with its own banks and data pins."""

    @property
    def access_bytes(self) -> int:
        return self.device.access_bytes

    @property
    def banks(self) -> int:
        """Of a pseudo-channel."""
        return self.device.banks // self.pseudo_channels

    def bank_order(self) -> np.ndarray:
        """Banks of a pseudo-channel such that neighbours lie in other bank groups."""
        sizes = [size for name, size in self.device.sizes if name != "pseudo_channel"]
        numbers = np.arange(self.banks).reshape(sizes)
        names = [name for name, _ in self.device.sizes if name != "pseudo_channel"]
        fast = names.index("bank_group")
        return np.moveaxis(numbers, fast, -1).ravel()


def _power(device: Device, seconds: float) -> int:
    """Time in which the power budget refills, in parts of a tick."""
    return round(seconds * 1e15 * POWER / device.tick_fs)


REFRESH = {"none": "none", "all_bank": "all-bank", "per_bank": "per-bank"}


def channel_of(
    spec: MemorySpec,
    lockstep: Lockstep | None = None,
    scheduler: str | None = None,
    queue: int | None = None,
) -> Channel:
    """The controller that ``spec`` describes; if given, with another scheduler or with room for
    ``queue`` accesses of each kind."""
    device = compile_device(spec, lockstep)
    how = Policy(
        scheduler=scheduler or spec.controller.scheduler,
        refresh=REFRESH[spec.timing.refresh.mode],
        read_queue=queue or spec.controller.queue,
        write_queue=queue or spec.controller.queue,
        drain_high=spec.controller.write_high,
        drain_low=spec.controller.write_low,
    )
    sizes, settings = sizes_and_settings(device, how)
    sizes = sizes._replace(ordered=0)
    refresh = REFRESH[spec.timing.refresh.mode]
    if lockstep is not None:
        settings = settings._replace(
            macro_interval=device.ticks["mac_interval"],
            macro_span=lockstep.span,
            buffer_interval=device.ticks["ccd_s"],
            sets=lockstep.sets,
            switch=device.ticks["switch"],
            fence=device.ticks["fence"],
            overlap=int(lockstep.overlap),
            activate_cost=_power(device, lockstep.activate_cost),
            column_cost=_power(device, lockstep.column_cost),
            power_window=_power(device, lockstep.power_window),
        )
    return Channel(
        device=device,
        sizes=sizes,
        settings=settings,
        tables=build_tables(device, issued_commands(device, refresh)),
        first_refresh=first_refresh(refresh, settings),
        pseudo_channels=spec.organization.pseudo_channels,
    )
