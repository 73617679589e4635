"""Is a command log legal?  Every constraint, window, bank state and refresh debt.

Works on the log and the standard's rules alone and shares no code with the controller.
A rule is checked for each following command against the last (with a window: the n-th
last) preceding command in the same node, or in sibling nodes.  Left out: which request a
command serves, and whether data fits on the pins (rules on the data bus say so).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.memory.standards import COMMANDS, Device, Rule
from simulator.memory.standards.table import ALL_BANK, LOCKSTEP, SET

LONGEST_DEBT = 9
"""Refresh intervals a bank may go without refresh: JEDEC lets eight be postponed."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One breach: which rule, and the commands' place in the log."""

    rule: str
    tick: int
    bank: int


@dataclass(frozen=True)
class _Events:
    """Log entries of one command: place in the log, tick, bank."""

    place: np.ndarray
    tick: np.ndarray
    bank: np.ndarray


def check_log(device: Device, log: np.ndarray, *, refreshed: bool = True) -> list[Violation]:
    """All breaches in ``log``; ``refreshed`` is False where no refresh is wanted."""
    events = {}
    for number, name in enumerate(COMMANDS):
        place = np.flatnonzero(log[:, 1] == number)
        events[name] = _Events(place, log[place, 0], log[place, 2])
    found: list[Violation] = []
    if len(log) and (np.diff(log[:, 0]) < 0).any():
        found.append(Violation("ticks go backwards", int(log[0, 0]), int(log[0, 2])))
    for rule in device.rules:
        check = _siblings if rule.sibling else _same_node
        found += check(device, rule, events[rule.preceding], events[rule.following])
    found += _buses(device, log)
    found += _states(device, log)
    if device.standard.split_activate:
        found += _split_activates(device, events["ACT"], events["ACT2"])
    if refreshed:
        found += _refresh_debt(device, log)
    return found


