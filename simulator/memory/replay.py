"""Replaying an address trace on a DRAM: policies, one run, what came out.

A :class:`Policy` says how channels are scheduled, refreshed and fed.  ``ramulator2`` copies
the settings Ramulator 2.1 is compared with (FR-FCFS, open rows, blocking all-bank refresh,
MOP4, one front end with head-of-line blocking); ``default`` refreshes bank by bank around
the requests, where the standard has the command, and feeds every channel by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from simulator.errors import OptionError, suggest
from simulator.hardware import catalogue, resolve, validate
from simulator.memory.addressing import decode, parse_mapping
from simulator.memory.controller import layout
from simulator.memory.controller.kernel import kernel
from simulator.memory.controller.layout import Requests, Settings, Sizes, State
from simulator.memory.controller.port import Port
from simulator.memory.controller.tables import build_tables
from simulator.memory.patterns import AddressTrace
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import COMMANDS, Device, compile_device

SCHEDULERS = ("fr-fcfs", "row-hit-first", "fcfs")
ROW_POLICIES = ("open", "closed", "timeout")
REFRESHES = ("none", "all-bank", "per-bank-blocking", "per-bank")
FEEDS = ("shared", "independent")
TRIES = 2
"""Requests offered a channel and tick."""
POSTPONED = 8
"""Refreshes of a bank that may be owed, as JEDEC allows."""
TIMEOUT_TICKS = 200
_LOG_BLOCK = 1 << 18
_FOREVER = 1 << 60


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


@dataclass(frozen=True)
class Replay:
    """What one run of a trace produced; times in ticks."""

    device: Device
    policy: Policy
    channels: int
    requests: int
    ticks_last_accept: int
    ticks_drained: int
    arrive: np.ndarray
    depart: np.ndarray
    write: np.ndarray
    channel_counters: np.ndarray
    """(channel, counters): see the ``N_*`` columns of the controller's layout."""
    accepted_counters: np.ndarray
    """The same when the last request was accepted."""
    log: np.ndarray
    """(command, [tick, command, bank, row]) if asked for."""

    @property
    def commands(self) -> dict[str, int]:
        """How often each command was issued."""
        counts = self.channel_counters[:, layout.N_COMMAND :].sum(axis=0)
        return {
            name: int(count)
            for name, count in zip(COMMANDS, counts, strict=True)
            if self.device.has(name)
        }

    def counter(self, column: int) -> int:
        """One counter over all channels."""
        return int(self.channel_counters[:, column].sum())

    @property
    def seconds(self) -> float:
        """From the first tick to the last data."""
        return self.ticks_drained * self.device.tick_fs * 1e-15

    @property
    def read_latency(self) -> np.ndarray:
        """Ticks from acceptance to data of every read."""
        reads = self.write == 0
        return np.asarray(self.depart[reads] - self.arrive[reads])

    def mean_latency_at_last_accept(self) -> float:
        """Mean read latency as Ramulator 2.1 reports it: at the stop, undrained."""
        end, reads = self.ticks_last_accept, self.write == 0
        latency = self.depart - self.arrive
        issued = reads & (latency > 1) & (self.depart - self.device.read_latency <= end)
        done = reads & (self.depart <= end)
        return float(latency[done].sum() / max(issued.sum(), 1))


def load_memory(name: str, overrides: tuple[str, ...] = ()) -> tuple[MemorySpec, Device]:
    """A memory that names a command protocol, by catalogue name or file."""
    description = resolve(name, overrides)
    if description.kind != "memory":
        raise OptionError(
            f"'{name}' is a {description.kind} description, not a memory",
            where="--standard",
            remedy="see 'accsim dram list'",
        )
    spec = validate(description, MemorySpec)
    return spec, compile_device(spec)


def memories() -> list[str]:
    """Shipped memories that name a command protocol."""
    return [
        entry.name
        for entry in catalogue("memory")
        if resolve(entry.name).tree.get("protocol") is not None
    ]


