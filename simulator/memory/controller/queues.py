"""Request queues: arrival, removal, and the candidates they leave to the scheduler."""

from __future__ import annotations

from simulator.compiled import inner, merged
from simulator.memory.controller.constraints import ready_to
from simulator.memory.controller.layout import (
    ACT,
    ACTIVATE,
    B_ACTIVE,
    B_CANDIDATE,
    B_GROUP,
    B_HEAD,
    B_OTHER,
    B_REFRESHED,
    B_ROW,
    B_TAIL,
    C_DRAINING,
    C_FILTER,
    C_FREE,
    C_READS,
    C_REFRESH_OWED,
    C_SEQUENCE,
    C_WAKE,
    C_WAKE_COLUMN,
    C_WRITES,
    CLOSED,
    COLUMN,
    E_ARRIVE,
    E_BANK,
    E_FOLLOWING,
    E_GROUP,
    E_KEY,
    E_LEFT,
    E_LINE,
    E_OWNER,
    E_PRECEDING,
    E_QUEUE,
    E_ROW,
    E_TOUCHED,
    FCFS,
    FILTER,
    G_CANDIDATES,
    G_LIST,
    G_PICK,
    G_TARGET,
    LISTED,
    NONE,
    PRE,
    PRECHARGE,
    RD,
    RESERVED,
    ROW_HIT_FIRST,
    SLOT_BITS,
    Requests,
    Settings,
    Sizes,
    State,
    slot_of,
    wide,
)


@merged
def put(state: State, group: int, queue: int, kind: int, bank: int, key: int) -> None:
    """Make ``key`` (or NONE) the candidate of a bank; the group's list stays in order of age."""
    column = B_CANDIDATE + 3 * queue + kind
    old = state.bank[bank, column]
    if key == old:
        return
    base, number = G_LIST + LISTED * (3 * queue + kind), G_CANDIDATES + 3 * queue + kind
    at = state.group[group, number]
    state.group[group, number] += int(old == NONE) - int(key == NONE)
    state.bank[bank, column] = key
    if old != NONE:
        last, at = at - 1, 0
        while state.group[group, base + at] != bank:
            at += 1
        while at < last:
            after = state.group[group, base + at + 1]
            if state.bank[after, column] > key:
                break
            state.group[group, base + at] = after
            at += 1
    if key != NONE:
        while at > 0:
            before = state.group[group, base + at - 1]
            if state.bank[before, column] < key:
                break
            state.group[group, base + at] = before
            at -= 1
        state.group[group, base + at] = bank


@merged
def put_precharge(state: State, group: int, scheduler: int, queue: int, bank: int) -> None:
    """The precharge candidate: hidden while the row's own access waits or hits come first."""
    key = state.bank[bank, B_OTHER + queue]
    if key != NONE:
        if state.bank[bank, B_ACTIVE] >= 0:
            key = NONE
        elif scheduler == ROW_HIT_FIRST:
            hit = state.bank[bank, B_CANDIDATE + 3 * queue + COLUMN]
            if hit != NONE and (
                state.entry[slot_of(hit), E_ARRIVE] <= state.entry[slot_of(key), E_ARRIVE]
            ):
                key = NONE
    put(state, group, queue, PRECHARGE, bank, key)


@merged
def enter(state: State, requests: Requests, channel: int, owner: int, tick: int) -> int:
    """A slot for request ``owner``, which arrives at ``tick``; returns its key."""
    slot = state.channel[channel, C_FREE]
    entry = state.entry[slot]
    state.channel[channel, C_FREE] = entry[E_FOLLOWING]
    sequence = state.channel[channel, C_SEQUENCE] + 1
    state.channel[channel, C_SEQUENCE] = sequence
    key = (sequence << SLOT_BITS) | slot
    entry[E_KEY] = key
    entry[E_BANK] = requests.bank[owner]
    entry[E_ROW] = requests.row[owner]
    entry[E_QUEUE] = requests.kind[owner]
    entry[E_LEFT] = requests.accesses[owner] if len(requests.accesses) > 0 else wide(1)
    entry[E_TOUCHED] = 0
    entry[E_OWNER] = owner
    entry[E_ARRIVE] = tick
    entry[E_LINE] = requests.line[owner] if len(requests.line) > 0 else wide(-1)
    return key


