"""Lockstep requests: banks of a group open one row and multiply, column by column.

What processing in memory asks of a channel.  A *macro* is n columns of one row in all banks
of a set, a *store* n columns that units write there; a *buffer* request fills the channel's buffer
over the data pins, a *result* request fetches what the units hold.  A set is a group of banks, or
every n-th of its banks where n share a unit.  Columns need their row open in every bank: others are
precharged together, and activates open one bank, a bank group or the whole set at a time.  The
columns of a request are one event, cut where a refresh falls due or the power budget is spent.
While lockstep requests are at work no host request is served on the channel.

Requests begin in order.  The next begins when the columns of the one before are over or, with
``overlap``, when they are scheduled: another set may open its row meanwhile, and transfers go on
beside columns, because the units have two of each register.  Results then wait for the columns
that made them; that macros find their buffer filled is up to whoever asks for them.

Where units ``switch`` between columns, fills and results, the first command of another of the
three comes that long after the last one.  With a ``fence`` the columns of a request start that
long after those of the one before; rows are opened meanwhile.

Power: activates and columns draw on a budget that refills all the time.  A group may run ahead of
it by ``power_window``, so in a span of t it draws at most what t and the window give.

Commands follow a constraint table like all others:
``hwconfigs/standards/extensions/lockstep.yaml``.
"""

from __future__ import annotations

