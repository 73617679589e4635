"""Tables of the event core: one row per thing, one named column per property.

Everything the core knows is in :class:`Machine`, a NamedTuple of integer arrays, so
a machine is copied, hashed or saved by copying arrays.  Times are femtoseconds.
The operations a program can use are listed in README.md and built by
:mod:`simulator.engine.program`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.memory.cache import Cache
from simulator.memory.pool import Dram

COORDINATES = 6
LOOPS = 4
TOKENS = 16
THREADS = 8

# header
(
    H_NOW,
    H_SEQUENCE,
    H_PENDING,
    H_LOOKAHEAD,
    H_FREE_TRANSACTION,
    H_FREE_SLOT,
    H_FREE_WAITER,
    H_WAITERS,  # free ones
    H_EVENTS,
    H_ERROR,
    H_STOPPED_KERNEL,
    H_STOPPED_BY,
    H_RUNNING,
    HEADER_COLUMNS,
) = range(14)

# errors
NO_ERROR, HEAP_FULL, TRANSACTIONS_FULL, WAITERS_FULL, REQUESTS_FULL = range(5)

# reasons to return from advance
REACHED, FINISHED, CHECKPOINT, STEPPED, IDLE, FAILED = range(6)

# events
E_THREAD, E_STEP, E_DONE, E_WAKE, E_KERNEL, E_CREDIT = range(6)
INDEX_BITS = 28
KIND_BITS = 3

# components
PIPE, PORT, CACHE, MEMORY = range(4)
(
    K_KIND,
    K_RATE,  # femtoseconds per 1024 units
    K_LATENCY,
    K_FREE,
    K_BUSY,
    K_UNITS,
    K_NEXT,
    K_CAP,  # bytes in flight; 0 is no limit
    K_USED,
    K_WAIT_HEAD,
    K_WAIT_TAIL,
    K_INTERLEAVE,
    K_FIRST_LINE,
    K_SETS,
    K_WAYS,
    K_LINE,
    K_SECTOR,
    K_FIRST_SLICE,
    K_SLICES,
    K_HITS,  # sectors
    K_MISSES,  # sectors
    K_MISS_LATENCY,
    K_ATOMIC,  # femtoseconds a slice is held per atomic sector
    K_FIRST_CHANNEL,
    K_CHANNELS,
    K_HASHED,
    K_BANKS,  # of a pseudo-channel
    K_BANK_BYTES,  # consecutive ones in one bank
    K_ROW_BLOCKS,  # such blocks in a row
    K_ACCESS,  # bytes of one DRAM access
    K_TURNS,  # sets of banks that macros name in turn
    K_HOLDER,  # slot of the task a port served last
    K_NEAR,  # lines of a set, by last use, that are near every reader
    K_FAR_LATENCY,  # beyond the latency of a hit, for the others
    K_WRITE_EXTRA,  # slice time of a written byte beyond a read one's, in 1024ths of that
    COMPONENT_COLUMNS,
) = range(36)

# agents
RESOURCES = 4
A_FIRST_COMPONENT, A_CLASS, A_LEFT_0 = range(3)
A_RUNNING = A_LEFT_0 + RESOURCES
AGENT_COLUMNS = A_RUNNING + 1

# kernels
(
    J_CLASS,
    J_FIRST_TASK,
    J_TASKS,
    J_NEXT,
    J_DONE,
    J_START,
    J_RAMP,
    J_END,
    J_STATE,
    J_NEED_0,
    J_NEED_1,
    J_NEED_2,
    J_NEED_3,
    J_INTERVAL,
    J_LAST_START,
    J_CHECK,
    J_SKIP_FROM,
    J_SKIP_TO,
    J_DRAM_READ,
    J_DRAM_WRITE,
    J_HITS,
    J_MISSES,
    J_TOKEN_0,
    J_TOKEN_1,
    J_WAIT_HEAD,
    J_ROUND_ROBIN,
    J_STEPS,  # iterations of loops that are alike, while somebody asks
    J_STEP_CHECK,
    KERNEL_COLUMNS,
) = range(29)
J_EMPTY, J_WAITING, J_ACTIVE, J_FINISHED = range(4)

# tasks: program, then coordinates
TASK_COLUMNS = 1 + COORDINATES

# programs: thread count, first operation of each thread, start value of each token
Q_THREADS = 0
Q_ENTRY = 1
Q_TOKENS = Q_ENTRY + THREADS
PROGRAM_COLUMNS = Q_TOKENS + TOKENS

# slots (resident tasks)
S_AGENT, S_TASK, S_KERNEL, S_LIVE, S_NEXT, S_COORDINATE = range(6)
S_TOKEN = S_COORDINATE + COORDINATES
SLOT_COLUMNS = S_TOKEN + TOKENS

# threads: slot * THREADS + number
X_PC, X_WAIT, X_AMOUNT, X_NEXT, X_LOOP = range(5)
THREAD_COLUMNS = X_LOOP + LOOPS
X_RUNNING = -1  # X_WAIT of a thread that waits for no token

# operations
(
    O_END,
    O_ACCESS,
    O_COMPUTE,
    O_WAIT,
    O_RELEASE,
    O_LOOP,
    O_REPEAT,
    O_DELAY,
    O_ARRIVE,
) = range(9)
OP_KIND, OP_TARGET, OP_AMOUNT, OP_TOKEN, OP_COUNT, OP_SCALE, OP_ALIKE, OPERATION_COLUMNS = range(8)

# patterns
A_READ, A_WRITE, A_ATOMIC, A_MACRO, A_STORE, A_BUFFER, A_RESULT = range(7)
(
    P_KIND,
    P_PATH,
    P_BASE,
    P_COORDINATE,
) = range(4)
P_LOOP = P_COORDINATE + COORDINATES
P_OUTER = P_LOOP + LOOPS
P_OUTER_STRIDE = P_OUTER + 1
P_INNER = P_OUTER + 2
P_INNER_STRIDE = P_OUTER + 3
P_CHUNK = P_OUTER + 4
P_LIMIT = P_OUTER + 5
P_INDEXED = P_OUTER + 6
P_RECEIVERS = P_OUTER + 7
PATTERN_COLUMNS = P_OUTER + 8

# transactions
(
    T_PATTERN,
    T_BASE,
    T_OUTER,
    T_INNER,
    T_OFFSET,
    T_OPEN,  # fills on their way, plus one while the cursor runs
    T_LATEST,
    T_THREAD,  # thread to resume, or -1
    T_TOKEN,  # token to release, or -1
    T_AMOUNT,
    T_SLOT,
    T_PORT,
    T_NEXT,
    T_INNER_COUNT,
    TRANSACTION_COLUMNS,
) = range(15)


class Machine(NamedTuple):
    """State and programs of one device."""

    header: np.ndarray
    heap: np.ndarray  # (events, 2): time, sequence | kind | index
    component: np.ndarray
    agent: np.ndarray
    kernel: np.ndarray
    task: np.ndarray
    program: np.ndarray
    operation: np.ndarray
    pattern: np.ndarray
    index: np.ndarray  # type: ignore[assignment]  # recorded indices; hides tuple.index
    slot: np.ndarray
    thread: np.ndarray
    transaction: np.ndarray
    waiter: np.ndarray  # (pool, 2): transaction, next
    cache: Cache
    dram: Dram
