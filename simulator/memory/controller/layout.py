"""State of a DRAM controller: plain integer arrays, for one or many channels.

Banks and groups are numbered through all channels; every channel's share is a
contiguous range, and every node of the hierarchy is one inside it.  The earliest tick of a
command to a bank is the latest that the bank, the *nodes* above it (bank group, stack id)
and its group say; a group's part is called its *gate*.  A queued request is
an *entry*: a run of accesses in one row of one bank.  It is known by a *key*, its place in
the channel's order of arrival and, in the low bits, the slot where it is kept, so that
comparing keys compares ages.  A queue is one doubly linked list a bank and kind, oldest
first.

All requests of a bank that need the same command become ready together, so only the
oldest of them can win: per bank and queue there is at most one *column*, one *activate*
and one *precharge* candidate.  Every group lists the banks with one by age, so that a
decision is the first ready bank of a list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from simulator.compiled import merged
from simulator.errors import HardwareError

wide = cast(Callable[[Any], int], np.int64)
"""In compiled code: to 64 bits, so that a variable keeps one type."""

NONE = 1 << 61
"""A time that does not come; the key of no request."""
SLOT_BITS = 24
SLOT_MASK = (1 << SLOT_BITS) - 1
CLOSED, RESERVED = -1, -2
"""Row of a bank that has none open; of one that takes no request just now, because ACT-2
is still to come or an urgent refresh is."""
LONG_AGO = -(1 << 40)
ENDING = -2

(
    ACT,
    PRE,
    RD,
    WR,
    REFPB,
    PREAB,
    REFAB,
    ACT2,
    CAS,
    ACTBG,
    ACTAB,
    MACAB,
    BUF,
    PREST,
    WRAB,
    COMMAND_KINDS,
) = range(16)
"""Commands, numbered as in ``standards.COMMANDS``."""
FREQUENT = 5
"""Commands whose earliest time is kept up to date at each issue: the first five. That of
all others is looked up from the last issues."""
READY = 8
"""Places for these times: a multiple of what a processor compares at once."""

COLUMN, ACTIVATE, PRECHARGE = range(3)
"""Classes of candidates."""

# How far a rule reaches.
BANK, NODE, SIBLING_NODES, GROUP, CHANNEL, SIBLING_GROUPS, GROUP_WINDOW = range(7)

# Schedulers, row policies, refresh modes.
FR_FCFS, ROW_HIT_FIRST, FCFS = range(3)
OPEN, CLOSE, TIMEOUT = range(3)
NO_REFRESH, ALL_BANK, PER_BANK_BLOCKING, PER_BANK = range(4)

# Kinds of request.
READ, WRITE, MACRO, STORE, BUFFER, RESULT = range(6)
"""MACRO, STORE: lockstep columns of one row in all banks of a set, read or written; BUFFER, RESULT:
accesses on the data bus without a bank, into the buffer, or out of the units that worked for the
macros before."""

# Columns of ``State.bank``; the first are the earliest ticks of the frequent commands.
B_CANDIDATE = READY
"""(queue, class): key or NONE; the read queue is 0, the write queue 1."""
B_HEAD = B_CANDIDATE + 6
"""(queue): oldest request, or -1."""
B_TAIL = B_HEAD + 2
B_OTHER = B_TAIL + 2
"""(queue): oldest request of another row than the open one, also while that row waits for
its own access and must not close."""
(
    B_ROW,
    B_ACTIVE,
    B_ACTIVE_KEY,
    B_ACTIVE_COMMAND,
    B_USED,
    B_REFRESHED,
    B_GROUP,
    B_NODE,
    B_NODE_HIGH,
    N_BANK_ACTIVATES,
    N_BANK_READS,
    N_BANK_WRITES,
    N_BANK_CONFLICTS,
    B_LOCKSTEP,
) = range(B_OTHER + 2, B_OTHER + 16)
BANK_COLUMNS = B_LOCKSTEP + 4
"""ACTIVE: request that opened the row and waits for its access, RD or WR; USED: last access;
REFRESHED: in the present round of per-bank refreshes; GROUP, NODE, NODE_HIGH: where it belongs;
LOCKSTEP: last issues of ACTab, MACab, PREst and WRab of the set whose first bank this is."""

# Columns of ``State.group``; the first gate the frequent commands.
WINDOW, RINGS = 8, 2
"""Longest constraint window; commands that have one."""
G_LAST = READY
"""(command): tick of the last issue."""
G_CANDIDATES = G_LAST + COMMAND_KINDS
"""(queue, class): how many there are."""
G_HISTORY = G_CANDIDATES + 6
"""(ring, place): last issue ticks of windowed commands."""
G_HISTORY_AT = G_HISTORY + RINGS * WINDOW
G_OWED = G_HISTORY_AT + RINGS
"""Per-bank refreshes due."""
G_PICK = G_OWED + 1
"""Bank without requests to refresh next, or -1."""
G_TARGET = G_PICK + 1
"""Bank reserved for an urgent refresh, or -1."""
G_OPEN = G_TARGET + 1
"""Banks with an open row."""
G_OPEN_SINCE = G_OPEN + 1
N_GROUP_OPEN = G_OPEN_SINCE + 1
"""Ticks with at least one open row, up to G_OPEN_SINCE while one is open."""
G_MACRO = N_GROUP_OPEN + 1
"""Key of the lockstep request at work, -1, or ENDING while the last one's columns go on."""
G_MACRO_END = G_MACRO + 1
"""Tick of its last column."""
LISTED = 128
"""Most banks a group may have."""
G_TRANSFER = G_MACRO_END + 1
"""Key of the buffer transfer that goes on beside macros, -1, or ENDING."""
G_TRANSFER_FROM = G_TRANSFER + 1
"""Tick from which it may start: the results it fetches are there."""
G_TRANSFER_END = G_TRANSFER_FROM + 1
G_SPENT = G_TRANSFER_END + 1
"""Until when the power budget is spent, in 1/POWER ticks."""
G_FENCE = G_SPENT + 1
"""Tick before which no lockstep request starts its columns or accesses."""
G_KIND = G_FENCE + 1
"""What the last lockstep request was: columns (0), fill (1) or result (2)."""
G_FROM = G_KIND + 1
"""Tick from which the one at work may issue commands."""
G_FIFO_HEAD = G_FROM + 1
"""Lockstep requests that wait, in order of arrival."""
G_FIFO_TAIL = G_FIFO_HEAD + 1
G_LIST = G_FIFO_TAIL + 1
"""(queue, class, place): banks with a candidate, the oldest first; as many as G_CANDIDATES
says."""
GROUP_COLUMNS = G_LIST + 6 * LISTED

