"""Programs: the public vocabulary in which mappings describe kernels.

A kernel is a grid of tasks; each task runs a :class:`Program`: a few threads that
share tokens.  README.md lists the operations with an example.  Nothing here knows a
device: components are named, and the machine resolves the names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.engine import layout


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A count or an amount taken from a task's coordinate, times ``scale``."""

    number: int
    scale: int = 1


Amount = int | Coordinate


@dataclass(frozen=True, slots=True)
class Pattern:
    """Which bytes one access touches.

    address = base + coordinates . task + loops . indices + i * outer_stride + j * inner_stride
    for i < outer, j < inner; ``chunk`` contiguous bytes each, none at or beyond ``limit``.
    With ``index``, the sum (without base) is a position p in it and the address is
    base + index[p + j] * inner_stride.  A ``macro`` or ``store`` names a row instead of an
    address and ``chunk`` columns; a ``buffer`` or ``result`` transfer moves ``chunk`` bytes
    without a bank.
    Of a multicast that so many ``receivers`` load alike, a cache serves each one its share.
    """

    kind: str
    path: str
    chunk: int
    base: int = 0
    coordinates: tuple[int, ...] = ()
    loops: tuple[int, ...] = ()
    inner: Amount = 1
    inner_stride: int = 0
    outer: int = 1
    outer_stride: int = 0
    limit: int = 0
    index: np.ndarray | None = None
    receivers: int = 1


@dataclass(frozen=True, slots=True)
class Access:
    """Load, store, atomic, macro or buffer transfer. With a token the thread goes on at
    once and the token is released when the last byte is there; without, it waits."""

    pattern: Pattern
    token: str | None = None
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Compute:
    """Occupy a pipe for a number of its units, then wait out its latency and this one's."""

    pipe: str
    units: Amount
    latency: int = 0
    """Femtoseconds."""


@dataclass(frozen=True, slots=True)
class Wait:
    token: str
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Release:
    token: str
    amount: int = 1


@dataclass(frozen=True, slots=True)
class Delay:
    femtoseconds: int


