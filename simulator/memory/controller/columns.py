"""Column commands of the queues: what one changes, and many of them in one go.

Most ticks issue a column command of a queue and nothing else: :func:`stream_columns` does only
that, up to the tick at which anything else could happen (``C_WAKE``).
"""

from __future__ import annotations

from simulator.compiled import merged
from simulator.memory.controller.constraints import constrain, constrain_alike
from simulator.memory.controller.layout import (
    B_CANDIDATE,
    B_USED,
    C_DRAINING,
    C_READS,
    C_SYNCED_UNTIL,
    C_WAKE,
    C_WAKE_COLUMN,
    COLUMN,
    E_BANK,
    E_FOLLOWING,
    E_GROUP,
    E_LEFT,
    E_OWNER,
    E_ROW,
    E_TOUCHED,
    G_CANDIDATES,
    G_LAST,
    G_LIST,
    G_OWED,
    G_SOON,
    LISTED,
    N_BANK_READS,
    N_COMMAND,
    N_HIT,
    N_VISITS,
    NONE,
    OPEN,
    PER_BANK,
    PRE,
    PRECHARGE,
    R_DONE,
    R_LOGGED,
    RD,
    ROW_HIT_FIRST,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    slot_of,
)
from simulator.memory.controller.queues import (
    drains_next,
    forget_write,
    next_hit,
    put_precharge,
    release,
    remove,
)


@merged
def note(state: State, tick: int, command: int, bank: int, row: int) -> None:
    """Enter a command into the log, if there is one; entries beyond its end are counted."""
    if state.log.shape[0] == 0:
        return
    logged = state.run[R_LOGGED]
    if logged < state.log.shape[0]:
        state.log[logged, 0] = tick
        state.log[logged, 1] = command
        state.log[logged, 2] = bank
        state.log[logged, 3] = row
    state.run[R_LOGGED] = logged + 1


@merged
def finish(state: State, requests: Requests, channel: int, key: int, tick: int) -> None:
    """All accesses of a request have been issued; its last data is there at ``tick``."""
    owner = state.entry[slot_of(key), E_OWNER]
    requests.depart[owner] = tick
    if state.done.shape[0] > 0:
        state.done[state.run[R_DONE]] = owner
        state.run[R_DONE] += 1
    release(state, channel, key)


@merged
def has_upkeep(sizes: Sizes, state: State, channel: int) -> bool:
    """Whether rows are closed early or a refresh waits for a bank without requests."""
    if sizes.row_policy != OPEN:
        return True
    if sizes.refresh != PER_BANK:
        return False
    owed = 0
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        owed += state.group[g, G_OWED]
    return owed > 0


@merged
def odd(tick: int) -> int:
    return tick | 1


@merged
def keep_data_clock(settings: Settings, state: State, channel: int, queue: int, tick: int) -> None:
    """A column command needs the data clock to its last data and a little longer."""
    reach = settings.write_latency + settings.burst if queue == 1 else settings.read_latency
    until = tick + reach + settings.data_clock_postamble
    state.channel[channel, C_SYNCED_UNTIL] = max(state.channel[channel, C_SYNCED_UNTIL], until)


@merged
def leave_queue(state: State, channel: int, queue: int, key: int) -> bool:
    """One access of a request leaves its queue; whether it was the last."""
    state.channel[channel, C_READS + queue] -= 1
    left = state.entry[slot_of(key), E_LEFT] - 1
    state.entry[slot_of(key), E_LEFT] = left
    if left > 0:
        return False
    remove(state, queue, key)
    if queue == 1:
        forget_write(state, channel, key)
    return True


@merged
def queued_column(
    sizes: Sizes,
    settings: Settings,
    state: State,
    requests: Requests,
    channel: int,
    queue: int,
    key: int,
    tick: int,
) -> None:
    """What a column command for a queued access changes, constraints apart."""
    entry = state.entry[slot_of(key)]
    bank, group = entry[E_BANK], entry[E_GROUP]
    if entry[E_TOUCHED] == 0:
        state.channel[channel, N_HIT] += 1
    else:
        entry[E_TOUCHED] = 0
    if leave_queue(state, channel, queue, key):
        next_hit(state, group, queue, bank, entry[E_FOLLOWING])
        done = tick + settings.read_latency if queue == 0 else tick
        finish(state, requests, channel, key, done)
        if sizes.scheduler == ROW_HIT_FIRST:
            put_precharge(state, group, sizes.scheduler, queue, bank)
    state.bank[B_USED, bank] = tick
    state.bank[N_BANK_READS + queue, bank] += 1
    if sizes.split_activate:
        keep_data_clock(settings, state, channel, queue, tick)


