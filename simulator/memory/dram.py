"""A DRAM channel: banks with open rows, a bounded look-ahead, FR-FCFS, refresh.

State is plain integer arrays (``Dram``), behaviour is :func:`enqueue` and
:func:`serve`; times are femtoseconds.  A *request* is a run of bursts inside one
row of one bank.  ``serve`` places at most one request on the data bus and says
when the channel wants to be asked again, so a caller jumps from one decision to
the next and never polls.

Modelled: tRCD (read, write, compute), tRP, tRAS, tRC, tRRD_S/L, tFAW, tCCD_S/L,
tRTP, tWR, tWTR_L, read-to-write turnaround, all-bank and per-bank refresh, write
drain with watermarks, all-bank macros (activate every bank, n lockstep columns)
for processing in memory.  A request's bursts hold their bank group for tCCD_L
each and the data bus for tCCD_S each, so bursts of several groups interleave.

Source of the timing rules: the JEDEC constraint tables as collected in Ramulator
2.1 (Luo et al., IEEE CAL 2023).  Left out: command-bus conflicts, alignment of
commands to clock edges, several ranks; see README.md.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.compiled import Int, hot, inlined

NEVER = np.int64(1) << 62
"""A time that does not come."""

# Kinds of request.
READ, WRITE, MACRO, BUFFER = range(4)
"""MACRO: lockstep columns in all banks; BUFFER: bursts on the bus, no bank."""

# Columns of ``timing``: one row per memory, femtoseconds unless said otherwise.
(
    T_BURST,
    T_CL,
    T_CWL,
    T_RCD_READ,
    T_RCD_WRITE,
    T_RP,
    T_RAS,
    T_RC,
    T_RRD_S,
    T_RRD_L,
    T_FAW,
    T_CCD_S,
    T_CCD_L,
    T_WR,
    T_RTP,
    T_WTR_S,
    T_WTR_L,
    T_RTW,
    T_REFI,
    T_RFC,
    T_RFC_BANK,
    T_LOOKAHEAD,
    T_RCD_COMPUTE,
    T_MACRO_COLUMN,
    T_MACRO_ACTIVATE,
    M_BANKS,
    M_GROUPS,
    M_BURST_BYTES,
    M_BANK_BYTES,
    M_ROW_BLOCKS,
    M_WINDOW,
    M_WRITE_HIGH,
    M_WRITE_LOW,
    M_PER_BANK_REFRESH,
    TIMING_COLUMNS,
) = range(35)

# Columns of ``channel``: one row per (pseudo) channel.
(
    C_MEMORY,
    C_BUS,
    C_DIRECTION,
    C_WRITE_END,
    C_NEXT_REFRESH,
    C_REFRESH_BANK,
    C_LAST_ACT,
    C_ACT_0,
    C_ACT_1,
    C_ACT_2,
    C_ACT_3,
    C_ACT_NEXT,
    C_READ_HEAD,
    C_READ_TAIL,
    C_READS,
    C_WRITE_HEAD,
    C_WRITE_TAIL,
    C_WRITES,
    C_DRAINING,
    C_WAKE,
    N_ACT,
    N_READ,
    N_WRITE,
    N_REFRESH,
    N_MISS,
    N_CONFLICT,
    N_MACRO,
    N_MACRO_COLUMNS,
    N_BUFFER,
    N_BUS_FS,
    N_LATENCY,
    N_REQUESTS,
    CHANNEL_COLUMNS,
) = range(33)

# Columns of ``bank``; bank groups keep theirs in ``group``.
B_ROW, B_COLUMN_READY, B_PRECHARGE_READY, B_ACTIVATE_READY, BANK_COLUMNS = range(5)
G_COLUMN_READY, G_LAST_ACT, GROUP_COLUMNS = range(3)

# Columns of ``request``.
(
    R_KIND,
    R_CHANNEL,
    R_BANK,
    R_ROW,
    R_BURSTS,
    R_ARRIVE,
    R_DONE,
    R_NEXT,
    R_WAITERS,
    R_OWNER,
    R_CREDIT,
    R_BYTES,
    R_LINES,
    R_LINE_0,
    REQUEST_COLUMNS,
) = (*range(14), 22)
MAX_LINES = REQUEST_COLUMNS - R_LINE_0


class Dram(NamedTuple):
    """All channels of a machine. ``banks`` of channel c start at row c * stride."""

    timing: np.ndarray  # (memories, TIMING_COLUMNS)
    channel: np.ndarray  # (channels, CHANNEL_COLUMNS)
    bank: np.ndarray  # (channels * bank_stride, BANK_COLUMNS)
    group: np.ndarray  # (channels * group_stride, GROUP_COLUMNS)
    request: np.ndarray  # (pool, REQUEST_COLUMNS)
    pool: np.ndarray  # (4,): first free request, bank stride, group stride, free requests


P_FREE, P_BANK_STRIDE, P_GROUP_STRIDE, P_COUNT = range(4)


@inlined
def take_request(dram: Dram) -> np.int64:
    """A request from the pool, or -1 when it is empty."""
    index = dram.pool[P_FREE]
    if index >= 0:
        dram.pool[P_FREE] = dram.request[index, R_NEXT]
        dram.pool[P_COUNT] -= 1
        dram.request[index, R_NEXT] = -1
        dram.request[index, R_WAITERS] = -1
        dram.request[index, R_LINES] = 0
        dram.request[index, R_CREDIT] = -1
    return index


@inlined
def free_request(dram: Dram, index: Int) -> None:
    dram.request[index, R_NEXT] = dram.pool[P_FREE]
    dram.pool[P_FREE] = index
    dram.pool[P_COUNT] += 1


@inlined
def enqueue(dram: Dram, index: Int) -> bool:
    """Append a filled-in request to its channel; returns True if the channel
    must be woken earlier than it asked (``C_WAKE`` then holds the time)."""
    request = dram.request[index]
    channel = dram.channel[request[R_CHANNEL]]
    head, tail, count = C_READ_HEAD, C_READ_TAIL, C_READS
    if request[R_KIND] == WRITE:
        head, tail, count = C_WRITE_HEAD, C_WRITE_TAIL, C_WRITES
    if channel[count] == 0:
        channel[head] = index
    else:
        dram.request[channel[tail], R_NEXT] = index
    channel[tail] = index
    channel[count] += 1
    timing = dram.timing[channel[C_MEMORY]]
    wake = max(request[R_ARRIVE], channel[C_BUS] - (timing[T_LOOKAHEAD] >> 1))
    if wake < channel[C_WAKE]:
        channel[C_WAKE] = wake
        return True
    return False


@hot
def refresh(dram: Dram, c: Int, now: Int) -> None:
    """Perform the refreshes that are due. An idle channel catches up at no cost."""
    channel = dram.channel[c]
    timing = dram.timing[channel[C_MEMORY]]
    interval = timing[T_REFI]
    banks = timing[M_BANKS]
    first = c * dram.pool[P_BANK_STRIDE]
    if timing[M_PER_BANK_REFRESH]:
        interval //= banks
        while channel[C_NEXT_REFRESH] <= now:
            due = channel[C_NEXT_REFRESH]
            bank = dram.bank[first + channel[C_REFRESH_BANK]]
            start = max(due, bank[B_PRECHARGE_READY])
            if bank[B_ROW] >= 0:
                start += timing[T_RP]
                bank[B_ROW] = -1
            bank[B_ACTIVATE_READY] = max(bank[B_ACTIVATE_READY], start + timing[T_RFC_BANK])
            channel[C_REFRESH_BANK] = (channel[C_REFRESH_BANK] + 1) % banks
            channel[C_NEXT_REFRESH] = due + interval
            channel[N_REFRESH] += 1
        return
    while channel[C_NEXT_REFRESH] <= now:
        due = channel[C_NEXT_REFRESH]
        start = due
        is_open = False
        for b in range(first, first + banks):
            start = max(start, dram.bank[b, B_PRECHARGE_READY])
            is_open = is_open or dram.bank[b, B_ROW] >= 0
        if is_open:
            start += timing[T_RP]
        end = start + timing[T_RFC]
        for b in range(first, first + banks):
            dram.bank[b, B_ROW] = -1
            dram.bank[b, B_ACTIVATE_READY] = max(dram.bank[b, B_ACTIVATE_READY], end)
        channel[C_NEXT_REFRESH] = due + interval
        channel[N_REFRESH] += 1


@hot
def catch_up(dram: Dram, now: Int) -> None:
    """Perform the refreshes due on channels without requests."""
    for c in range(dram.channel.shape[0]):
        channel = dram.channel[c]
        if channel[C_READS] + channel[C_WRITES] == 0 and channel[C_NEXT_REFRESH] <= now:
            timing = dram.timing[channel[C_MEMORY]]
            rounds = (now - channel[C_NEXT_REFRESH]) // timing[T_REFI] - 1
            if rounds > 0:  # nobody saw them; the last round decides how the banks are left
                each = timing[M_BANKS] if timing[M_PER_BANK_REFRESH] else np.int64(1)
                channel[C_NEXT_REFRESH] += rounds * (timing[T_REFI] // each) * each
                channel[N_REFRESH] += rounds * each
            refresh(dram, c, now)


@inlined
def _activate_time(
    dram: Dram,
    channel: np.ndarray,
    timing: np.ndarray,
    bank: np.ndarray,
    group: np.ndarray,
    earliest: Int,
) -> Int:
    """When an ACT to this bank may go out (after a precharge if a row is open)."""
    start = max(earliest, bank[B_ACTIVATE_READY])
    if bank[B_ROW] >= 0:
        start = max(start, max(earliest, bank[B_PRECHARGE_READY]) + timing[T_RP])
    start = max(start, channel[C_LAST_ACT] + timing[T_RRD_S])
    start = max(start, group[G_LAST_ACT] + timing[T_RRD_L])
    return max(start, channel[C_ACT_0 + channel[C_ACT_NEXT]] + timing[T_FAW])


@inlined
def _activate(
    channel: np.ndarray,
    timing: np.ndarray,
    bank: np.ndarray,
    group: np.ndarray,
    row: Int,
    start: Int,
    rcd: Int,
) -> None:
    if bank[B_ROW] >= 0:
        channel[N_CONFLICT] += 1
    else:
        channel[N_MISS] += 1
    channel[N_ACT] += 1
    bank[B_ROW] = row
    bank[B_COLUMN_READY] = start + rcd
    bank[B_PRECHARGE_READY] = start + timing[T_RAS]
    bank[B_ACTIVATE_READY] = start + timing[T_RC]
    group[G_LAST_ACT] = start
    channel[C_LAST_ACT] = max(channel[C_LAST_ACT], start)
    channel[C_ACT_0 + channel[C_ACT_NEXT]] = start
    channel[C_ACT_NEXT] = (channel[C_ACT_NEXT] + 1) % 4


@hot
def _serve_macro(dram: Dram, c: Int, index: Int, now: Int) -> None:
    """All banks open one row and perform n lockstep columns (or the bus alone moves
    n bursts to or from the channel's buffer). A refresh that falls due splits it."""
    request = dram.request[index]
    channel = dram.channel[c]
    timing = dram.timing[channel[C_MEMORY]]
    bursts = request[R_BURSTS]
    start = max(max(now, request[R_ARRIVE]), channel[C_BUS])
    if request[R_KIND] == BUFFER:
        end = start + bursts * timing[T_CCD_S]
        channel[C_BUS] = end
        channel[N_BUFFER] += bursts
        channel[N_BUS_FS] += bursts * timing[T_CCD_S]
        request[R_DONE] = end + timing[T_CL]
        return
    banks = timing[M_BANKS]
    first = c * dram.pool[P_BANK_STRIDE]
    row = request[R_ROW]
    channel[N_MACRO] += 1
    channel[N_MACRO_COLUMNS] += bursts
    left = bursts
    time = start
    opened = 0
    while left > 0:
        if timing[T_REFI] < NEVER:
            refresh(dram, c, time)
        is_open = True
        for b in range(first, first + banks):
            is_open = is_open and dram.bank[b, B_ROW] == row
        if is_open:
            for b in range(first, first + banks):
                time = max(time, dram.bank[b, B_COLUMN_READY])
        else:
            for b in range(first, first + banks):
                bank = dram.bank[b]
                ready = bank[B_ACTIVATE_READY]
                if bank[B_ROW] >= 0:
                    ready = max(ready, max(start, bank[B_PRECHARGE_READY]) + timing[T_RP])
                time = max(time, ready)
            column = time + timing[T_MACRO_ACTIVATE] + timing[T_RCD_COMPUTE]
            for b in range(first, first + banks):
                bank = dram.bank[b]
                bank[B_ROW] = row
                bank[B_COLUMN_READY] = column
                bank[B_PRECHARGE_READY] = column - timing[T_RCD_COMPUTE] + timing[T_RAS]
                bank[B_ACTIVATE_READY] = time + timing[T_RC]
            channel[N_ACT] += banks
            opened += 1
            time = column
        step = left
        if timing[T_REFI] < NEVER:
            until = (channel[C_NEXT_REFRESH] - time) // timing[T_MACRO_COLUMN]
            step = min(left, max(until, 1))
        time += step * timing[T_MACRO_COLUMN]
        left -= step
        for b in range(first, first + banks):
            bank = dram.bank[b]
            bank[B_PRECHARGE_READY] = max(
                bank[B_PRECHARGE_READY], time - timing[T_MACRO_COLUMN] + timing[T_RTP]
            )
    channel[N_MISS] += opened
    channel[C_BUS] = time
    channel[N_BUS_FS] += bursts * timing[T_MACRO_COLUMN]
    request[R_DONE] = time


@inlined
def serve(dram: Dram, c: Int, now: Int) -> Int:
    """Place the best request of channel ``c`` and return its index, or -1.

    First ready, first come: the oldest request whose column can go out when the bus
    is free; rows that older requests need are opened on the way. ``R_DONE`` holds the
    time of its last data. On -1, ``C_WAKE`` says when to ask again.
    """
    channel = dram.channel[c]
    timing = dram.timing[channel[C_MEMORY]]
    if channel[C_READS] + channel[C_WRITES] == 0:
        channel[C_WAKE] = NEVER
        return -1
    if channel[C_BUS] > now + timing[T_LOOKAHEAD]:
        # Ask again when half the look-ahead is used up: fewer, longer turns.
        channel[C_WAKE] = channel[C_BUS] - (timing[T_LOOKAHEAD] >> 1)
        return -1
    if channel[C_NEXT_REFRESH] <= now:
        refresh(dram, c, now)

    if channel[C_DRAINING]:
        if channel[C_WRITES] == 0 or (
            channel[C_WRITES] <= timing[M_WRITE_LOW] and channel[C_READS] > 0
        ):
            channel[C_DRAINING] = 0
    elif channel[C_READS] == 0 or channel[C_WRITES] >= timing[M_WRITE_HIGH]:
        channel[C_DRAINING] = 1
    writing = channel[C_DRAINING]
    head = C_WRITE_HEAD if writing else C_READ_HEAD

    index = channel[head]
    previous = np.int64(-1)
    best = np.int64(-1)
    best_previous = np.int64(-1)
    best_start = NEVER
    if dram.request[index, R_KIND] >= MACRO:
        best = index
    else:
        bus = channel[C_BUS]
        if writing != channel[C_DIRECTION]:
            bus += timing[T_RTW] - timing[T_CCD_S] if writing else timing[T_CWL] + timing[T_WTR_L]
        rcd = timing[T_RCD_WRITE] if writing else timing[T_RCD_READ]
        first_bank = c * dram.pool[P_BANK_STRIDE]
        first_group = c * dram.pool[P_GROUP_STRIDE]
        groups = timing[M_GROUPS]
        seen = np.int64(0)
        slot = max(bus, now)
        horizon = now + timing[T_LOOKAHEAD]
        soonest: Int = NEVER
        for _ in range(timing[M_WINDOW]):
            request = dram.request[index]
            if request[R_KIND] >= MACRO:
                break
            b = request[R_BANK]
            bank = dram.bank[first_bank + b]
            group = dram.group[first_group + b % groups]
            bit = np.int64(1) << b
            hit = bank[B_ROW] == request[R_ROW]
            if hit or not seen & bit:
                earliest = max(now, request[R_ARRIVE])
                if not hit:
                    act = _activate_time(dram, channel, timing, bank, group, earliest)
                    if act <= horizon:
                        _activate(channel, timing, bank, group, request[R_ROW], act, rcd)
                        hit = True
                    else:  # a bank in refresh, say: others must not wait behind its ACT
                        soonest = min(soonest, act)
                seen |= bit
                if hit:
                    start = max(max(earliest, bank[B_COLUMN_READY]), group[G_COLUMN_READY])
                    start = max(start, bus)
                    if start < best_start:
                        best, best_previous, best_start = index, previous, start
                    if start <= slot:
                        break
            previous = index
            index = request[R_NEXT]
            if index < 0:
                break
        first_chance = min(best_start, soonest)
        if best_start > horizon:
            channel[C_WAKE] = max(first_chance - timing[T_LOOKAHEAD], now + 1)
            return -1

    request = dram.request[best]
    if best_previous < 0:
        channel[head] = request[R_NEXT]
    else:
        dram.request[best_previous, R_NEXT] = request[R_NEXT]
    if request[R_NEXT] < 0:
        channel[head + 1] = best_previous
    channel[head + 2] -= 1

    if request[R_KIND] >= MACRO:
        _serve_macro(dram, c, best, now)
    else:
        bursts = request[R_BURSTS]
        b = request[R_BANK]
        bank = dram.bank[c * dram.pool[P_BANK_STRIDE] + b]
        group = dram.group[c * dram.pool[P_GROUP_STRIDE] + b % timing[M_GROUPS]]
        last = best_start + (bursts - 1) * timing[T_CCD_L]
        group[G_COLUMN_READY] = best_start + bursts * timing[T_CCD_L]
        channel[C_BUS] = best_start + bursts * timing[T_CCD_S]
        channel[C_DIRECTION] = writing
        channel[N_BUS_FS] += bursts * timing[T_CCD_S]
        if writing:
            request[R_DONE] = last + timing[T_CWL] + timing[T_BURST]
            bank[B_PRECHARGE_READY] = max(bank[B_PRECHARGE_READY], request[R_DONE] + timing[T_WR])
            channel[N_WRITE] += bursts
        else:
            request[R_DONE] = last + timing[T_CL] + timing[T_BURST]
            bank[B_PRECHARGE_READY] = max(bank[B_PRECHARGE_READY], last + timing[T_RTP])
            channel[N_READ] += bursts
    channel[N_LATENCY] += request[R_DONE] - request[R_ARRIVE]
    channel[N_REQUESTS] += 1
    return best
