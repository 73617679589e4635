"""Transactions: how a task's access walks ports, cache and DRAM.

A transaction plays the chunks of one pattern.  Each run of contiguous bytes is
booked on the entry port, on a cache slice and in the tags; missing sectors become
DRAM requests, to which the transaction is attached.  Bookings never reach further
than the header's look-ahead into the future: the transaction then sleeps until its
port is free, so that competing tasks take turns at it.  A component with
a limit on bytes in flight stalls the transaction until a reply returns credit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.compiled import Int, merged
from simulator.engine.layout import (
    A_ATOMIC,
    A_BUFFER,
    A_MACRO,
    A_READ,
    A_STORE,
    A_WRITE,
    CACHE,
    E_CREDIT,
    E_DONE,
    E_STEP,
    E_WAKE,
    H_ERROR,
    H_FREE_TRANSACTION,
    H_FREE_WAITER,
    H_LOOKAHEAD,
    H_WAITERS,
    J_DRAM_READ,
    J_DRAM_WRITE,
    J_HITS,
    J_MISSES,
    K_ACCESS,
    K_ATOMIC,
    K_BANK_BYTES,
    K_BANKS,
    K_BUSY,
    K_CAP,
    K_CHANNELS,
    K_FAR_LATENCY,
    K_FIRST_CHANNEL,
    K_FIRST_LINE,
    K_FIRST_SLICE,
    K_FREE,
    K_HASHED,
    K_HITS,
    K_HOLDER,
    K_INTERLEAVE,
    K_KIND,
    K_LATENCY,
    K_LINE,
    K_MISS_LATENCY,
    K_MISSES,
    K_NEAR,
    K_NEXT,
    K_RATE,
    K_ROW_BLOCKS,
    K_SECTOR,
    K_SETS,
    K_SLICES,
    K_TURNS,
    K_UNITS,
    K_USED,
    K_WAIT_HEAD,
    K_WAIT_TAIL,
    K_WAYS,
    K_WRITE_EXTRA,
    P_BASE,
    P_CHUNK,
    P_INDEXED,
    P_INNER_STRIDE,
    P_KIND,
    P_LIMIT,
    P_OUTER,
    P_OUTER_STRIDE,
    P_RECEIVERS,
    PORT,
    REQUESTS_FULL,
    S_KERNEL,
    T_BASE,
    T_INNER,
    T_INNER_COUNT,
    T_LATEST,
    T_NEXT,
    T_OFFSET,
    T_OPEN,
    T_OUTER,
    T_PATTERN,
    T_PORT,
    T_SLOT,
    TRANSACTIONS_FULL,
    WAITERS_FULL,
    Machine,
)
from simulator.engine.queue import push
from simulator.memory.cache import (
    DIRTY_SHIFT,
    LINE_SHIFT,
    PLACE_MASK,
    PLACE_SHIFT,
    VALID,
    find,
    replace,
    set_of,
)
from simulator.memory.controller.layout import wide
from simulator.memory.pool import (
    BUFFER,
    D_LOOKAHEAD_FS,
    L_FIRST_BANK,
    L_MEMORY,
    MACRO,
    MAX_LINES,
    NEVER,
    P_COUNT,
    R_BYTES,
    R_CREDIT,
    R_DONE_AT,
    R_LINE_0,
    R_LINES,
    R_OWNER,
    R_PSEUDO_CHANNEL,
    R_WAITERS,
    READ,
    RESULT,
    STORE,
    WRITE,
    free_request,
    serve,
    submit_request,
    take_request,
)

FIRST_BIT = (0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0)
LAST_BIT = (0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)
"""Of a mask of sectors: a write-back moves everything from the first dirty one to the last."""

RESERVE = 64
"""Free requests and waiters that one run never exhausts; below it, transactions pause."""
RETRY_FS = 50 * 10**6


GOLDEN = np.int64(2654435769)
"""2**32 over the golden ratio."""


@merged
def book(component: np.ndarray, now: Int, units: Int) -> Int:
    """Reserve a component for ``units`` from ``now``; returns when it starts."""
    start = max(now, component[K_FREE])
    duration = units * component[K_RATE] >> 10
    component[K_FREE] = start + duration
    component[K_BUSY] += duration
    component[K_UNITS] += units
    return start


@merged
def take_transaction(machine: Machine) -> Int:
    header = machine.header
    index = header[H_FREE_TRANSACTION]
    if index < 0:
        header[H_ERROR] = TRANSACTIONS_FULL
        return index
    header[H_FREE_TRANSACTION] = machine.transaction[index, T_NEXT]
    return index


@merged
def free_transaction(machine: Machine, index: Int) -> None:
    machine.transaction[index, T_NEXT] = machine.header[H_FREE_TRANSACTION]
    machine.header[H_FREE_TRANSACTION] = index


@merged
def attach(machine: Machine, request: Int, x: Int) -> None:
    """Let transaction ``x`` wait for a request (once)."""
    header = machine.header
    head = machine.dram.request[request, R_WAITERS]
    if head >= 0 and machine.waiter[head, 0] == x:
        return
    node = header[H_FREE_WAITER]
    if node < 0:
        header[H_ERROR] = WAITERS_FULL
        return
    header[H_FREE_WAITER] = machine.waiter[node, 1]
    header[H_WAITERS] -= 1
    machine.waiter[node, 0] = x
    machine.waiter[node, 1] = head
    machine.dram.request[request, R_WAITERS] = node
    machine.transaction[x, T_OPEN] += 1


@merged
def scattered(number: Int, places: Int) -> Int:
    """One of some places. Fibonacci hashing: numbers of any stride spread evenly over them
    (Knuth, TAOCP 3, 6.4)."""
    return (number * GOLDEN & 0xFFFFFFFF) * places >> 32


@merged
def new_request(
    machine: Machine,
    memory: np.ndarray,
    kind: Int,
    address: Int,
    size: Int,
    kernel: Int,
    credit: Int,
) -> np.int64:
    """A request for bytes inside one bank block; returns its index, not yet submitted."""
    dram = machine.dram
    index = take_request(dram)
    if index < 0:
        machine.header[H_ERROR] = REQUESTS_FULL
        return index
    block = address // memory[K_INTERLEAVE]
    channels = memory[K_CHANNELS]
    round_ = block // channels
    turn = scattered(round_, channels) if memory[K_HASHED] else np.int64(0)
    channel = memory[K_FIRST_CHANNEL] + (block + turn) % channels
    local = round_ * memory[K_INTERLEAVE] + address % memory[K_INTERLEAVE]
    unit = local // memory[K_BANK_BYTES]
    banks = memory[K_BANKS]
    row = unit // banks // memory[K_ROW_BLOCKS]
    turn = scattered(unit // banks, banks) if memory[K_HASHED] else np.int64(0)
    number = (unit + turn) % banks
    place = dram.place[channel]
    dram.requests.kind[index] = kind
    dram.requests.row[index] = row
    dram.requests.bank[index] = place[L_FIRST_BANK] + dram.bank_order[place[L_MEMORY], number]
    request = dram.request[index]
    request[R_PSEUDO_CHANNEL] = channel
    request[R_BYTES] = size
    request[R_OWNER] = kernel
    request[R_CREDIT] = credit
    return index


@merged
def submit(machine: Machine, memory: np.ndarray, index: Int, arrive: Int) -> None:
    """Send a filled-in request to its channel, which it reaches at ``arrive``."""
    dram = machine.dram
    request = dram.request[index]
    if dram.requests.kind[index] < MACRO:
        access = memory[K_ACCESS]
        dram.requests.accesses[index] = (request[R_BYTES] + access - 1) // access
    credit = request[R_CREDIT]
    if credit >= 0:
        machine.component[credit, K_USED] += request[R_BYTES]
    c = submit_request(dram, index, arrive)
    if c >= 0:
        push(machine.header, machine.heap, dram.wake[c], E_WAKE, c)


@merged
def resume(machine: Machine, component: np.ndarray, now: Int) -> None:
    """Let stalled transactions go on, one event each, while credit lasts. A little credit
    is collected first, so that each goes on for more than one run."""
    free = component[K_CAP] - component[K_USED]
    if free < component[K_CAP] >> 6:
        return
    while component[K_WAIT_HEAD] >= 0 and free > 0:
        x = component[K_WAIT_HEAD]
        component[K_WAIT_HEAD] = machine.transaction[x, T_NEXT]
        push(machine.header, machine.heap, now, E_STEP, x)
        free -= machine.pattern[machine.transaction[x, T_PATTERN], P_CHUNK]


@merged
def return_credit(machine: Machine, index: Int, now: Int) -> None:
    """A reply arrived: its bytes are no longer in flight; resume who waited for that."""
    request = machine.dram.request[index]
    component = machine.component[request[R_CREDIT]]
    component[K_USED] -= request[R_BYTES]
    free_request(machine.dram, index)
    resume(machine, component, now)


@merged
def wake_channel(machine: Machine, run: Any, c: Int, now: Int) -> None:
    """Let a channel run and pass the data times of what it served to whoever waits."""
    dram = machine.dram
    if dram.wake[c] != now:
        return  # it was woken earlier and has since asked for another time
    m = dram.memory_of[c]
    for i in range(serve(dram, run, c, now, dram.clock[m, D_LOOKAHEAD_FS])):
        index = dram.done[m, i]
        request = dram.request[index]
        done = request[R_DONE_AT]
        kernel = machine.kernel[request[R_OWNER]]
        if dram.requests.kind[index] == WRITE:
            kernel[J_DRAM_WRITE] += request[R_BYTES]
        else:
            kernel[J_DRAM_READ] += request[R_BYTES]
        for j in range(request[R_LINES]):
            slot = request[R_LINE_0 + j]
            if machine.cache.ready[slot] == -1 - index:
                machine.cache.ready[slot] = done
        node = request[R_WAITERS]
        while node >= 0:
            x = machine.waiter[node, 0]
            following = machine.waiter[node, 1]
            machine.waiter[node, 1] = machine.header[H_FREE_WAITER]
            machine.header[H_FREE_WAITER] = node
            machine.header[H_WAITERS] += 1
            close(machine, x, done)
            node = following
        if request[R_CREDIT] >= 0:
            push(machine.header, machine.heap, done, E_CREDIT, index)
        else:
            free_request(dram, index)
    if dram.wake[c] < NEVER:
        push(machine.header, machine.heap, dram.wake[c], E_WAKE, c)


@merged
def close(machine: Machine, x: Int, time: Int) -> None:
    """One of a transaction's fills has a time; the last one ends the transaction."""
    transaction = machine.transaction[x]
    transaction[T_LATEST] = max(transaction[T_LATEST], time)
    transaction[T_OPEN] -= 1
    if transaction[T_OPEN] == 0:
        port = machine.component[transaction[T_PORT]]
        time = transaction[T_LATEST] + port[K_LATENCY]
        push(machine.header, machine.heap, max(time, port[K_FREE]), E_DONE, x)


