"""Column commands: which is next, and what one changes."""

from __future__ import annotations

from simulator.compiled import merged
from simulator.memory.controller.constraints import ready_at, ready_to
from simulator.memory.controller.layout import (
    B_ACTIVE,
    B_ACTIVE_COMMAND,
    B_ACTIVE_KEY,
    B_CANDIDATE,
    B_GROUP,
    B_USED,
    C_ACTIVE,
    C_ACTIVE_LIST,
    C_READS,
    C_SYNCED_UNTIL,
    COLUMN,
    E_BANK,
    E_FOLLOWING,
    E_GROUP,
    E_LEFT,
    E_OWNER,
    E_QUEUE,
    E_TOUCHED,
    G_CANDIDATES,
    G_LIST,
    G_OWED,
    G_PICK,
    G_TARGET,
    LISTED,
    N_BANK_READS,
    N_HIT,
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
    slot_of,
    wide,
)
from simulator.memory.controller.queues import (
    forget_write,
    is_refreshable,
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
    tends = False
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        tends = tends or state.group[g, G_PICK] >= 0
    return tends


@merged
def note_idle(sizes: Sizes, state: State, group: int, bank: int) -> None:
    """A request of a bank has left: a refresh may be possible now."""
    if (
        sizes.refresh == PER_BANK
        and state.group[group, G_OWED] > 0
        and state.group[group, G_PICK] < 0
        and is_refreshable(state, group, bank)
    ):
        state.group[group, G_PICK] = bank


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
) -> bool:
    """What a column command for a queued access changes, constraints apart; whether its
    request has no other left."""
    entry = state.entry[slot_of(key)]
    bank, group = entry[E_BANK], entry[E_GROUP]
    if entry[E_TOUCHED] == 0:
        state.channel[channel, N_HIT] += 1
    else:
        entry[E_TOUCHED] = 0
    served = leave_queue(state, channel, queue, key)
    if served:
        next_hit(state, group, queue, bank, entry[E_FOLLOWING])
        done = tick + settings.read_latency if queue == 0 else tick
        finish(state, requests, channel, key, done)
        if sizes.scheduler == ROW_HIT_FIRST:
            put_precharge(state, group, sizes.scheduler, queue, bank)
        note_idle(sizes, state, group, bank)
    state.bank[bank, B_USED] = tick
    state.bank[bank, N_BANK_READS + queue] += 1
    if sizes.split_activate:
        keep_data_clock(settings, state, channel, queue, tick)
    return served


@merged
def first_ready(state: State, queue: int, kind: int, command: int, group: int, tick: int) -> int:
    """The oldest candidate of one class in a group that ``command`` may serve at ``tick``, or
    NONE; the gate apart."""
    base = G_LIST + LISTED * (3 * queue + kind)
    for i in range(state.group[group, G_CANDIDATES + 3 * queue + kind]):
        bank = state.group[group, base + i]
        if ready_at(state, bank, command) <= tick:
            return state.bank[bank, B_CANDIDATE + 3 * queue + kind]
    return NONE


@merged
def soonest(
    sizes: Sizes, state: State, channel: int, queue: int, kind: int, command: int, tick: int
) -> int:
    """Earliest tick from ``tick`` at which ``command`` may serve a candidate of one class."""
    number, base = G_CANDIDATES + 3 * queue + kind, G_LIST + LISTED * (3 * queue + kind)
    when = NONE
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        gate, ready = max(state.group[g, command], tick), NONE
        for i in range(state.group[g, number]):
            ready = min(ready, ready_at(state, state.group[g, base + i], command))
            if ready <= gate:
                ready = gate
                break
        when = min(when, ready)
    return when


@merged
def gate(sizes: Sizes, state: State, channel: int, queue: int, kind: int, command: int) -> int:
    """No candidate of one class can be served before; :func:`soonest` without the banks."""
    when = NONE
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        if state.group[g, G_CANDIDATES + 3 * queue + kind] > 0:
            when = min(when, state.group[g, command])
    return when