@merged
def release(state: State, channel: int, key: int) -> None:
    """The slot of ``key`` is free again."""
    slot = slot_of(key)
    state.entry[slot, E_FOLLOWING] = state.channel[channel, C_FREE]
    state.channel[channel, C_FREE] = slot


@merged
def append(state: State, group: int, scheduler: int, queue: int, key: int) -> int:
    """Put an accepted request at the end of its bank's list; returns the class in which it
    has become a candidate, or -1."""
    entry = state.entry[slot_of(key)]
    bank = entry[E_BANK]
    entry[E_GROUP] = group
    tail = state.bank[bank, B_TAIL + queue]
    entry[E_PRECEDING] = tail
    entry[E_FOLLOWING] = -1
    if tail < 0:
        state.bank[bank, B_HEAD + queue] = key
    else:
        state.entry[slot_of(tail), E_FOLLOWING] = key
    state.bank[bank, B_TAIL + queue] = key
    row = state.bank[bank, B_ROW]
    if row == entry[E_ROW]:
        if state.bank[bank, B_CANDIDATE + 3 * queue + COLUMN] == NONE:
            put(state, group, queue, COLUMN, bank, key)
            if scheduler == ROW_HIT_FIRST:
                put_precharge(state, group, scheduler, queue, bank)
            return COLUMN
    elif row == CLOSED:
        if tail < 0:
            put(state, group, queue, ACTIVATE, bank, key)
            return ACTIVATE
    elif row != RESERVED and state.bank[bank, B_OTHER + queue] == NONE:
        state.bank[bank, B_OTHER + queue] = key
        put_precharge(state, group, scheduler, queue, bank)
        return PRECHARGE
    return -1


@merged
def is_refreshable(state: State, group: int, bank: int) -> bool:
    """Whether a bank without requests waits for its refresh of the present round."""
    return (
        bank != state.group[group, G_TARGET]
        and state.bank[bank, B_REFRESHED] == 0
        and state.bank[bank, B_HEAD] < 0
        and state.bank[bank, B_HEAD + 1] < 0
        and state.bank[bank, B_ACTIVE] < 0
        and state.bank[bank, B_ROW] != RESERVED
    )


@inner
def pick(sizes: Sizes, state: State, group: int) -> int:
    """Choose the bank without requests that a group refreshes next, or -1."""
    first = group * sizes.group_banks
    state.group[group, G_PICK] = -1
    for b in range(first, first + sizes.group_banks):
        if is_refreshable(state, group, b):
            state.group[group, G_PICK] = b
            break
    return state.group[group, G_PICK]


@merged
def accept(
    sizes: Sizes,
    settings: Settings,
    state: State,
    requests: Requests,
    channel: int,
    owner: int,
    tick: int,
) -> None:
    """Take a read or a write into its queue before ``tick`` and note what it may wake."""
    key = enter(state, requests, channel, owner, tick - 1)
    entry = state.entry[slot_of(key)]
    queue, bank = entry[E_QUEUE], entry[E_BANK]
    group = state.bank[bank, B_GROUP]
    if len(requests.arrive) > 0:
        requests.arrive[owner] = tick - 1
    state.channel[channel, C_READS + queue] += entry[E_LEFT]
    if queue == 1 and entry[E_LINE] >= 0:
        state.channel[channel, C_FILTER + (entry[E_LINE] & (FILTER - 1))] += 1
    kind = append(state, group, sizes.scheduler, queue, key)
    draining = state.channel[channel, C_DRAINING]
    # While a blocking refresh is owed nothing queued is served.
    if kind >= 0 and draining == queue and state.channel[channel, C_REFRESH_OWED] == 0:
        f = RD + queue if kind == COLUMN else ACT if kind == ACTIVATE else PRE
        ready = max(ready_to(state, bank, f), tick)
        if sizes.half_clock and kind == COLUMN:
            ready |= 1
        wake = C_WAKE_COLUMN + kind if sizes.scheduler != FCFS else C_WAKE
        state.channel[channel, wake] = min(state.channel[channel, wake], ready)
    if draining != drains_next(state, channel, settings.drain_above, settings.drain_below):
        state.channel[channel, C_WAKE] = tick
    if state.group[group, G_PICK] == bank and pick(sizes, state, group) >= 0:
        state.channel[channel, C_WAKE] = tick


