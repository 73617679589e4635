"""DRAM channels on a clock in femtoseconds, behind one pool of requests.

What a caller with its own events needs.  A *request* is a run of accesses inside one row of
one bank (or a lockstep request, see ``controller/lockstep.py``); :func:`submit_request` puts
it into its channel's list in order of arrival, :func:`serve` lets a channel run and reports
what it has decided.  Every command is scheduled by the controller of ``memory/controller``,
tick by tick.

A channel runs ahead of the clock by its memory's *lookahead*: the shortest time between an
event of the machine and the arrival of a request that it causes.  No request can arrive in
that span, so running ahead changes nothing and one call plays many commands.

Pseudo-channels are numbered through all memories, as are channels (command buses, which two
pseudo-channels of HBM share).  Left out: forwarding of queued writes to reads (a cache in
front does that).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simulator.compiled import Int, hot, inlined
from simulator.memory.controller import layout
from simulator.memory.controller.kernel import is_idle, next_listed, next_wake
from simulator.memory.controller.layout import (
    BUFFER,
    C_FIFO_HEAD,
    C_FIFO_HEAD_WRITE,
    C_FIFO_TAIL,
    C_FIFO_TAIL_WRITE,
    C_LISTED,
    C_TICK,
    G_FIFO_HEAD,
    G_FIFO_TAIL,
    MACRO,
    NONE,
    R_DONE,
    READ,
    RESULT,
    STORE,
    WRITE,
    Requests,
    Settings,
    Sizes,
    State,
    Tables,
    wide,
)
from simulator.memory.model import Channel

__all__ = [
    "BUFFER",
    "MACRO",
    "NEVER",
    "READ",
    "RESULT",
    "STORE",
    "WRITE",
    "Dram",
    "make_dram",
    "serve",
]

NEVER = np.int64(1) << 62
"""A time that does not come."""

# Columns of ``request``: what the pool and its caller keep about a request.
(
    R_PSEUDO_CHANNEL,
    R_DONE_AT,
    R_WAITERS,
    R_OWNER,
    R_CREDIT,
    R_BYTES,
    R_LINES,
    R_LINE_0,
    REQUEST_COLUMNS,
) = (*range(8), 16)
MAX_LINES = REQUEST_COLUMNS - R_LINE_0
"""Cache lines that one request may fill."""

# Columns of ``place``, a row a pseudo-channel.
L_MEMORY, L_CHANNEL, L_FIRST_BANK, PLACE_COLUMNS = range(4)

# Columns of ``clock``, a row a memory.
D_TICK_FS, D_LOOKAHEAD_FS, D_FIRST_CHANNEL, D_CHANNELS, CLOCK_COLUMNS = range(5)

P_FREE, P_COUNT, POOL_COLUMNS = range(3)

GROUP_BANKS = Sizes._fields.index("group_banks")


class Dram(NamedTuple):
    """All memories of a machine; the first axis of the controller's tables is the memory."""

    sizes: np.ndarray
    settings: np.ndarray
    first: np.ndarray
    row: np.ndarray
    latency: np.ndarray
    sibling: np.ndarray
    node_of: np.ndarray
    rare: np.ndarray
    bank: np.ndarray
    node: np.ndarray
    group: np.ndarray
    channel: np.ndarray
    entry: np.ndarray
    run: np.ndarray
    log: np.ndarray
    done: np.ndarray
    clock: np.ndarray
    """(memory, D_*)."""
    place: np.ndarray
    """(pseudo-channel, L_*)."""
    memory_of: np.ndarray
    """(channel): its memory."""
    bank_order: np.ndarray
    """(memory, bank): banks of a pseudo-channel, neighbours in other bank groups."""
    wake: np.ndarray
    """(channel): when it is to be served next."""
    requests: Requests
    request: np.ndarray
    """(request, R_*)."""
    pool: np.ndarray


@inlined
def take_request(dram: Dram) -> np.int64:
    """A request from the pool, or -1 when it is empty."""
    index = dram.pool[P_FREE]
    if index >= 0:
        dram.pool[P_FREE] = dram.requests.following[index]
        dram.pool[P_COUNT] -= 1
        dram.request[index, R_WAITERS] = -1
        dram.request[index, R_LINES] = 0
        dram.request[index, R_CREDIT] = -1
    return index