def _spread(device: Device, events: _Events, command: str, span: int) -> _Events:
    """Events with their node's number as bank; all-bank commands meet every node they cover."""
    group = device.banks // device.groups
    if command not in ALL_BANK or span >= group:
        return _Events(events.place, events.tick, events.bank // span)
    nodes = group // span
    first = events.bank // group * nodes
    node = (first[:, None] + np.arange(nodes)).ravel()
    return _Events(np.repeat(events.place, nodes), np.repeat(events.tick, nodes), node)


def _same_node(device: Device, rule: Rule, one: _Events, two: _Events) -> list[Violation]:
    if rule.level == SET:
        node_one, node_two = _sets(device, one), _sets(device, two)
        return _late_enough(rule, one, two, node_one, node_two)
    span = device.node_banks(rule.level)
    one, two = (
        _spread(device, one, rule.preceding, span),
        _spread(device, two, rule.following, span),
    )
    return _late_enough(rule, one, two, one.bank, two.bank)


def _sets(device: Device, events: _Events) -> np.ndarray:
    """Number of each event's set."""
    group = device.banks // device.groups
    return events.bank // group * device.sets + events.bank % group % device.sets


def _siblings(device: Device, rule: Rule, one: _Events, two: _Events) -> list[Violation]:
    span = device.node_banks(rule.level)
    parent = span * dict(device.sizes)[rule.level]
    found = []
    for node in np.unique(two.bank // span):
        family = (one.bank // parent == node * span // parent) & (one.bank // span != node)
        other = _Events(one.place[family], one.tick[family], one.bank[family])
        own = two.bank // span == node
        mine = _Events(two.place[own], two.tick[own], two.bank[own])
        zeros = np.zeros(len(other.tick), np.int64), np.zeros(len(mine.tick), np.int64)
        found += _late_enough(rule, other, mine, *zeros)
    return found


def _late_enough(
    rule: Rule, one: _Events, two: _Events, node_one: np.ndarray, node_two: np.ndarray
) -> list[Violation]:
    if not len(one.tick) or not len(two.tick):
        return []
    stride = int(max(one.place[-1], two.place[-1])) + 1
    key_one, key_two = node_one * stride + one.place, node_two * stride + two.place
    order = np.argsort(key_one)
    before = np.searchsorted(key_one[order], key_two) - rule.window
    known = before >= 0
    earlier = order[np.maximum(before, 0)]
    known &= node_one[earlier] == node_two
    bad = np.flatnonzero(known & (two.tick - one.tick[earlier] < rule.latency))
    text = (
        f"{rule.preceding} -> {rule.following} @ {rule.level} >= {rule.latency} ticks"
        f"{f', window {rule.window}' if rule.window > 1 else ''}"
        f"{', sibling' if rule.sibling else ''}"
    )
    return [Violation(text, int(two.tick[i]), int(two.bank[i])) for i in bad]


def _buses(device: Device, log: np.ndarray) -> list[Violation]:
    """One command a tick and bus; with half clocks only precharges on falling edges."""
    found = []
    channel = log[:, 2] // device.banks
    names = np.array([device.has(name) for name in COMMANDS])
    if len(log) and not names[log[:, 1]].all():
        bad = log[~names[log[:, 1]]][0]
        found.append(Violation("command unknown to the standard", int(bad[0]), int(bad[2])))
    for bus in ("row", "column"):
        numbers = [
            number
            for number, name in enumerate(COMMANDS)
            if device.has(name) and device.standard.commands[name].bus == bus
        ]
        mine = np.isin(log[:, 1], numbers)
        slot = np.sort(channel[mine] * (int(log[:, 0].max(initial=0)) + 1) + log[mine, 0])
        for _ in range(int((np.diff(slot) == 0).sum())):
            found.append(Violation(f"two commands at once on the {bus} bus", -1, -1))
    if device.ticks_per_clock == 2:
        falling = (log[:, 0] % 2 == 0) & ~np.isin(
            log[:, 1], [COMMANDS.index("PRE"), COMMANDS.index("PREab")]
        )
        found += [
            Violation("falling clock edge", int(entry[0]), int(entry[2])) for entry in log[falling]
        ]
    return found


def _by_bank(device: Device, log: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Entry numbers and banks, commands to several banks once for each, sorted by bank."""
    group = device.banks // device.groups
    whole, own_set = np.arange(group), np.arange(0, group, device.sets)
    covered = dict.fromkeys(ALL_BANK, whole) | dict.fromkeys(LOCKSTEP, own_set)
    if "bank_group" in dict(device.sizes):
        covered["ACTbg"] = np.arange(device.node_banks("bank_group"))
    narrow = ~np.isin(log[:, 1], [COMMANDS.index(name) for name in covered])
    entries, banks = [np.flatnonzero(narrow)], [log[narrow, 2]]
    for name, others in covered.items():
        wide = np.flatnonzero(log[:, 1] == COMMANDS.index(name))
        # Commands to all banks name any of them, those to a set its first.
        first = log[wide, 2] if name in LOCKSTEP else log[wide, 2] // len(others) * len(others)
        entries.append(np.repeat(wide, len(others)))
        banks.append((first[:, None] + others).ravel())
    entry, bank = np.concatenate(entries), np.concatenate(banks)
    order = np.lexsort((entry, bank))
    return entry[order], bank[order]


def _states(device: Device, log: np.ndarray) -> list[Violation]:
    """Activates on closed banks, columns on the open row, refreshes on closed banks."""
    if not len(log):
        return []
    number = {name: place for place, name in enumerate(COMMANDS)}
    entry, bank = _by_bank(device, log)
    command, row = log[entry, 1], log[entry, 3]
    opens = np.isin(command, [number["ACT"], number["ACTbg"], number["ACTab"]])
    changes = opens | np.isin(command, [number["PRE"], number["PREab"], number["PREst"]])
    places = np.arange(len(entry))
    last = np.maximum.accumulate(np.where(changes, places, -1))
    before = np.concatenate([[-1], last[:-1]])
    known = (before >= 0) & (bank[np.maximum(before, 0)] == bank)
    open_ = known & opens[np.maximum(before, 0)]
    column = np.isin(command, [number["RD"], number["WR"], number["MACab"], number["WRab"]])
    refresh = np.isin(command, [number["REFab"], number["REFpb"]])
    wrong = {
        "activate of an open bank": opens & open_,
        "column command on a closed bank": column & ~open_,
        "column command on another row": column & open_ & (row[np.maximum(before, 0)] != row),
        "refresh of an open bank": refresh & open_,
    }
    return [
        Violation(rule, int(log[entry[i], 0]), int(bank[i]))
        for rule, bad in wrong.items()
        for i in np.flatnonzero(bad)
    ]


def _split_activates(device: Device, first: _Events, second: _Events) -> list[Violation]:
    """Every ACT-1 has its ACT-2 in time."""
    found = []
    limit = device.ticks["activate_split"]
    for tick, bank in zip(first.tick, first.bank, strict=True):
        own = second.tick[second.bank == bank]
        at = np.searchsorted(own, tick)
        if at == len(own) or own[at] - tick > limit:
            found.append(Violation("ACT2 too late or missing", int(tick), int(bank)))
    return found


def _refresh_debt(device: Device, log: np.ndarray) -> list[Violation]:
    """No bank goes without refresh for longer than the postponed intervals."""
    if not len(log):
        return []
    entry, bank = _by_bank(device, log)
    refresh = np.isin(log[entry, 1], [COMMANDS.index("REFab"), COMMANDS.index("REFpb")])
    limit = LONGEST_DEBT * device.ticks["refresh_interval"]
    end = int(log[-1, 0])
    found = []
    for number in range(int(log[:, 2].max()) // device.banks * device.banks + device.banks):
        ticks = log[entry[refresh & (bank == number)], 0]
        gaps = np.diff(np.concatenate([[0], ticks, [end]]))
        found += [
            Violation("refresh overdue", int(tick), number)
            for tick in np.concatenate([ticks, [end]])[gaps > limit]
        ]
    return found
