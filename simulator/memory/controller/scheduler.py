"""One tick of a channel: choose a command for each command bus, issue it, say when next.

Order of choice, as in Ramulator 2.1 (CMU-SAFARI/ramulator2, src/ramulator/controller):
requests that opened a row, then a pending refresh, then the read or the write queue,
oldest ready first.  With two command buses the column bus goes first.  While a blocking
refresh is pending, no queued request is served on the whole channel.

With half-clock ticks columns, activates and refreshes stand on odd ticks.  The rule
which precharge may share a clock with a row command needs no code: tRAS, tPPD and closed
banks imply it.

Ticks in which only columns of a queue can issue are played by ``columns.py``.
"""

from __future__ import annotations

from simulator.compiled import merged
from simulator.memory.controller.columns import (
    finish,
    first_ready,
    has_upkeep,
    keep_data_clock,
    leave_queue,
    note,
    odd,
    queued_column,
    stream_columns,
)
from simulator.memory.controller.constraints import constrain
from simulator.memory.controller.layout import (
    ACT,
    ACT2,
    ACTIVATE,
    B_ACTIVE,
    B_ACTIVE_KEY,
    B_CANDIDATE,
    B_GROUP,
    B_ROW,
    B_USED,
    C_ACTIVE,
    C_ACTIVE_LIST,
    C_DRAINING,
    C_NEXT_REFRESH,
    C_OPENING,
    C_OPENING_DEADLINE,
    C_OPENING_KEY,
    C_PROMOTIONS,
    C_REFRESH_OWED,
    C_SYNC_KEY,
    C_SYNC_KIND,
    C_SYNCED_UNTIL,
    C_TO_QUEUE,
    C_WAKE,
    C_WAKE_COLUMN,
    CAS,
    CLOSED,
    COLUMN,
    E_ARRIVE,
    E_BANK,
    E_GROUP,
    E_LEFT,
    E_QUEUE,
    E_ROW,
    E_TOUCHED,
    FCFS,
    G_CANDIDATES,
    G_OPEN,
    G_OPEN_SINCE,
    G_SOON,
    G_TARGET,
    N_BANK_ACTIVATES,
    N_BANK_CONFLICTS,
    N_BANK_READS,
    N_COMMAND,
    N_CONFLICT,
    N_GROUP_OPEN,
    N_MISS,
    N_OPENED,
    N_VISITS,
    NO_REFRESH,
    NONE,
    PER_BANK,
    PER_BANK_BLOCKING,
    PRE,
    PREAB,
    PRECHARGE,
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
    slot_of,
    unsigned,
)
from simulator.memory.controller.queues import (
    drains_next,
    oldest_request,
    put_precharge,
    rebuild,
)
from simulator.memory.controller.upkeep import (
    refresh_done,
    refresh_due,
    refresh_front,
    upkeep,
    urgent_refresh,
)


@merged
def scan(
    state: State, group_banks: int, queue: int, kind: int, command: int, group: int, tick: int
) -> tuple[int, int]:
    """The oldest ready candidate of one class in one group, or NONE, and before when no
    other one will be ready.

    Notes in ``soon`` when the next of all will be ready, the gate apart.
    """
    first = unsigned(group * group_banks)
    best, later, ready_ones = NONE, NONE, 0
    for place in range(unsigned(group_banks)):
        key = state.bank[B_CANDIDATE + 3 * queue + kind, first + place]
        ready = state.bank[command, first + place]
        ready = ready if key != NONE else NONE
        best = min(best, key if ready <= tick else NONE)
        later = min(later, ready if ready > tick else NONE)
        ready_ones += 1 if ready <= tick else 0
    state.group[group, G_SOON + kind] = later if ready_ones == 0 else 0
    return best, (later if ready_ones == 1 else 0)


@merged
def promote(state: State, channel: int, bank: int, key: int) -> None:
    """``key`` has opened its row: its first access comes before all others."""
    count = state.channel[channel, C_ACTIVE]
    promotions = state.channel[channel, C_PROMOTIONS] + 1
    state.channel[channel, C_PROMOTIONS] = promotions
    state.bank[B_ACTIVE, bank] = key
    arrive = state.entry[slot_of(key), E_ARRIVE]
    state.bank[B_ACTIVE_KEY, bank] = (arrive << 20) | (promotions & 0xFFFFF)
    state.channel[channel, C_ACTIVE_LIST + count] = bank
    state.channel[channel, C_ACTIVE] = count + 1