@merged
def first_active(state: State, channel: int, tick: int) -> tuple[int, int]:
    """The bank whose request has opened its row first and may have its access at ``tick``, or
    -1, and the earliest tick from which another may."""
    bank, oldest, when = wide(-1), NONE, NONE
    for i in range(state.channel[channel, C_ACTIVE]):
        b = state.channel[channel, C_ACTIVE_LIST + i]
        command = state.bank[b, B_ACTIVE_COMMAND]
        ready = ready_to(state, b, command)
        if ready <= tick and state.bank[b, B_ACTIVE_KEY] < oldest:
            when = min(when, tick if bank >= 0 else NONE)
            bank, oldest = b, state.bank[b, B_ACTIVE_KEY]
        else:
            when = min(when, ready)
    return bank, when


@merged
def active_column(
    sizes: Sizes,
    settings: Settings,
    state: State,
    requests: Requests,
    channel: int,
    bank: int,
    tick: int,
) -> None:
    """What the access of the request that opened a row changes, constraints apart."""
    key = state.bank[bank, B_ACTIVE]
    entry = state.entry[slot_of(key)]
    queue, group = entry[E_QUEUE], entry[E_GROUP]
    count = state.channel[channel, C_ACTIVE] - 1
    last = state.channel[channel, C_ACTIVE_LIST + count]
    for i in range(count):
        if state.channel[channel, C_ACTIVE_LIST + i] == bank:
            state.channel[channel, C_ACTIVE_LIST + i] = last
    state.channel[channel, C_ACTIVE] = count
    state.bank[bank, B_ACTIVE] = -1
    if entry[E_LEFT] == 0:
        done = tick + settings.read_latency if queue == 0 else tick
        finish(state, requests, channel, key, done)
    for q in range(2):
        put_precharge(state, group, sizes.scheduler, q, bank)
    note_idle(sizes, state, group, bank)
    state.bank[bank, B_USED] = tick
    state.bank[bank, N_BANK_READS + queue] += 1
    if sizes.split_activate:
        keep_data_clock(settings, state, channel, queue, tick)


@merged
def oldest_column(
    sizes: Sizes, state: State, channel: int, queue: int, tick: int
) -> tuple[int, int, int]:
    """Key and bank of the oldest queued access whose column may issue at ``tick``, or NONE and
    -1, and before when no other may."""
    command, kind = RD + queue, 3 * queue + COLUMN
    base = G_LIST + LISTED * kind
    key, bank, when = NONE, wide(-1), NONE
    for g in range(channel * sizes.groups, (channel + 1) * sizes.groups):
        count = state.group[g, G_CANDIDATES + kind]
        if state.group[g, command] > tick:
            if count > 0:
                when = min(when, state.group[g, command])
            continue
        for i in range(count):
            b = state.group[g, base + i]
            ready = ready_at(state, b, command)
            if ready <= tick:
                if state.bank[b, B_CANDIDATE + kind] < key:
                    key, bank = state.bank[b, B_CANDIDATE + kind], b
                break
            when = min(when, ready)
    return key, bank, when


@merged
def freed(
    sizes: Sizes,
    state: State,
    channel: int,
    queue: int,
    bank: int,
    tick: int,
    next_pre: int,
    wake: int,
) -> tuple[int, int]:
    """``next_pre`` and ``wake`` after a bank has served a request at ``tick``: its row may be
    closed now, or the bank be refreshed."""
    if state.bank[bank, B_CANDIDATE + 3 * queue + PRECHARGE] != NONE:
        next_pre = min(next_pre, max(ready_to(state, bank, PRE), tick + 1))
    if state.group[state.bank[bank, B_GROUP], G_TARGET] == bank or (
        state.bank[bank, B_CANDIDATE + 3 * queue + COLUMN] == NONE
        and has_upkeep(sizes, state, channel)
    ):
        wake = tick + 1
    return next_pre, wake