# Columns of ``State.channel``.
(
    C_READS,
    C_WRITES,
    C_DRAINING,
    C_REFRESH_OWED,
    C_REFRESH_FRONT,
    C_NEXT_REFRESH,
    C_WAKE,
    C_WAKE_COLUMN,
    C_WAKE_ACTIVATE,
    C_WAKE_PRECHARGE,
    C_WAKE_ACTIVE,
    C_ACTIVE,
    C_PROMOTIONS,
    C_OPENING,
    C_OPENING_DEADLINE,
    C_OPENING_KEY,
    C_SYNCED_UNTIL,
    C_SYNC_KEY,
    C_SYNC_KIND,
    C_SET_CURSOR,
    C_TO_QUEUE,
    C_TICK,
    C_SEQUENCE,
    C_FREE,
    C_MACROS,
    C_LISTED,
    C_FIFO_HEAD,
    C_FIFO_HEAD_WRITE,
    C_FIFO_TAIL,
    C_FIFO_TAIL_WRITE,
    N_HIT,
    N_MISS,
    N_CONFLICT,
    N_FORWARDED,
    N_COALESCED,
    N_VISITS,
    N_OPENED,
    N_MACROS,
    N_COMMAND,
) = range(39)
"""WAKE_COLUMN: no column command can issue before; WAKE_ACTIVATE, WAKE_PRECHARGE: none of a
queued request; WAKE_ACTIVE: no column command of a request that opened its row, which
WAKE_COLUMN considers; WAKE: nothing else can.
READS, WRITES: accesses queued; FREE: first free slot; MACROS: lockstep requests at work;
LISTED: those that wait; N_OPENED: rows opened, one a bank."""
COUNTERS = N_HIT
COUNTER_COLUMNS = N_COMMAND + COMMAND_KINDS
REFRESH_QUEUE = 256
"""Places of the ring of banks to refresh; a power of two."""
FILTER = 1024
"""Counters of buffered write addresses; a power of two."""
ROUNDS = 64
"""Sets of banks, over all groups, that blocking per-bank refresh keeps apart."""
C_QUEUE = COUNTER_COLUMNS
C_ROUND_FREE = C_QUEUE + REFRESH_QUEUE
"""(set): tick from which it may start its next round."""
C_FILTER = C_ROUND_FREE + ROUNDS
C_ACTIVE_LIST = C_FILTER + FILTER
"""(place): banks with an active request; as many as there are banks."""

# Columns of ``State.entry``.
(
    E_KEY,
    E_BANK,
    E_GROUP,
    E_ROW,
    E_QUEUE,
    E_LEFT,
    E_TOUCHED,
    E_FOLLOWING,
    E_PRECEDING,
    E_OWNER,
    E_ARRIVE,
    E_LINE,
    E_STARTED,
    ENTRY_COLUMNS,
) = range(14)
"""LEFT: accesses still to issue; TOUCHED: a command was issued for it; FOLLOWING,
PRECEDING: keys in its bank's list, or -1; OWNER: its number in ``Requests``; STARTED: a lockstep
request has issued its first column or access."""