@merged
def first_ready(state: State, queue: int, group: int, tick: int) -> tuple[int, int]:
    """As :func:`scan` for the column candidates of a group, which are listed by age."""
    f, base = RD + queue, G_LIST + LISTED * queue
    count = state.group[group, G_CANDIDATES + 3 * queue + COLUMN]
    later = NONE
    for i in range(count):
        bank = state.group[group, base + i]
        ready = state.bank[f, bank]
        if ready <= tick:
            state.group[group, G_SOON + COLUMN] = 0
            key = state.bank[B_CANDIDATE + 3 * queue + COLUMN, bank]
            return key, (later if i == count - 1 else 0)
        later = min(later, ready)
    state.group[group, G_SOON + COLUMN] = later
    return NONE, 0


@merged
def stream_columns(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    tick: int,
    end: int,
    floor: int,
) -> tuple[int, bool]:
    """Issue column commands of the queue in use, oldest ready first, from ``tick`` to before
    ``end``, while nothing else can happen and more than ``floor`` accesses are queued. Returns
    the last tick played and whether the other queue is in use from then on.

    What a column forbids to other commands is noted once a bank, after its last one: no other
    command can issue meanwhile.
    """
    groups = sizes.groups
    first_group = channel * groups
    queue = state.channel[channel, C_DRAINING]
    f, row = RD + queue, B_CANDIDATE + 3 * queue + COLUMN
    base = G_LIST + LISTED * queue
    state.channel[channel, N_VISITS] += 1
    at, last, issued, owing = tick, tick, 0, False
    while at < end:
        key, bank, group, soonest = NONE, -1, -1, NONE
        for g in range(first_group, first_group + groups):
            gate = state.group[g, f]
            if gate > at:
                if state.group[g, G_CANDIDATES + 3 * queue + COLUMN] > 0:
                    soonest = min(soonest, gate)
                continue
            for i in range(state.group[g, G_CANDIDATES + 3 * queue + COLUMN]):
                b = state.group[g, base + i]
                ready = state.bank[f, b]
                if ready <= at:
                    if state.bank[row, b] < key:
                        key, bank, group = state.bank[row, b], b, g
                    break
                soonest = min(soonest, ready)
        if bank < 0:
            at = odd(soonest) if sizes.half_clock else soonest
            continue
        last = at
        issued += 1
        entry = state.entry[slot_of(key)]
        note(state, at, f, bank, entry[E_ROW])
        if entry[E_LEFT] > 1:
            owing = True
            constrain_alike(tables, state, groups, channel, sizes.group_banks, group, bank, f, at)
            if entry[E_TOUCHED] == 0:
                state.channel[channel, N_HIT] += 1
            entry[E_TOUCHED] = 0
            entry[E_LEFT] -= 1
            state.channel[channel, C_READS + queue] -= 1
            state.bank[B_USED, bank] = at
            state.bank[N_BANK_READS + queue, bank] += 1
            if sizes.split_activate:
                keep_data_clock(settings, state, channel, queue, at)
        else:
            constrain(tables, state, groups, channel, sizes.group_banks, group, bank, f, at)
            queued_column(sizes, settings, state, requests, channel, queue, key, at)
            if state.bank[row, bank] == NONE:
                # Its row may be closed now, or the bank be refreshed.
                wake = NONE
                if has_upkeep(sizes, state, channel):
                    wake = at + 1
                elif sizes.scheduler == ROW_HIT_FIRST and (
                    state.bank[B_CANDIDATE + 3 * queue + PRECHARGE, bank] != NONE
                ):
                    wake = max(max(state.bank[PRE, bank], state.group[group, PRE]), at + 1)
                state.channel[channel, C_WAKE] = min(state.channel[channel, C_WAKE], wake)
                end = min(end, wake)
            elif sizes.scheduler == ROW_HIT_FIRST:
                state.channel[channel, C_WAKE] = at + 1
                end = at + 1
        at += 1
        if state.channel[channel, C_READS + queue] <= floor:
            break
        at = odd(at) if sizes.half_clock else at
    state.channel[channel, N_COMMAND + f] += issued
    wake = NONE
    for g in range(first_group, first_group + groups):
        count = state.group[g, G_CANDIDATES + 3 * queue + COLUMN]
        if owing:
            latest = state.group[g, G_LAST + f]
            for i in range(count):
                b = state.group[g, base + i]
                used = state.bank[B_USED, b]
                if used >= tick:
                    constrain(tables, state, groups, channel, sizes.group_banks, g, b, f, used)
                    latest = max(latest, used)
            state.group[g, G_LAST + f] = latest
        soonest = NONE
        for i in range(count):
            soonest = min(soonest, state.bank[f, state.group[g, base + i]])
            if soonest <= state.group[g, f]:
                break
        if count > 0:
            wake = min(wake, max(soonest, state.group[g, f]))
    # While nothing issues, ticks up to the next chance have been looked at too.
    last = max(last, min(at, end) - 1)
    wake = max(wake, last + 1)
    state.channel[channel, C_WAKE_COLUMN] = odd(wake) if sizes.half_clock else wake
    changes = drains_next(state, channel, settings.drain_above, settings.drain_below)
    return last, queue != changes
