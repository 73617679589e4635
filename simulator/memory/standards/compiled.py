"""A memory description and its standard's table, in ticks and flat node ranges.

A *group* is what an all-bank refresh covers (a pseudo-channel, a rank, or the channel):
the first level of banks below a channel.  Banks of a channel are numbered in hierarchy
order, so every node is a contiguous range of banks.  A constraint is measured between
the last clocks of two commands; commands are recorded at their first, so the lengths
of both enter the latency (as in Ramulator 2.1's ``to_config``), and commands that take
their bus for several ticks bring a constraint on it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from simulator.errors import HardwareError
from simulator.memory.spec import MemorySpec
from simulator.memory.standards.table import (
    COMMANDS,
    SET,
    Standard,
    evaluate,
    extended,
    load_extension,
    load_standard,
)
from simulator.memory.timing import TimingValue


@dataclass(frozen=True, slots=True)
class Rule:
    """One pair of commands: ``latency`` ticks within one node of ``level``."""

    level: str
    preceding: str
    following: str
    latency: int
    window: int
    sibling: bool


@dataclass(frozen=True)
class Device:
    """One channel of a memory, ready for a controller or a checker."""

    name: str
    standard: Standard
    sizes: tuple[tuple[str, int], ...]
    """Levels below the channel with the nodes each parent has."""
    rows: int
    columns: int
    access_bytes: int
    channels: int
    """Channels of the described memory; a replay may ask for others."""
    ticks: dict[str, int]
    """Timing parameters in ticks."""
    rules: tuple[Rule, ...]
    tick_fs: int
    peak_bytes_per_s: float
    """Of one channel."""
    sets: int = 1
    """Sets of banks of a group that take turns at units they share; bank b is in set b mod sets."""

    @property
    def ticks_per_clock(self) -> int:
        return self.standard.ticks_per_clock

    @cached_property
    def banks(self) -> int:
        """Banks of one channel."""
        return math.prod(size for _, size in self.sizes)

    @cached_property
    def groups(self) -> int:
        """Nodes that an all-bank refresh covers, in one channel."""
        return 1 if self.standard.refresh_level == "channel" else self.sizes[0][1]

    def node_banks(self, level: str) -> int:
        """Banks of one node of ``level``."""
        if level == SET:
            return self.banks // self.groups // self.sets
        names = ["channel", *(name for name, _ in self.sizes)]
        return math.prod(size for _, size in self.sizes[names.index(level) :])

    def has(self, command: str) -> bool:
        """Whether the standard knows a command."""
        return command in self.standard.commands

    @property
    def read_latency(self) -> int:
        """Ticks from a read command to the end of its data."""
        return self.ticks["read_latency"] + self.ticks["burst"]


NO_TIME = TimingValue()


@dataclass(frozen=True, slots=True)
class Lockstep:
    """Rows that all banks open and read together: timings of processing in memory."""

    rcd_compute: TimingValue
    """Activate to the first lockstep column."""
    mac_interval: TimingValue
    """Between lockstep columns."""
    span: int
    """Banks that one activate opens: 1, a bank group's, or all."""
    activate_spacing: TimingValue
    """Between activates of bank groups."""
    sets: int = 1
    """Sets of banks that take turns: as many as banks share a unit."""
    overlap: bool = False
    """Buffer transfers have a path and registers of their own, so that they go on beside the
    columns of other macros."""
    switch: TimingValue = NO_TIME
    """From columns, fills or results to a command of another of the three."""
    fence: TimingValue = NO_TIME
    """From the last column or access of a request to the first of the next, beyond what the
    standard asks for: the issuer waits for one before it sends the other."""
    activate_cost: float = 0.0
    """Seconds of a group's power budget that one bank's activate takes."""
    column_cost: float = 0.0
    """Seconds of it that a lockstep column of a set takes."""
    power_window: float = 0.0
    """Seconds by which a group may run ahead of its budget."""