@merged
def retire_active(state: State, channel: int, bank: int) -> None:
    count = state.channel[channel, C_ACTIVE] - 1
    for i in range(count):
        if state.channel[channel, C_ACTIVE_LIST + i] == bank:
            state.channel[channel, C_ACTIVE_LIST + i] = state.channel[
                channel, C_ACTIVE_LIST + count
            ]
    state.channel[channel, C_ACTIVE] = count
    state.bank[B_ACTIVE, bank] = -1


@merged
def yields(state: State, group: int, tick: int) -> bool:
    """Whether activates must let an urgent refresh of the group pass.

    Each activate puts off the refresh by more than the next activate, for ever if they
    follow each other closely.
    """
    target = state.group[group, G_TARGET]
    return (
        target >= 0 and state.bank[B_ROW, target] == RESERVED and state.bank[REFPB, target] <= tick
    )


@merged
def full_tick(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    tick: int,
    first_slot: int,
) -> None:
    """Run one channel for one tick and note in ``C_WAKE`` and ``C_WAKE_COLUMN`` when it must
    run again. ``first_slot`` is 1 if the column bus has been served already."""
    groups, group_banks = sizes.groups, sizes.group_banks
    scheduler, mode = sizes.scheduler, sizes.refresh
    dual, half, split = sizes.dual_bus, sizes.half_clock, sizes.split_activate
    first_group = channel * groups
    state.channel[channel, N_VISITS] += 1
    owed = 0
    if mode != NO_REFRESH:
        if tick >= state.channel[channel, C_NEXT_REFRESH] or state.channel[channel, C_TO_QUEUE] > 0:
            refresh_due(sizes, settings, state, channel, tick)
        owed = state.channel[channel, C_REFRESH_OWED]
    for g in range(first_group, first_group + groups):
        for k in range(3):
            state.group[g, G_SOON + k] = 0
    tends = has_upkeep(sizes, state, channel)
    scanned = -1
    changed_0, changed_1 = -1, -1

    for slot in range(first_slot, 1 + dual):
        columns, rows = slot == 0, slot == 1 or not dual
        rising = not half or (tick & 1) == 1
        if columns and dual and not rising:
            continue
        command, bank, key, later = -1, -1, NONE, 0
        from_active = False
        kind = -1
        if split:
            # An ACT-2 at its deadline, then the access behind a CAS, come before all.
            if state.channel[channel, C_OPENING] >= 0 and (
                state.channel[channel, C_OPENING_DEADLINE] <= tick
            ):
                command, bank = ACT2, state.channel[channel, C_OPENING]
                key = state.channel[channel, C_OPENING_KEY]
            elif state.channel[channel, C_SYNC_KEY] >= 0:
                key = state.channel[channel, C_SYNC_KEY]
                bank = state.entry[slot_of(key), E_BANK]
                command = RD + state.entry[slot_of(key), E_QUEUE]
                from_active = state.channel[channel, C_SYNC_KIND] == 1
        if command < 0 and columns:
            oldest = NONE
            for i in range(state.channel[channel, C_ACTIVE]):
                b = state.channel[channel, C_ACTIVE_LIST + i]
                waiting = state.entry[slot_of(state.bank[B_ACTIVE, b])]
                f = RD + waiting[E_QUEUE]
                ready = max(state.bank[f, b], state.group[waiting[E_GROUP], f])
                if ready <= tick and state.bank[B_ACTIVE_KEY, b] < oldest:
                    oldest = state.bank[B_ACTIVE_KEY, b]
                    command, bank, key, from_active = f, b, state.bank[B_ACTIVE, b], True
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
            command, bank, ready = upkeep(sizes, settings, state, channel, tick, True)
            if ready > tick or (not rising and command != PRE):
                command = -1
        if command < 0 and owed == 0:
            queue = drains_next(state, channel, settings.drain_above, settings.drain_below)
            state.channel[channel, C_DRAINING] = queue
            if scanned >= 0 and scanned != queue:
                for g in range(first_group, first_group + groups):
                    state.group[g, G_SOON + COLUMN] = 0
            scanned = queue
            if scheduler == FCFS:
                f, b, first, ready = oldest_request(state, groups, group_banks, channel, queue)
                fits = columns if f in (RD, WR) else rows and (rising or f == PRE)
                if f == ACT and split and state.channel[channel, C_OPENING] >= 0:
                    fits = False
                if f == ACT and mode == PER_BANK and yields(state, b // group_banks, tick):
                    fits = False
                if ready <= tick and fits:
                    command, bank, key = f, b, first
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
                        if k == COLUMN:
                            found, others = first_ready(state, queue, g, tick)
                        else:
                            found, others = scan(state, group_banks, queue, k, f, g, tick)
                        if found < key:
                            key, kind, command, later = found, k, f, others
            if kind >= 0:
                bank = state.entry[slot_of(key), E_BANK]
        if command < 0 and rows and owed == 0 and tends:
            command, bank, ready = upkeep(sizes, settings, state, channel, tick, False)
            if ready > tick or (not rising and command != PRE):
                command = -1
        if split and columns:
            if command < 0 and state.channel[channel, C_OPENING] >= 0:
                command, bank = ACT2, state.channel[channel, C_OPENING]
                key = state.channel[channel, C_OPENING_KEY]
            elif (
                command in (RD, WR)
                and state.channel[channel, C_SYNC_KEY] < 0
                and tick >= state.channel[channel, C_SYNCED_UNTIL]
            ):
                kind = -1
                if state.channel[channel, C_OPENING] >= 0 and (
                    state.channel[channel, C_OPENING_DEADLINE] <= tick + 1
                ):
                    command, bank = ACT2, state.channel[channel, C_OPENING]
                    key = state.channel[channel, C_OPENING_KEY]
                else:
                    state.channel[channel, C_SYNC_KEY] = key
                    state.channel[channel, C_SYNC_KIND] = int(from_active)
                    command = CAS
        if command < 0:
            continue

        # Issue.
        group = state.bank[B_GROUP, bank]
        note(state, tick, command, bank, state.entry[slot_of(key), E_ROW] if key != NONE else -1)
        state.channel[channel, N_COMMAND + command] += 1
        constrain(tables, state, groups, channel, group_banks, group, bank, command, tick)
        if kind >= 0:
            state.group[group, G_SOON + kind] = later
        if slot == 0:
            changed_0 = bank
        else:
            changed_1 = bank
        # Banks from ``low`` to below ``high`` get another row.
        low, high, row = bank, bank, CLOSED
        if command in (RD, WR):
            queue = command - RD
            if from_active:
                retire_active(state, channel, bank)
                if state.entry[slot_of(key), E_LEFT] == 0:
                    done = tick + settings.read_latency if queue == 0 else tick
                    finish(state, requests, channel, key, done)
                put_precharge(state, group, scheduler, 0, bank)
                put_precharge(state, group, scheduler, 1, bank)
                state.bank[B_USED, bank] = tick
                state.bank[N_BANK_READS + queue, bank] += 1
                if split:
                    keep_data_clock(settings, state, channel, queue, tick)
            else:
                queued_column(sizes, settings, state, requests, channel, queue, key, tick)
            if split:
                state.channel[channel, C_SYNC_KEY] = -1
        elif command == ACT:
            entry = state.entry[slot_of(key)]
            if entry[E_TOUCHED] == 0:
                state.channel[channel, N_MISS] += 1
            entry[E_TOUCHED] = 0
            leave_queue(state, channel, entry[E_QUEUE], key)
            state.bank[N_BANK_ACTIVATES, bank] += 1
            state.channel[channel, N_OPENED] += 1
            high = bank + 1
            if split:
                state.channel[channel, C_OPENING] = bank
                state.channel[channel, C_OPENING_KEY] = key
                state.channel[channel, C_OPENING_DEADLINE] = tick + settings.activate_split
                row = RESERVED
            else:
                promote(state, channel, bank, key)
                row = entry[E_ROW]
        elif command == ACT2:
            state.channel[channel, C_OPENING] = -1
            promote(state, channel, bank, key)
            high, row = bank + 1, state.entry[slot_of(key), E_ROW]
        elif command == PRE:
            if key != NONE and state.entry[slot_of(key), E_TOUCHED] == 0:
                state.channel[channel, N_CONFLICT] += 1
                state.bank[N_BANK_CONFLICTS, bank] += 1
                state.entry[slot_of(key), E_TOUCHED] = 1
            high = bank + 1
            if mode == PER_BANK and state.group[group, G_TARGET] == bank:
                row = RESERVED
        elif command == PREAB:
            high = bank + group_banks
        elif command in (REFAB, REFPB):
            refresh_done(sizes, state, channel, bank)
            owed = state.channel[channel, C_REFRESH_OWED]
        for b in range(low, high):
            change_row(state, group, scheduler, b, row, tick)

    tends = has_upkeep(sizes, state, channel)

    # A lower bound of the next tick at which anything can happen.
    wake = state.channel[channel, C_NEXT_REFRESH]
    wake_column = NONE
    if split and (
        state.channel[channel, C_OPENING] >= 0 or state.channel[channel, C_SYNC_KEY] >= 0
    ):
        wake = tick + 1
    if mode == PER_BANK_BLOCKING and state.channel[channel, C_TO_QUEUE] > 0:
        wake = tick + 1
    for i in range(state.channel[channel, C_ACTIVE]):
        b = state.channel[channel, C_ACTIVE_LIST + i]
        waiting = state.entry[slot_of(state.bank[B_ACTIVE, b])]
        f = RD + waiting[E_QUEUE]
        ready = max(state.bank[f, b], state.group[waiting[E_GROUP], f])
        wake = min(wake, odd(ready) if half else ready)
    if owed > 0:
        c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
        wake = min(wake, ready)
    else:
        queue = state.channel[channel, C_DRAINING]
        if queue != drains_next(state, channel, settings.drain_above, settings.drain_below):
            wake = tick + 1
        if tends:
            c, b, ready = upkeep(sizes, settings, state, channel, tick + 1, False)
            wake = min(wake, ready)
            if mode == PER_BANK and urgent_refresh(sizes, settings, state, channel):
                c, b, ready = upkeep(sizes, settings, state, channel, tick + 1, True)
                wake = min(wake, ready)
        if scheduler == FCFS:
            f, b, first, ready = oldest_request(state, groups, group_banks, channel, queue)
            wake = min(wake, ready)
        for k in range(3 if scheduler != FCFS else 0):
            f = RD + queue if k == COLUMN else ACT if k == ACTIVATE else PRE
            soonest = NONE
            for g in range(first_group, first_group + groups):
                if state.group[g, G_CANDIDATES + 3 * queue + k] > 0:
                    soon = state.group[g, G_SOON + k] if queue == scanned else 0
                    soonest = min(soonest, max(soon, state.group[g, f]))
            for b in (changed_0, changed_1):
                if b >= 0 and state.bank[B_CANDIDATE + 3 * queue + k, b] != NONE:
                    ready = max(state.bank[f, b], state.group[state.bank[B_GROUP, b], f])
                    soonest = min(soonest, ready)
            soonest = max(soonest, tick + 1)
            if half and k != PRECHARGE:
                soonest = odd(soonest)
            if k == COLUMN:
                wake_column = soonest
            else:
                wake = min(wake, soonest)
    state.channel[channel, C_WAKE] = max(wake, tick + 1)
    state.channel[channel, C_WAKE_COLUMN] = wake_column


@merged
def change_row(state: State, group: int, scheduler: int, bank: int, row: int, tick: int) -> None:
    """A bank has another row, or none; its candidates follow."""
    before = state.bank[B_ROW, bank]
    state.bank[B_ROW, bank] = row
    if before < 0 <= row:
        if state.group[group, G_OPEN] == 0:
            state.group[group, G_OPEN_SINCE] = tick
        state.group[group, G_OPEN] += 1
    elif row < 0 <= before:
        state.group[group, G_OPEN] -= 1
        if state.group[group, G_OPEN] == 0:
            state.group[group, N_GROUP_OPEN] += tick - state.group[group, G_OPEN_SINCE]
    for queue in range(2):
        rebuild(state, group, scheduler, queue, bank)


@merged
def visit(
    sizes: Sizes,
    settings: Settings,
    tables: Tables,
    state: State,
    requests: Requests,
    channel: int,
    tick: int,
    end: int,
    floor: int,
    poll: bool,
) -> int:
    """A tick of a channel that may have something to do; ``poll`` leaves out the short ways.

    Up to ``end``, and while more than ``floor`` accesses are queued, no request can be
    accepted. Returns the last tick played.
    """
    first_slot = 0
    if (
        not poll
        and sizes.scheduler != FCFS
        and tick < state.channel[channel, C_WAKE]
        and not (sizes.split_activate and tick >= state.channel[channel, C_SYNCED_UNTIL])
    ):
        first_slot = 2
        end = min(end, state.channel[channel, C_WAKE])
        if sizes.split_activate:
            end = min(end, state.channel[channel, C_SYNCED_UNTIL])
        tick, flips = stream_columns(
            sizes, settings, tables, state, requests, channel, tick, end, floor
        )
        if flips:
            # The row bus serves the other queue in the same tick, one bus only from the next.
            first_slot = 1
            if not sizes.dual_bus:
                state.channel[channel, C_WAKE] = tick + 1
    if first_slot <= sizes.dual_bus:
        full_tick(sizes, settings, tables, state, requests, channel, tick, first_slot)
    return tick
