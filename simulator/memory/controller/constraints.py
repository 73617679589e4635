"""Timing constraints at work: what an issued command forbids, and until when.

Constraints to frequent commands are pushed when a command issues; those to all-bank
commands, which are asked for once a refresh interval, are looked up from the last issues.
"""

from __future__ import annotations

import numpy as np

from simulator.compiled import inner, merged, raise_eight
from simulator.memory.controller.layout import (
    ACTAB,
    B_GROUP,
    B_LOCKSTEP,
    B_NODE,
    B_NODE_HIGH,
    BANK,
    CHANNEL,
    COMMAND_KINDS,
    FREQUENT,
    G_HISTORY,
    G_HISTORY_AT,
    G_LAST,
    GROUP,
    GROUP_WINDOW,
    MACAB,
    NODE,
    PRE,
    PREST,
    SIBLING_NODES,
    T_LEVEL,
    T_RECORDS,
    T_RING,
    T_SCOPE,
    T_SIBLINGS,
    T_WINDOW,
    WINDOW,
    WRAB,
    State,
    Tables,
    wide,
)


@merged
def ready_at(state: State, bank: int, command: int) -> int:
    """Earliest tick of a command to a bank, the gate of its group apart."""
    if command == PRE:
        return state.bank[bank, command]  # No rule to a precharge is one of a node.
    low = state.node[state.bank[bank, B_NODE], command]
    high = state.node[state.bank[bank, B_NODE_HIGH], command]
    return max(state.bank[bank, command], max(low, high))


@merged
def ready_to(state: State, bank: int, command: int) -> int:
    """Earliest tick of a command to a bank."""
    return max(ready_at(state, bank, command), state.group[state.bank[bank, B_GROUP], command])


@merged
def push(ready: np.ndarray, place: int, tables: Tables, row: int, tick: int) -> None:
    """Row ``row`` of the tables holds for a bank, a node or a group from ``tick``."""
    raise_eight(ready, place, tables.latency, row, tick)


@merged
def constrain(
    tables: Tables,
    state: State,
    groups: int,
    channel: int,
    group_banks: int,
    group: int,
    bank: int,
    command: int,
    tick: int,
) -> None:
    """Note that ``command`` issues at ``tick`` (``bank`` is any of those it means)."""
    state.group[group, G_LAST + command] = tick
    base = channel * groups * group_banks
    for r in range(tables.first[command], tables.first[command + 1]):
        scope = tables.row[r, T_SCOPE]
        if scope == BANK:
            push(state.bank, bank, tables, r, tick)
        elif scope == GROUP:
            push(state.group, group, tables, r, tick)
        elif scope == NODE:
            push(state.node, state.bank[bank, B_NODE + tables.row[r, T_LEVEL]], tables, r, tick)
        elif scope == SIBLING_NODES:
            own = state.bank[bank, B_NODE + tables.row[r, T_LEVEL]]
            low = own - tables.sibling[r, bank - base]
            for n in range(low, low + tables.row[r, T_SIBLINGS]):
                if n != own:
                    push(state.node, n, tables, r, tick)
        elif scope == GROUP_WINDOW:
            ring = tables.row[r, T_RING]
            at = state.group[group, G_HISTORY_AT + ring]
            if tables.row[r, T_RECORDS]:
                state.group[group, G_HISTORY + WINDOW * ring + at] = tick
                at = at + 1 if at + 1 < tables.row[r, T_WINDOW] else 0
                state.group[group, G_HISTORY_AT + ring] = at
            # The place to be written next holds the oldest issue of the window.
            oldest = state.group[group, G_HISTORY + WINDOW * ring + at]
            push(state.group, group, tables, r, oldest)
        else:
            for g in range(channel * groups, (channel + 1) * groups):
                if scope == CHANNEL or g != group:
                    push(state.group, g, tables, r, tick)


@inner
def rare_ready(
    tables: Tables, state: State, groups: int, channel: int, group: int, command: int
) -> int:
    """Earliest tick of a command to a whole ``group``."""
    place = command - FREQUENT
    ready = wide(0)
    for c in range(COMMAND_KINDS):
        if tables.rare[place, 0, c] > 0:
            ready = max(ready, state.group[group, G_LAST + c] + tables.rare[place, 0, c])
        if tables.rare[place, 1, c] > 0:
            for g in range(channel * groups, (channel + 1) * groups):
                ready = max(ready, state.group[g, G_LAST + c] + tables.rare[place, 1, c])
    return ready


@inner
def set_ready(tables: Tables, state: State, first: int, command: int) -> int:
    """Earliest tick of a command to the set whose first bank is ``first``, its group apart."""
    ready = wide(0)
    for place, c in enumerate((ACTAB, MACAB, PREST, WRAB)):
        if tables.rare[command - FREQUENT, 2, c] > 0:
            last = state.bank[first, B_LOCKSTEP + place]
            ready = max(ready, last + tables.rare[command - FREQUENT, 2, c])
    return ready
