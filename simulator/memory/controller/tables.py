"""From a device's rules to the arrays the compiled controller walks.

Rules implied by a stricter one that reaches at least as far are dropped.  Those of a command
that reach equally far (a bank, a bank group, siblings, ...) become one row, which holds the
latency to each frequent command.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.errors import HardwareError
from simulator.memory.controller import layout
from simulator.memory.controller.layout import COMMAND_KINDS, FREQUENT, Tables
from simulator.memory.standards import COMMANDS, Device, Rule
from simulator.memory.standards.table import ALL_BANK, SET, WHOLE_GROUP

TRAINS = frozenset({"MACab", "WRab", "BUF"})
"""Commands that issue many at a time."""
_NUMBER = {name: number for number, name in enumerate(COMMANDS)}


def effective(device: Device, commands: Iterable[str]) -> list[Rule]:
    """Rules between ``commands`` that no wider rule implies."""
    used = set(commands)
    rules = [rule for rule in device.rules if rule.preceding in used and rule.following in used]
    span = {level: device.node_banks(level) for level in (*device.standard.levels, SET)}

    def implied(rule: Rule) -> bool:
        reach = span[rule.level] * (siblings(device, rule.level) if rule.sibling else 1)
        return any(
            (other.preceding, other.following) == (rule.preceding, rule.following)
            and other.window == 1
            and not other.sibling
            and other.latency >= rule.latency
            and (span[other.level] > reach or (rule.sibling and span[other.level] == reach))
            for other in rules
        )

    # A sibling rule where a parent has one node only reaches nothing.
    return [
        rule
        for rule in rules
        if not implied(rule) and not (rule.sibling and siblings(device, rule.level) == 1)
    ]


def siblings(device: Device, level: str) -> int:
    """Nodes of ``level`` below one parent."""
    return dict(device.sizes).get(level, 1)


def build_tables(device: Device, commands: Iterable[str]) -> Tables:
    """Tables for a controller that issues ``commands`` only."""
    group_banks = device.banks // device.groups
    rare = np.zeros((COMMAND_KINDS - FREQUENT, 3, COMMAND_KINDS), np.int64)
    pushed: list[tuple[int, int, Rule]] = []
    for rule in effective(device, commands):
        one, two = _NUMBER[rule.preceding], _NUMBER[rule.following]
        reach = device.node_banks(rule.level)
        grouped = reach == group_banks or (rule.preceding in ALL_BANK and reach < group_banks)
        wide = reach > group_banks
        if rule.window > 1:
            if not grouped or two >= FREQUENT:
                raise _unsupported(device, rule)
            scope = layout.GROUP_WINDOW
        elif rule.sibling:
            if two >= FREQUENT or wide:
                raise _unsupported(device, rule)
            scope = layout.SIBLING_GROUPS if grouped else layout.SIBLING_NODES
        elif rule.following in WHOLE_GROUP:
            if wide and {rule.preceding, rule.following} <= TRAINS:
                continue  # Columns of two groups interleave as ``lockstep.train_start`` finds.
            place = two - FREQUENT, 2 if rule.level == SET else int(wide), one
            rare[place] = max(rare[place], rule.latency)
            continue
        elif two >= FREQUENT:
            continue  # ACT2 and CAS follow by their own rules.
        elif grouped:
            scope = layout.GROUP
        elif wide:
            scope = layout.CHANNEL
        else:
            scope = layout.BANK if reach == 1 else layout.NODE
        if scope in (layout.NODE, layout.SIBLING_NODES) and two == layout.PRE:
            raise _unsupported(device, rule)
        pushed.append((one, scope, rule))
    return _pack(device, pushed, rare)


def _pack(device: Device, pushed: list[tuple[int, int, Rule]], rare: np.ndarray) -> Tables:
    """A row for all rules of a command that reach equally far."""
    group_banks = device.banks // device.groups
    alike: dict[tuple[int, int, str, int], list[Rule]] = {}
    for one, scope, rule in sorted(pushed, key=lambda rule: rule[:2]):
        level = rule.level if scope in (layout.NODE, layout.SIBLING_NODES) else ""
        alike.setdefault((one, scope, level, rule.window), []).append(rule)
    count = max(len(alike), 1)
    table = np.zeros((count, layout.TABLE_COLUMNS), np.int64)
    latency = np.full((count, layout.READY), layout.LONG_AGO)
    sibling = np.zeros((count, device.banks), np.int64)
    levels = [level for level, _ in device.sizes if 1 < device.node_banks(level) < group_banks]
    if len(levels) > layout.LEVELS:
        raise _unsupported(device, pushed[0][2])
    rings: dict[tuple[int, int], int] = {}
    numbers = np.arange(device.banks)
    for place, ((one, scope, _, window), rules) in enumerate(alike.items()):
        key = one, window
        records = window > 1 and key not in rings
        ring = rings.setdefault(key, len(rings)) if window > 1 else 0
        if ring >= layout.RINGS or window > layout.WINDOW:
            raise _unsupported(device, rules[0])
        depth = 0
        if scope in (layout.NODE, layout.SIBLING_NODES):
            depth = levels.index(rules[0].level)
            banks = device.node_banks(rules[0].level)
            sibling[place] = numbers // banks % siblings(device, rules[0].level)
        table[place] = scope, depth, siblings(device, rules[0].level), ring, window, records
        for rule in rules:
            two = _NUMBER[rule.following]
            latency[place, two] = max(latency[place, two], rule.latency)
    commands = [one for one, *_ in alike]
    first = np.searchsorted(commands, np.arange(COMMAND_KINDS + 1))
    return Tables(first, table, latency, sibling, _nodes(device, levels), rare)


def _nodes(device: Device, levels: list[str]) -> np.ndarray:
    """Nodes by bank of a channel and level, those of one level after those of another."""
    numbers = np.arange(device.banks)
    nodes = np.zeros((device.banks, layout.LEVELS), np.int64)
    used = 0
    for place in range(layout.LEVELS):
        if place < len(levels):
            nodes[:, place] = used + numbers // device.node_banks(levels[place])
            used = int(nodes[-1, place]) + 1
        else:
            nodes[:, place] = used
    return nodes


def _unsupported(device: Device, rule: Rule) -> HardwareError:
    return HardwareError(
        f"the controller has no place for {rule.preceding} -> {rule.following} at "
        f"'{rule.level}' (window {rule.window}{', sibling' if rule.sibling else ''})",
        where=f"{device.name}: constraints",
        remedy="put windows on the refresh level and sibling rules at or below it",
    )
