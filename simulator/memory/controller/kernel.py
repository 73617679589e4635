"""The loop over time: requests meet channels, time jumps from one possible event to the next.

Requests come in one of two ways.  *Ordered*: one trace, tried a fixed number of times before
each tick, in which a request whose queue is full blocks all behind it, over all channels.
Otherwise every channel accepts from its own two lists, reads (with lockstep requests) and
writes, in order of arrival; a full queue holds up its own list only.  All progress is in the
state, so a run stops and goes on at any tick.

:func:`kernel` compiles for one set of :class:`Sizes`; :data:`run_any` serves all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numba
import numba.experimental.function_type  # lets numba pass functions by address
import numpy as np
from numba import types
from numba.core.types import WrapperAddressProtocol

from simulator.compiled import hot, merged
from simulator.memory.controller.layout import (
    ALL_BANK,
    C_ACTIVE,
    C_DRAINING,
    C_FIFO_HEAD,
    C_FIFO_TAIL,
    C_LISTED,
    C_MACROS,
    C_NEXT_REFRESH,
    C_OPENING,
    C_READS,
    C_TICK,
    C_WAKE,
    C_WAKE_ACTIVATE,
    C_WAKE_COLUMN,
    C_WAKE_PRECHARGE,
    C_WRITES,
    COUNTER_COLUMNS,
    G_FIFO_HEAD,
    G_FIFO_TAIL,
    N_COALESCED,
    N_COMMAND,
    N_FORWARDED,
    NO_REFRESH,
    NONE,
    R_BLOCKED,
    R_FINISHED,
    R_LAST_ACCEPT,
    R_LOGGED,
    R_NEXT,
    R_TRIES,
    REFAB,
    REFPB,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    wide,
)
from simulator.memory.controller.lockstep import begin, has_place, lockstep_tick
from simulator.memory.controller.queues import accept, waits_to_write
from simulator.memory.controller.scheduler import play

Kernel = Callable[..., None]


@merged
def next_wake(state: State, channel: int) -> int:
    """A tick before which nothing happens unless a request arrives."""
    wake = min(state.channel[channel, C_WAKE], state.channel[channel, C_WAKE_COLUMN])
    wake = min(wake, state.channel[channel, C_WAKE_ACTIVATE])
    return min(wake, state.channel[channel, C_WAKE_PRECHARGE])


@merged
def is_idle(state: State, channel: int) -> bool:
    """Whether a channel holds no request."""
    return (
        state.channel[channel, C_READS]
        + state.channel[channel, C_WRITES]
        + state.channel[channel, C_ACTIVE]
        + state.channel[channel, C_MACROS]
        == 0
        and state.channel[channel, C_OPENING] < 0
    )


@merged
def next_listed(
    sizes: Sizes, settings: Settings, state: State, requests: Requests, channel: int
) -> tuple[int, int]:
    """The list (0 reads, 1 writes, 2 and on lockstep requests of each group) whose first request
    may enter next and the tick from which it may; (-1, NONE) if none fits.

    Host requests and lockstep requests exclude each other in a channel, in order of arrival.
    """
    which, when, lockstep, host = -1, NONE, NONE, NONE
    row = state.channel[channel]
    if row[C_LISTED] > 0:
        for queue in range(2):
            owner = row[C_FIFO_HEAD + queue]
            host = min(host, requests.earliest[owner] if owner >= 0 else NONE)
        free = row[C_READS] + row[C_WRITES] + row[C_ACTIVE] == 0 and row[C_OPENING] < 0
        for g in range(sizes.groups):
            owner = state.group[channel * sizes.groups + g, G_FIFO_HEAD]
            if owner < 0:
                continue
            earliest = requests.earliest[owner]
            lockstep = min(lockstep, earliest)
            if (
                free
                and earliest < when
                and earliest <= host
                and has_place(sizes, settings, state, requests, owner)
            ):
                which, when = 2 + g, earliest
    for queue in range(2):
        owner = row[C_FIFO_HEAD + queue]
        if owner < 0:
            continue
        earliest = requests.earliest[owner]
        limit = sizes.write_queue if queue == 1 else sizes.read_queue
        held = row[C_READS + queue]
        fits = row[C_MACROS] == 0 and (held == 0 or held + requests.accesses[owner] <= limit)
        if fits and earliest < lockstep and earliest < when:
            which, when = queue, earliest
    return which, when


@merged
def least_queued(
    sizes: Sizes, settings: Settings, state: State, requests: Requests, channel: int
) -> int:
    """How many accesses of the queue in use must be left in it before a request that waits
    for room can be accepted or the other queue be used."""
    queue = state.channel[channel, C_DRAINING]
    floor = settings.drain_below - 1 if queue == 1 else wide(0)
    owner = state.channel[channel, C_FIFO_HEAD + queue]
    if owner >= 0:
        limit = sizes.write_queue if queue == 1 else sizes.read_queue
        floor = max(floor, limit - requests.accesses[owner])
    return floor


@merged
def take_listed(
    sizes: Sizes,
    settings: Settings,
    state: State,
    requests: Requests,
    channel: int,
    queue: int,
    tick: int,
) -> None:
    """Accept the first request of a list."""
    lists, head, tail = state.channel[channel], C_FIFO_HEAD + queue, C_FIFO_TAIL + queue
    if queue > 1:
        lists = state.group[channel * sizes.groups + queue - 2]
        head, tail = G_FIFO_HEAD, G_FIFO_TAIL
        state.channel[channel, C_LISTED] -= 1
    owner = lists[head]
    after = wide(requests.following[owner])
    lists[head] = after
    if after < 0:
        lists[tail] = -1
    else:
        requests.preceding[after] = -1
    if queue > 1:
        begin(sizes, settings, state, requests, channel, owner, tick)
    else:
        accept(sizes, settings, state, requests, channel, owner, tick)


@merged
def skip_idle(sizes: Sizes, settings: Settings, state: State, channel: int, until: int) -> None:
    """Pass over whole refresh periods of an idle channel; the last is played, so that it
    decides how the banks are left."""
    if sizes.refresh == NO_REFRESH or not is_idle(state, channel):
        return
    if sizes.refresh == ALL_BANK:
        period, command, count = settings.refresh_interval, REFAB, wide(1)
    else:
        count = wide(sizes.group_banks)
        period, command = settings.refresh_bank_interval * count, REFPB
    rounds = (until - state.channel[channel, C_NEXT_REFRESH]) // period - 2
    if rounds > 0 and state.channel[channel, C_NEXT_REFRESH] > state.channel[channel, C_TICK]:
        state.channel[channel, C_NEXT_REFRESH] += rounds * period
        state.channel[channel, N_COMMAND + command] += rounds * count * sizes.groups
        state.channel[channel, C_WAKE] = min(
            state.channel[channel, C_WAKE] + rounds * period, state.channel[channel, C_NEXT_REFRESH]
        )


@cache
def kernel(fixed: Sizes | None = None) -> Kernel:
    """The loop ``run(sizes, settings, tables, state, requests, first, last, until, poll)``
    over channels ``first`` to before ``last``."""
    frozen = fixed is not None
    (
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
        ordered_,
    ) = fixed or Sizes(*([0] * len(Sizes._fields)))

    @hot
    def run(
        sizes: Any,
        settings: Settings,
        tables: Tables,
        state: State,
        requests: Requests,
        first: int,
        last: int,
        until: int,
        poll: bool,
    ) -> None:
        if frozen:
            sizes = Sizes(
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
                ordered_,
            )
        channel_banks = sizes.groups * sizes.group_banks
        run = state.run
        count = wide(len(requests.line) - 1) if sizes.ordered else wide(0)
        timed = len(requests.earliest) > 0
        log_room = state.log.shape[0] - 2 * (last - first)
        logging = state.log.shape[0] > 0
        tries = settings.tries * (last - first)
        which, when = -1, NONE
        number, blocked, tick = run[R_NEXT], run[R_BLOCKED], state.channel[first, C_TICK]
        if not sizes.ordered and not poll:
            _, when = next_listed(sizes, settings, state, requests, first)
            skip_idle(sizes, settings, state, first, min(until, when))
        while tick < until and (not logging or run[R_LOGGED] <= log_room):
            if not poll:
                # Nothing happens before the earliest tick at which anything can.
                wake = NONE
                for channel in range(first, last):
                    wake = min(wake, next_wake(state, channel))
                if sizes.ordered:
                    if number < count and blocked == 0:
                        ready = requests.earliest[number] if timed else tick
                        wake = min(wake, max(ready, tick) + 1)
                else:
                    which, when = next_listed(sizes, settings, state, requests, first)
                    wake = min(wake, max(when, tick) + 1)
                if wake > until:
                    tick = until
                    break
                tick = max(tick + 1, wake)
            else:
                tick += 1
            if sizes.ordered:
                left = run[R_TRIES]
                run[R_TRIES] = tries
                while left > 0 and blocked == 0 and number < count:
                    if timed and requests.earliest[number] >= tick:
                        break
                    left -= 1
                    bank = wide(requests.bank[number])
                    channel = wide(0) if last == 1 else bank // channel_banks
                    write = wide(requests.kind[number])
                    limit = sizes.write_queue if write else sizes.read_queue
                    if waits_to_write(state, requests, channel, number):
                        requests.arrive[number] = tick - 1
                        requests.depart[number] = tick - 1 if write else tick
                        state.channel[channel, N_COALESCED if write else N_FORWARDED] += 1
                    elif state.channel[channel, C_READS + write] >= limit:
                        blocked = 1 + 2 * channel + write
                        break
                    else:
                        accept(sizes, settings, state, requests, channel, number, tick)
                    number += 1
                if number == count and run[R_LAST_ACCEPT] < 0:
                    run[R_LAST_ACCEPT] = tick - 1
                    for channel in range(first, last):
                        for k in range(COUNTER_COLUMNS):
                            state.accepted[channel, k] = state.channel[channel, k]
            else:
                if poll:
                    which, when = next_listed(sizes, settings, state, requests, first)
                left = settings.tries
                while left > 0 and when < tick:
                    take_listed(sizes, settings, state, requests, first, which, tick)
                    which, when = next_listed(sizes, settings, state, requests, first)
                    left -= 1
            idle = True
            for channel in range(first, last):
                if state.channel[channel, C_MACROS] > 0:
                    lockstep_tick(sizes, settings, tables, state, requests, channel, tick)
                elif poll or tick >= next_wake(state, channel):
                    end, floor = tick + 1, wide(0)
                    if not sizes.ordered:
                        end = min(until, max(when, tick)) + 1
                        floor = least_queued(sizes, settings, state, requests, channel)
                    tick = play(
                        *(sizes, settings, tables, state, requests),
                        *(channel, tick, end, floor, poll),
                    )
                    if blocked > 0 and (blocked - 1) >> 1 == channel:
                        write = (blocked - 1) & 1
                        limit = sizes.write_queue if write else sizes.read_queue
                        if state.channel[channel, C_READS + write] < limit:
                            blocked = 0
                idle = idle and is_idle(state, channel)
            if sizes.ordered and idle and number == count:
                run[R_FINISHED] = 1
                break
        run[R_NEXT], run[R_BLOCKED] = number, blocked
        for channel in range(first, last):
            state.channel[channel, C_TICK] = tick

    return run


run_any = kernel()
"""Serves all sizes; what devices and the command line use."""


class _ByAddress(WrapperAddressProtocol):
    """:data:`run_any` for compiled callers that shall not take in its code: they get its
    address, so that each is compiled once and not in every caller again."""

    def __call__(self, *arguments: Any) -> None:
        run_any(*arguments)

    @cache  # noqa: B019 - there is one instance
    def signature(self) -> Any:
        sizes = Sizes(*([0] * len(Sizes._fields)))
        table = np.zeros((1, 1), np.int64)
        tables = Tables(table[0], table, table, table, table, table[None])
        state = State(table, table, table, table, table, table, table[0], table, table[0])
        one, two = np.zeros(1, np.int64), np.zeros(1, np.int32)
        requests = Requests(two, two, np.zeros(1, np.uint8), two, one, one, one, one, two, two)
        typeof: Any = numba.typeof
        values = (sizes, Settings(*([0] * len(Settings._fields))), tables, state, requests)
        return types.void(*(typeof(v) for v in values), *[types.int64] * 3, types.boolean)

    @cache  # noqa: B019
    def __wrapper_address__(self) -> int:
        result = run_any.get_compile_result(self.signature())  # type: ignore[attr-defined]
        return int(result.library.get_pointer_to_function(result.fndesc.llvm_cfunc_wrapper_name))


RUN = _ByAddress()
""":data:`run_any` by address."""