@inlined
def free_request(dram: Dram, index: Int) -> None:
    dram.requests.following[index] = dram.pool[P_FREE]
    dram.pool[P_FREE] = index
    dram.pool[P_COUNT] += 1


@inlined
def parts_of(dram: Dram, m: Int) -> tuple[Sizes, Settings, Tables, State]:
    """Memory ``m`` as the controller takes it."""
    s, t = dram.sizes[m], dram.settings[m]
    sizes = Sizes(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10])
    settings = Settings(
        *(t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7], t[8]),
        *(t[9], t[10], t[11], t[12], t[13], t[14], t[15], t[16]),
        *(t[17], t[18], t[19], t[20], t[21], t[22], t[23]),
    )
    tables = Tables(
        dram.first[m],
        dram.row[m],
        dram.latency[m],
        dram.sibling[m],
        dram.node_of[m],
        dram.rare[m],
    )
    channel = dram.channel[m]
    state = State(
        dram.bank[m],
        dram.node[m],
        dram.group[m],
        channel,
        channel,
        dram.entry[m],
        dram.run[m],
        dram.log[m],
        dram.done[m],
    )
    return sizes, settings, tables, state


@inlined
def submit_request(dram: Dram, index: Int, arrive: Int) -> Int:
    """Put a request that arrives at ``arrive`` into its channel's list. Returns the channel if
    it must be served earlier than it asked, else -1."""
    place = dram.place[dram.request[index, R_PSEUDO_CHANNEL]]
    m, c = place[L_MEMORY], place[L_CHANNEL]
    requests = dram.requests
    channel = dram.channel[m, c - dram.clock[m, D_FIRST_CHANNEL]]
    tick_fs = dram.clock[m, D_TICK_FS]
    earliest = max((arrive + tick_fs - 1) // tick_fs, channel[C_TICK])
    requests.earliest[index] = earliest
    requests.depart[index] = -1
    head, tail = C_FIFO_HEAD, C_FIFO_TAIL
    lists = channel
    if requests.kind[index] >= MACRO:
        lists = dram.group[m, requests.bank[index] // dram.sizes[m, GROUP_BANKS]]
        head, tail = G_FIFO_HEAD, G_FIFO_TAIL
        channel[C_LISTED] += 1
    elif requests.kind[index] == WRITE:
        head, tail = C_FIFO_HEAD_WRITE, C_FIFO_TAIL_WRITE
    before = lists[tail]
    after = wide(-1)
    while before >= 0 and requests.earliest[before] > earliest:
        after = before
        before = wide(requests.preceding[before])
    requests.preceding[index], requests.following[index] = before, after
    if after < 0:
        lists[tail] = index
    else:
        requests.preceding[after] = index
    if before < 0:
        lists[head] = index
    else:
        requests.following[before] = index
        return wide(-1)
    wake = (earliest + 1) * tick_fs
    if wake < dram.wake[c]:
        dram.wake[c] = wake
        return c
    return wide(-1)


@hot
def serve(dram: Dram, run: Any, c: Int, now: Int, ahead: Int) -> Int:
    """Let channel ``c`` run to ``now`` and ``ahead`` femtoseconds on; ``run`` is the
    controller's loop (``controller.kernel.RUN``).

    Returns how many requests it has decided: ``dram.done[memory]`` lists them, ``R_DONE_AT``
    is when each has its last data. ``dram.wake`` says when to serve the channel again.
    """
    m = dram.memory_of[c]
    clock = dram.clock[m]
    sizes, settings, tables, state = parts_of(dram, m)
    local = c - clock[D_FIRST_CHANNEL]
    tick_fs = clock[D_TICK_FS]
    state.run[R_DONE] = 0
    until = (now + ahead) // tick_fs
    run(sizes, settings, tables, state, dram.requests, local, local + 1, until, False)
    count = state.run[R_DONE]
    for i in range(count):
        index = state.done[i]
        dram.request[index, R_DONE_AT] = dram.requests.depart[index] * tick_fs
    _, when = next_listed(sizes, settings, state, dram.requests, local)
    wake = max(when, state.channel[local, C_TICK]) + 1
    if not is_idle(state, local):
        wake = min(wake, next_wake(state, local))
    dram.wake[c] = wake * tick_fs if wake < NONE else NEVER
    return count


def make_dram(memories: list[tuple[Channel, int, bool, int]], pool: int, log: int = 0) -> Dram:
    """Tables for memories: controller, pseudo-channels, whether all refresh together, and the
    lookahead in femtoseconds."""
    states, tables = [], []
    place: list[tuple[int, int, int]] = []
    memory_of: list[int] = []
    clock: list[tuple[int, int, int, int]] = []
    for number, (model, pseudo_channels, together, lookahead) in enumerate(memories):
        channels = -(-pseudo_channels // model.pseudo_channels)
        # A call decides any number of requests, each once.
        state = layout.make_state(
            model.sizes, model.tables.node, channels, log_entries=log, done_entries=pool
        )
        if model.first_refresh < layout.NONE:
            # Controllers refresh at their own phase, so channels do not stop together.
            phase = np.full(channels, channels) if together else np.arange(1, channels + 1)
            state.channel[:, layout.C_NEXT_REFRESH] = model.first_refresh * phase // channels
        else:
            state.channel[:, layout.C_NEXT_REFRESH] = layout.NONE
        first = len(memory_of)
        banks = model.device.banks // model.pseudo_channels
        for p in range(pseudo_channels):
            place.append((number, first + p // model.pseudo_channels, p * banks))
        memory_of += [number] * channels
        clock.append((model.device.tick_fs, lookahead, first, channels))
        states.append(state)
        tables.append(model.tables)
    empty = Requests(
        bank=np.zeros(pool, np.int32),
        row=np.zeros(pool, np.int32),
        kind=np.zeros(pool, np.uint8),
        accesses=np.ones(pool, np.int32),
        line=np.zeros(0, np.int64),
        earliest=np.zeros(pool, np.int64),
        arrive=np.zeros(0, np.int64),
        depart=np.zeros(pool, np.int64),
        following=np.append(np.arange(1, pool, dtype=np.int32), np.int32(-1)),
        preceding=np.full(pool, -1, np.int32),
    )
    return Dram(
        sizes=np.array([model.sizes for model, *_ in memories], np.int64),
        settings=np.array([model.settings for model, *_ in memories], np.int64),
        first=_stack([table.first for table in tables]),
        row=_stack([table.row for table in tables]),
        latency=_stack([table.latency for table in tables]),
        sibling=_stack([table.sibling for table in tables]),
        node_of=_stack([table.node for table in tables]),
        rare=_stack([table.rare for table in tables]),
        bank=_stack([state.bank for state in states]),
        node=_stack([state.node for state in states]),
        group=_stack([state.group for state in states]),
        channel=_stack([state.channel for state in states]),
        entry=_stack([state.entry for state in states]),
        run=_stack([state.run for state in states]),
        log=_stack([state.log for state in states]),
        done=_stack([state.done for state in states]),
        clock=np.array(clock, np.int64),
        place=np.array(place, np.int64),
        memory_of=np.array(memory_of, np.int64),
        bank_order=_stack([model.bank_order() for model, *_ in memories]),
        wake=np.full(len(memory_of), NEVER),
        requests=empty,
        request=np.zeros((pool, REQUEST_COLUMNS), np.int64),
        pool=np.array([0, pool], np.int64),
    )


def _stack(arrays: list[np.ndarray]) -> np.ndarray:
    """One array with the memory as first axis, as large as the largest."""
    if len(arrays) == 1:
        return arrays[0].astype(np.int64, copy=False)[None]
    shape = np.max([array.shape for array in arrays], axis=0)
    result = np.zeros((len(arrays), *shape), np.int64)
    for number, array in enumerate(arrays):
        result[number][tuple(slice(size) for size in array.shape)] = array
    return result
