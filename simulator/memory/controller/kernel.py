"""Replay loops: requests meet channels, time jumps from one possible event to the next.

Shared front end: one list of requests in order, tried a fixed number of times before
each tick; a request whose queue is full blocks all behind it.  All progress is in the
state, so a replay stops and goes on at any tick.

:func:`kernel` compiles for one set of :class:`Sizes` (about a third faster); without,
one compilation serves all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from simulator.compiled import hot
from simulator.memory.controller.layout import (
    ACTIVATE,
    B_CANDIDATE,
    C_ACTIVE,
    C_DRAINING,
    C_FILTER,
    C_OPENING,
    C_READS,
    C_WAKE,
    COLUMN,
    COUNTER_COLUMNS,
    FILTER,
    N_COALESCED,
    N_FORWARDED,
    NONE,
    Q_BANK,
    Q_WRITE,
    R_BLOCKED,
    R_COUNT,
    R_FINISHED,
    R_LAST_ACCEPT,
    R_LOGGED,
    R_NEXT,
    R_TICK,
    R_TRIES,
    RD,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    wide,
)
from simulator.memory.controller.queues import append, drains_next, waits_to_write
from simulator.memory.controller.scheduler import tick_channel

Kernel = Callable[..., None]


@cache
def kernel(fixed: Sizes | None = None) -> Kernel:
    """The replay loop ``run(sizes, settings, tables, state, requests, tries, until, poll)``."""
    frozen = fixed is not None
    (
        channels_,
        groups_,
        group_banks_,
        read_queue_,
        write_queue_,
        dual_,
        half_,
        split_,
        scheduler_,
        row_policy_,
        refresh_,
    ) = fixed or Sizes(*([0] * len(Sizes._fields)))

    @hot
    def run(
        sizes: Any,
        settings: Settings,
        tables: Tables,
        state: State,
        requests: Requests,
        tries: int,
        until: int,
        poll: bool,
    ) -> None:
        if frozen:
            sizes = Sizes(
                channels_,
                groups_,
                group_banks_,
                read_queue_,
                write_queue_,
                dual_,
                half_,
                split_,
                scheduler_,
                row_policy_,
                refresh_,
            )
        channels = sizes.channels
        channel_banks = sizes.groups * sizes.group_banks
        run = state.run
        count = run[R_COUNT]
        timed = len(requests.earliest) > 0
        log_room = state.log.shape[0] - 2 * channels
        logging = state.log.shape[0] > 0
        seq, tick, blocked = run[R_NEXT], run[R_TICK], run[R_BLOCKED]
        while tick < until and (not logging or run[R_LOGGED] <= log_room):
            tick += 1
            left = run[R_TRIES]
            run[R_TRIES] = tries
            while left > 0 and blocked == 0 and seq < count:
                if timed and requests.earliest[seq] >= tick:
                    break
                left -= 1
                bank = requests.entry[seq, Q_BANK]
                channel = wide(0) if channels == 1 else wide(bank // channel_banks)
                write = wide(requests.entry[seq, Q_WRITE])
                matched = waits_to_write(state, requests, channel, seq)
                limit = sizes.write_queue if write else sizes.read_queue
                if matched:
                    requests.arrive[seq] = tick - 1
                    requests.depart[seq] = tick - 1 if write else tick
                    state.channel[channel, N_COALESCED if write else N_FORWARDED] += 1
                elif state.channel[channel, C_READS + write] >= limit:
                    blocked = 1 + 2 * channel + write
                    break
                else:
                    requests.arrive[seq] = tick - 1
                    state.channel[channel, C_READS + write] += 1
                    if write:
                        state.channel[channel, C_FILTER + (requests.line[seq] & (FILTER - 1))] += 1
                    append(state, requests, sizes.group_banks, sizes.scheduler, write, wide(seq))
                    draining = state.channel[channel, C_DRAINING]
                    wake = state.channel[channel, C_WAKE]
                    if draining == write:
                        group = bank // sizes.group_banks
                        for k in range(3):
                            if state.bank[B_CANDIDATE + 3 * write + k, bank] == seq:
                                f = RD + write if k == COLUMN else 0 if k == ACTIVATE else 1
                                wake = min(wake, max(state.bank[f, bank], state.group[group, f]))
                    if draining != drains_next(
                        state, channel, settings.drain_above, settings.drain_below
                    ):
                        wake = tick
                    state.channel[channel, C_WAKE] = wake
                seq += 1
            if seq == count and run[R_LAST_ACCEPT] < 0:
                run[R_LAST_ACCEPT] = tick - 1
                for channel in range(channels):
                    for k in range(COUNTER_COLUMNS):
                        state.accepted[channel, k] = state.channel[channel, k]
            wake = NONE
            busy = 0
            for channel in range(channels):
                if state.channel[channel, C_WAKE] <= tick or poll:
                    tick_channel(sizes, settings, tables, state, requests, channel, tick)
                    if blocked > 0 and (blocked - 1) >> 1 == channel:
                        write = (blocked - 1) & 1
                        limit = sizes.write_queue if write else sizes.read_queue
                        if state.channel[channel, C_READS + write] < limit:
                            blocked = 0
                wake = min(wake, state.channel[channel, C_WAKE])
                busy += (
                    state.channel[channel, C_READS]
                    + state.channel[channel, C_READS + 1]
                    + state.channel[channel, C_ACTIVE]
                    + int(state.channel[channel, C_OPENING] >= 0)
                )
            if seq == count:
                if busy == 0:
                    run[R_FINISHED] = 1
                    break
            elif blocked == 0:
                wake = min(wake, max(requests.earliest[seq], tick) + 1) if timed else tick + 1
            if not poll:
                tick = max(tick, min(wake, until + 1) - 1)
        run[R_NEXT], run[R_TICK], run[R_BLOCKED] = seq, tick, blocked

    return run