@dataclass(frozen=True, slots=True)
class Arrive:
    """Barrier over ``participants`` threads of the kernel's tasks; two barriers per kernel."""

    participants: int
    barrier: int = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat the body; nested loops number their index 0 (outermost) to 3.

    ``alike`` says of an outermost loop that its iterations do equal work in any stretch, so
    that some of them can stand for the others.
    """

    count: Amount
    body: tuple[Step, ...]
    alike: bool = False


Step = Access | Compute | Wait | Release | Delay | Arrive | Loop


@dataclass(frozen=True, slots=True)
class Program:
    """Threads (sequences of steps) and the start values of their shared tokens."""

    threads: tuple[tuple[Step, ...], ...]
    tokens: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kernel:
    """What a device runs for one operator.

    ``tasks`` has one row per task in launch order: the number of its program, then up to
    six coordinates.  ``needs`` are the agent's resources one task occupies, ``interval`` the
    femtoseconds between two task starts, ``ramp`` those from the kernel's start to its first
    task: instruction and constant fetch, descriptors.  ``alike`` says that tasks do equal work
    in any stretch of the order that is whole ``period`` tasks long, so that some of them can stand
    for the others.
    """

    name: str
    agents: str
    programs: tuple[Program, ...]
    tasks: np.ndarray
    needs: Mapping[str, int] = field(default_factory=dict)
    interval: int = 0
    ramp: int = 0
    alike: bool = True
    period: int = 1

    @property
    def count(self) -> int:
        return int(self.tasks.shape[0])


def grid(*extents: int, program: int = 0) -> np.ndarray:
    """Task rows of a full grid, the first extent fastest. Shape (product, 1 + extents)."""
    axes = [np.arange(extent, dtype=np.int64) for extent in extents]
    mesh = np.meshgrid(*axes[::-1], indexing="ij")
    columns = [axis.ravel() for axis in mesh[::-1]]
    return np.column_stack([np.full(columns[0].shape, program, dtype=np.int64), *columns])


@dataclass(slots=True)
class Tables:
    """Assembled rows of one kernel, numbered from the given offsets."""

    program: np.ndarray
    operation: np.ndarray
    pattern: np.ndarray
    index: np.ndarray
    loop: np.ndarray
    """(program, thread, [first operation in it, last]): the loop whose iterations are alike;
    0 and -1 if there is none."""


_KINDS = {
    "read": layout.A_READ,
    "write": layout.A_WRITE,
    "atomic": layout.A_ATOMIC,
    "macro": layout.A_MACRO,
    "store": layout.A_STORE,
    "buffer": layout.A_BUFFER,
    "result": layout.A_RESULT,
}


def assemble(
    programs: Sequence[Program],
    local: Mapping[str, int],
    shared: Mapping[str, int],
    first_operation: int = 0,
    first_pattern: int = 0,
    first_index: int = 0,
) -> Tables:
    """Turn programs into table rows. ``local`` names the agent's components, ``shared`` the
    machine's. Raises KeyError for a name the machine does not have."""
    operations: list[list[int]] = []
    patterns: list[list[int]] = []
    program_rows: list[list[int]] = []
    arrays: list[np.ndarray] = []
    placed: dict[int, int] = {}
    known: dict[int, int] = {}
    index_length = first_index
    alike_loops: list[tuple[int, int]] = []
    loops = np.tile([0, -1], (len(programs), layout.THREADS, 1))

    def target(name: str) -> int:
        return local[name] if name in local else -1 - shared[name]

    def amount(value: Amount) -> tuple[int, int]:
        if isinstance(value, Coordinate):
            return -1 - value.number, value.scale
        return int(value), 1

    def pattern_row(pattern: Pattern) -> int:
        nonlocal index_length
        if id(pattern) in known:
            return known[id(pattern)]
        coordinates = list(pattern.coordinates) + [0] * layout.COORDINATES
        loops = list(pattern.loops) + [0] * layout.LOOPS
        if pattern.index is not None:
            if id(pattern.index) not in placed:
                placed[id(pattern.index)] = index_length
                arrays.append(np.ascontiguousarray(pattern.index, dtype=np.int64))
                index_length += arrays[-1].size
            # Positions count from the start of this array inside the shared one.
            outer_base = placed[id(pattern.index)]
        else:
            outer_base = 0
        inner = pattern.inner
        row = [
            _KINDS[pattern.kind],
            target(pattern.path),
            pattern.base,
            *coordinates[: layout.COORDINATES],
            *loops[: layout.LOOPS],
            pattern.outer,
            pattern.outer_stride,
            -1 - inner.number if isinstance(inner, Coordinate) else int(inner),
            pattern.inner_stride,
            pattern.chunk,
            pattern.limit,
            0 if pattern.index is None else 1 + outer_base,
            pattern.receivers,
        ]
        patterns.append(row)
        known[id(pattern)] = first_pattern + len(patterns) - 1
        return known[id(pattern)]

    def emit(kind: int, **fields: int) -> list[int]:
        row = [0] * layout.OPERATION_COLUMNS
        row[layout.OP_KIND] = kind
        row[layout.OP_TOKEN] = fields.get("token", -1)
        row[layout.OP_TARGET] = fields.get("target", 0)
        row[layout.OP_AMOUNT] = fields.get("amount", 0)
        row[layout.OP_COUNT] = fields.get("count", 0)
        row[layout.OP_SCALE] = fields.get("scale", 1)
        row[layout.OP_ALIKE] = fields.get("alike", 0)
        operations.append(row)
        return row

    def body(steps: Sequence[Step], tokens: Mapping[str, int], depth: int) -> None:
        for step in steps:
            match step:
                case Access(pattern, token, count):
                    number = -1 if token is None else tokens[token]
                    emit(layout.O_ACCESS, token=number, amount=count, count=pattern_row(pattern))
                case Compute(pipe, units, latency):
                    value, scale = amount(units)
                    emit(
                        layout.O_COMPUTE,
                        target=target(pipe),
                        amount=value,
                        scale=scale,
                        count=latency,
                    )
                case Wait(token, count):
                    emit(layout.O_WAIT, token=tokens[token], amount=count)
                case Release(token, count):
                    emit(layout.O_RELEASE, token=tokens[token], amount=count)
                case Delay(femtoseconds):
                    emit(layout.O_DELAY, amount=femtoseconds)
                case Arrive(participants, barrier):
                    emit(layout.O_ARRIVE, token=barrier, amount=participants)
                case Loop(count, inside, alike):
                    if depth >= layout.LOOPS:
                        raise ValueError(f"loops nest at most {layout.LOOPS} deep")
                    if alike and depth > 0:
                        raise ValueError("only an outermost loop can be alike")
                    value, scale = amount(count)
                    head = emit(layout.O_LOOP, amount=value, scale=scale, count=depth)
                    start = first_operation + len(operations)
                    body(inside, tokens, depth + 1)
                    if alike:
                        alike_loops.append((start, first_operation + len(operations)))
                    emit(
                        layout.O_REPEAT,
                        target=start,
                        amount=value,
                        scale=scale,
                        count=depth,
                        alike=int(alike),
                    )
                    head[layout.OP_TARGET] = first_operation + len(operations)

    for which, program in enumerate(programs):
        if len(program.threads) > layout.THREADS:
            raise ValueError(f"a program has at most {layout.THREADS} threads")
        if len(program.tokens) > layout.TOKENS:
            raise ValueError(f"a program has at most {layout.TOKENS} tokens")
        tokens = {name: number for number, name in enumerate(program.tokens)}
        row = [0] * layout.PROGRAM_COLUMNS
        row[layout.Q_THREADS] = len(program.threads)
        for number, value in enumerate(program.tokens.values()):
            row[layout.Q_TOKENS + number] = value
        for number, thread in enumerate(program.threads):
            row[layout.Q_ENTRY + number] = first_operation + len(operations)
            alike_loops.clear()
            body(thread, tokens, 0)
            emit(layout.O_END)
            if len(alike_loops) > 1:
                raise ValueError("a thread has at most one loop whose iterations are alike")
            if alike_loops:
                loops[which, number] = alike_loops[0]
        program_rows.append(row)

    return Tables(
        np.array(program_rows, dtype=np.int64),
        np.array(operations, dtype=np.int64),
        np.array(patterns, dtype=np.int64).reshape(-1, layout.PATTERN_COLUMNS),
        np.concatenate(arrays) if arrays else np.empty(0, dtype=np.int64),
        loops,
    )
