"""Refresh and row closing: what a channel does that nobody asked for.

Refresh modes: ``all_bank`` (every group once an interval, all at the same time) and
``per_bank_blocking`` follow Ramulator 2.1 (all_bank.cpp, hbm34_per_bank_refresh.cpp): a
queue of refreshes, and no request is served on the channel while one waits.  ``per_bank``
is our own: refreshes fall due bank by bank, go to banks without requests, may be
postponed, and once too many are owed one bank is reserved for the next; all other banks
go on.  Row policies: ``close`` precharges a row as soon as no queued request wants it,
``timeout`` after it has been idle for some time.
"""

from __future__ import annotations

from simulator.compiled import inner
from simulator.memory.controller.constraints import rare_ready, ready_to
from simulator.memory.controller.layout import (
    ALL_BANK,
    B_ACTIVE,
    B_CANDIDATE,
    B_REFRESHED,
    B_ROW,
    B_USED,
    C_ACTIVE,
    C_ACTIVE_LIST,
    C_NEXT_REFRESH,
    C_OPENING,
    C_QUEUE,
    C_REFRESH_FRONT,
    C_REFRESH_OWED,
    C_ROUND_FREE,
    C_SET_CURSOR,
    C_TO_QUEUE,
    CLOSED,
    COLUMN,
    G_OWED,
    G_PICK,
    G_TARGET,
    NONE,
    OPEN,
    PER_BANK,
    PRE,
    PREAB,
    REFAB,
    REFPB,
    REFRESH_QUEUE,
    RESERVED,
    Settings,
    Sizes,
    State,
    Tables,
    wide,
)
from simulator.memory.controller.queues import pick, set_row


@inner
def active_in(state: State, channel: int, low: int, high: int) -> bool:
    """Whether a bank from ``low`` to below ``high`` waits for the access it was opened for."""
    for i in range(state.channel[channel, C_ACTIVE]):
        if low <= state.channel[channel, C_ACTIVE_LIST + i] < high:
            return True
    return low <= state.channel[channel, C_OPENING] < high


@inner
def refresh_front(
    tables: Tables, state: State, groups: int, group_banks: int, mode: int, channel: int
) -> tuple[int, int, int]:
    """Command, bank and earliest tick of the queue's first refresh; NONE while it must wait."""
    front = state.channel[channel, C_REFRESH_FRONT]
    if mode == ALL_BANK:
        group = channel * groups + front
        first = group * group_banks
        command = REFAB
        for b in range(first, first + group_banks):
            if state.bank[b, B_ROW] != CLOSED:
                command = PREAB
        if command == PREAB and active_in(state, channel, first, first + group_banks):
            return command, first, NONE
        return command, first, rare_ready(tables, state, groups, channel, group, command)
    bank = state.channel[channel, C_QUEUE + (front)]
    command = REFPB if state.bank[bank, B_ROW] == CLOSED else PRE
    if command == PRE and active_in(state, channel, bank, bank + 1):
        return command, bank, NONE
    ready = ready_to(state, bank, command)
    return command, bank, ready


@inner
def refresh_due(sizes: Sizes, settings: Settings, state: State, channel: int, tick: int) -> None:
    """Refreshes that fall due at ``tick``."""
    groups, group_banks = sizes.groups, sizes.group_banks
    if sizes.refresh == ALL_BANK:
        state.channel[channel, C_REFRESH_OWED] += groups
        state.channel[channel, C_NEXT_REFRESH] += settings.refresh_interval
        return
    if sizes.refresh == PER_BANK:
        for g in range(channel * groups, (channel + 1) * groups):
            state.group[g, G_OWED] += 1
            if state.group[g, G_PICK] < 0:
                pick(sizes, state, g)
        state.channel[channel, C_NEXT_REFRESH] += settings.refresh_bank_interval
        return
    # Blocking: one bank of each group, one group a tick, set by set.
    set_banks = group_banks // settings.refresh_sets
    cursor = state.channel[channel, C_SET_CURSOR]
    turn = cursor // set_banks
    left = state.channel[channel, C_TO_QUEUE]
    due = state.channel[channel, C_NEXT_REFRESH]
    if left == 0:
        for g in range(groups):
            if tick < state.channel[channel, C_ROUND_FREE + g * settings.refresh_sets + turn]:
                state.channel[channel, C_NEXT_REFRESH] = tick + 1
                return
        left = wide(groups)
    g = groups - left
    bank = (channel * groups + g) * group_banks + cursor
    place = state.channel[channel, C_REFRESH_FRONT] + state.channel[channel, C_REFRESH_OWED]
    state.channel[channel, C_QUEUE + (place & (REFRESH_QUEUE - 1))] = bank
    state.channel[channel, C_REFRESH_OWED] += 1
    if (cursor + 1) % set_banks == 0:
        ends = tick + settings.refresh_bank_time
        state.channel[channel, C_ROUND_FREE + g * settings.refresh_sets + turn] = ends
    state.channel[channel, C_TO_QUEUE] = left - 1
    if left == groups:
        state.channel[channel, C_NEXT_REFRESH] = due + settings.refresh_bank_interval
    if left == 1:
        state.channel[channel, C_SET_CURSOR] = (cursor + 1) % group_banks


