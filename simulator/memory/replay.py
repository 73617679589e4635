"""Replaying an address trace on a DRAM under a policy: one run, what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from simulator.errors import OptionError
from simulator.hardware import catalogue, resolve, validate
from simulator.memory.addressing import decode, parse_mapping
from simulator.memory.controller import layout
from simulator.memory.controller.kernel import kernel
from simulator.memory.controller.layout import Requests, State
from simulator.memory.controller.tables import build_tables
from simulator.memory.patterns import AddressTrace
from simulator.memory.policy import (
    Policy,
    first_refresh,
    issued_commands,
    refresh_mode,
    sizes_and_settings,
)
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import COMMANDS, Device, compile_device

_LOG_BLOCK = 1 << 18
_FOREVER = 1 << 60


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
    bank_counters: np.ndarray
    """(bank through all channels, [activates, reads, writes, conflicts])."""
    open_ticks: int
    """Ticks in which a group has an open row, summed over groups."""
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
    def open_share(self) -> float:
        """Share of the time in which a group has an open row, over all groups."""
        groups = self.channels * self.device.groups
        return min(self.open_ticks / max(self.ticks_drained * groups, 1), 1.0)

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


def _run(
    device: Device,
    how: Policy,
    channels: int,
    lists: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    log: bool,
    poll: bool,
    specialise: bool,
) -> tuple[State, Requests, np.ndarray]:
    sizes, settings = sizes_and_settings(device, how)
    refresh = refresh_mode(device, how)
    tables = build_tables(device, issued_commands(device, refresh))
    state = layout.make_state(
        sizes,
        tables.node,
        channels,
        first_refresh(refresh, settings),
        _LOG_BLOCK if log else 0,
    )
    requests = layout.make_requests(*lists)
    step = kernel(sizes if specialise else None)
    pieces = []
    while not state.run[layout.R_FINISHED]:
        step(sizes, settings, tables, state, requests, 0, channels, _FOREVER, poll)
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
    drained = max(int(state.channel[0, layout.C_TICK]) for state in states)
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
        bank_counters=np.concatenate(
            [state.bank[:, layout.N_BANK_ACTIVATES : layout.B_LOCKSTEP] for state in states]
        ),
        open_ticks=sum(_open_ticks(state) for state in states),
        log=log[np.argsort(log[:, 0], kind="stable")],
    )


def _open_ticks(state: State) -> int:
    """Ticks with an open row, summed over groups, up to the end."""
    group, end = state.group, int(state.channel[0, layout.C_TICK])
    still = group[:, layout.G_OPEN] > 0
    running = np.where(still, end - group[:, layout.G_OPEN_SINCE], 0)
    return int((group[:, layout.N_GROUP_OPEN] + running).sum())