from simulator.compiled import inner, merged
from simulator.memory.controller.columns import finish, note
from simulator.memory.controller.constraints import constrain, rare_ready, ready_at, set_ready
from simulator.memory.controller.layout import (
    ACT,
    ACTAB,
    ACTBG,
    B_LOCKSTEP,
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
    E_STARTED,
    E_TOUCHED,
    ENDING,
    G_FENCE,
    G_FROM,
    G_KIND,
    G_LAST,
    G_MACRO,
    G_MACRO_END,
    G_SPENT,
    G_TARGET,
    G_TRANSFER,
    G_TRANSFER_END,
    G_TRANSFER_FROM,
    MACAB,
    MACRO,
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
    POWER,
    PRE,
    PREAB,
    PREST,
    REFAB,
    REFPB,
    RESERVED,
    RESULT,
    STORE,
    WRAB,
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
def has_place(
    sizes: Sizes, settings: Settings, state: State, requests: Requests, owner: int
) -> bool:
    """Whether a lockstep request may begin beside those of its group that are at work."""
    group = state.group[requests.bank[owner] // sizes.group_banks]
    if not settings.overlap:
        return group[G_MACRO] == -1
    if requests.kind[owner] <= STORE:
        return group[G_MACRO] < 0
    return group[G_TRANSFER] < 0 and (group[G_MACRO] < 0 or requests.kind[owner] == BUFFER)


@merged
def begin(
    sizes: Sizes,
    settings: Settings,
    state: State,
    requests: Requests,
    channel: int,
    owner: int,
    tick: int,
) -> None:
    """Put a lockstep request to work."""
    key = enter(state, requests, channel, owner, tick - 1)
    entry = state.entry[slot_of(key)]
    group = entry[E_BANK] // sizes.group_banks
    first = group * sizes.group_banks
    entry[E_GROUP] = group
    entry[E_STARTED] = 0
    entry[E_BANK] = first + (entry[E_BANK] - first) % settings.sets
    if len(requests.arrive) > 0:
        requests.arrive[owner] = tick - 1
    if settings.switch > 0:
        kind = max(entry[E_QUEUE] - STORE, 0)
        if kind != state.group[group, G_KIND]:
            state.group[group, G_FROM] = state.group[group, G_MACRO_END] + settings.switch
        state.group[group, G_KIND] = kind
    place = G_MACRO
    if settings.overlap and entry[E_QUEUE] > STORE:
        place = G_TRANSFER
        state.group[group, G_TRANSFER_FROM] = 0
        if entry[E_QUEUE] == RESULT and state.group[group, G_MACRO] == ENDING:
            ends = state.group[group, G_MACRO_END] + settings.macro_interval
            state.group[group, G_TRANSFER_FROM] = ends
    # Whose columns are still going on hands its place on.
    if state.group[group, place] == -1:
        state.channel[channel, C_MACROS] += 1
    state.group[group, place] = key


@inner
def train_start(
    settings: Settings,
    state: State,
    groups: int,
    channel: int,
    group: int,
    command: int,
    tick: int,
    step: int,
) -> int:
    """Earliest tick from ``tick`` at which commands every ``step`` ticks meet none of another
    train's on the command bus they share."""
    start = tick
    for g in range(channel * groups, (channel + 1) * groups):
        for other in (MACAB, WRAB, BUF):
            last = state.group[g, G_LAST + other]
            if (g == group and other == command) or last < start:
                continue
            a, b = step, settings.buffer_interval if other == BUF else settings.macro_interval
            while b > 0:
                a, b = b, a % b
            if a <= 1:
                start = last + 1
            elif (last - start) % a == 0:
                start += 1
    return start


@inner
def power_ready(settings: Settings, state: State, group: int, cost: int) -> int:
    """Earliest tick at which the power budget admits ``cost``."""
    ahead = state.group[group, G_SPENT] + cost - settings.power_window
    return max(ahead + POWER - 1, 0) // POWER if cost > 0 else wide(0)


@inner
def cost_of(settings: Settings, command: int) -> int:
    """What a command draws from the power budget."""
    if command in (MACAB, WRAB):
        return settings.column_cost
    if command == ACT:
        return settings.activate_cost
    if command in (ACTBG, ACTAB):
        return settings.activate_cost * settings.macro_span
    return wide(0)


@inner
def next_command(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    channel: int,
    group: int,
    key: int,
    tick: int,
) -> tuple[int, int, int]:
    """What a lockstep request needs next, the bank meant and the earliest tick."""
    groups, group_banks, sets = sizes.groups, sizes.group_banks, settings.sets
    entry = state.entry[slot_of(key)]
    first = entry[E_BANK]
    if entry[E_QUEUE] > STORE:
        ready = max(tick, rare_ready(tables, state, groups, channel, group, wide(BUF)))
        if settings.overlap:
            ready = max(ready, state.group[group, G_TRANSFER_FROM])
        if entry[E_STARTED] == 0:
            ready = max(ready, state.group[group, G_FENCE])
        return (
            BUF,
            first,
            train_start(
                settings, state, groups, channel, group, BUF, ready, settings.buffer_interval
            ),
        )
    row, fitting, closed, banks = entry[E_ROW], 0, 0, group_banks // sets
    end = first + banks * sets
    for b in range(first, end, sets):
        if state.bank[b, B_ROW] == RESERVED:
            return -1, first, NONE
        fitting += int(state.bank[b, B_ROW] == row)
        closed += int(state.bank[b, B_ROW] == CLOSED)
    if fitting == banks:
        column = MACAB if entry[E_QUEUE] == MACRO else WRAB
        ready = rare_ready(tables, state, groups, channel, group, wide(column))
        ready = max(ready, set_ready(tables, state, first, column))
        ready = max(ready, power_ready(settings, state, group, settings.column_cost))
        if entry[E_STARTED] == 0:
            ready = max(ready, state.group[group, G_FENCE])
        return (
            column,
            first,
            train_start(
                *(settings, state, groups, channel, group, column),
                *(max(tick, ready), settings.macro_interval),
            ),
        )
    span = settings.macro_span
    other = fitting + closed < banks
    for start in range(first, end, span * sets):
        open_here = 0
        for b in range(start, start + span * sets, sets):
            open_here += int(state.bank[b, B_ROW] == row)
        other = other or 0 < open_here < span
    if other:
        command = PREAB if sets == 1 else PREST
        ready = rare_ready(tables, state, groups, channel, group, wide(command))
        return command, first, max(ready, set_ready(tables, state, first, command))
    command = ACTAB if span == banks else ACT if span == 1 else ACTBG
    best, when = -1, NONE
    for start in range(first, end, span * sets):
        if state.bank[start, B_ROW] == row:
            continue
        ready = state.group[group, ACT] if command == ACT else wide(0)
        for b in range(start, start + span * sets, sets):
            ready = max(ready, ready_at(state, b, ACT))
        if ready < when:
            best, when = start, ready
    if command != ACT:
        when = max(when, rare_ready(tables, state, groups, channel, group, command))
        when = max(when, set_ready(tables, state, first, command))
    return command, best, max(when, power_ready(settings, state, group, cost_of(settings, command)))


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
            for other in (MACAB, WRAB, BUF):
                last = state.group[g, G_LAST + other]
                step = settings.buffer_interval if other == BUF else settings.macro_interval
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
        for kind in range(2):
            place = G_TRANSFER if kind else G_MACRO
            if state.group[g, place] == ENDING:
                ends = state.group[g, G_TRANSFER_END if kind else G_MACRO_END]
                if tick > ends:
                    state.group[g, place] = -1
                    state.channel[channel, C_MACROS] -= 1
                else:
                    wake = min(wake, ends + 1)
            # A blocking refresh closes what a macro has opened: it goes first.
            if state.group[g, place] < 0 or state.channel[channel, C_REFRESH_OWED] > 0:
                continue
            key = state.group[g, place]
            c, b, ready = next_command(sizes, settings, tables, state, channel, g, key, tick)
            ready = max(ready, state.group[g, G_FROM])
            if c < 0:
                continue
            columns = c in (MACAB, WRAB, BUF)
            free = column_bus if columns and sizes.dual_bus else row_bus
            if ready <= tick and free and (rising or c == PREAB):
                if columns and sizes.dual_bus:
                    column_bus = False
                else:
                    row_bus = False
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
def affordable(settings: Settings, state: State, group: int, tick: int) -> int:
    """Columns from ``tick`` on, at their own interval, before the power budget stops them."""
    gain = settings.column_cost - settings.macro_interval * POWER
    if gain <= 0:
        return NONE
    spent = max(state.group[group, G_SPENT], tick * POWER)
    return 1 + (tick * POWER + settings.power_window - spent - settings.column_cost) // gain


@inner
def spend(
    settings: Settings, state: State, group: int, command: int, count: int, tick: int
) -> None:
    """Charge ``count`` commands, the last one at ``tick``, to the power budget."""
    cost = cost_of(settings, command)
    start = tick - (count - 1) * settings.macro_interval
    all_of_them = max(state.group[group, G_SPENT], start * POWER) + count * cost
    if cost > 0:
        state.group[group, G_SPENT] = max(all_of_them, tick * POWER + cost)


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
    row, first = wide(-1), bank
    if key >= 0:
        entry = state.entry[slot_of(key)]
        row, first = entry[E_ROW], entry[E_BANK]
        if command in (MACAB, WRAB, BUF):
            step = settings.buffer_interval if command == BUF else settings.macro_interval
            count = entry[E_LEFT]
            if command != BUF and sizes.refresh != NO_REFRESH:
                room = (state.channel[channel, C_NEXT_REFRESH] - tick) // step
                count = min(count, max(room, 1))
            if command != BUF:
                count = min(count, affordable(settings, state, group, tick))
            entry[E_LEFT] -= count
            entry[E_STARTED] = 1
            if settings.fence > 0:
                state.group[group, G_FENCE] = tick + count * step + settings.fence
            if command != BUF:
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
    spend(settings, state, group, command, count, last)
    for number, lockstep in enumerate((ACTAB, MACAB, PREST, WRAB)):
        if command == lockstep:
            state.bank[first, B_LOCKSTEP + number] = last
    if command in (REFAB, REFPB):
        refresh_done(sizes, state, channel, bank)
    elif command in (PREAB, PREST):
        sets = wide(1) if command == PREAB else settings.sets
        for b in range(bank, bank + group_banks // sets * sets, sets):
            change_row(state, group, sizes.scheduler, b, CLOSED, tick)
    elif command == PRE:
        reserved = state.group[group, G_TARGET] == bank and sizes.refresh == PER_BANK
        change_row(state, group, sizes.scheduler, bank, RESERVED if reserved else CLOSED, tick)
    elif command in (ACT, ACTBG, ACTAB):
        span = wide(1) if command == ACT else settings.macro_span
        for b in range(bank, bank + span * settings.sets, settings.sets):
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
        place = G_TRANSFER if settings.overlap and command == BUF else G_MACRO
        state.group[group, place] = ENDING
        state.group[group, G_TRANSFER_END if place == G_TRANSFER else G_MACRO_END] = last
