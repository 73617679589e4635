"""Where keys and values lie in the banks, and the sweeps that attend to them.

Keys lie token-major: a token's key fills a few columns of one bank, as many tokens as
banks are scored at once, and with packing a row holds as many tokens as fit.  Values lie
head-dimension-major, so that the context is a multiply-accumulate along tokens; with
packing a row holds every dimension of its bank for a tile of tokens, otherwise one
dimension.  A *unit* is one key-value head of one sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.engine.program import Access, Loop, Pattern, Wait
from simulator.pim.mapping.commands import ROOM, Steps, Sweep, filled, finished, prefetch, repeat
from simulator.pim.mapping.geometry import Geometry, ceil_div

Parts = tuple[tuple[int, Sweep], ...]
"""(buffer fills, sweep of each), in the order of their rows."""


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """One unit's keys and values in a channel that holds some of its tokens."""

    geometry: Geometry
    head_dim: int
    value_dim: int
    pack: bool

    @property
    def _longest(self) -> int:
        """Columns one macro can take: a row, and what the buffer holds for it."""
        return min(self.geometry.row_columns, self.geometry.buffer_columns)

    @property
    def key_columns(self) -> int:
        return min(self.geometry.columns(self.head_dim), self._longest)

    @property
    def dims(self) -> int:
        """Value dimensions of one multiplier."""
        return ceil_div(self.value_dim, self.geometry.units)

    @property
    def dims_per_row(self) -> int:
        return min(self.dims, self.geometry.row_columns) if self.pack else 1

    @property
    def tile_columns(self) -> int:
        """Columns of one dimension in a value row."""
        return min(self.geometry.row_columns // self.dims_per_row, self._longest)

    @property
    def tile_tokens(self) -> int:
        return self.tile_columns * self.geometry.lanes

    @property
    def vectors(self) -> int:
        """Queries that share an open row: their vectors fit the buffer together."""
        return self.geometry.buffer_columns // max(self.key_columns, self.tile_columns)

    @property
    def heads_per_row(self) -> int:
        """Heads of a token that fit a row, and whose queries fit the buffer together."""
        return max(1, self._longest // self.geometry.columns(self.head_dim))

    def scores(self, tokens: int, queries: int, heads: int = 1) -> Parts:
        """Queries against keys; a head longer than a row or the buffer takes several fills."""
        full, rest = divmod(self.geometry.columns(self.head_dim), self.key_columns)
        sets = ceil_div(tokens, self.geometry.units) * heads
        return tuple(
            (count, Sweep(columns, sets, max(heads, self._keys_per_row(columns)), queries))
            for count, columns in ((full, self.key_columns), (1, rest))
            if count * columns * sets
        )

    def _keys_per_row(self, columns: int) -> int:
        return max(1, self.geometry.row_columns // columns) if self.pack and columns else 1

    def contexts(self, tokens: int, queries: int) -> Parts:
        """Probabilities against values: fills of whole tiles, the tiles left, the tail."""
        tiles, tail = divmod(tokens, self.tile_tokens)
        most = max(1, self.geometry.buffer_columns // (queries * self.tile_columns))
        fills, left = divmod(tiles, most)
        parts = (
            (fills, self.tile_columns, most),
            (1, self.tile_columns, left),
            (1, self.geometry.columns(tail), 1),
        )
        return tuple(
            (count, Sweep(columns, size * self.dims, self.dims_per_row, queries))
            for count, columns, size in parts
            if count * columns * size
        )

    def duration_fs(self, tokens: int, queries: int, keys: bool = True, values: bool = True) -> int:
        """What one unit takes in the banks, fills and refresh aside."""
        parts: Parts = self.scores(tokens, queries) if keys else ()
        parts += self.contexts(tokens, queries) if values else ()
        return sum(count * sweep.duration_fs(self.geometry) for count, sweep in parts)

    def score_fill(self, sweep: Sweep) -> int:
        return sweep.columns * sweep.vectors

    def context_fill(self, sweep: Sweep) -> int:
        """Each tile of the sweep needs its own probabilities, for each query."""
        return sweep.sets // self.dims * sweep.columns * sweep.vectors

    def store_keys(self, tokens: int, units: int) -> Steps:
        """Ordinary writes of new keys, as they lie."""
        size = self.geometry.columns(self.head_dim) * self.geometry.column_bytes
        stripe = self.geometry.stripe_bytes
        pattern = Pattern(
            "write", self.geometry.rows, chunk=tokens * size * units, coordinates=(stripe,)
        )
        return self._writes(repeat(1, (Wait(ROOM), Access(pattern, ROOM))))

    def scatter_values(self, tokens: int, units: int, first_row: int, pitch: int) -> Steps:
        """Single-bank writes of new values: each dimension has its own place in its bank.

        Units lie ``pitch`` rows apart. A few tokens touch one column for each dimension.
        """
        geometry = self.geometry
        block = geometry.block_columns * geometry.column_bytes
        blocks = max(1, geometry.row_columns // geometry.block_columns)
        columns = geometry.columns(min(tokens, self.tile_tokens))
        runs = ceil_div(columns, geometry.block_columns) * self.dims_per_row
        places = min(blocks, runs)
        size = min(columns, geometry.block_columns) * ceil_div(runs, places)
        rows = ceil_div(tokens, self.tile_tokens) * ceil_div(self.dims, self.dims_per_row)
        pattern = Pattern(
            "write",
            geometry.rows,
            chunk=min(block, size * geometry.column_bytes),
            base=first_row * geometry.stripe_bytes,
            coordinates=(geometry.stripe_bytes,),
            loops=(pitch * geometry.stripe_bytes, geometry.stripe_bytes),
            inner=geometry.units,
            inner_stride=block,
            outer=places,
            outer_stride=block * geometry.units * (blocks // places),
        )
        return self._writes((Loop(units, (Loop(rows, (Wait(ROOM), Access(pattern, ROOM))),)),))

    def _writes(self, steps: Steps) -> Steps:
        """Writes have their own queue: what follows must not overtake them."""
        return (*steps, *finished(self.geometry))


def rows_of(parts: Parts) -> int:
    return sum(count * sweep.rows for count, sweep in parts)


def results_of(parts: Parts) -> int:
    return sum(count * sweep.results for count, sweep in parts)


def stream(
    parts: Parts,
    fills: tuple[int, ...],
    row: int,
    loops: tuple[int, ...],
    token: str,
    geometry: Geometry,
) -> Steps:
    """The commands of ``parts`` from ``row`` on; ``fills`` are the columns of each fill."""
    steps: Steps = ()
    for (count, sweep), columns in zip(parts, fills, strict=True):
        rows = sweep.steps(row, (*loops, sweep.rows), token, geometry)
        steps += (Loop(count, filled(columns, rows, geometry)),)
        row += count * sweep.rows
    return steps


def prefetches(parts: Parts, fills: tuple[int, ...], geometry: Geometry) -> Steps:
    """The fills of :func:`stream`, ahead of it."""
    return tuple(
        Loop(count, prefetch(columns, geometry))
        for (count, _), columns in zip(parts, fills, strict=True)
    )
