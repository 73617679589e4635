"""Attention on a key-value cache in the banks, softmax on the controller.

Units (key-value heads, see :mod:`~simulator.pim.mapping.cache`) go round groups of
channels: ``spread: heads`` makes groups as small as keeps all channels busy (one channel
once there are enough units), ``tokens`` spreads every unit over all channels.  Within a
channel the next unit is scored while the controller does the softmax of this one;
shares of one unit are merged by their running maximum and sum (Dao et al.,
FlashAttention, 2022), so channels never wait for each other.

Queries that share keys share an open row as far as their vectors fit the buffer; more
queries (long prompts) are further passes over the cache, one wave of tasks each, and a
channel with less work waits for the busiest.  Keys a causal query may not see are
skipped in sixteenths of the context, one kernel each.  New values are scattered here
(keys are stored by the operator that updates the cache, or here if there is no cache),
which closes rows.  Left out: keeping a prompt's scores of several passes in the SRAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Wait,
)
from simulator.pim.approximations import softmax_steps
from simulator.pim.mapping.cache import CacheLayout, prefetches, results_of, rows_of, stream
from simulator.pim.mapping.commands import Steps, drain, repeat, stream_tokens
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.mapping.softmax import scaling_in_banks
from simulator.pim.spec import PimSpec
from simulator.trace.work import Attention

CAUSAL_STEPS = 16
"""Visible lengths of causal queries are rounded up to this share of the context."""


@dataclass(frozen=True, slots=True)
class Share:
    """What one channel does in one pass."""

    units: int
    tokens: int
    queries: int
    merges: bool = False
    """Other channels hold other tokens of the same units."""
    new_keys: int = 0
    new_values: int = 0
    load_bytes: int = 0
    """Queries and mask that are not in the SRAM."""
    store_bytes: int = 0
    wait_fs: int = 0
    """Until the busiest channel is done too."""
    keys: bool = True
    values: bool = True
    """Which of both it works on."""
    heads: int = 1
    """Key heads of a unit, side by side in a row."""


def _program(spec: PimSpec, layout: CacheLayout, share: Share) -> Program:
    """Three threads: commands of the banks, softmax, reduction of contexts."""
    if not share.units:
        return Program(((Delay(share.wait_fs),),))
    geometry = layout.geometry
    scores = layout.scores(share.tokens, share.queries, share.heads) if share.keys else ()
    contexts = layout.contexts(share.tokens, share.queries) if share.values else ()
    key_rows = rows_of(scores)
    pitch = key_rows + rows_of(contexts)
    score_fills = tuple(share.heads * layout.score_fill(sweep) for _, sweep in scores)
    context_fills = tuple(layout.context_fill(sweep) for _, sweep in contexts)
    query_ahead = prefetches(scores, score_fills, geometry)
    whole = share.keys and share.values
    probability: Steps = (Wait("probability"),) if whole else ()
    probability_ahead = probability + prefetches(contexts, context_fills, geometry)

    def score(unit: int, loops: tuple[int, ...] = ()) -> Steps:
        return stream(scores, score_fills, unit * pitch, loops, "score", geometry)

    def context(unit: int, loops: tuple[int, ...] = ()) -> Steps:
        row = unit * pitch + key_rows
        commands = stream(contexts, context_fills, row, loops, "context", geometry)
        return commands if geometry.overlap else probability + commands

    fills = query_ahead + repeat(share.units - 1, query_ahead + probability_ahead)
    fills += probability_ahead
    commands: Steps = ()
    if share.load_bytes:
        load = Pattern("read", geometry.rows, chunk=share.load_bytes, coordinates=(0, 1))
        commands += (Access(load),)
    if share.new_keys:
        commands += layout.store_keys(share.new_keys, share.units * share.heads)
    if share.new_values:
        commands += layout.scatter_values(share.new_values, share.units, key_rows, pitch)
    commands += score(0)
    commands += repeat(share.units - 1, score(1, (pitch,)) + context(0, (pitch,)))
    commands += context(share.units - 1)
    if share.wait_fs:
        commands += (*drain(geometry), Delay(share.wait_fs))

    functions = spec.controller.functions
    received = results_of(contexts)
    softmax = share.heads * share.tokens * share.queries * softmax_steps(functions)
    merge = 2 * share.queries * layout.value_dim if share.merges else 0
    reduce = received * geometry.units + share.queries * functions.divide + merge
    softmax_thread = (
        Wait("score", results_of(scores)),
        Compute("vector", softmax),
        Release("probability"),
    )
    reduction: Steps = (Loop(share.units, (Wait("context", received), Compute("vector", reduce))),)
    if share.store_bytes:
        store = Pattern("write", geometry.rows, chunk=share.store_bytes, coordinates=(0, 0, 1))
        reduction += (Access(store),)
    softmaxes: Steps = (Loop(share.units, softmax_thread),) if share.keys else ()
    threads = (commands, softmaxes, reduction if share.values else ())
    return Program(
        (*threads, fills) if geometry.overlap else threads,
        {**stream_tokens(geometry), "score": 0, "probability": 0, "context": 0},
    )


@dataclass(frozen=True, slots=True)
class Spread:
    """How units and their tokens are divided among channels."""

    geometry: Geometry
    units: int
    parts: int
    """Channels of one group; a unit's tokens go round them."""

    @classmethod
    def of(cls, geometry: Geometry, units: int, how: str) -> Spread:
        """``how`` as ``mapping.spread``."""
        least = {"heads": 1, "channels": geometry.pseudo_channels, "tokens": geometry.channels}[how]
        busy = geometry.channels // units // least * least
        return cls(geometry, units, max(least, busy))

    @property
    def groups(self) -> int:
        return self.geometry.channels // self.parts

    @property
    def busy(self) -> int:
        """Channels that hold something; they come first."""
        return min(self.units, self.groups) * self.parts

    def held(self, channel: int) -> int:
        """Units of a channel."""
        if channel >= self.busy:
            return 0
        return ceil_div(self.units - channel // self.parts, self.groups)

    def local(self, tokens: int, channel: int) -> int:
        """Tokens of a head that lie in this channel: a token beside each multiplier in turn."""
        units = self.geometry.units
        sets, place = ceil_div(tokens, units), channel % self.parts
        mine = max(0, ceil_div(sets - place, self.parts))
        missing = sets * units - tokens if sets and (sets - 1) % self.parts == place else 0
        return mine * units - missing


def attention(spec: PimSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Forward attention; see the module's description."""
    units = work.batch * work.kv_heads
    if 0 in (units, work.q_len, work.kv_len):
        return ()
    geometry = Geometry.of(spec)
    used = spec.mapping.attention_accumulators or geometry.accumulators
    geometry = replace(geometry, accumulators=min(used, geometry.accumulators))
    layout = CacheLayout(geometry, work.head_dim, work.value_dim, spec.mapping.pack)
    mapping = spec.mapping
    apart = mapping.spread_values not in (None, mapping.spread)
    together = min(units, layout.heads_per_row) if apart and mapping.heads_share_rows else 1
    key_spread = Spread.of(geometry, ceil_div(units, together), mapping.spread)
    value_spread = Spread.of(geometry, units, mapping.spread_values or mapping.spread)
    shared = work.heads // work.kv_heads
    queries = shared * work.q_len
    width = min(layout.vectors, queries)
    passes = ceil_div(queries, width)
    q, k, _, *masks = work.reads
    out = work.writes[0]
    stored = k.role == "kv_cache"
    new_tokens = min(work.q_len, work.kv_len) if stored else work.kv_len
    new_tokens *= spec.mapping.append
    loaded = sum(operand.bytes for operand in (q, *masks) if not geometry.resident(operand))
    load_bytes = geometry.share(ceil_div(loaded, passes))
    store_bytes = 0 if geometry.resident(out) else geometry.share(ceil_div(out.bytes, passes))

    def visible(wave: int) -> int:
        """Keys that the last query of a pass may see."""
        if not work.causal:
            return work.kv_len
        last = min(queries, (wave + 1) * width) - 1
        seen = work.kv_len - work.q_len + last // shared + 1
        step = ceil_div(work.kv_len, CAUSAL_STEPS)
        return max(1, min(work.kv_len, ceil_div(seen, step) * step))

    def share(
        spread: Spread, part: tuple[bool, bool], tokens: int, size: int, first: bool, channel: int
    ) -> Share:
        keys, values = part
        here = spread.local(tokens, channel)
        held = spread.held(channel) if here else 0
        busiest = spread.held(0) * layout.duration_fs(spread.local(tokens, 0), size, *part)
        fresh = spread.local(new_tokens, channel) if first else 0
        return Share(
            units=held,
            tokens=here,
            queries=size,
            merges=spread.parts > 1,
            new_keys=0 if stored or not keys else fresh,
            new_values=fresh if values else 0,
            load_bytes=load_bytes if keys else 0,
            store_bytes=store_bytes if values else 0,
            wait_fs=busiest - held * layout.duration_fs(here, size, *part) if passes > 1 else 0,
            keys=keys,
            values=values,
            heads=together if keys else 1,
        )

    first_row = geometry.row_of(address(k))
    places = [
        address(operand) // geometry.channels // geometry.column_bytes * geometry.column_bytes
        if size
        else 0
        for operand, size in ((q, load_bytes), (out, store_bytes))
    ]

    def kernel(
        tokens: int, waves: Sequence[int], spread: Spread, part: tuple[bool, bool], what: str
    ) -> Kernel:
        """The passes that see ``tokens`` keys."""
        channels = geometry.channels if passes > 1 else spread.busy
        numbers: dict[Share, int] = {}
        rows = []
        for wave in waves:
            size = min(width, queries - wave * width)
            for channel in range(channels):
                one = share(spread, part, tokens, size, wave == 0, channel)
                number = numbers.setdefault(one, len(numbers))
                load, store = places[0] + wave * load_bytes, places[1] + wave * store_bytes
                rows.append((number, first_row, load, store))
        programs = tuple(_program(spec, layout, one) for one in numbers)
        name = f"{what} {units} units x{shared} tokens {work.q_len}:{tokens}"
        return Kernel(name, "channel", programs, np.array(rows, dtype=np.int64), {"stream": 1})

    groups = [(tokens, tuple(waves)) for tokens, waves in groupby(range(passes), key=visible)]
    if not apart:
        both = (True, True)
        return tuple(kernel(*group, key_spread, both, "attention") for group in groups)
    in_banks = mapping.scale_scores == "banks"
    scalings = scaling_in_banks(spec, work, address) if in_banks else ()
    return (
        *(kernel(*group, key_spread, (True, False), "scores") for group in groups),
        *scalings,
        *(kernel(*group, value_spread, (False, True), "contexts") for group in groups),
    )
