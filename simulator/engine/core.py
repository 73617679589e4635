"""The event core: plays tasks on a machine, event by event.

``advance`` is the one entry.  It never looks at what a device is: programs,
components and agents are rows of tables.  A *kernel* hands its tasks to the agents
of its class as their resources allow; a task's threads run their operations until
they wait for a token or for an access; tokens and replies wake them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.compiled import Int, hot, inner, merged
from simulator.engine.access import (
    book,
    free_transaction,
    return_credit,
    step,
    take_transaction,
    wake_channel,
)
from simulator.engine.layout import (
    A_CLASS,
    A_FIRST_COMPONENT,
    A_LEFT_0,
    A_RUNNING,
    CHECKPOINT,
    COORDINATES,
    E_CREDIT,
    E_DONE,
    E_KERNEL,
    E_STEP,
    E_THREAD,
    E_WAKE,
    FAILED,
    FINISHED,
    H_ERROR,
    H_EVENTS,
    H_FREE_SLOT,
    H_NOW,
    H_PENDING,
    H_RUNNING,
    H_STOPPED_BY,
    H_STOPPED_KERNEL,
    IDLE,
    J_ACTIVE,
    J_CHECK,
    J_CLASS,
    J_DONE,
    J_END,
    J_FINISHED,
    J_FIRST_TASK,
    J_INTERVAL,
    J_LAST_START,
    J_NEED_0,
    J_NEXT,
    J_RAMP,
    J_ROUND_ROBIN,
    J_SKIP_FROM,
    J_SKIP_TO,
    J_START,
    J_STATE,
    J_STEP_CHECK,
    J_STEPS,
    J_TASKS,
    J_TOKEN_0,
    J_WAIT_HEAD,
    K_LATENCY,
    K_RATE,
    LOOPS,
    NO_ERROR,
    O_ACCESS,
    O_ARRIVE,
    O_COMPUTE,
    O_DELAY,
    O_END,
    O_LOOP,
    O_RELEASE,
    O_REPEAT,
    OP_ALIKE,
    OP_AMOUNT,
    OP_COUNT,
    OP_KIND,
    OP_SCALE,
    OP_TARGET,
    OP_TOKEN,
    P_BASE,
    P_COORDINATE,
    P_INDEXED,
    P_INNER,
    P_LOOP,
    P_PATH,
    Q_ENTRY,
    Q_THREADS,
    Q_TOKENS,
    REACHED,
    RESOURCES,
    S_AGENT,
    S_COORDINATE,
    S_KERNEL,
    S_LIVE,
    S_NEXT,
    S_TASK,
    S_TOKEN,
    STEPPED,
    T_AMOUNT,
    T_BASE,
    T_INNER,
    T_INNER_COUNT,
    T_LATEST,
    T_OFFSET,
    T_OPEN,
    T_OUTER,
    T_PATTERN,
    T_PORT,
    T_SLOT,
    T_THREAD,
    T_TOKEN,
    THREADS,
    TOKENS,
    X_AMOUNT,
    X_LOOP,
    X_NEXT,
    X_PC,
    X_RUNNING,
    X_WAIT,
    Machine,
)
from simulator.engine.queue import INDEX_MASK, KIND_MASK, KIND_SHIFT, drop_first, push


@merged
def scaled(machine: Machine, slot: Int, value: Int, scale: Int) -> Int:
    """``value``, or, if negative, coordinate ``-1 - value`` of the task, times ``scale``."""
    if value >= 0:
        return value * scale
    return machine.slot[slot, S_COORDINATE - 1 - value] * scale


@merged
def begin_access(machine: Machine, slot: Int, thread: Int, operation: np.ndarray, now: Int) -> None:
    """Create and start the transaction of an access operation."""
    x = take_transaction(machine)
    if x < 0:
        return
    number = operation[OP_COUNT]
    pattern = machine.pattern[number]
    # An indexed pattern first finds its place in the index table.
    base = pattern[P_INDEXED] - 1 if pattern[P_INDEXED] else pattern[P_BASE]
    for i in range(COORDINATES):
        base += pattern[P_COORDINATE + i] * machine.slot[slot, S_COORDINATE + i]
    for i in range(LOOPS):
        base += pattern[P_LOOP + i] * machine.thread[thread, X_LOOP + i]
    path = pattern[P_PATH]
    agent = machine.slot[slot, S_AGENT]
    transaction = machine.transaction[x]
    transaction[T_PATTERN] = number
    transaction[T_BASE] = base
    transaction[T_OUTER] = 0
    transaction[T_INNER] = 0
    transaction[T_INNER_COUNT] = scaled(machine, slot, pattern[P_INNER], np.int64(1))
    transaction[T_OFFSET] = 0
    transaction[T_OPEN] = 1
    transaction[T_LATEST] = now
    transaction[T_TOKEN] = operation[OP_TOKEN]
    transaction[T_THREAD] = thread if operation[OP_TOKEN] < 0 else np.int64(-1)
    transaction[T_AMOUNT] = operation[OP_AMOUNT]
    transaction[T_SLOT] = slot
    transaction[T_PORT] = machine.agent[agent, A_FIRST_COMPONENT] + path if path >= 0 else -1 - path
    if operation[OP_TOKEN] >= 0:
        machine.slot[slot, S_LIVE] += 1  # the task outlives its last access
    if transaction[T_INNER_COUNT] <= 0:
        transaction[T_OUTER] = np.int64(1) << 60
    step(machine, x, now)


@inner
def release(machine: Machine, slot: Int, token: Int, amount: Int, now: Int) -> None:
    """Add to a token; wake the threads it now satisfies, in thread order."""
    machine.slot[slot, S_TOKEN + token] += amount
    for i in range(THREADS):
        thread = slot * THREADS + i
        if machine.thread[thread, X_WAIT] == token:
            need = machine.thread[thread, X_AMOUNT]
            if machine.slot[slot, S_TOKEN + token] >= need:
                machine.slot[slot, S_TOKEN + token] -= need
                machine.thread[thread, X_WAIT] = X_RUNNING
                push(machine.header, machine.heap, now, E_THREAD, thread)


@inner
def arrive(
    machine: Machine, kernel: Int, thread: Int, which: Int, participants: Int, now: Int
) -> bool:
    """Barrier over tasks of a kernel. Returns True if this thread opens it."""
    row = machine.kernel[kernel]
    row[J_TOKEN_0 + which] += 1
    if row[J_TOKEN_0 + which] % participants != 0:
        machine.thread[thread, X_WAIT] = TOKENS + which
        machine.thread[thread, X_NEXT] = row[J_WAIT_HEAD]
        row[J_WAIT_HEAD] = thread
        return False
    waiting = row[J_WAIT_HEAD]
    kept = np.int64(-1)
    while waiting >= 0:
        following = machine.thread[waiting, X_NEXT]
        if machine.thread[waiting, X_WAIT] == TOKENS + which:
            machine.thread[waiting, X_WAIT] = X_RUNNING
            push(machine.header, machine.heap, now, E_THREAD, waiting)
        else:
            machine.thread[waiting, X_NEXT] = kept
            kept = waiting
        waiting = following
    row[J_WAIT_HEAD] = kept
    return True


@merged
def counts_step(machine: Machine, k: Int) -> bool:
    """Count an iteration of a loop whose iterations are alike; whether somebody asked to look
    at the kernel now."""
    kernel = machine.kernel[k]
    if kernel[J_STEP_CHECK] == 0:
        return False
    kernel[J_STEPS] += 1
    if kernel[J_STEPS] % kernel[J_STEP_CHECK] != 0:
        return False
    machine.header[H_STOPPED_KERNEL] = k
    machine.header[H_STOPPED_BY] = STEPPED
    return True


@merged
def run_thread(machine: Machine, thread: Int, now: Int) -> bool:
    """Run a thread until it waits or ends. Returns True if its kernel must be looked at."""
    slot = thread // THREADS
    state = machine.thread[thread]
    while True:
        operation = machine.operation[state[X_PC]]
        kind = operation[OP_KIND]
        state[X_PC] += 1
        if kind == O_COMPUTE:
            agent = machine.slot[slot, S_AGENT]
            target = operation[OP_TARGET]
            if target >= 0:
                target += machine.agent[agent, A_FIRST_COMPONENT]
            else:
                target = -1 - target
            component = machine.component[target]
            units = scaled(machine, slot, operation[OP_AMOUNT], operation[OP_SCALE])
            start = book(component, now, units)
            end = start + (units * component[K_RATE] >> 10) + component[K_LATENCY]
            end += operation[OP_COUNT]
            if end > now:
                push(machine.header, machine.heap, end, E_THREAD, thread)
                return False
        elif kind == O_ACCESS:
            begin_access(machine, slot, thread, operation, now)
            if operation[OP_TOKEN] < 0:
                return False
        elif kind == O_RELEASE:
            release(machine, slot, operation[OP_TOKEN], operation[OP_AMOUNT], now)
        elif kind == O_LOOP:
            count = scaled(machine, slot, operation[OP_AMOUNT], operation[OP_SCALE])
            state[X_LOOP + operation[OP_COUNT]] = 0
            if count <= 0:
                state[X_PC] = operation[OP_TARGET]
        elif kind == O_REPEAT:
            level = X_LOOP + operation[OP_COUNT]
            count = scaled(machine, slot, operation[OP_AMOUNT], operation[OP_SCALE])
            state[level] += 1
            if state[level] < count:
                state[X_PC] = operation[OP_TARGET]
            if operation[OP_ALIKE] and counts_step(machine, machine.slot[slot, S_KERNEL]):
                push(machine.header, machine.heap, now, E_THREAD, thread)
                return True
        elif kind == O_DELAY:
            push(machine.header, machine.heap, now + operation[OP_AMOUNT], E_THREAD, thread)
            return False
        elif kind == O_ARRIVE:
            kernel = machine.slot[slot, S_KERNEL]
            participants = operation[OP_AMOUNT]
            if not arrive(machine, kernel, thread, operation[OP_TOKEN], participants, now):
                return False
        elif kind == O_END:
            machine.slot[slot, S_LIVE] -= 1
            if machine.slot[slot, S_LIVE] == 0:
                return retire(machine, slot, now)
            return False
        else:  # O_WAIT
            token = S_TOKEN + operation[OP_TOKEN]
            if machine.slot[slot, token] < operation[OP_AMOUNT]:
                state[X_WAIT] = operation[OP_TOKEN]
                state[X_AMOUNT] = operation[OP_AMOUNT]
                return False
            machine.slot[slot, token] -= operation[OP_AMOUNT]


@inner
def start_task(machine: Machine, k: Int, agent: Int, now: Int) -> None:
    """Give the next task of kernel ``k`` to an agent that has room for it."""
    header = machine.header
    kernel = machine.kernel[k]
    slot = header[H_FREE_SLOT]
    header[H_FREE_SLOT] = machine.slot[slot, S_NEXT]
    task = kernel[J_FIRST_TASK] + kernel[J_NEXT]
    kernel[J_NEXT] += 1
    if kernel[J_NEXT] == kernel[J_SKIP_FROM]:
        kernel[J_NEXT] = kernel[J_SKIP_TO]
    for r in range(RESOURCES):
        machine.agent[agent, A_LEFT_0 + r] -= kernel[J_NEED_0 + r]
    machine.agent[agent, A_RUNNING] += 1
    row = machine.slot[slot]
    row[S_AGENT] = agent
    row[S_TASK] = task
    row[S_KERNEL] = k
    for i in range(COORDINATES):
        row[S_COORDINATE + i] = machine.task[task, 1 + i]
    program = machine.program[machine.task[task, 0]]
    for i in range(TOKENS):
        row[S_TOKEN + i] = program[Q_TOKENS + i]
    # A device launches one task per interval.
    begin = max(now, kernel[J_LAST_START] + kernel[J_INTERVAL])
    kernel[J_LAST_START] = begin
    threads = program[Q_THREADS]
    row[S_LIVE] = threads
    for i in range(THREADS):
        thread = slot * THREADS + i
        machine.thread[thread, X_WAIT] = X_RUNNING
        if i < threads:
            machine.thread[thread, X_PC] = program[Q_ENTRY + i]
            for level in range(LOOPS):
                machine.thread[thread, X_LOOP + level] = 0
            push(header, machine.heap, begin, E_THREAD, thread)


@merged
def has_room(machine: Machine, k: Int, agent: Int) -> bool:
    kernel = machine.kernel[k]
    if machine.agent[agent, A_CLASS] != kernel[J_CLASS]:
        return False
    for r in range(RESOURCES):
        if machine.agent[agent, A_LEFT_0 + r] < kernel[J_NEED_0 + r]:
            return False
    return True


@inner
def dispatch(machine: Machine, k: Int, now: Int) -> None:
    """Fill the agents with a kernel's tasks, one each per round."""
    kernel = machine.kernel[k]
    agents = machine.agent.shape[0]
    while kernel[J_NEXT] < kernel[J_TASKS]:
        placed = False
        for i in range(agents):
            if kernel[J_NEXT] >= kernel[J_TASKS]:
                return
            agent = (kernel[J_ROUND_ROBIN] + i) % agents
            if machine.header[H_FREE_SLOT] >= 0 and has_room(machine, k, agent):
                start_task(machine, k, agent, now)
                placed = True
        if not placed:
            return


