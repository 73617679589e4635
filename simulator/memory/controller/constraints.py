"""Timing constraints at work: what an issued command forbids, and until when.

Constraints to frequent commands are pushed when a command issues; those to all-bank
commands, which are asked for once a refresh interval, are looked up from the last issues.
"""

from __future__ import annotations

from simulator.compiled import inner, merged
from simulator.memory.controller.layout import (
    ACT2,
    CAS,
    CHANNEL,
    COMMAND_KINDS,
    FREQUENT,
    G_HISTORY,
    G_HISTORY_AT,
    G_LAST,
    GROUP_WINDOW,
    NODE,
    PREAB,
    SIBLING_GROUPS,
    T_FOLLOWING,
    T_LATENCY,
    T_RECORDS,
    T_RING,
    T_SCOPE,
    T_WINDOW,
    WINDOW,
    State,
    Tables,
    wide,
)


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
    own = command < PREAB or ACT2 <= command <= CAS
    for f in range(FREQUENT):
        until = tick + tables.dense[command, FREQUENT + f]
        state.group[group, f] = max(state.group[group, f], until)
        if own:
            until = tick + tables.dense[command, f]
            state.bank[f, bank] = max(state.bank[f, bank], until)
    state.group[group, G_LAST + command] = tick
    begin, end = tables.first[0, command], tables.first[0, command + 1]
    push_rows(tables, state, groups, channel, group_banks, group, bank, begin, end, tick)


@merged
def constrain_alike(
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
    """The part of :func:`constrain` that is about further commands of the same kind."""
    until = tick + tables.dense[command, FREQUENT + command]
    state.group[group, command] = max(state.group[group, command], until)
    until = tick + tables.dense[command, command]
    state.bank[command, bank] = max(state.bank[command, bank], until)
    begin, end = tables.first[0, command], tables.first[1, command]
    push_rows(tables, state, groups, channel, group_banks, group, bank, begin, end, tick)


@merged
def push_rows(
    tables: Tables,
    state: State,
    groups: int,
    channel: int,
    group_banks: int,
    group: int,
    bank: int,
    begin: int,
    end: int,
    tick: int,
) -> None:
    base = channel * groups * group_banks
    local = bank - base
    for r in range(begin, end):
        f, scope = tables.row[r, T_FOLLOWING], tables.row[r, T_SCOPE]
        until = tick + tables.row[r, T_LATENCY]
        if scope == NODE:
            for b in range(base + tables.node[r, local, 0], base + tables.node[r, local, 1]):
                state.bank[f, b] = max(state.bank[f, b], until)
        elif scope == CHANNEL:
            for g in range(channel * groups, (channel + 1) * groups):
                state.group[g, f] = max(state.group[g, f], until)
        elif scope == GROUP_WINDOW:
            ring = tables.row[r, T_RING]
            at = state.group[group, G_HISTORY_AT + ring]
            if tables.row[r, T_RECORDS]:
                state.group[group, G_HISTORY + WINDOW * ring + at] = tick
                at = at + 1 if at + 1 < tables.row[r, T_WINDOW] else 0
                state.group[group, G_HISTORY_AT + ring] = at
            # The place to be written next holds the oldest issue of the window.
            oldest = state.group[group, G_HISTORY + WINDOW * ring + at]
            until = oldest + tables.row[r, T_LATENCY]
            state.group[group, f] = max(state.group[group, f], until)
        elif scope == SIBLING_GROUPS:
            for g in range(channel * groups, (channel + 1) * groups):
                if g != group:
                    state.group[g, f] = max(state.group[g, f], until)
        else:
            for b in range(base + tables.node[r, local, 2], base + tables.node[r, local, 0]):
                state.bank[f, b] = max(state.bank[f, b], until)
            for b in range(base + tables.node[r, local, 1], base + tables.node[r, local, 3]):
                state.bank[f, b] = max(state.bank[f, b], until)


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
