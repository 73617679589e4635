"""The ticks of a channel: choose a command for each command bus, issue it, say when next.

Order of choice, as in Ramulator 2.1 (CMU-SAFARI/ramulator2, src/ramulator/controller):
requests that opened a row, then a pending refresh, then the read or the write queue,
oldest ready first.  With two command buses the column bus goes first.  While a blocking
refresh is pending, no queued request is served on the whole channel.

With half-clock ticks columns, activates and refreshes stand on odd ticks.  The rule
which precharge may share a clock with a row command needs no code: tRAS, tPPD and closed
banks imply it.

Most ticks issue a column command and nothing else; they are short.
"""

from __future__ import annotations

from simulator.compiled import merged
from simulator.memory.controller.columns import (
    active_column,
    first_active,
    first_ready,
    freed,
    gate,
    has_upkeep,
    leave_queue,
    note,
    odd,
    oldest_column,
    queued_column,
    soonest,
)
from simulator.memory.controller.constraints import constrain, ready_at, ready_to
from simulator.memory.controller.layout import (
    ACT,
    ACT2,
    ACTIVATE,
    B_ACTIVE,
    B_ACTIVE_COMMAND,
    B_ACTIVE_KEY,
    B_GROUP,
    B_ROW,
    C_ACTIVE,
    C_ACTIVE_LIST,
    C_DRAINING,
    C_NEXT_REFRESH,
    C_OPENING,
    C_OPENING_DEADLINE,
    C_OPENING_KEY,
    C_PROMOTIONS,
    C_READS,
    C_REFRESH_OWED,
    C_SYNC_KEY,
    C_SYNC_KIND,
    C_SYNCED_UNTIL,
    C_TO_QUEUE,
    C_WAKE,
    C_WAKE_ACTIVATE,
    C_WAKE_ACTIVE,
    C_WAKE_COLUMN,
    C_WAKE_PRECHARGE,
    CAS,
    CLOSED,
    COLUMN,
    E_ARRIVE,
    E_BANK,
    E_QUEUE,
    E_ROW,
    E_TOUCHED,
    FCFS,
    G_OPEN,
    G_OPEN_SINCE,
    G_TARGET,
    N_BANK_ACTIVATES,
    N_BANK_CONFLICTS,
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
    wide,
)
from simulator.memory.controller.queues import (
    drains_next,
    oldest_request,
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
def promote(state: State, channel: int, bank: int, key: int) -> int:
    """``key`` has opened its row: its first access comes before all others. Returns when it
    may come."""
    count = state.channel[channel, C_ACTIVE]
    promotions = state.channel[channel, C_PROMOTIONS] + 1
    state.channel[channel, C_PROMOTIONS] = promotions
    state.bank[bank, B_ACTIVE] = key
    state.bank[bank, B_ACTIVE_COMMAND] = RD + state.entry[slot_of(key), E_QUEUE]
    arrive = state.entry[slot_of(key), E_ARRIVE]
    state.bank[bank, B_ACTIVE_KEY] = (arrive << 20) | (promotions & 0xFFFFF)
    state.channel[channel, C_ACTIVE_LIST + count] = bank
    state.channel[channel, C_ACTIVE] = count + 1
    return ready_to(state, bank, state.bank[bank, B_ACTIVE_COMMAND])


@merged
def yields(state: State, group: int, tick: int) -> bool:
    """Whether activates must let an urgent refresh of the group pass.

    Each activate puts off the refresh by more than the next activate, for ever if they
    follow each other closely.
    """
    target = state.group[group, G_TARGET]
    return (
        target >= 0
        and state.bank[target, B_ROW] == RESERVED
        and ready_at(state, target, REFPB) <= tick
    )


@merged
def change_row(state: State, group: int, scheduler: int, bank: int, row: int, tick: int) -> None:
    """A bank has another row, or none; its candidates follow."""
    before = state.bank[bank, B_ROW]
    state.bank[bank, B_ROW] = row
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
def play(
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
    """Run a channel at ``tick``, and at later ones before ``end`` at which something can happen,
    while more than ``floor`` accesses of the queue in use are left; ``poll`` leaves out the
    short ways. Notes in ``C_WAKE`` to ``C_WAKE_ACTIVE`` when the channel must run again, and
    returns the last tick played.
    """
    groups, group_banks = sizes.groups, sizes.group_banks
    scheduler, mode = sizes.scheduler, sizes.refresh
    dual, half, split = sizes.dual_bus, sizes.half_clock, sizes.split_activate
    first_group = channel * groups
    wake, wake_column = state.channel[channel, C_WAKE], state.channel[channel, C_WAKE_COLUMN]
    next_act = state.channel[channel, C_WAKE_ACTIVATE]
    next_pre = state.channel[channel, C_WAKE_PRECHARGE]
    next_active = state.channel[channel, C_WAKE_ACTIVE]
    in_use = state.channel[channel, C_DRAINING]
    while True:
        state.channel[channel, N_VISITS] += 1
        # Before ``limit`` only columns can issue.
        limit = min(end, min(wake, min(next_act, next_pre)))
        if split:
            limit = min(limit, state.channel[channel, C_SYNCED_UNTIL])
        if poll or scheduler == FCFS:
            limit = tick
        at, full, flipped = tick, True, False
        while at < limit and full and not flipped:
            key, bank, when = NONE, wide(-1), NONE
            if at >= next_active:
                bank, next_active = first_active(state, channel, at)
            from_active = bank >= 0
            if not from_active:
                key, bank, when = oldest_column(sizes, state, channel, in_use, at)
            if bank < 0:
                at = max(min(when, next_active), at + 1)
                at = odd(at) if half else at
                continue
            tick, command, served = at, RD + in_use, True
            if from_active:
                key, command = state.bank[bank, B_ACTIVE], state.bank[bank, B_ACTIVE_COMMAND]
            group = state.bank[bank, B_GROUP]
            note(state, at, command, bank, state.entry[slot_of(key), E_ROW])
            state.channel[channel, N_COMMAND + command] += 1
            constrain(tables, state, groups, channel, group_banks, group, bank, command, at)
            if from_active:
                active_column(sizes, settings, state, requests, channel, bank, at)
            else:
                served = queued_column(sizes, settings, state, requests, channel, in_use, key, at)
            at = odd(at + 1) if half else at + 1
            if served:
                next_pre, wake = freed(sizes, state, channel, in_use, bank, tick, next_pre, wake)
                limit = min(limit, min(wake, next_pre))
            full = state.channel[channel, C_READS + in_use] > floor
            flipped = in_use != drains_next(
                state, channel, settings.drain_above, settings.drain_below
            )
        if at > tick:
            wake_column = at
            # The row bus serves the other queue in the same tick, one bus only from the next.
            wake = tick + 1 if flipped and not dual else wake
            following = min(min(wake, wake_column), min(next_act, next_pre))
            if not flipped or not dual:
                if following >= end or not full or flipped:
                    break
                tick = following
        owed = 0
        if mode != NO_REFRESH:
            due = tick >= state.channel[channel, C_NEXT_REFRESH]
            if due or state.channel[channel, C_TO_QUEUE] > 0:
                refresh_due(sizes, settings, state, channel, tick)
            owed = state.channel[channel, C_REFRESH_OWED]
        # Before ``wake`` only queued requests and active ones are served, and few rules matter.
        whole = poll or tick >= wake or scheduler == FCFS or flipped
        opens = tick >= min(next_act, next_pre)
        if split and (opens or tick >= state.channel[channel, C_SYNCED_UNTIL]):
            whole = True
        tends = whole and has_upkeep(sizes, state, channel)
        opens = opens or whole
        looked, moved, opened, closed = False, False, False, wide(-1)
        for slot in range(1 + dual):
            columns = slot == 0 and (whole or tick >= wake_column) and not flipped
            rows = opens and (slot == 1 or not dual)
            rising = not half or (tick & 1) == 1
            if not (columns or rows) or (columns and dual and not rising):
                continue
            command, bank, key = -1, -1, NONE
            from_active = False
            looked = looked or columns
            if split and whole:
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
            if command < 0 and columns and (poll or tick >= next_active):
                b, next_active = first_active(state, channel, tick)
                if b >= 0:
                    bank, key, from_active = b, state.bank[b, B_ACTIVE], True
                    command = state.bank[b, B_ACTIVE_COMMAND]
            if command < 0 and owed > 0:
                if rows:
                    c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
                    if ready <= tick and (rising or c in (PRE, PREAB)):
                        command, bank = c, b
            elif (
                command < 0
                and rows
                and whole
                and mode == PER_BANK
                and urgent_refresh(sizes, settings, state, channel)
            ):
                command, bank, ready = upkeep(sizes, settings, state, channel, tick, wide(1))
                if ready > tick or (not rising and command != PRE):
                    command = -1
            if command < 0 and owed == 0:
                queue = drains_next(state, channel, settings.drain_above, settings.drain_below)
                state.channel[channel, C_DRAINING] = queue
                if scheduler == FCFS:
                    f, b, head, ready = oldest_request(state, groups, group_banks, channel, queue)
                    fits = columns if f in (RD, WR) else rows and (rising or f == PRE)
                    if f == ACT and split and state.channel[channel, C_OPENING] >= 0:
                        fits = False
                    if f == ACT and mode == PER_BANK and yields(state, b // group_banks, tick):
                        fits = False
                    if ready <= tick and fits:
                        command, bank, key = f, b, head
                stop = first_group + groups if scheduler != FCFS else first_group
                for g in range(first_group, stop):
                    if columns and state.group[g, RD + queue] <= tick:
                        found = first_ready(state, queue, COLUMN, RD + queue, g, tick)
                        if found < key:
                            key, command = found, RD + queue
                    if (
                        rows
                        and rising
                        and (whole or tick >= next_act)
                        and state.group[g, ACT] <= tick
                        and not (split and state.channel[channel, C_OPENING] >= 0)
                        and not (mode == PER_BANK and yields(state, g, tick))
                    ):
                        found = first_ready(state, queue, ACTIVATE, ACT, g, tick)
                        if found < key:
                            key, command = found, wide(ACT)
                    if rows and (whole or tick >= next_pre) and state.group[g, PRE] <= tick:
                        found = first_ready(state, queue, PRECHARGE, PRE, g, tick)
                        if found < key:
                            key, command = found, wide(PRE)
                if key != NONE:
                    bank = state.entry[slot_of(key), E_BANK]
            if command < 0 and rows and whole and owed == 0 and tends:
                command, bank, ready = upkeep(sizes, settings, state, channel, tick, wide(0))
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
                    if state.channel[channel, C_OPENING] >= 0 and (
                        state.channel[channel, C_OPENING_DEADLINE] <= tick + 1
                    ):
                        command, bank = ACT2, state.channel[channel, C_OPENING]
                        key = state.channel[channel, C_OPENING_KEY]
                    else:
                        state.channel[channel, C_SYNC_KEY] = key
                        state.channel[channel, C_SYNC_KIND] = int(from_active)
                        command = CAS
                if from_active and command not in (RD, WR):
                    next_active = tick + 1
            if command < 0:
                continue

            # Issue.
            group = state.bank[bank, B_GROUP]
            row = state.entry[slot_of(key), E_ROW] if key != NONE else -1
            note(state, tick, command, bank, row)
            state.channel[channel, N_COMMAND + command] += 1
            constrain(tables, state, groups, channel, group_banks, group, bank, command, tick)
            # Banks from ``low`` to below ``high`` get another row.
            low, high, row = bank, bank, CLOSED
            if command in (RD, WR):
                served, moved = True, True
                if from_active:
                    active_column(sizes, settings, state, requests, channel, bank, tick)
                else:
                    served = queued_column(
                        sizes, settings, state, requests, channel, command - RD, key, tick
                    )
                if split:
                    state.channel[channel, C_SYNC_KEY] = -1
                queue = state.channel[channel, C_DRAINING]
                if not whole:
                    if served:
                        next_pre, wake = freed(
                            sizes, state, channel, queue, bank, tick, next_pre, wake
                        )
                    if queue != drains_next(
                        state, channel, settings.drain_above, settings.drain_below
                    ):
                        # The row bus serves the other queue in the same tick, one bus only
                        # from the next.
                        if dual:
                            whole, opens = True, True
                            tends = has_upkeep(sizes, state, channel)
                        else:
                            wake = tick + 1
            elif command == ACT:
                opened = True
                entry = state.entry[slot_of(key)]
                if entry[E_TOUCHED] == 0:
                    state.channel[channel, N_MISS] += 1
                entry[E_TOUCHED] = 0
                leave_queue(state, channel, entry[E_QUEUE], key)
                state.bank[bank, N_BANK_ACTIVATES] += 1
                state.channel[channel, N_OPENED] += 1
                high = bank + 1
                if split:
                    state.channel[channel, C_OPENING] = bank
                    state.channel[channel, C_OPENING_KEY] = key
                    state.channel[channel, C_OPENING_DEADLINE] = tick + settings.activate_split
                    row = RESERVED
                else:
                    next_active = min(next_active, promote(state, channel, bank, key))
                    row = entry[E_ROW]
            elif command == ACT2:
                state.channel[channel, C_OPENING] = -1
                next_active = min(next_active, promote(state, channel, bank, key))
                high, row = bank + 1, state.entry[slot_of(key), E_ROW]
            elif command == PRE:
                if key != NONE and state.entry[slot_of(key), E_TOUCHED] == 0:
                    state.channel[channel, N_CONFLICT] += 1
                    state.bank[bank, N_BANK_CONFLICTS] += 1
                    state.entry[slot_of(key), E_TOUCHED] = 1
                high, closed = bank + 1, bank
                if mode == PER_BANK and state.group[group, G_TARGET] == bank:
                    row = RESERVED
            elif command == PREAB:
                high = bank + group_banks
            elif command in (REFAB, REFPB):
                refresh_done(sizes, state, channel, bank)
                owed = state.channel[channel, C_REFRESH_OWED]
            for b in range(low, high):
                change_row(state, group, scheduler, b, row, tick)

        # Lower bounds of the next tick at which anything can happen.
        after = tick + 1
        queue = state.channel[channel, C_DRAINING]
        when = max(next_active, after)
        if not whole:
            if moved:
                ready = gate(sizes, state, channel, queue, COLUMN, RD + queue)
                when = min(when, max(ready, after))
            elif looked or opened:
                f = RD + queue
                when = min(when, soonest(sizes, state, channel, queue, COLUMN, f, after))
            else:
                when = min(when, wake_column)
            wake_column = odd(when) if half else when
            if opens:
                if queue != drains_next(state, channel, settings.drain_above, settings.drain_below):
                    wake = after
                if opened:
                    next_act = max(gate(sizes, state, channel, queue, ACTIVATE, ACT), after)
                elif tick >= next_act:
                    next_act = soonest(sizes, state, channel, queue, ACTIVATE, ACT, after)
                elif closed >= 0:
                    next_act = min(next_act, max(ready_to(state, closed, ACT), after))
                next_act = odd(next_act) if half else next_act
                if closed >= 0 or tick >= next_pre:
                    next_pre = soonest(sizes, state, channel, queue, PRECHARGE, PRE, after)
        else:
            next_act, next_pre = NONE, NONE
            wake, wake_column = state.channel[channel, C_NEXT_REFRESH], NONE
            if split and (
                state.channel[channel, C_OPENING] >= 0 or state.channel[channel, C_SYNC_KEY] >= 0
            ):
                wake = after
            if mode == PER_BANK_BLOCKING and state.channel[channel, C_TO_QUEUE] > 0:
                wake = after
            if owed > 0:
                c, b, ready = refresh_front(tables, state, groups, group_banks, mode, channel)
                wake = min(wake, ready)
                # Queued accesses wait meanwhile, so the short way is closed to active ones.
                wake = min(wake, odd(when) if half else when)
            else:
                if queue != drains_next(state, channel, settings.drain_above, settings.drain_below):
                    wake = after
                if has_upkeep(sizes, state, channel):
                    c, b, ready = upkeep(sizes, settings, state, channel, after, wide(0))
                    wake = min(wake, ready)
                if mode == PER_BANK and urgent_refresh(sizes, settings, state, channel):
                    c, b, ready = upkeep(sizes, settings, state, channel, after, wide(1))
                    wake = min(wake, ready)
                if scheduler == FCFS:
                    f, b, head, ready = oldest_request(state, groups, group_banks, channel, queue)
                    wake = min(wake, ready)
                else:
                    ready = soonest(sizes, state, channel, queue, ACTIVATE, ACT, after)
                    next_act = odd(ready) if half else ready
                    next_pre = soonest(sizes, state, channel, queue, PRECHARGE, PRE, after)
                    ready = soonest(sizes, state, channel, queue, COLUMN, RD + queue, after)
                    when = min(when, ready)
                wake_column = odd(when) if half else when
            wake = max(wake, after)
        following = min(min(wake, wake_column), min(next_act, next_pre))
        if (
            poll
            or following >= end
            or queue != in_use
            or state.channel[channel, C_READS + queue] <= floor
        ):
            break
        tick = following
    state.channel[channel, C_WAKE] = wake
    state.channel[channel, C_WAKE_COLUMN] = wake_column
    state.channel[channel, C_WAKE_ACTIVATE] = next_act
    state.channel[channel, C_WAKE_PRECHARGE] = next_pre
    state.channel[channel, C_WAKE_ACTIVE] = next_active
    return tick