# Columns of ``State.run``: where a replay of an ordered trace stands.
(
    R_NEXT,
    R_TRIES,
    R_BLOCKED,
    R_LAST_ACCEPT,
    R_LOGGED,
    R_DONE,
    R_FINISHED,
    RUN_COLUMNS,
) = range(8)

LOG_COLUMNS = 4
"""tick, command, bank (through all channels; the first of the banks meant), row."""


class Sizes(NamedTuple):
    """What a kernel may be compiled for; plain whole numbers."""

    groups: int
    """Per channel."""
    group_banks: int
    read_queue: int
    write_queue: int
    dual_bus: int
    half_clock: int
    """Columns, activates and refreshes on odd ticks only."""
    split_activate: int
    scheduler: int
    row_policy: int
    refresh: int
    ordered: int
    """One ordered trace feeds all channels, a full queue blocks it; otherwise every channel
    has its own lists of requests in order of arrival."""


POWER = 1024
"""Parts of a tick in which the power budget counts."""


class Settings(NamedTuple):
    """Numbers that never justify another compilation."""

    tries: int
    """Requests offered to a channel in a tick."""
    drain_above: int
    """Writes in the queue above which draining starts."""
    drain_below: int
    """Writes below which it stops."""
    refresh_interval: int
    refresh_bank_interval: int
    refresh_bank_time: int
    refresh_sets: int
    """Stack ids, whose banks blocking per-bank refresh covers in turn."""
    refresh_slack: int
    """Per-bank refreshes of a group that may be owed before they become urgent."""
    idle_close: int
    """Ticks without access after which a row is closed."""
    read_latency: int
    write_latency: int
    burst: int
    activate_split: int
    data_clock_postamble: int
    macro_interval: int
    """Ticks between lockstep columns."""
    macro_span: int
    """Banks that one activate of a lockstep row opens: 1, a bank group's, or all."""
    buffer_interval: int
    sets: int
    """Sets of banks that take turns; bank b of a group is in set b mod sets."""
    switch: int
    """Ticks from a request of one kind to the first command of another's."""
    fence: int
    """Ticks between the columns or accesses of two requests beyond what rules ask for."""
    overlap: int
    """Buffer transfers go on beside the columns of other macros."""
    activate_cost: int
    """What one bank's activate takes of the power budget, in 1/POWER ticks."""
    column_cost: int
    """What a lockstep column takes of it."""
    power_window: int
    """By how much a group may run ahead of its budget."""


class Tables(NamedTuple):
    """Constraints in ticks; LONG_AGO constrains nothing."""

    first: np.ndarray
    """(command + 1): where its rows in ``row`` begin."""
    row: np.ndarray
    """(row, T_*)."""
    latency: np.ndarray
    """(row, frequent command)."""
    sibling: np.ndarray
    """(row, bank of a channel): which of the siblings below one parent its node is."""
    node: np.ndarray
    """(bank of a channel, level): number of its node in the channel; the last is one that no
    rule reaches."""
    rare: np.ndarray
    """(command that is not frequent, [same group, same channel, same set], command); 0 constrains
    nothing."""


T_SCOPE, T_LEVEL, T_SIBLINGS, T_RING, T_WINDOW, T_RECORDS, TABLE_COLUMNS = range(7)
"""LEVEL: 0 or 1, nodes of which level; SIBLINGS: how many of them a parent has; RING: which
history a window row uses; RECORDS: whether it is the one that writes it."""
LEVELS = 2
"""Levels between a group and a bank, at most."""


class State(NamedTuple):
    """What changes; one allocation serves all channels."""

    bank: np.ndarray
    """(bank, B_*)."""
    node: np.ndarray
    """(node, frequent command): earliest ticks."""
    group: np.ndarray
    """(group, G_*)."""
    channel: np.ndarray
    """(channel, C_* and N_*)."""
    accepted: np.ndarray
    """The counters of ``channel`` when the last request of an ordered trace was accepted."""
    entry: np.ndarray
    """(slot, E_*)."""
    run: np.ndarray
    log: np.ndarray
    done: np.ndarray
    """Requests decided in this call, in order; empty if nobody asks."""


class Requests(NamedTuple):
    """Requests by number: an ordered trace, or a pool whose members are in lists."""

    bank: np.ndarray
    """Through all channels; of a lockstep request, any bank of its group."""
    row: np.ndarray
    kind: np.ndarray
    accesses: np.ndarray
    line: np.ndarray
    """Address in units of one access; empty where nothing is forwarded."""
    earliest: np.ndarray
    """Tick from which it may be accepted."""
    arrive: np.ndarray
    """Tick it was accepted; empty if nobody asks."""
    depart: np.ndarray
    """Tick the last data is complete (reads) or the command issued (writes); -1 before."""
    following: np.ndarray
    preceding: np.ndarray