def compile_device(spec: MemorySpec, lockstep: Lockstep | None = None) -> Device:
    """Evaluate the constraint table of ``spec`` for its timings, with the lockstep commands
    if there are any."""
    if spec.protocol is None:
        raise HardwareError(
            f"memory '{spec.name}' names no command protocol",
            where="protocol",
            remedy="see 'accsim dram list' for memories that have one",
        )
    standard = load_standard(spec.protocol)
    organization = spec.organization
    ticks = _ticks(spec, standard)
    if lockstep is not None:
        standard = extended(standard, load_extension("lockstep"), lockstep.sets)
        for name in ("rcd_compute", "mac_interval", "activate_spacing"):
            ticks[name] = spec.cycles(getattr(lockstep, name)) * standard.ticks_per_clock
        ticks["mac_to_buffer"] = 0 if lockstep.overlap else ticks["mac_interval"]
        ticks["mac_to_write"] = ticks["mac_interval"]
        ticks["switch"] = spec.cycles(lockstep.switch) * standard.ticks_per_clock
        ticks["fence"] = spec.cycles(lockstep.fence) * standard.ticks_per_clock
        ticks["buffer_to_mac"] = 0 if lockstep.overlap else ticks["ccd_s"]
    counts = {
        "pseudo_channel": organization.pseudo_channels,
        "rank": organization.ranks,
        "stack_id": organization.ranks,
        "bank_group": organization.bank_groups,
        "bank": organization.banks_per_group,
    }
    return Device(
        name=spec.name,
        standard=standard,
        sizes=tuple((level, counts[level]) for level in standard.levels[1:]),
        rows=organization.rows,
        columns=organization.row // organization.access,
        access_bytes=organization.access,
        channels=organization.stacks * organization.channels_per_stack,
        ticks=ticks,
        rules=tuple(_rules(standard, ticks)),
        tick_fs=round(1e15 / spec.clock / standard.ticks_per_clock),
        peak_bytes_per_s=spec.channel_bytes_per_s * organization.pseudo_channels,
        sets=1 if lockstep is None else lockstep.sets,
    )


def _ticks(spec: MemorySpec, standard: Standard) -> dict[str, int]:
    timing, refresh = spec.timing, spec.timing.refresh
    values = {
        name: value
        for name in type(timing).model_fields
        if isinstance(value := getattr(timing, name), TimingValue)
    }
    values |= {
        "rfc": refresh.all_bank,
        "rfc_bank": refresh.per_bank,
        "refresh_interval": refresh.interval,
    }
    values.setdefault("ccd_l_write", timing.ccd_l)
    multiple = standard.ticks_per_clock
    return {name: spec.cycles(value) * multiple for name, value in values.items()}


def _rules(standard: Standard, ticks: dict[str, int]) -> list[Rule]:
    length = {
        name: round(command.clocks * standard.ticks_per_clock)
        for name, command in standard.commands.items()
    }
    strictest: dict[tuple[str, str, str, int, bool], int] = {}

    def add(level: str, one: str, two: str, latency: int, window: int, sibling: bool) -> None:
        key = (level, one, two, window, sibling)
        strictest[key] = max(latency, strictest.get(key, 0))

    for rule in standard.rules:
        nominal = evaluate(rule.latency, ticks)
        for one in rule.preceding:
            for two in rule.following:
                latency = nominal + length[one] - length[two]
                add(rule.level, one, two, latency, rule.window, rule.sibling)
    for one, command in standard.commands.items():
        for two, other in standard.commands.items():
            # One command a tick and bus is the controller's own rhythm.
            if command.bus == other.bus and length[one] > 1:
                add("channel", one, two, length[one], 1, False)
    depth = {level: place for place, level in enumerate((*standard.levels, SET))}
    order = {name: place for place, name in enumerate(COMMANDS)}
    rules = [
        Rule(level, one, two, latency, window, sibling)
        for (level, one, two, window, sibling), latency in strictest.items()
        if latency > 0
    ]
    return sorted(
        rules,
        key=lambda r: (depth[r.level], order[r.preceding], order[r.following], r.window, r.sibling),
    )
