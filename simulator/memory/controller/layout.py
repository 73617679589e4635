"""State of a DRAM controller: plain integer arrays, for one or many channels.

Banks and groups are numbered through all channels; every channel's share is a
contiguous range, and every node of the hierarchy is one inside it.  Requests are kept
in arrays by sequence number, their place in the order of arrival; a queue is one doubly
linked list a bank and kind, oldest first, through those arrays.

All requests of a bank that need the same command become ready together, so only the
oldest of them can win: per bank and queue there is at most one *column*, one *activate*
and one *precharge* candidate, and a decision is a minimum over a few dense arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

wide = cast(Callable[[Any], int], np.int64)
"""In compiled code: to 64 bits, so that a variable keeps one type."""
unsigned = cast(Callable[[Any], int], np.uint64)
"""In compiled code: an index that needs no test for negative values."""

NONE = 1 << 61
"""A time that does not come; the sequence number of no request."""
CLOSED, RESERVED = -1, -2
"""Row of a bank that has none open; of one that takes no request just now, because ACT-2
is still to come or an urgent refresh is."""
LONG_AGO = -(1 << 40)

ACT, PRE, RD, WR, REFPB, PREAB, REFAB, ACT2, CAS = range(9)
"""Commands, numbered as in ``standards.COMMANDS``."""
FREQUENT = 5
"""Commands whose earliest time is kept up to date at each issue: the first five."""
COMMAND_KINDS = 9

COLUMN, ACTIVATE, PRECHARGE = range(3)
"""Classes of candidates."""

# How far a rule that is neither of one bank nor of one group reaches.
CHANNEL, SIBLING_GROUPS, NODE, SIBLING_NODES, GROUP_WINDOW = range(5)

# Schedulers, row policies, refresh modes.
FR_FCFS, ROW_HIT_FIRST, FCFS = range(3)
OPEN, CLOSE, TIMEOUT = range(3)
NO_REFRESH, ALL_BANK, PER_BANK_BLOCKING, PER_BANK = range(4)

# Rows of ``State.bank``; the first five are the earliest ticks of the frequent commands.
B_CANDIDATE = FREQUENT
"""(queue, class): sequence number or NONE; the read queue is 0, the write queue 1."""
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
    B_USED,
    B_REFRESHED,
    BANK_ROWS,
) = range(B_OTHER + 2, B_OTHER + 8)
"""ACTIVE: request that opened the row and waits for its access; USED: last access;
REFRESHED: in the present round of per-bank refreshes."""

# Columns of ``State.group``; the first five gate the frequent commands.
WINDOW, RINGS = 8, 2
"""Longest constraint window; commands that have one."""
G_LAST = FREQUENT
"""(command): tick of the last issue."""
G_CANDIDATES = G_LAST + COMMAND_KINDS
"""(queue, class): how many there are."""
G_SOON = G_CANDIDATES + 6
"""(class): scratch; no scanned candidate is ready before."""
G_HISTORY = G_SOON + 3
"""(ring, place): last issue ticks of windowed commands."""
G_HISTORY_AT = G_HISTORY + RINGS * WINDOW
G_OWED = G_HISTORY_AT + RINGS
"""Per-bank refreshes due."""
G_TARGET = G_OWED + 1
"""Bank reserved for an urgent refresh, or -1."""
GROUP_COLUMNS = G_TARGET + 1

# Columns of ``State.channel``.
(
    C_READS,
    C_WRITES,
    C_DRAINING,
    C_REFRESH_OWED,
    C_REFRESH_FRONT,
    C_NEXT_REFRESH,
    C_WAKE,
    C_ACTIVE,
    C_PROMOTIONS,
    C_OPENING,
    C_OPENING_DEADLINE,
    C_OPENING_SEQ,
    C_SYNCED_UNTIL,
    C_SYNC_SEQ,
    C_SYNC_KIND,
    C_SET_CURSOR,
    C_TO_QUEUE,
    N_HIT,
    N_MISS,
    N_CONFLICT,
    N_FORWARDED,
    N_COALESCED,
    N_VISITS,
    N_COMMAND,
) = range(24)
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

# Columns of ``State.run``: where a replay stands.
(
    R_NEXT,
    R_TICK,
    R_TRIES,
    R_BLOCKED,
    R_LAST_ACCEPT,
    R_LOGGED,
    R_FINISHED,
    R_COUNT,
    RUN_COLUMNS,
) = range(9)

LOG_COLUMNS = 4
"""tick, command, bank (through all channels; the first of a group for PREab), row."""

# Columns of ``Requests.entry``.
Q_BANK, Q_ROW, Q_WRITE, Q_TOUCHED, Q_FOLLOWING, Q_PRECEDING, ENTRY_COLUMNS = range(7)
"""TOUCHED: a command was issued for it; FOLLOWING, PRECEDING: its bank's list."""