@merged
def slot_of(key: int) -> int:
    """Where the entry of a key is kept."""
    return key & SLOT_MASK


def slots_of(sizes: Sizes) -> int:
    """Entries a channel can hold: both queues, one request a bank that waits for its row,
    and lockstep requests."""
    banks = sizes.groups * sizes.group_banks
    return sizes.read_queue + sizes.write_queue + banks + 2 * sizes.groups + 1


def make_state(
    sizes: Sizes,
    node: np.ndarray,
    channels: int,
    first_refresh: int = NONE,
    log_entries: int = 0,
    done_entries: int = 0,
) -> State:
    """All banks closed, nothing queued, tick 0. ``node`` is that of the tables."""
    if sizes.group_banks > LISTED:
        raise HardwareError(
            f"{sizes.group_banks} banks that refresh together",
            where="organization",
            remedy=f"choose ranks, bank_groups and banks_per_group for {LISTED} at most",
        )
    per_channel = sizes.groups * sizes.group_banks
    bank = np.zeros((channels * per_channel, BANK_COLUMNS), np.int64)
    bank[:, B_CANDIDATE:B_HEAD] = NONE
    bank[:, B_HEAD:B_OTHER] = -1
    bank[:, B_OTHER:B_ROW] = NONE
    bank[:, B_ROW], bank[:, B_ACTIVE], bank[:, B_USED] = CLOSED, -1, LONG_AGO
    bank[:, B_LOCKSTEP:] = LONG_AGO
    bank[:, B_GROUP] = np.arange(channels * per_channel) // sizes.group_banks
    nodes = int(node.max()) + 1
    first = np.arange(channels)[:, None, None] * nodes
    bank[:, B_NODE : B_NODE + LEVELS] = (first + node).reshape(-1, LEVELS)
    group = np.zeros((channels * sizes.groups, GROUP_COLUMNS), np.int64)
    group[:, G_LAST:G_CANDIDATES] = LONG_AGO
    group[:, G_HISTORY:G_HISTORY_AT] = LONG_AGO
    group[:, [G_PICK, G_TARGET, G_MACRO, G_TRANSFER, G_FIFO_HEAD, G_FIFO_TAIL]] = -1
    channel = np.zeros((channels, C_ACTIVE_LIST + per_channel), np.int64)
    channel[:, C_NEXT_REFRESH] = first_refresh
    channel[:, [C_OPENING, C_SYNC_KEY]] = -1
    channel[:, C_FIFO_HEAD : C_FIFO_TAIL_WRITE + 1] = -1
    channel[:, C_WAKE] = 1
    channel[:, C_WAKE_COLUMN : C_WAKE_PRECHARGE + 1] = NONE
    slots = slots_of(sizes)
    if channels * slots > SLOT_MASK:
        raise HardwareError(
            f"{channels} channels of {slots} queued requests are more than can be numbered",
            where="channels",
            remedy="choose fewer channels or shorter queues",
        )
    entry = np.zeros((channels * slots, ENTRY_COLUMNS), np.int64)
    entry[:, E_FOLLOWING] = np.arange(1, len(entry) + 1)
    entry[slots - 1 :: slots, E_FOLLOWING] = -1
    channel[:, C_FREE] = np.arange(channels) * slots
    run = np.zeros(RUN_COLUMNS, np.int64)
    # Ramulator 2.1's front end is clocked once before the first memory cycle.
    run[R_TRIES] = 1
    run[R_LAST_ACCEPT] = -1
    return State(
        bank=bank,
        node=np.zeros((channels * nodes, READY), np.int64),
        group=group,
        channel=channel,
        accepted=np.zeros((channels, COUNTER_COLUMNS), np.int64),
        entry=entry,
        run=run,
        log=np.zeros((log_entries, LOG_COLUMNS), np.int64),
        done=np.zeros(done_entries, np.int64),
    )


def make_requests(
    bank: np.ndarray,
    row: np.ndarray,
    line: np.ndarray,
    write: np.ndarray,
    earliest: np.ndarray | None = None,
) -> Requests:
    """Requests in order, one access each."""
    count = len(bank)
    return Requests(
        bank=np.append(bank, 0).astype(np.int32),
        row=np.append(row, 0).astype(np.int32),
        kind=np.append(write, 0).astype(np.uint8),
        accesses=np.ones(0, np.int32),
        line=np.append(line, 0),
        earliest=np.zeros(0, np.int64) if earliest is None else np.append(earliest, 0),
        arrive=np.full(count + 1, -1, np.int64),
        depart=np.full(count + 1, -1, np.int64),
        following=np.zeros(0, np.int32),
        preceding=np.zeros(0, np.int32),
    )