@inner
def retire(machine: Machine, slot: Int, now: Int) -> bool:
    """A task ended: free its resources, hand them on, count it."""
    header = machine.header
    k = machine.slot[slot, S_KERNEL]
    agent = machine.slot[slot, S_AGENT]
    kernel = machine.kernel[k]
    for r in range(RESOURCES):
        machine.agent[agent, A_LEFT_0 + r] += kernel[J_NEED_0 + r]
    machine.agent[agent, A_RUNNING] -= 1
    machine.slot[slot, S_NEXT] = header[H_FREE_SLOT]
    header[H_FREE_SLOT] = slot
    kernel[J_DONE] += 1
    # Leftover scheduling: earlier kernels first, later ones fill what is left.
    for other in range(machine.kernel.shape[0]):
        row = machine.kernel[other]
        if row[J_STATE] == J_ACTIVE:
            while (
                row[J_NEXT] < row[J_TASKS]
                and header[H_FREE_SLOT] >= 0
                and has_room(machine, other, agent)
            ):
                start_task(machine, other, agent, now)
    skipped = kernel[J_SKIP_TO] - kernel[J_SKIP_FROM]
    if kernel[J_DONE] + skipped == kernel[J_TASKS]:
        kernel[J_END] = now
        kernel[J_STATE] = J_FINISHED
        header[H_RUNNING] -= 1
        header[H_STOPPED_KERNEL] = k
        header[H_STOPPED_BY] = FINISHED
        return True
    if kernel[J_CHECK] > 0 and kernel[J_DONE] % kernel[J_CHECK] == 0:
        header[H_STOPPED_KERNEL] = k
        header[H_STOPPED_BY] = CHECKPOINT
        return True
    return False


