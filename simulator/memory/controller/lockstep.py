"""Lockstep requests: all banks of a group open one row and multiply, column by column.

What processing in memory asks of a channel.  A *macro* is n columns of one row in all banks
of a group; a *buffer* request is n accesses of the channel's buffer over the data pins.  A
macro needs its row open in every bank: others are precharged together, and activates open
one bank, a bank group or all banks at a time.  Its columns are one event, cut where a refresh
falls due.  While lockstep requests are at work no host request is served on the channel.

Commands follow a constraint table like all others:
``hwconfigs/standards/extensions/lockstep.yaml``.
"""

from __future__ import annotations

from simulator.compiled import inner, merged
from simulator.memory.controller.columns import finish, note
from simulator.memory.controller.constraints import constrain, rare_ready, ready_at
from simulator.memory.controller.layout import (
    ACT,
    ACTAB,
    ACTBG,
    B_ROW,
    BUF,
    BUFFER,
    C_MACROS,
    C_NEXT_REFRESH,
    C_REFRESH_OWED,
    C_TO_QUEUE,
    C_WAKE,
    C_WAKE_COLUMN,
    CLOSED,
    E_BANK,
    E_GROUP,
    E_LEFT,
    E_QUEUE,
    E_ROW,
    E_TOUCHED,
    ENDING,
    G_LAST,
    G_MACRO,
    G_MACRO_END,
    G_TARGET,
    MACAB,
    N_BANK_ACTIVATES,
    N_COMMAND,
    N_HIT,
    N_MACROS,
    N_MISS,
    N_OPENED,
    N_VISITS,
    NO_REFRESH,
    NONE,
    PER_BANK,
    PRE,
    PREAB,
    REFAB,
    REFPB,
    RESERVED,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    slot_of,
    wide,
)
from simulator.memory.controller.queues import enter
from simulator.memory.controller.scheduler import change_row
from simulator.memory.controller.upkeep import (
    refresh_done,
    refresh_due,
    refresh_front,
    upkeep,
    urgent_refresh,
)


