"""How a channel is run: scheduler, row policy, refresh, queues, and how requests are fed.

A :class:`Policy` with a device gives the controller's parameters.  ``ramulator2`` copies the
settings Ramulator 2.1 is compared with (FR-FCFS, open rows, blocking all-bank refresh, MOP4,
one front end with head-of-line blocking); ``default`` refreshes bank by bank around the
requests, where the standard has the command, and feeds every channel by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from simulator.errors import OptionError, suggest
from simulator.memory.controller import layout
from simulator.memory.controller.layout import Settings, Sizes
from simulator.memory.standards import Device

SCHEDULERS = ("fr-fcfs", "row-hit-first", "fcfs")
ROW_POLICIES = ("open", "closed", "timeout")
REFRESHES = ("none", "all-bank", "per-bank-blocking", "per-bank")
FEEDS = ("shared", "independent")
TRIES = 2
"""Requests offered a channel and tick."""
POSTPONED = 8
"""Refreshes of a bank that may be owed, as JEDEC allows."""
TIMEOUT_TICKS = 200


@dataclass(frozen=True)
class Policy:
    """How a memory is run; None means what the standard or the memory suggests."""

    scheduler: str = "fr-fcfs"
    row_policy: str = "open"
    refresh: str | None = None
    mapping: str = "mop4"
    feed: str = "independent"
    read_queue: int | None = None
    write_queue: int | None = None
    drain_high: float = 0.8
    drain_low: float = 0.2

    def __post_init__(self) -> None:
        choices = {
            "scheduler": SCHEDULERS,
            "row_policy": ROW_POLICIES,
            "refresh": (None, *REFRESHES),
            "feed": FEEDS,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                known = [one for one in allowed if one]
                flag = "--" + name.replace("_", "-")
                raise OptionError(
                    f"unknown value '{value}'", where=flag, remedy=suggest(str(value), known)
                )
        for name in ("read_queue", "write_queue"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 4096:
                raise OptionError(
                    f"a queue of {value}",
                    where="--" + name.replace("_", "-"),
                    remedy="choose 1 to 4096 requests",
                )
        if not 0 <= self.drain_low < self.drain_high <= 1:
            raise OptionError(
                f"drains between {self.drain_low} and {self.drain_high}",
                where="drain",
                remedy="choose 0 <= low < high <= 1",
            )


POLICIES = {
    "default": Policy(),
    "ramulator2": Policy(refresh="all-bank", feed="shared"),
}


def policy(name: str, **changes: Any) -> Policy:
    """A named policy with some settings changed; None changes nothing."""
    if name not in POLICIES:
        raise OptionError(
            f"unknown policy '{name}'", where="--policy", remedy=suggest(name, POLICIES)
        )
    known = {field.name for field in fields(Policy)}
    given = {key: value for key, value in changes.items() if key in known and value is not None}
    return replace(POLICIES[name], **given)


def sizes_and_settings(device: Device, how: Policy) -> tuple[Sizes, Settings]:
    """The controller's parameters for a device and a policy."""
    refresh = refresh_mode(device, how)
    reads = how.read_queue or device.standard.queue
    writes = how.write_queue or device.standard.queue
    group_banks = device.banks // device.groups
    ticks = device.ticks
    # Single precision, because the watermarks are compared with products of it.
    high = np.float32(how.drain_high) * np.float32(writes)
    low = np.float32(how.drain_low) * np.float32(writes)
    sizes = Sizes(
        groups=device.groups,
        group_banks=group_banks,
        read_queue=reads,
        write_queue=writes,
        dual_bus=int(device.standard.bus_slots != "one"),
        half_clock=int(device.ticks_per_clock == 2),
        split_activate=int(device.standard.split_activate),
        scheduler=SCHEDULERS.index(how.scheduler),
        row_policy=ROW_POLICIES.index(how.row_policy),
        refresh=REFRESHES.index(refresh),
        ordered=1,
    )
    settings = Settings(
        tries=TRIES,
        drain_above=int(np.floor(high)),
        drain_below=int(np.ceil(low)),
        refresh_interval=ticks["refresh_interval"],
        refresh_bank_interval=bank_interval(device),
        refresh_bank_time=ticks["rfc_bank"],
        refresh_sets=dict(device.sizes).get("stack_id", 1),
        refresh_slack=(POSTPONED - 1) * group_banks,
        idle_close=TIMEOUT_TICKS if how.row_policy == "timeout" else 0,
        read_latency=device.read_latency,
        write_latency=ticks["write_latency"],
        burst=ticks["burst"],
        activate_split=ticks.get("activate_split", 0),
        data_clock_postamble=ticks.get("data_clock_postamble", 0),
        macro_interval=0,
        macro_span=0,
        buffer_interval=0,
        sets=1,
        switch=0,
        fence=0,
        overlap=0,
        activate_cost=0,
        column_cost=0,
        power_window=0,
    )
    return sizes, settings


def bank_interval(device: Device) -> int:
    """Ticks between per-bank refreshes of a group, whole clocks."""
    clocks = device.ticks["refresh_interval"] // device.ticks_per_clock
    share = -(-clocks // (device.banks // device.groups))
    return share * device.ticks_per_clock


def refresh_mode(device: Device, how: Policy) -> str:
    """The refresh a policy means on a device."""
    if how.refresh is None:
        return "per-bank" if device.has("REFpb") else "all-bank"
    if how.refresh.startswith("per-bank") and not device.has("REFpb"):
        raise OptionError(
            f"'{device.name}' has no per-bank refresh",
            where="--refresh",
            remedy="choose all-bank or none",
        )
    return how.refresh


def issued_commands(device: Device, refresh: str) -> set[str]:
    """Commands a controller uses under a refresh mode."""
    unused = {"none": {"REFab", "REFpb", "PREab"}, "all-bank": {"REFpb"}}
    left_out = unused.get(refresh, {"REFab", "PREab"})
    if device.has("MACab"):
        left_out = left_out - {"PREab"}  # lockstep rows are closed together
    return set(device.standard.commands) - left_out


def first_refresh(refresh: str, settings: Settings) -> int:
    """Tick of the first refresh."""
    if refresh == "none":
        return layout.NONE
    return settings.refresh_interval if refresh == "all-bank" else settings.refresh_bank_interval