class Sizes(NamedTuple):
    """What a kernel may be compiled for; plain whole numbers."""

    channels: int
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


class Settings(NamedTuple):
    """Numbers that never justify another compilation."""

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


class Tables(NamedTuple):
    """Constraints in ticks; 0 constrains nothing."""

    dense: np.ndarray
    """(command, frequent command of the same bank, then of the same group)."""
    first: np.ndarray
    """(command + 1): its rows in ``row``."""
    row: np.ndarray
    """(row, T_*)."""
    node: np.ndarray
    """(row, bank of a channel, [low, high, low of the parent, high of the parent])."""
    rare: np.ndarray
    """(PREab or REFab, [same group, same channel], command)."""


T_SCOPE, T_FOLLOWING, T_LATENCY, T_RING, T_WINDOW, T_RECORDS, TABLE_COLUMNS = range(7)
"""RING: which history a window row uses; RECORDS: whether it is the one that writes it."""


class State(NamedTuple):
    """What changes; one allocation serves all channels."""

    bank: np.ndarray
    """(B_*, bank)."""
    group: np.ndarray
    """(group, G_*)."""
    channel: np.ndarray
    """(channel, C_* and N_*)."""
    accepted: np.ndarray
    """The counters of ``channel`` when the last request was accepted."""
    run: np.ndarray
    log: np.ndarray


class Requests(NamedTuple):
    """One entry a request, in order; one more place is read behind the last."""

    entry: np.ndarray
    """(request, Q_*)."""
    line: np.ndarray
    """Address in units of one access."""
    arrive: np.ndarray
    depart: np.ndarray
    """Tick the data is complete (reads) or the command issued (writes); -1 before."""
    earliest: np.ndarray
    """Tick from which it may be offered; empty means at once."""


def make_state(
    sizes: Sizes, requests: int, first_refresh: int = NONE, log_entries: int = 0
) -> State:
    """All banks closed, nothing queued, tick 0."""
    channels, groups = sizes.channels, sizes.channels * sizes.groups
    per_channel = sizes.groups * sizes.group_banks
    bank = np.zeros((BANK_ROWS, channels * per_channel), np.int64)
    bank[B_CANDIDATE:B_HEAD] = NONE
    bank[B_HEAD:B_OTHER] = -1
    bank[B_OTHER:B_ROW] = NONE
    bank[B_ROW], bank[B_ACTIVE], bank[B_USED] = CLOSED, -1, LONG_AGO
    group = np.zeros((groups, GROUP_COLUMNS), np.int64)
    group[:, G_LAST:G_CANDIDATES] = LONG_AGO
    group[:, G_HISTORY:G_HISTORY_AT] = LONG_AGO
    group[:, G_TARGET] = -1
    channel = np.zeros((channels, C_ACTIVE_LIST + per_channel), np.int64)
    channel[:, C_NEXT_REFRESH] = first_refresh
    channel[:, [C_OPENING, C_SYNC_SEQ]] = -1
    channel[:, C_WAKE] = 1
    run = np.zeros(RUN_COLUMNS, np.int64)
    run[R_COUNT] = requests
    # Ramulator 2.1's front end is clocked once before the first memory cycle.
    run[R_TRIES] = 1
    run[R_LAST_ACCEPT] = -1
    return State(
        bank=bank,
        group=group,
        channel=channel,
        accepted=np.zeros((channels, COUNTER_COLUMNS), np.int64),
        run=run,
        log=np.zeros((log_entries, LOG_COLUMNS), np.int64),
    )


def make_requests(
    bank: np.ndarray,
    row: np.ndarray,
    line: np.ndarray,
    write: np.ndarray,
    earliest: np.ndarray | None = None,
) -> Requests:
    """Requests in order."""
    count = len(bank)
    entry = np.zeros((count + 1, ENTRY_COLUMNS), np.int32)
    entry[:count, Q_BANK], entry[:count, Q_ROW], entry[:count, Q_WRITE] = bank, row, write
    return Requests(
        entry=entry,
        line=np.append(line, 0),
        arrive=np.full(count + 1, -1, np.int64),
        depart=np.full(count + 1, -1, np.int64),
        earliest=np.zeros(0, np.int64) if earliest is None else np.append(earliest, 0),
    )
