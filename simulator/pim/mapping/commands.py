"""Command streams of a channel: fill the buffer, multiply rows, read results.

The vocabulary both products and attention are written in.  A stream is one thread that
issues commands in order and never more than the channel's queue holds (token ``room``);
results arrive at the controller as tokens.  A :class:`Sweep` is what one buffer fill is
good for: result sets, several to a row if they are short, each for several vectors
that share the open row.

Where transfers overlap columns (``buffer.overlap``) a thread of its own fills the buffer ahead, by
one fill at most, because there are two of each register.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.program import Access, Loop, Pattern, Release, Step, Wait
from simulator.pim.mapping.geometry import Geometry, ceil_div

Steps = tuple[Step, ...]
ROOM, FILLED, SPACE = "room", "filled", "space"
FILLS_AHEAD = 2
"""Fills that a buffer with two halves holds."""


def repeat(count: int, body: Steps) -> Steps:
    return (Loop(count, body),) if count > 0 else ()


def stream_tokens(geometry: Geometry) -> dict[str, int]:
    """The tokens of a stream and what they start with."""
    return {ROOM: geometry.queue, FILLED: 0, SPACE: FILLS_AHEAD}


def _fill(columns: int, room: str, done: str, geometry: Geometry) -> Steps:
    pattern = Pattern("buffer", "banks", chunk=columns * geometry.column_bytes)
    return (Wait(room), Access(pattern, done))


def broadcast(accesses: int, geometry: Geometry) -> Steps:
    """Writes that all units hear, outside their buffer."""
    return _fill(accesses, ROOM, ROOM, geometry) if accesses else ()


def filled(columns: int, steps: Steps, geometry: Geometry) -> Steps:
    """``steps`` on the next ``columns`` of activations in the channel's buffer."""
    if geometry.overlap:
        return (Wait(FILLED), *steps, Release(SPACE))
    return _fill(columns, ROOM, ROOM, geometry) + steps


def prefetch(columns: int, geometry: Geometry) -> Steps:
    """The fill that :func:`filled` expects, in a thread ahead of it."""
    return _fill(columns, SPACE, FILLED, geometry)


def multiply(
    row: int, loops: tuple[int, ...], columns: int, sets: int, geometry: Geometry
) -> Steps:
    """Multiply-accumulate ``columns`` of all banks' open row for each of ``sets`` accumulators,
    one column after the other.

    The row is ``row`` beyond the task's base (coordinate 0), plus ``loops`` strides.
    """
    return lockstep("macro", row, loops, columns * sets, geometry)


def lockstep(
    kind: str, row: int, loops: tuple[int, ...], columns: int, geometry: Geometry
) -> Steps:
    """Columns of one row as one command, or as many as fences cut them into."""
    full, rest = divmod(columns, geometry.fence_columns or columns)
    steps: Steps = ()
    for count, size in ((full, (columns - rest) // max(1, full)), (1, rest)):
        if count * size:
            pattern = Pattern(
                kind, "banks", chunk=size, base=row, coordinates=(1,), loops=loops, inner=count
            )
            steps += (Wait(ROOM), Access(pattern, ROOM))
    return steps


def initialize(sets: int, geometry: Geometry) -> Steps:
    """Write the accumulators' start values, where units do not clear them by themselves."""
    return broadcast(sets * geometry.result_bursts, geometry) if geometry.initializes else ()


def read_out(sets: int, token: str, geometry: Geometry) -> Steps:
    """Send result sets to the controller; ``token`` counts them as they arrive."""
    if geometry.results_in_banks:
        columns = ceil_div(sets * geometry.result_bytes, geometry.column_bytes)
        place = geometry.scratch_row * geometry.stripe_bytes
        size = sets * geometry.units * geometry.result_bytes
        kept = Access(Pattern("store", "banks", chunk=columns, base=geometry.scratch_row))
        fetched = Access(Pattern("read", "banks", chunk=size, base=place), token, sets)
        return (kept, fetched if geometry.collects else Release(token, sets))
    chunk = sets * geometry.result_bursts * geometry.column_bytes
    return (Access(Pattern("result", "banks", chunk=chunk), token, sets),)


def drain(geometry: Geometry) -> Steps:
    """Wait until every command of the stream is done."""
    return (Wait(ROOM, geometry.queue),)


def finished(geometry: Geometry) -> Steps:
    """Wait until every command of the stream is done, before more of them."""
    return (*drain(geometry), Release(ROOM, geometry.queue))


@dataclass(frozen=True, slots=True)
class Sweep:
    """All result sets that one fill of the buffer serves."""

    columns: int
    """Columns of one result set."""
    sets: int
    """Result sets of one vector."""
    per_row: int
    """Result sets that share a row."""
    vectors: int
    """Activation vectors in the buffer."""

    @property
    def rows(self) -> int:
        return ceil_div(self.sets, self.per_row)

    @property
    def results(self) -> int:
        """Result sets that are read out."""
        return self.sets * self.vectors

    def duration_fs(self, geometry: Geometry) -> int:
        """What the rows, columns and reads take, refresh aside."""
        columns = self.results * self.columns * geometry.column_fs
        reads = self.results * geometry.result_bursts * geometry.burst_fs
        return self.rows * geometry.row_open_fs + columns + reads

    def steps(self, row: int, loops: tuple[int, ...], token: str, geometry: Geometry) -> Steps:
        """The commands; rows follow each other from ``row``. ``loops`` are the row strides
        of the loops around."""
        full, rest = divmod(self.sets, self.per_row)
        together = geometry.accumulators // (self.per_row * self.vectors)
        # Transfers that hide behind columns leave row by row; others are worth collecting.
        if together > 1 and not geometry.overlap:
            groups, left = divmod(full, together)
            body = self._rows(row, (*loops, together), together, token, geometry)
            tail = self._rows(row + full - left, loops, left, token, geometry)
        else:
            groups, tail = full, ()
            body = self._row(row, (*loops, 1), self.per_row, token, geometry)
        return repeat(groups, body) + tail + self._row(row + full, loops, rest, token, geometry)

    def _rows(
        self, row: int, loops: tuple[int, ...], rows: int, token: str, geometry: Geometry
    ) -> Steps:
        """Full rows whose results the accumulators hold together."""
        if not rows:
            return ()
        results = self.per_row * self.vectors
        macros = multiply(row, (*loops, 1), self.columns, results, geometry)
        body = Loop(rows, macros)
        begin, end = initialize(rows * results, geometry), read_out(rows * results, token, geometry)
        return (*begin, body, *end)

    def _row(
        self, row: int, loops: tuple[int, ...], sets: int, token: str, geometry: Geometry
    ) -> Steps:
        """One open row: as many sets as there are accumulators between two reads."""

        def group(size: int) -> Steps:
            if not size:
                return ()
            macros = multiply(row, loops, self.columns, size, geometry)
            return initialize(size, geometry) + macros + read_out(size, token, geometry)

        full, rest = divmod(sets * self.vectors, geometry.accumulators)
        return repeat(full, group(geometry.accumulators)) + group(rest)