@merged
def cached(
    machine: Machine,
    x: Int,
    level: np.ndarray,
    address: Int,
    size: Int,
    kind: Int,
    arrive: Int,
    now: Int,
) -> Int:
    """One run through a cache level. Returns when the resident part is there."""
    cache = machine.cache
    transaction = machine.transaction[x]
    kernel_index = machine.slot[transaction[T_SLOT], S_KERNEL]
    kernel = machine.kernel[kernel_index]
    memory = machine.component[level[K_NEXT]]
    credit = level[K_NEXT] if memory[K_CAP] > 0 else np.int64(-1)
    line_bytes = level[K_LINE]
    sector = level[K_SECTOR]

    part = address // level[K_INTERLEAVE]
    fold = part // level[K_SLICES]
    slice_ = machine.component[
        level[K_FIRST_SLICE] + (part + (fold ^ (fold >> 5)) * 7) % level[K_SLICES]
    ]
    # Capacity is reserved from the time of issue, so that early and late arrivals
    # share it; the run itself is served no earlier than it arrives.
    receivers = machine.pattern[transaction[T_PATTERN], P_RECEIVERS]
    book(slice_, now, size if receivers == 1 else size // receivers)
    if kind == A_WRITE:
        extra = (size * slice_[K_RATE] >> 10) * level[K_WRITE_EXTRA] >> 10
        slice_[K_FREE] += extra
        slice_[K_BUSY] += extra
    if kind == A_ATOMIC:
        extra = level[K_ATOMIC] * ((size + sector - 1) // sector)
        slice_[K_FREE] += extra
        slice_[K_BUSY] += extra
    served = max(arrive, slice_[K_FREE])
    done = served + level[K_LATENCY]
    to_memory = served + level[K_MISS_LATENCY]

    request = np.int64(-1)
    request_end = np.int64(-1)
    bank_bytes = memory[K_BANK_BYTES]
    end = address + size
    at = address
    while at < end:
        line = at // line_bytes
        line_start = line * line_bytes
        stop = min(end, line_start + line_bytes)
        low = (at - line_start) // sector
        high = (stop - line_start + sector - 1) // sector
        mask = (np.int64(1) << high) - (np.int64(1) << low)
        base = level[K_FIRST_LINE] + set_of(line, level[K_SETS]) * level[K_WAYS]
        age = find(cache, base, level[K_WAYS], line)
        resident = age >= 0
        if age >= level[K_NEAR] and kind != A_WRITE:
            slice_[K_FREE] += (stop - at) * slice_[K_RATE] >> 11
            slice_[K_BUSY] += (stop - at) * slice_[K_RATE] >> 11
            done = max(done, served + level[K_LATENCY] + level[K_FAR_LATENCY])
        if not resident:
            old = replace(cache, base, level[K_WAYS], line)
            resident = old != -1
            dirty = (old >> DIRTY_SHIFT) & VALID
            if resident and dirty:
                first = FIRST_BIT[dirty]
                back = new_request(
                    machine,
                    memory,
                    wide(WRITE),
                    (old >> LINE_SHIFT) * line_bytes + first * sector,
                    (LAST_BIT[dirty] - first + 1) * sector,
                    kernel_index,
                    credit,
                )
                if back < 0:
                    return done
                submit(machine, memory, back, to_memory)
        word = cache.word[base] if resident else np.int64(0)
        place = base + ((word >> PLACE_SHIFT) & PLACE_MASK)
        missing = mask & ~word
        if resident:
            if kind == A_WRITE:
                missing = np.int64(0)
            if kind != A_READ:
                word |= mask << DIRTY_SHIFT
            cache.word[base] = word | mask
        sectors = high - low
        if missing == 0:
            kernel[J_HITS] += sectors
            level[K_HITS] += sectors
            if kind != A_WRITE:
                ready = cache.ready[place]
                if ready < 0:
                    attach(machine, -1 - ready, x)
                else:
                    done = max(done, ready)
        else:
            # From the first missing sector to the last; what is at hand is not fetched.
            first = FIRST_BIT[missing]
            fetched = LAST_BIT[missing] - first + 1
            fetch = max(at, line_start + first * sector)
            kernel[J_HITS] += sectors - fetched
            level[K_HITS] += sectors - fetched
            kernel[J_MISSES] += fetched
            level[K_MISSES] += fetched
            if missing != mask:
                ready = cache.ready[place]
                if ready < 0:
                    attach(machine, -1 - ready, x)
                else:
                    done = max(done, ready)
            joins = (
                request >= 0
                and fetch == request_end
                and fetch % bank_bytes != 0
                and machine.dram.request[request, R_LINES] < MAX_LINES
            )
            if not joins:
                if request >= 0:
                    submit(machine, memory, request, to_memory)
                fill = WRITE if kind == A_WRITE else READ
                request = new_request(
                    machine, memory, fill, fetch, np.int64(0), kernel_index, credit
                )
                if request < 0:
                    return done
                if kind != A_WRITE:
                    attach(machine, request, x)
            row = machine.dram.request[request]
            row[R_BYTES] += fetched * sector
            request_end = min(stop, line_start + (first + fetched) * sector)
            if resident:
                row[R_LINE_0 + row[R_LINES]] = place
                row[R_LINES] += 1
                cache.ready[place] = -1 - request
        at = stop
    if request >= 0:
        submit(machine, memory, request, to_memory)
    return done


@merged
def uncached(
    machine: Machine, x: Int, memory: np.ndarray, address: Int, size: Int, kind: Int, arrive: Int
) -> None:
    """One run straight to DRAM, cut where the bank changes. Macros and buffer
    transfers name a row or nothing instead of bytes."""
    transaction = machine.transaction[x]
    kernel_index = machine.slot[transaction[T_SLOT], S_KERNEL]
    credit = transaction[T_PORT]
    if machine.component[credit, K_CAP] == 0:
        credit = np.int64(-1)
    dram = machine.dram
    arrive += memory[K_LATENCY]
    if kind >= A_MACRO:
        index = new_request(
            machine, memory, wide(READ), np.int64(0), np.int64(0), kernel_index, np.int64(-1)
        )
        if index < 0:
            return
        if kind <= A_STORE:
            dram.requests.kind[index] = MACRO if kind == A_MACRO else STORE
            # Rows go round the sets of banks that take turns.
            dram.requests.row[index] = address // memory[K_TURNS]
            dram.requests.bank[index] += address % memory[K_TURNS]
            dram.requests.accesses[index] = size
        else:
            dram.requests.kind[index] = BUFFER if kind == A_BUFFER else RESULT
            dram.requests.accesses[index] = (size + memory[K_ACCESS] - 1) // memory[K_ACCESS]
            dram.request[index, R_BYTES] = size
        attach(machine, index, x)
        submit(machine, memory, index, arrive)
        return
    bank_bytes = memory[K_BANK_BYTES]
    end = address + size
    while address < end:
        stop = min(end, address // bank_bytes * bank_bytes + bank_bytes)
        index = new_request(
            machine,
            memory,
            WRITE if kind == A_WRITE else READ,
            address,
            stop - address,
            kernel_index,
            credit,
        )
        if index < 0:
            return
        attach(machine, index, x)
        submit(machine, memory, index, arrive)
        address = stop


@merged
def step(machine: Machine, x: Int, now: Int) -> None:
    """Play a transaction until its pattern ends, its port is booked beyond the
    look-ahead, or bytes in flight reach a limit."""
    transaction = machine.transaction[x]
    pattern = machine.pattern[transaction[T_PATTERN]]
    kind = pattern[P_KIND]
    inner_stride = np.int64(1) if pattern[P_INDEXED] else pattern[P_INNER_STRIDE]
    port = machine.component[transaction[T_PORT]]
    if port[K_FREE] == now + 1:  # woken that much early, for its turn
        now += 1
    horizon = now + machine.header[H_LOOKAHEAD]
    target = port
    while target[K_KIND] == PORT:
        target = machine.component[target[K_NEXT]]
    # A cache limits the bytes its memory has in flight, a bare port its own.
    gate_index = target[K_NEXT] if target[K_KIND] == CACHE else transaction[T_PORT]
    while transaction[T_OUTER] < pattern[P_OUTER]:
        if port[K_FREE] > horizon:
            # Another task that has waited goes before the one that was just served;
            # a task's own accesses stay in order.
            others_turn = port[K_HOLDER] != transaction[T_SLOT]
            turn = port[K_FREE] - 1 if others_turn else port[K_FREE]
            push(machine.header, machine.heap, turn, E_STEP, x)
            return
        if machine.dram.pool[P_COUNT] < RESERVE or machine.header[H_WAITERS] < RESERVE:
            push(machine.header, machine.heap, now + RETRY_FS, E_STEP, x)
            return
        gate = machine.component[gate_index]
        if gate[K_CAP] > 0 and gate[K_USED] >= gate[K_CAP]:
            transaction[T_NEXT] = -1
            if gate[K_WAIT_HEAD] < 0:
                gate[K_WAIT_HEAD] = x
            else:
                machine.transaction[gate[K_WAIT_TAIL], T_NEXT] = x
            gate[K_WAIT_TAIL] = x
            return

        position = (
            transaction[T_BASE]
            + transaction[T_OUTER] * pattern[P_OUTER_STRIDE]
            + transaction[T_INNER] * inner_stride
        )
        if pattern[P_INDEXED]:
            address = (
                pattern[P_BASE]
                + machine.index[position] * pattern[P_INNER_STRIDE]
                + transaction[T_OFFSET]
            )
        else:
            address = position + transaction[T_OFFSET]
        size = pattern[P_CHUNK] - transaction[T_OFFSET]
        if kind < A_MACRO:
            interleave = target[K_INTERLEAVE]
            size = min(size, interleave - address % interleave)
            if pattern[P_LIMIT] > 0:
                room = pattern[P_LIMIT] - address
                if room <= 0:
                    size = np.int64(0)
                elif room < size:
                    size = room
        if size > 0:
            port[K_HOLDER] = transaction[T_SLOT]
            units = size if kind < A_MACRO or kind > A_STORE else np.int64(0)
            arrive = book(port, now, units) + (units * port[K_RATE] >> 10)
            level = port
            while level[K_NEXT] >= 0 and machine.component[level[K_NEXT], K_KIND] == PORT:
                level = machine.component[level[K_NEXT]]
                arrive = max(arrive, book(level, arrive, units) + (units * level[K_RATE] >> 10))
                arrive += level[K_LATENCY]
            if target[K_KIND] == CACHE:
                done = cached(machine, x, target, address, size, kind, arrive, now)
                transaction[T_LATEST] = max(transaction[T_LATEST], done)
            else:
                uncached(machine, x, target, address, size, kind, arrive)
        if pattern[P_LIMIT] > 0 and size <= 0:
            size = pattern[P_CHUNK] - transaction[T_OFFSET]
        transaction[T_OFFSET] += size
        if transaction[T_OFFSET] >= pattern[P_CHUNK]:
            transaction[T_OFFSET] = 0
            transaction[T_INNER] += 1
            if transaction[T_INNER] >= transaction[T_INNER_COUNT]:
                transaction[T_INNER] = 0
                transaction[T_OUTER] += 1
    close(machine, x, now)