@inner
def refresh_done(sizes: Sizes, state: State, channel: int, bank: int) -> None:
    """The refresh of ``bank`` (or of its group) has been issued."""
    if sizes.refresh == PER_BANK:
        group = bank // sizes.group_banks
        first = group * sizes.group_banks
        state.group[group, G_OWED] -= 1
        state.bank[bank, B_REFRESHED] = 1
        left = 0
        for b in range(first, first + sizes.group_banks):
            left += int(state.bank[b, B_REFRESHED] == 0)
        if left == 0:
            state.bank[first : first + sizes.group_banks, B_REFRESHED] = 0
        state.group[group, G_PICK] = -1
        if state.group[group, G_OWED] > 0:
            pick(sizes, state, group)
        if state.group[group, G_TARGET] == bank:
            state.group[group, G_TARGET] = -1
            set_row(state, group, sizes.scheduler, bank, CLOSED)
        return
    state.channel[channel, C_REFRESH_OWED] -= 1
    front = state.channel[channel, C_REFRESH_FRONT] + 1
    wrap = sizes.groups if sizes.refresh == ALL_BANK else REFRESH_QUEUE
    state.channel[channel, C_REFRESH_FRONT] = 0 if front == wrap else front


@inner
def urgent_refresh(sizes: Sizes, settings: Settings, state: State, channel: int) -> bool:
    """Whether some group owes more per-bank refreshes than may be postponed."""
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        if state.group[g, G_OWED] > settings.refresh_slack or state.group[g, G_TARGET] >= 0:
            return True
    return False


@inner
def upkeep(
    sizes: Sizes,
    settings: Settings,
    state: State,
    channel: int,
    tick: int,
    urgent: int,
) -> tuple[int, int, int]:
    """The precharge or per-bank refresh to issue next, its bank and earliest tick.

    ``urgent``: only for groups that owe too much, one reserved bank each.
    """
    groups, group_banks = sizes.groups, sizes.group_banks
    command, bank, soonest = -1, wide(-1), NONE
    for g in range(channel * groups, (channel + 1) * groups):
        first = g * group_banks
        if urgent:
            if state.group[g, G_TARGET] < 0 and state.group[g, G_OWED] > settings.refresh_slack:
                b = choose_target(state, first, group_banks)
                state.group[g, G_TARGET] = b
                if state.group[g, G_PICK] == b:
                    pick(sizes, state, g)
                if state.bank[b, B_ROW] == CLOSED:
                    set_row(state, g, sizes.scheduler, b, RESERVED)
            b = state.group[g, G_TARGET]
            if b >= 0 and state.bank[b, B_ACTIVE] < 0:
                c = REFPB if state.bank[b, B_ROW] == RESERVED else PRE
                ready = ready_to(state, b, c)
                if ready < soonest:
                    command, bank, soonest = c, b, ready
            continue
        b = state.group[g, G_PICK]
        if b >= 0:
            c = REFPB if state.bank[b, B_ROW] == CLOSED else PRE
            ready = ready_to(state, b, c)
            if ready < soonest:
                command, bank, soonest = c, b, ready
        if sizes.row_policy == OPEN:
            continue
        for b in range(first, first + group_banks):
            if (
                state.bank[b, B_ACTIVE] < 0
                and state.bank[b, B_ROW] != RESERVED
                and state.bank[b, B_ROW] != CLOSED
                and state.bank[b, B_CANDIDATE + COLUMN] == NONE
                and state.bank[b, B_CANDIDATE + 3 + COLUMN] == NONE
            ):
                ready = max(ready_to(state, b, PRE), state.bank[b, B_USED] + settings.idle_close)
                if ready < soonest:
                    command, bank, soonest = PRE, b, ready
    return command, bank, soonest


@inner
def choose_target(state: State, first: int, group_banks: int) -> int:
    """A bank that this round has not refreshed yet, one without a waiting access if any."""
    fallback = wide(-1)
    for b in range(first, first + group_banks):
        if state.bank[b, B_REFRESHED] == 0:
            if state.bank[b, B_ACTIVE] < 0:
                return b
            fallback = wide(b)
    return fallback
