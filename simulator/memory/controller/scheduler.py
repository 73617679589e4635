"""One tick of a channel: choose a command for each command bus, issue it, say when next.

Order of choice, as in Ramulator 2.1 (CMU-SAFARI/ramulator2, src/ramulator/controller):
requests that opened a row, then a pending refresh, then the read or the write queue,
oldest ready first.  With two command buses the column bus goes first.  While a blocking
refresh is pending, no queued request is served on the whole channel.

With half-clock ticks columns, activates and refreshes stand on odd ticks.  The rule
which precharge may share a clock with a row command needs no code: tRAS, tPPD and closed
banks imply it.
"""

from __future__ import annotations

from simulator.compiled import inlined
from simulator.memory.controller.constraints import constrain
from simulator.memory.controller.layout import (
    ACT,
    ACT2,
    ACTIVATE,
    B_ACTIVE,
    B_ACTIVE_KEY,
    B_CANDIDATE,
    B_ROW,
    B_USED,
    C_ACTIVE,
    C_ACTIVE_LIST,
    C_DRAINING,
    C_NEXT_REFRESH,
    C_OPENING,
    C_OPENING_DEADLINE,
    C_OPENING_SEQ,
    C_PROMOTIONS,
    C_READS,
    C_REFRESH_OWED,
    C_SYNC_KIND,
    C_SYNC_SEQ,
    C_SYNCED_UNTIL,
    C_TO_QUEUE,
    C_WAKE,
    CAS,
    CLOSED,
    COLUMN,
    FCFS,
    G_CANDIDATES,
    G_SOON,
    G_TARGET,
    N_COMMAND,
    N_CONFLICT,
    N_HIT,
    N_MISS,
    N_VISITS,
    NO_REFRESH,
    NONE,
    OPEN,
    PER_BANK,
    PER_BANK_BLOCKING,
    PRE,
    PREAB,
    PRECHARGE,
    Q_BANK,
    Q_ROW,
    Q_TOUCHED,
    Q_WRITE,
    R_LOGGED,
    RD,
    REFAB,
    REFPB,
    RESERVED,
    WR,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    unsigned,
    wide,
)
from simulator.memory.controller.queues import (
    drains_next,
    forget_write,
    next_hit,
    oldest_request,
    put_precharge,
    rebuild,
    remove,
)
from simulator.memory.controller.upkeep import (
    refresh_done,
    refresh_due,
    refresh_front,
    upkeep,
    urgent_refresh,
)


@inlined
def scan(
    state: State, group_banks: int, queue: int, kind: int, command: int, group: int, tick: int
) -> int:
    """The oldest ready candidate of one class in one group, or NONE.

    Also notes in ``soon`` when the next of them will be ready, the gate apart.
    """
    first = unsigned(group * group_banks)
    best, soon = NONE, NONE
    for place in range(unsigned(group_banks)):
        seq = state.bank[B_CANDIDATE + 3 * queue + kind, first + place]
        ready = state.bank[command, first + place]
        ready = ready if seq != NONE else NONE
        best = min(best, seq if ready <= tick else NONE)
        soon = min(soon, ready)
    state.group[group, G_SOON + kind] = soon
    return best


@inlined
def promote(state: State, requests: Requests, channel: int, bank: int, seq: int) -> None:
    """``seq`` has opened its row: its access comes before all others."""
    count = state.channel[channel, C_ACTIVE]
    promotions = state.channel[channel, C_PROMOTIONS] + 1
    state.channel[channel, C_PROMOTIONS] = promotions
    state.bank[B_ACTIVE, bank] = seq
    state.bank[B_ACTIVE_KEY, bank] = (requests.arrive[seq] << 20) | (promotions & 0xFFFFF)
    state.channel[channel, C_ACTIVE_LIST + count] = bank
    state.channel[channel, C_ACTIVE] = count + 1


@inlined
def retire_active(state: State, channel: int, bank: int) -> None:
    count = state.channel[channel, C_ACTIVE] - 1
    for i in range(count):
        if state.channel[channel, C_ACTIVE_LIST + i] == bank:
            state.channel[channel, C_ACTIVE_LIST + i] = state.channel[
                channel, C_ACTIVE_LIST + count
            ]
    state.channel[channel, C_ACTIVE] = count
    state.bank[B_ACTIVE, bank] = -1


