"""Request queues: arrival, removal, and the candidates they leave to the scheduler."""

from __future__ import annotations

from simulator.compiled import hot, inlined
from simulator.memory.controller.layout import (
    ACT,
    ACTIVATE,
    B_ACTIVE,
    B_CANDIDATE,
    B_HEAD,
    B_OTHER,
    B_ROW,
    B_TAIL,
    C_DRAINING,
    C_FILTER,
    C_READS,
    C_WRITES,
    CLOSED,
    COLUMN,
    FILTER,
    G_CANDIDATES,
    NONE,
    PRE,
    PRECHARGE,
    Q_BANK,
    Q_FOLLOWING,
    Q_PRECEDING,
    Q_ROW,
    RD,
    RESERVED,
    ROW_HIT_FIRST,
    Requests,
    State,
    wide,
)


@inlined
def put(state: State, group_banks: int, queue: int, kind: int, bank: int, seq: int) -> None:
    """Make ``seq`` (or NONE) the candidate of a bank."""
    old = state.bank[B_CANDIDATE + 3 * queue + kind, bank]
    state.bank[B_CANDIDATE + 3 * queue + kind, bank] = seq
    state.group[bank // group_banks, G_CANDIDATES + 3 * queue + kind] += int(old == NONE) - int(
        seq == NONE
    )


@inlined
def put_precharge(
    state: State, requests: Requests, group_banks: int, scheduler: int, queue: int, bank: int
) -> None:
    """The precharge candidate: hidden while the row's own access waits or hits come first."""
    seq = state.bank[B_OTHER + queue, bank]
    if seq != NONE:
        if state.bank[B_ACTIVE, bank] >= 0:
            seq = NONE
        elif scheduler == ROW_HIT_FIRST:
            hit = state.bank[B_CANDIDATE + 3 * queue + COLUMN, bank]
            if hit != NONE and requests.arrive[hit] <= requests.arrive[seq]:
                seq = NONE
    put(state, group_banks, queue, PRECHARGE, bank, seq)


@inlined
def append(
    state: State, requests: Requests, group_banks: int, scheduler: int, queue: int, seq: int
) -> None:
    """Put an accepted request at the end of its bank's list."""
    bank = requests.entry[seq, Q_BANK]
    tail = state.bank[B_TAIL + queue, bank]
    requests.entry[seq, Q_PRECEDING] = tail
    requests.entry[seq, Q_FOLLOWING] = -1
    if tail < 0:
        state.bank[B_HEAD + queue, bank] = seq
    else:
        requests.entry[tail, Q_FOLLOWING] = seq
    state.bank[B_TAIL + queue, bank] = seq
    row = state.bank[B_ROW, bank]
    if row == CLOSED:
        if tail < 0:
            put(state, group_banks, queue, ACTIVATE, bank, seq)
    elif row == requests.entry[seq, Q_ROW]:
        if state.bank[B_CANDIDATE + 3 * queue + COLUMN, bank] == NONE:
            put(state, group_banks, queue, COLUMN, bank, seq)
            put_precharge(state, requests, group_banks, scheduler, queue, bank)
    elif row != RESERVED and state.bank[B_OTHER + queue, bank] == NONE:
        state.bank[B_OTHER + queue, bank] = seq
        put_precharge(state, requests, group_banks, scheduler, queue, bank)


@inlined
def remove(state: State, requests: Requests, queue: int, seq: int) -> None:
    """Take a request out of its bank's list."""
    bank = requests.entry[seq, Q_BANK]
    before, after = requests.entry[seq, Q_PRECEDING], requests.entry[seq, Q_FOLLOWING]
    if before < 0:
        state.bank[B_HEAD + queue, bank] = after
    else:
        requests.entry[before, Q_FOLLOWING] = after
    if after < 0:
        state.bank[B_TAIL + queue, bank] = before
    else:
        requests.entry[after, Q_PRECEDING] = before