@merged
def remove(state: State, queue: int, key: int) -> None:
    """Take a request out of its bank's list."""
    entry = state.entry[slot_of(key)]
    bank, before, after = entry[E_BANK], entry[E_PRECEDING], entry[E_FOLLOWING]
    if before < 0:
        state.bank[bank, B_HEAD + queue] = after
    else:
        state.entry[slot_of(before), E_FOLLOWING] = after
    if after < 0:
        state.bank[bank, B_TAIL + queue] = before
    else:
        state.entry[slot_of(after), E_PRECEDING] = before


@merged
def next_hit(state: State, group: int, queue: int, bank: int, after: int) -> None:
    """The column candidate of a bank from ``after`` on; what was before it has left."""
    row, at = state.bank[bank, B_ROW], after
    while at >= 0 and state.entry[slot_of(at), E_ROW] != row:
        at = state.entry[slot_of(at), E_FOLLOWING]
    put(state, group, queue, COLUMN, bank, at if at >= 0 else NONE)


@merged
def rebuild(state: State, group: int, scheduler: int, queue: int, bank: int) -> None:
    """All candidates of a bank, after its row has changed."""
    row, at = state.bank[bank, B_ROW], state.bank[bank, B_HEAD + queue]
    column, activate, other = NONE, NONE, NONE
    if row == CLOSED:
        if at >= 0:
            activate = at
    elif row != RESERVED:
        while at >= 0 and (column == NONE or other == NONE):
            entry = state.entry[slot_of(at)]
            if entry[E_ROW] == row:
                if column == NONE:
                    column = at
            elif other == NONE:
                other = at
            at = entry[E_FOLLOWING]
    put(state, group, queue, COLUMN, bank, column)
    put(state, group, queue, ACTIVATE, bank, activate)
    state.bank[bank, B_OTHER + queue] = other
    put_precharge(state, group, scheduler, queue, bank)


@inner
def set_row(state: State, group: int, scheduler: int, bank: int, row: int) -> None:
    """Change the row of a bank, with all candidates."""
    state.bank[bank, B_ROW] = row
    for queue in range(2):
        rebuild(state, group, scheduler, queue, bank)


@inner
def oldest_request(
    state: State, groups: int, group_banks: int, channel: int, queue: int
) -> tuple[int, int, int, int]:
    """Next command of a queue's oldest request, its bank, key and earliest tick."""
    base = channel * groups * group_banks
    key, bank = NONE, wide(-1)
    for b in range(base, base + groups * group_banks):
        head = state.bank[b, B_HEAD + queue]
        if head >= 0 and head < key:
            key, bank = head, b
    if bank < 0 or state.bank[bank, B_ROW] == RESERVED:
        return -1, bank, NONE, NONE
    if state.bank[bank, B_ROW] == CLOSED:
        command = ACT
    elif state.bank[bank, B_ROW] == state.entry[slot_of(key), E_ROW]:
        command = RD + queue
    else:
        command = PRE
        if state.bank[bank, B_ACTIVE] >= 0:
            return -1, bank, NONE, NONE
    ready = ready_to(state, bank, command)
    return command, bank, key, ready


@merged
def waits_to_write(state: State, requests: Requests, channel: int, owner: int) -> bool:
    """Whether a write to the address of request ``owner`` is in the write queue."""
    line = requests.line[owner]
    if line < 0 or state.channel[channel, C_FILTER + (line & (FILTER - 1))] == 0:
        return False
    at = state.bank[requests.bank[owner], B_HEAD + 1]
    while at >= 0:
        entry = state.entry[slot_of(at)]
        if entry[E_LINE] == line:
            return True
        at = entry[E_FOLLOWING]
    return False


@merged
def forget_write(state: State, channel: int, key: int) -> None:
    """The write queue no longer holds ``key``."""
    line = state.entry[slot_of(key), E_LINE]
    if line >= 0:
        state.channel[channel, C_FILTER + (line & (FILTER - 1))] -= 1


@merged
def drains_next(state: State, channel: int, above: int, below: int) -> int:
    """Whether writes are to be drained, given the queue lengths."""
    writes, reads = state.channel[channel, C_WRITES], state.channel[channel, C_READS]
    if state.channel[channel, C_DRAINING] == 0:
        return 1 if writes > above or reads == 0 else 0
    return 0 if writes < below and reads != 0 else 1