@inlined
def leave_queue(state: State, requests: Requests, channel: int, queue: int, seq: int) -> None:
    """A request's place in its queue is free again."""
    remove(state, requests, queue, seq)
    state.channel[channel, C_READS + queue] -= 1
    if queue == 1:
        forget_write(state, requests, channel, seq)


@inlined
def yields(state: State, group: int, tick: int) -> bool:
    """Whether activates must let an urgent refresh of the group pass.

    Each activate puts off the refresh by more than the next activate, for ever if they
    follow each other closely.
    """
    target = state.group[group, G_TARGET]
    return (
        target >= 0 and state.bank[B_ROW, target] == RESERVED and state.bank[REFPB, target] <= tick
    )


@inlined
def odd(tick: int) -> int:
    return tick | 1


@inlined
def tick_channel(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    tick: int,
) -> None:
    """Run one channel for one tick and note in ``C_WAKE`` when it must run again."""
    groups, group_banks = sizes.groups, sizes.group_banks
    scheduler, mode = sizes.scheduler, sizes.refresh
    dual, half, split = sizes.dual_bus, sizes.half_clock, sizes.split_activate
    first_group = channel * groups
    state.channel[channel, N_VISITS] += 1
    owed = wide(0)
    if mode != NO_REFRESH:
        if tick >= state.channel[channel, C_NEXT_REFRESH] or state.channel[channel, C_TO_QUEUE] > 0:
            refresh_due(sizes, settings, state, channel, tick)
        owed = state.channel[channel, C_REFRESH_OWED]
    for g in range(first_group, first_group + groups):
        for k in range(3):
            state.group[g, G_SOON + k] = 0
    tends = sizes.row_policy != OPEN or mode == PER_BANK
    scanned = -1
    changed_0, changed_1 = -1, -1

    for slot in range(1 + dual):
        columns, rows = slot == 0, slot == 1 or not dual
        rising = not half or (tick & 1) == 1
        if columns and dual and not rising:
            continue
        command, bank, seq = -1, wide(-1), NONE
        from_active = False
        if split:
            # An ACT-2 at its deadline, then the access behind a CAS, come before all.
            if state.channel[channel, C_OPENING] >= 0 and (
                state.channel[channel, C_OPENING_DEADLINE] <= tick
            ):
                command, bank = ACT2, state.channel[channel, C_OPENING]
                seq = state.channel[channel, C_OPENING_SEQ]
            elif state.channel[channel, C_SYNC_SEQ] >= 0:
                seq = state.channel[channel, C_SYNC_SEQ]
                bank = wide(requests.entry[seq, Q_BANK])
                command = RD + requests.entry[seq, Q_WRITE]
                from_active = state.channel[channel, C_SYNC_KIND] == 1
        if command < 0 and columns:
            oldest = NONE
            for i in range(state.channel[channel, C_ACTIVE]):
                b = state.channel[channel, C_ACTIVE_LIST + i]
                f = RD + requests.entry[state.bank[B_ACTIVE, b], Q_WRITE]
                ready = max(state.bank[f, b], state.group[b // group_banks, f])
                if ready <= tick and state.bank[B_ACTIVE_KEY, b] < oldest:
                    oldest = state.bank[B_ACTIVE_KEY, b]
                    command, bank, seq, from_active = f, b, state.bank[B_ACTIVE, b], True
        if command < 0 and owed > 0:
            if rows:
                c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
                if ready <= tick and (rising or c in (PRE, PREAB)):
                    command, bank = c, b
        elif (
            command < 0
            and rows
            and mode == PER_BANK
            and urgent_refresh(sizes, settings, state, channel)
        ):
            command, bank, ready = upkeep(sizes, settings, state, requests, channel, tick, True)
            if ready > tick or (not rising and command != PRE):
                command = -1
        if command < 0 and owed == 0:
            queue = drains_next(state, channel, settings.drain_above, settings.drain_below)
            state.channel[channel, C_DRAINING] = queue
            if scanned >= 0 and scanned != queue:
                for g in range(first_group, first_group + groups):
                    state.group[g, G_SOON + COLUMN] = 0
            scanned = queue
            kind = -1
            if scheduler == FCFS:
                f, b, first, ready = oldest_request(
                    state, requests, groups, group_banks, channel, queue
                )
                fits = columns if f in (RD, WR) else rows and (rising or f == PRE)
                if f == ACT and split and state.channel[channel, C_OPENING] >= 0:
                    fits = False
                if f == ACT and mode == PER_BANK and yields(state, b // group_banks, tick):
                    fits = False
                if ready <= tick and fits:
                    command, bank, seq = f, b, first
            for g in range(first_group, first_group + groups if scheduler != FCFS else first_group):
                for k in range(3):
                    if k == COLUMN:
                        f, may = RD + queue, columns
                    elif k == ACTIVATE:
                        f, may = ACT, rows and rising
                        if split and state.channel[channel, C_OPENING] >= 0:
                            may = False
                        if mode == PER_BANK and yields(state, g, tick):
                            may = False
                    else:
                        f, may = PRE, rows
                    if (
                        may
                        and state.group[g, G_CANDIDATES + 3 * queue + k] > 0
                        and state.group[g, f] <= tick
                    ):
                        found = scan(state, group_banks, queue, k, f, g, tick)
                        if found < seq:
                            seq, kind, command = found, k, f
            if kind >= 0:
                bank = wide(requests.entry[seq, Q_BANK])
        if command < 0 and rows and owed == 0 and tends:
            command, bank, ready = upkeep(sizes, settings, state, requests, channel, tick, False)
            if ready > tick or (not rising and command != PRE):
                command = -1
        if split and columns:
            if command < 0 and state.channel[channel, C_OPENING] >= 0:
                command, bank = ACT2, state.channel[channel, C_OPENING]
                seq = state.channel[channel, C_OPENING_SEQ]
            elif (
                command in (RD, WR)
                and state.channel[channel, C_SYNC_SEQ] < 0
                and tick >= state.channel[channel, C_SYNCED_UNTIL]
            ):
                if state.channel[channel, C_OPENING] >= 0 and (
                    state.channel[channel, C_OPENING_DEADLINE] <= tick + 1
                ):
                    command, bank = ACT2, state.channel[channel, C_OPENING]
                    seq = state.channel[channel, C_OPENING_SEQ]
                else:
                    state.channel[channel, C_SYNC_SEQ] = seq
                    state.channel[channel, C_SYNC_KIND] = int(from_active)
                    command = CAS
        if command < 0:
            continue

        # Issue.
        logged = state.run[R_LOGGED]
        if logged < state.log.shape[0]:
            state.log[logged, 0] = tick
            state.log[logged, 1] = command
            state.log[logged, 2] = bank
            state.log[logged, 3] = requests.entry[seq, Q_ROW] if seq != NONE else -1
            state.run[R_LOGGED] = logged + 1
        state.channel[channel, N_COMMAND + command] += 1
        constrain(tables, state, groups, group_banks, channel, bank, command, tick)
        if slot == 0:
            changed_0 = bank
        else:
            changed_1 = bank
        # Banks from ``low`` to below ``high`` get another row.
        low, high, row = bank, bank, wide(CLOSED)
        if command in (RD, WR):
            queue = command - RD
            if from_active:
                retire_active(state, channel, bank)
                put_precharge(state, requests, group_banks, scheduler, 1 - queue, bank)
            else:
                if requests.entry[seq, Q_TOUCHED] == 0:
                    state.channel[channel, N_HIT] += 1
                leave_queue(state, requests, channel, queue, seq)
                next_hit(state, requests, group_banks, queue, seq)
            put_precharge(state, requests, group_banks, scheduler, queue, bank)
            latency = settings.read_latency if queue == 0 else wide(0)
            requests.depart[seq] = tick + latency
            state.bank[B_USED, bank] = tick
            if split:
                state.channel[channel, C_SYNC_SEQ] = -1
                reach = settings.write_latency + settings.burst if queue == 1 else latency
                state.channel[channel, C_SYNCED_UNTIL] = max(
                    state.channel[channel, C_SYNCED_UNTIL],
                    tick + reach + settings.data_clock_postamble,
                )
        elif command == ACT:
            if requests.entry[seq, Q_TOUCHED] == 0:
                state.channel[channel, N_MISS] += 1
                requests.entry[seq, Q_TOUCHED] = 1
            leave_queue(state, requests, channel, wide(requests.entry[seq, Q_WRITE]), seq)
            high = bank + 1
            if split:
                state.channel[channel, C_OPENING] = bank
                state.channel[channel, C_OPENING_SEQ] = seq
                state.channel[channel, C_OPENING_DEADLINE] = tick + settings.activate_split
                row = wide(RESERVED)
            else:
                promote(state, requests, channel, bank, seq)
                row = wide(requests.entry[seq, Q_ROW])
        elif command == ACT2:
            state.channel[channel, C_OPENING] = -1
            promote(state, requests, channel, bank, seq)
            high, row = bank + 1, wide(requests.entry[seq, Q_ROW])
        elif command == PRE:
            if seq != NONE and requests.entry[seq, Q_TOUCHED] == 0:
                state.channel[channel, N_CONFLICT] += 1
                requests.entry[seq, Q_TOUCHED] = 1
            high = bank + 1
            if mode == PER_BANK and state.group[bank // group_banks, G_TARGET] == bank:
                row = wide(RESERVED)
        elif command == PREAB:
            high = bank + group_banks
        elif command in (REFAB, REFPB):
            refresh_done(sizes, state, requests, channel, bank)
            owed = state.channel[channel, C_REFRESH_OWED]
        for b in range(low, high):
            state.bank[B_ROW, b] = row
            for q in range(2):
                rebuild(state, requests, group_banks, scheduler, q, b)

    # A lower bound of the next tick at which anything can happen.
    wake = state.channel[channel, C_NEXT_REFRESH]
    if split and (
        state.channel[channel, C_OPENING] >= 0 or state.channel[channel, C_SYNC_SEQ] >= 0
    ):
        wake = tick + 1
    if mode == PER_BANK_BLOCKING and state.channel[channel, C_TO_QUEUE] > 0:
        wake = tick + 1
    for i in range(state.channel[channel, C_ACTIVE]):
        b = state.channel[channel, C_ACTIVE_LIST + i]
        f = RD + requests.entry[state.bank[B_ACTIVE, b], Q_WRITE]
        ready = max(state.bank[f, b], state.group[b // group_banks, f])
        wake = min(wake, odd(ready) if half else ready)
    if owed > 0:
        c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
        wake = min(wake, ready)
    else:
        queue = state.channel[channel, C_DRAINING]
        if queue != drains_next(state, channel, settings.drain_above, settings.drain_below):
            wake = tick + 1
        if tends:
            c, b, ready = upkeep(sizes, settings, state, requests, channel, tick + 1, False)
            wake = min(wake, ready)
            if mode == PER_BANK and urgent_refresh(sizes, settings, state, channel):
                c, b, ready = upkeep(sizes, settings, state, requests, channel, tick + 1, True)
                wake = min(wake, ready)
        if scheduler == FCFS:
            f, b, first, ready = oldest_request(
                state, requests, groups, group_banks, channel, queue
            )
            wake = min(wake, ready)
        for k in range(3 if scheduler != FCFS else 0):
            f = RD + queue if k == COLUMN else ACT if k == ACTIVATE else PRE
            aligned = half and k != PRECHARGE
            for g in range(first_group, first_group + groups):
                if state.group[g, G_CANDIDATES + 3 * queue + k] > 0:
                    soon = state.group[g, G_SOON + k] if queue == scanned else wide(0)
                    ready = max(soon, state.group[g, f])
                    wake = min(wake, odd(ready) if aligned else ready)
            for b in (changed_0, changed_1):
                if b >= 0 and state.bank[B_CANDIDATE + 3 * queue + k, b] != NONE:
                    ready = max(state.bank[f, b], state.group[b // group_banks, f])
                    wake = min(wake, odd(ready) if aligned else ready)
    state.channel[channel, C_WAKE] = max(wake, tick + 1)