@merged
def has_place(sizes: Sizes, state: State, requests: Requests, owner: int) -> bool:
    """Whether the group of a lockstep request is free for it."""
    return state.group[requests.bank[owner] // sizes.group_banks, G_MACRO] == -1


@merged
def begin(
    sizes: Sizes, state: State, requests: Requests, channel: int, owner: int, tick: int
) -> None:
    """Put a lockstep request to work."""
    key = enter(state, requests, channel, owner, tick - 1)
    entry = state.entry[slot_of(key)]
    group = entry[E_BANK] // sizes.group_banks
    entry[E_GROUP] = group
    entry[E_BANK] = group * sizes.group_banks
    if len(requests.arrive) > 0:
        requests.arrive[owner] = tick - 1
    state.channel[channel, C_MACROS] += 1
    state.group[group, G_MACRO] = key


@inner
def train_start(
    settings: Settings, state: State, groups: int, channel: int, group: int, tick: int, step: int
) -> int:
    """Earliest tick from ``tick`` at which commands every ``step`` ticks meet none of another
    group's on the command bus they share."""
    start = tick
    for g in range(channel * groups, (channel + 1) * groups):
        for kind in range(2):
            command = BUF if kind else MACAB
            last = state.group[g, G_LAST + command]
            if g == group or last < start:
                continue
            a, b = step, settings.buffer_interval if kind else settings.macro_interval
            while b > 0:
                a, b = b, a % b
            if a <= 1:
                start = last + 1
            elif (last - start) % a == 0:
                start += 1
    return start


@inner
def next_command(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    channel: int,
    group: int,
) -> tuple[int, int, int]:
    """What the lockstep request of a group needs next, the bank meant and the earliest tick."""
    groups, group_banks = sizes.groups, sizes.group_banks
    entry = state.entry[slot_of(state.group[group, G_MACRO])]
    first = group * group_banks
    if entry[E_QUEUE] == BUFFER:
        ready = rare_ready(tables, state, groups, channel, group, wide(BUF))
        return (
            BUF,
            first,
            train_start(settings, state, groups, channel, group, ready, settings.buffer_interval),
        )
    row, fitting, closed = entry[E_ROW], 0, 0
    for b in range(first, first + group_banks):
        if state.bank[b, B_ROW] == RESERVED:
            return -1, first, NONE
        fitting += int(state.bank[b, B_ROW] == row)
        closed += int(state.bank[b, B_ROW] == CLOSED)
    if fitting == group_banks:
        ready = rare_ready(tables, state, groups, channel, group, wide(MACAB))
        return (
            MACAB,
            first,
            train_start(settings, state, groups, channel, group, ready, settings.macro_interval),
        )
    span = settings.macro_span
    other = fitting + closed < group_banks
    for start in range(first, first + group_banks, span):
        open_here = 0
        for b in range(start, start + span):
            open_here += int(state.bank[b, B_ROW] == row)
        other = other or 0 < open_here < span
    if other:
        return PREAB, first, rare_ready(tables, state, groups, channel, group, wide(PREAB))
    command = ACT if span == 1 else ACTAB if span == group_banks else ACTBG
    best, when = -1, NONE
    for start in range(first, first + group_banks, span):
        if state.bank[start, B_ROW] == row:
            continue
        ready = state.group[group, ACT] if span == 1 else wide(0)
        for b in range(start, start + span):
            ready = max(ready, ready_at(state, b, ACT))
        if ready < when:
            best, when = start, ready
    if span > 1:
        when = max(when, rare_ready(tables, state, groups, channel, group, command))
    return command, best, when


@inner
def lockstep_tick(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    tick: int,
) -> None:
    """One tick of a channel on which lockstep requests are at work: at most one command on
    the row bus, and the start of columns on the other."""
    groups, group_banks, mode = sizes.groups, sizes.group_banks, sizes.refresh
    state.channel[channel, N_VISITS] += 1
    if mode != NO_REFRESH and (
        tick >= state.channel[channel, C_NEXT_REFRESH] or state.channel[channel, C_TO_QUEUE] > 0
    ):
        refresh_due(sizes, settings, state, channel, tick)
    rising = not sizes.half_clock or (tick & 1) == 1
    row_bus, column_bus = True, True
    if not sizes.dual_bus:
        for g in range(channel * groups, (channel + 1) * groups):
            for kind in range(2):
                last = state.group[g, G_LAST + (BUF if kind else MACAB)]
                step = settings.buffer_interval if kind else settings.macro_interval
                if last >= tick and (last - tick) % step == 0:
                    row_bus = False
    wake = state.channel[channel, C_NEXT_REFRESH]
    owed = state.channel[channel, C_REFRESH_OWED]
    urgent = mode == PER_BANK and urgent_refresh(sizes, settings, state, channel)
    if owed > 0 or urgent:
        if owed > 0:
            c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
        else:
            c, b, ready = upkeep(sizes, settings, state, channel, tick, wide(1))
        if ready <= tick and row_bus and (rising or c in (PRE, PREAB)):
            row_bus = False
            issue(sizes, settings, tables, state, requests, channel, c, b, wide(-1), tick)
            wake = tick + 1
        else:
            wake = min(wake, max(ready, tick + 1))
    for g in range(channel * groups, (channel + 1) * groups):
        if state.group[g, G_MACRO] == ENDING:
            if tick > state.group[g, G_MACRO_END]:
                state.group[g, G_MACRO] = -1
                state.channel[channel, C_MACROS] -= 1
            else:
                wake = min(wake, state.group[g, G_MACRO_END] + 1)
        # A blocking refresh closes what a macro has opened: it goes first.
        if state.group[g, G_MACRO] < 0 or state.channel[channel, C_REFRESH_OWED] > 0:
            continue
        c, b, ready = next_command(sizes, settings, tables, state, channel, g)
        if c < 0:
            continue
        columns = c in (MACAB, BUF)
        free = column_bus if columns and sizes.dual_bus else row_bus
        if ready <= tick and free and (rising or c == PREAB):
            if columns and sizes.dual_bus:
                column_bus = False
            else:
                row_bus = False
            key = state.group[g, G_MACRO]
            issue(sizes, settings, tables, state, requests, channel, c, b, key, tick)
            wake = tick + 1
        else:
            wake = min(wake, max(ready, tick + 1))
    if state.channel[channel, C_MACROS] == 0 or owed > 0:
        wake = tick + 1
    state.channel[channel, C_WAKE] = wake
    for class_ in range(3):
        state.channel[channel, C_WAKE_COLUMN + class_] = NONE


@inner
def issue(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    command: int,
    bank: int,
    key: int,
    tick: int,
) -> None:
    """Issue a command; columns and buffer accesses as many as fit before the next refresh."""
    groups, group_banks = sizes.groups, sizes.group_banks
    group = bank // group_banks
    count, step = wide(1), wide(0)
    row = wide(-1)
    if key >= 0:
        entry = state.entry[slot_of(key)]
        row = entry[E_ROW]
        if command in (MACAB, BUF):
            step = settings.macro_interval if command == MACAB else settings.buffer_interval
            count = entry[E_LEFT]
            if command == MACAB and sizes.refresh != NO_REFRESH:
                room = (state.channel[channel, C_NEXT_REFRESH] - tick) // step
                count = min(count, max(room, 1))
            entry[E_LEFT] -= count
            if command == MACAB:
                state.channel[channel, N_MISS] += entry[E_TOUCHED]
                state.channel[channel, N_HIT] += count - entry[E_TOUCHED]
            entry[E_TOUCHED] = 0
        elif command in (ACT, ACTBG, ACTAB):
            entry[E_TOUCHED] = 1
    for i in range(count if state.log.shape[0] > 0 else 1):
        note(state, tick + i * step, command, bank, row)
    state.channel[channel, N_COMMAND + command] += count
    last = tick + (count - 1) * step
    constrain(tables, state, groups, channel, group_banks, group, bank, command, last)
    if command in (REFAB, REFPB):
        refresh_done(sizes, state, channel, bank)
    elif command == PREAB:
        for b in range(bank, bank + group_banks):
            change_row(state, group, sizes.scheduler, b, CLOSED, tick)
    elif command == PRE:
        reserved = state.group[group, G_TARGET] == bank and sizes.refresh == PER_BANK
        change_row(state, group, sizes.scheduler, bank, RESERVED if reserved else CLOSED, tick)
    elif command in (ACT, ACTBG, ACTAB):
        span = wide(1) if command == ACT else settings.macro_span
        for b in range(bank, bank + span):
            state.bank[b, N_BANK_ACTIVATES] += 1
            state.channel[channel, N_OPENED] += 1
            change_row(state, group, sizes.scheduler, b, row, tick)
    elif state.entry[slot_of(key), E_LEFT] == 0:
        end = last + step
        if command == BUF:
            end += settings.read_latency - settings.burst
        else:
            state.channel[channel, N_MACROS] += 1
        finish(state, requests, channel, key, end)
        state.group[group, G_MACRO], state.group[group, G_MACRO_END] = ENDING, last