def sizes_and_settings(device: Device, how: Policy, channels: int) -> tuple[Sizes, Settings]:
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
        channels=channels,
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
    )
    settings = Settings(
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
    return set(device.standard.commands) - unused.get(refresh, {"REFab", "PREab"})


def replay(
    device: Device,
    trace: AddressTrace,
    how: Policy,
    channels: int = 1,
    *,
    log: bool = False,
    poll: bool = False,
    specialise: bool = False,
) -> Replay:
    """Run a trace to its end.

    ``poll`` visits every tick (a cross-check); ``specialise`` compiles for these sizes.
    """
    if not 1 <= channels <= 4096:
        raise OptionError(f"{channels} channels", where="--channels", remedy="choose 1 to 4096")
    bank, row, line = decode(parse_mapping(how.mapping, device, channels), trace.address)
    if how.feed == "shared" or channels == 1:
        part = _run(device, how, channels, (bank, row, line, trace.write), log, poll, specialise)
        return _gathered(device, how, channels, trace, [(slice(None), 0, *part)])
    owner = bank // device.banks
    order = np.argsort(owner, kind="stable")
    ends = np.searchsorted(owner[order], np.arange(channels + 1))
    parts = []
    for channel in range(channels):
        mine = order[ends[channel] : ends[channel + 1]]
        lists = bank[mine] - channel * device.banks, row[mine], line[mine], trace.write[mine]
        part = _run(device, how, 1, lists, log, poll, specialise)
        parts.append((mine, channel, *part))
    return _gathered(device, how, channels, trace, parts)


def open_port(device: Device, how: Policy, channels: int = 1, *, specialise: bool = False) -> Port:
    """Channels for a caller with its own clock."""
    sizes, settings = sizes_and_settings(device, how, channels)
    refresh = refresh_mode(device, how)
    tables = build_tables(device, issued_commands(device, refresh))
    first = first_refresh(refresh, settings)
    return Port(sizes, settings, tables, first, TRIES * channels, specialise=specialise)


def first_refresh(refresh: str, settings: Settings) -> int:
    """Tick of the first refresh."""
    if refresh == "none":
        return layout.NONE
    return settings.refresh_interval if refresh == "all-bank" else settings.refresh_bank_interval


def _run(
    device: Device,
    how: Policy,
    channels: int,
    lists: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    log: bool,
    poll: bool,
    specialise: bool,
) -> tuple[State, Requests, np.ndarray]:
    sizes, settings = sizes_and_settings(device, how, channels)
    refresh = refresh_mode(device, how)
    tables = build_tables(device, issued_commands(device, refresh))
    state = layout.make_state(
        sizes, len(lists[0]), first_refresh(refresh, settings), _LOG_BLOCK if log else 0
    )
    requests = layout.make_requests(*lists)
    step = kernel(sizes if specialise else None)
    pieces = []
    while not state.run[layout.R_FINISHED]:
        step(sizes, settings, tables, state, requests, TRIES * channels, _FOREVER, poll)
        pieces.append(state.log[: state.run[layout.R_LOGGED]].copy())
        state.run[layout.R_LOGGED] = 0
    return state, requests, np.concatenate(pieces)


def _gathered(
    device: Device,
    how: Policy,
    channels: int,
    trace: AddressTrace,
    parts: list[tuple[Any, int, State, Requests, np.ndarray]],
) -> Replay:
    arrive, depart = np.empty(len(trace), np.int64), np.empty(len(trace), np.int64)
    logs = []
    for mine, channel, _, requests, log in parts:
        arrive[mine], depart[mine] = requests.arrive[:-1], requests.depart[:-1]
        log[:, 2] += channel * device.banks
        logs.append(log)
    log = np.concatenate(logs)
    states = [state for _, _, state, _, _ in parts]
    counters = [state.channel[:, : layout.COUNTER_COLUMNS] for state in states]
    drained = max(int(state.run[layout.R_TICK]) for state in states)
    return Replay(
        device=device,
        policy=how,
        channels=channels,
        requests=len(trace),
        ticks_last_accept=max(int(state.run[layout.R_LAST_ACCEPT]) for state in states),
        ticks_drained=max(drained, int(depart.max())),
        arrive=arrive,
        depart=depart,
        write=trace.write,
        channel_counters=np.concatenate(counters),
        accepted_counters=np.concatenate([state.accepted for state in states]),
        log=log[np.argsort(log[:, 0], kind="stable")],
    )