@hot
def advance(machine: Machine, run: Any, until: Int) -> Int:
    """Play events up to and including time ``until``; ``run`` is the loop of the DRAM controller.

    Returns FINISHED, CHECKPOINT or STEPPED as soon as a kernel ends or reaches its check
    count of tasks or of steps (``H_STOPPED_KERNEL`` names it, ``H_NOW`` is the time), IDLE
    when no event is
    left, REACHED when the next event lies beyond ``until``, FAILED with ``H_ERROR`` set
    when a table is full.
    """
    header = machine.header
    heap = machine.heap
    while header[H_PENDING] > 0:
        now = heap[0, 0]
        if now > until:
            return REACHED
        word = heap[0, 1]
        drop_first(header, heap)
        header[H_NOW] = now
        header[H_EVENTS] += 1
        kind = (word >> KIND_SHIFT) & KIND_MASK
        index = word & INDEX_MASK
        stop, thread = False, np.int64(-1)
        if kind == E_THREAD:
            thread = index
        elif kind == E_STEP:
            step(machine, index, now)
        elif kind == E_DONE:
            transaction = machine.transaction[index]
            thread = transaction[T_THREAD]
            slot = transaction[T_SLOT]
            token = transaction[T_TOKEN]
            amount = transaction[T_AMOUNT]
            free_transaction(machine, index)
            if thread < 0:
                release(machine, slot, token, amount, now)
                machine.slot[slot, S_LIVE] -= 1
                if machine.slot[slot, S_LIVE] == 0:
                    stop = retire(machine, slot, now)
        elif kind == E_WAKE:
            wake_channel(machine, run, index, now)
        elif kind == E_CREDIT:
            return_credit(machine, index, now)
        elif kind == E_KERNEL:
            kernel = machine.kernel[index]
            kernel[J_STATE] = J_ACTIVE
            kernel[J_START] = now - kernel[J_RAMP]
            kernel[J_LAST_START] = now - kernel[J_INTERVAL]
            dispatch(machine, index, now)
        if thread >= 0:
            stop = run_thread(machine, thread, now)
        if header[H_ERROR] != NO_ERROR:
            return FAILED
        if stop:
            return header[H_STOPPED_BY]
    return IDLE
