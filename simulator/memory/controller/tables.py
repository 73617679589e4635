"""From a device's rules to the arrays the compiled controller walks.

Rules implied by a stricter one that reaches at least as far are dropped.  Rules of one
bank or one group become dense rows; the few others (bank groups, stack ids, siblings,
the channel, windows) become a short list a command.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from simulator.errors import HardwareError
from simulator.memory.controller import layout
from simulator.memory.controller.layout import COMMAND_KINDS, FREQUENT, Tables
from simulator.memory.standards import COMMANDS, Device, Rule
from simulator.memory.standards.table import ALL_BANK, WHOLE_GROUP

_NUMBER = {name: number for number, name in enumerate(COMMANDS)}


def effective(device: Device, commands: Iterable[str]) -> list[Rule]:
    """Rules between ``commands`` that no wider rule implies."""
    used = set(commands)
    rules = [rule for rule in device.rules if rule.preceding in used and rule.following in used]
    span = {level: device.node_banks(level) for level in device.standard.levels}

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
    dense = np.zeros((COMMAND_KINDS, 2 * FREQUENT), np.int64)
    rare = np.zeros((COMMAND_KINDS - FREQUENT, 2, COMMAND_KINDS), np.int64)
    sparse: list[list[tuple[int, int, Rule]]] = [[] for _ in COMMANDS]
    for rule in effective(device, commands):
        one, two = _NUMBER[rule.preceding], _NUMBER[rule.following]
        reach = device.node_banks(rule.level)
        grouped = reach == group_banks or (rule.preceding in ALL_BANK and reach < group_banks)
        wide = reach > group_banks
        if rule.window > 1:
            if not grouped or two >= FREQUENT:
                raise _unsupported(device, rule)
            sparse[one].append((layout.GROUP_WINDOW, two, rule))
        elif rule.sibling:
            if two >= FREQUENT or wide:
                raise _unsupported(device, rule)
            kind = layout.SIBLING_GROUPS if grouped else layout.SIBLING_NODES
            sparse[one].append((kind, two, rule))
        elif rule.following in WHOLE_GROUP:
            place = two - FREQUENT, int(wide), one
            rare[place] = max(rare[place], rule.latency)
        elif two >= FREQUENT:
            continue  # ACT2 and CAS follow by their own rules.
        elif wide:
            sparse[one].append((layout.CHANNEL, two, rule))
        elif grouped:
            dense[one, FREQUENT + two] = max(dense[one, FREQUENT + two], rule.latency)
        elif reach == 1:
            dense[one, two] = max(dense[one, two], rule.latency)
        else:
            sparse[one].append((layout.NODE, two, rule))
    return _pack(device, sparse, dense, rare)


def _pack(
    device: Device,
    sparse: list[list[tuple[int, int, Rule]]],
    dense: np.ndarray,
    rare: np.ndarray,
) -> Tables:
    # Rows from a command to itself come first.
    sparse = [sorted(rows, key=lambda row: row[1] != one) for one, rows in enumerate(sparse)]
    rows = [row for rows in sparse for row in rows]
    first = np.zeros((2, len(sparse) + 1), np.int64)
    first[0] = np.cumsum([0, *(len(rows) for rows in sparse)])
    own = [sum(row[1] == one for row in rows) for one, rows in enumerate(sparse)]
    first[1, :-1] = first[0, :-1] + own
    count = max(len(rows), 1)
    table = np.zeros((count, layout.TABLE_COLUMNS), np.int64)
    node = np.zeros((count, device.banks, 4), np.int64)
    rings: dict[tuple[str, int], int] = {}
    numbers = np.arange(device.banks)
    for place, (scope, following, rule) in enumerate(rows):
        key = (rule.preceding, rule.window)
        records = rule.window > 1 and key not in rings
        ring = rings.setdefault(key, len(rings)) if rule.window > 1 else 0
        if ring >= layout.RINGS or rule.window > layout.WINDOW:
            raise _unsupported(device, rule)
        table[place] = scope, following, rule.latency, ring, rule.window, records
        inner = device.node_banks(rule.level)
        for at, span in ((0, inner), (2, inner * siblings(device, rule.level))):
            node[place, :, at] = numbers // span * span
            node[place, :, at + 1] = node[place, :, at] + span
    return Tables(dense, first, table, node, rare)


def _unsupported(device: Device, rule: Rule) -> HardwareError:
    return HardwareError(
        f"the controller has no place for {rule.preceding} -> {rule.following} at "
        f"'{rule.level}' (window {rule.window}{', sibling' if rule.sibling else ''})",
        where=f"{device.name}: constraints",
        remedy="put windows on the refresh level and sibling rules at or below it",
    )