@inlined
def next_hit(state: State, requests: Requests, group_banks: int, queue: int, seq: int) -> None:
    """The column candidate behind ``seq``, which has just been removed."""
    bank = requests.entry[seq, Q_BANK]
    row, at = state.bank[B_ROW, bank], requests.entry[seq, Q_FOLLOWING]
    while at >= 0 and requests.entry[at, Q_ROW] != row:
        at = requests.entry[at, Q_FOLLOWING]
    put(state, group_banks, queue, COLUMN, bank, wide(at) if at >= 0 else NONE)


@inlined
def rebuild(
    state: State, requests: Requests, group_banks: int, scheduler: int, queue: int, bank: int
) -> None:
    """All candidates of a bank, after its row has changed."""
    row, at = state.bank[B_ROW, bank], state.bank[B_HEAD + queue, bank]
    column, activate, other = NONE, NONE, NONE
    if row == CLOSED:
        if at >= 0:
            activate = wide(at)
    elif row != RESERVED:
        while at >= 0 and (column == NONE or other == NONE):
            if requests.entry[at, Q_ROW] == row:
                if column == NONE:
                    column = wide(at)
            elif other == NONE:
                other = wide(at)
            at = requests.entry[at, Q_FOLLOWING]
    put(state, group_banks, queue, COLUMN, bank, column)
    put(state, group_banks, queue, ACTIVATE, bank, activate)
    state.bank[B_OTHER + queue, bank] = other
    put_precharge(state, requests, group_banks, scheduler, queue, bank)


@hot
def set_row(
    state: State, requests: Requests, group_banks: int, scheduler: int, bank: int, row: int
) -> None:
    """Change the row of a bank, with all candidates."""
    state.bank[B_ROW, bank] = row
    for queue in range(2):
        rebuild(state, requests, group_banks, scheduler, queue, bank)


@hot
def oldest_request(
    state: State, requests: Requests, groups: int, group_banks: int, channel: int, queue: int
) -> tuple[int, int, int, int]:
    """Next command of a queue's oldest request, its bank, number and earliest tick."""
    base = channel * groups * group_banks
    seq, bank = NONE, wide(-1)
    for b in range(base, base + groups * group_banks):
        head = state.bank[B_HEAD + queue, b]
        if head >= 0 and head < seq:
            seq, bank = wide(head), b
    if bank < 0 or state.bank[B_ROW, bank] == RESERVED:
        return -1, bank, NONE, NONE
    if state.bank[B_ROW, bank] == CLOSED:
        command = ACT
    elif state.bank[B_ROW, bank] == requests.entry[seq, Q_ROW]:
        command = RD + queue
    else:
        command = PRE
        if state.bank[B_ACTIVE, bank] >= 0:
            return -1, bank, NONE, NONE
    ready = max(state.bank[command, bank], state.group[bank // group_banks, command])
    return command, bank, seq, ready


@inlined
def waits_to_write(state: State, requests: Requests, channel: int, seq: int) -> bool:
    """Whether a write to the address of ``seq`` is in the write queue."""
    line = requests.line[seq]
    if state.channel[channel, C_FILTER + (line & (FILTER - 1))] == 0:
        return False
    at = state.bank[B_HEAD + 1, requests.entry[seq, Q_BANK]]
    while at >= 0:
        if requests.line[at] == line:
            return True
        at = requests.entry[at, Q_FOLLOWING]
    return False


@inlined
def forget_write(state: State, requests: Requests, channel: int, seq: int) -> None:
    """The write queue no longer holds ``seq``."""
    state.channel[channel, C_FILTER + (requests.line[seq] & (FILTER - 1))] -= 1


@inlined
def drains_next(state: State, channel: int, above: int, below: int) -> int:
    """Whether writes are to be drained, given the queue lengths."""
    writes, reads = state.channel[channel, C_WRITES], state.channel[channel, C_READS]
    if state.channel[channel, C_DRAINING] == 0:
        return 1 if writes > above or reads == 0 else 0
    return 0 if writes < below and reads != 0 else 1
