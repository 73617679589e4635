"""Fused attention: scores, softmax, values, head after head, on the cores that hold them.

Heads are divided among the cores with their keys and values.  For each head the matrix
queue computes the scores of its queries, the special-function lanes normalise them while
the array already works on the scores of the next head, then the array sums the values.
Few queries go through matrix-vector mode, many in blocks of rows through matrix mode,
where a causal mask leaves out the keys that no row of a block may see.  Scores that do
not fit the output buffer twice are worked off in pieces of the keys.

Source: FlightLLM's artifact (attention in both modes, softmax fused with the scores).
Left out: block-sparse masks, rescaling between pieces, query heads that share one pass
over their keys in matrix mode.  The backward pass is five products in place of two over
the same operands, its gradients stored at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from simulator.engine.platform import Addresses
from simulator.engine.program import Compute, Kernel, Release, Wait
from simulator.fpga.mapping.data import Stream, loads, own_stream, stores
from simulator.fpga.mapping.kernels import barrier, kernel
from simulator.fpga.mapping.modes import product
from simulator.fpga.mapping.products import Product, padded, prefers_vectors
from simulator.fpga.mapping.sections import Section, spans, split
from simulator.fpga.mapping.streamed_attention import streamed_attention
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Attention

SCORE_BYTES = 2
"""Scores are half precision in the special-function lanes."""
BACKWARD_WORK = 2.5
DISTINCT_BLOCKS = 16
"""Causal blocks of queries told apart; more share the mean of their keys."""


@dataclass(frozen=True, slots=True)
class Items:
    """``count`` equal pieces of work: some queries against some keys."""

    count: int
    queries: int
    keys: int


@dataclass(frozen=True, slots=True)
class Sources:
    """Streams of one core, their unit one row of one head."""

    q: Stream
    k: Stream
    v: Stream
    o: Stream


def attention(spec: FpgaSpec, work: Attention, address: Addresses) -> list[Kernel]:
    """One kernel; each core takes its heads."""
    if not work.batch * work.heads * work.q_len * work.kv_len:
        return []
    if spec.core.attention is not None:
        return streamed_attention(spec, spec.core.attention, work, address)
    q, k, v = work.reads[:3]
    heads, kv_heads = work.batch * work.heads, work.batch * work.kv_heads
    nowhere = Stream(None, 0.0)
    sources = Sources(
        own_stream(spec, address, q, heads * work.q_len),
        own_stream(spec, address, k, kv_heads * work.kv_len),
        own_stream(spec, address, v, kv_heads * work.kv_len),
        nowhere
        if work.backward
        else own_stream(spec, address, work.writes[0], heads * work.q_len * work.value_dim),
    )
    begin = Section(load=loads(spec, address, work.reads[3:]))
    end = Section(store=stores(spec, address, work.writes if work.backward else ()))
    sections = []
    shares = split(kv_heads, spec.total_cores)
    cores = sum(1 for share in shares if share)
    copies = Section(load=(*loads(spec, address, (k, v)), *barrier(spec, cores)))
    for kv_share in shares:
        items = list(_items(spec, work, sources, kv_share))
        if not items:
            section = Section()
        elif _is_staged(spec, work, items):
            section = begin.then(copies, _staged(spec, work, items[0], sources, cores), end)
        else:
            chains = [_heads(spec, work, one, sources) for one in items]
            section = begin.then(_interleaved(chains), end)
        sections.append(section)
    return [kernel(spec, "attention", sections)]


def _is_staged(spec: FpgaSpec, work: Attention, items: Sequence[Items]) -> bool:
    """Whether the program goes by stages, and the scores of all heads fit on chip."""
    held = sum(SCORE_BYTES * one.count * one.queries * one.keys for one in items)
    fits = len(items) == 1 and held <= spec.core.buffers.outputs
    return spec.staged_attention and work.q_len < work.kv_len and fits


def _items(spec: FpgaSpec, work: Attention, sources: Sources, kv_heads: int) -> Iterator[Items]:
    """The heads of one core as equal pieces, by what their queries may see."""
    if not kv_heads:
        return
    group = work.heads // work.kv_heads
    together = Items(kv_heads, group * work.q_len, work.kv_len)
    if prefers_vectors(spec, _scores(spec, work, together, sources)):
        yield _cut(spec, together)
        return
    blocks = [
        (block.first + number * block.size, block.size)
        for block in spans(work.q_len, spec.core.gemm.m)
        for number in range(block.count)
    ]
    visible = [
        min(work.kv_len, work.kv_len - work.q_len + first + size) if work.causal else work.kv_len
        for first, size in blocks
    ]
    stride = math.ceil(len(blocks) / DISTINCT_BLOCKS) if work.causal else len(blocks)
    for start in range(0, len(blocks), stride):
        seen = visible[start : start + stride]
        rows = sum(size for _, size in blocks[start : start + stride])
        count = len(seen)
        yield _cut(
            spec,
            Items(kv_heads * group * count, -(-rows // count), max(1, -(-sum(seen) // count))),
        )


def _cut(spec: FpgaSpec, items: Items) -> Items:
    """In as many pieces of the keys as the output buffer asks for."""
    fits = max(1, _score_room(spec) // (SCORE_BYTES * items.queries))
    pieces = -(-items.keys // fits)
    return Items(items.count * pieces, items.queries, -(-items.keys // pieces))


def _score_room(spec: FpgaSpec) -> int:
    """Bytes for the scores of one item: two of them leave half the output buffer to results."""
    return spec.core.buffers.outputs // 4


def _staged(spec: FpgaSpec, work: Attention, items: Items, sources: Sources, cores: int) -> Section:
    """The scores of all heads, a barrier, the values of all."""
    looped = _looped(work, items, sources)
    met = Section(load=(Wait("synced"),), special=(*barrier(spec, cores), Release("synced")))
    return (
        _score_section(spec, work, items, looped)
        .repeat(items.count)
        .then(met, _value_section(spec, work, items, looped).repeat(items.count))
    )


@dataclass(frozen=True, slots=True)
class Chain:
    """Equal items in three parts, so that two chains can overlap where they meet."""

    first_scores: Section
    middle: Section
    last_values: Section


def _interleaved(chains: Sequence[Chain]) -> Section:
    """Chains one after another, never waiting for a softmax with other scores left to do."""
    section = chains[0].first_scores.then(chains[0].middle)
    for before, following in pairwise(chains):
        section = section.then(following.first_scores, before.last_values, following.middle)
    return section.then(chains[-1].last_values)


def _heads(spec: FpgaSpec, work: Attention, items: Items, sources: Sources) -> Chain:
    """All items, the scores of one computed before the values of the one before."""

    def scores(one: Sources) -> Section:
        return _score_section(spec, work, items, one)

    def values(one: Sources) -> Section:
        return _value_section(spec, work, items, one)

    looped = _looped(work, items, sources)
    following = replace(looped, q=looped.q.later(items.queries), k=looped.k.later(items.keys))
    last = items.count - 1
    final = replace(
        sources,
        v=sources.v.later(last * items.keys),
        o=sources.o.later(last * items.queries * work.value_dim),
    )
    return Chain(
        scores(sources),
        scores(following).then(values(looped)).repeat(last) if last else Section(),
        values(final),
    )


def _looped(work: Attention, items: Items, sources: Sources) -> Sources:
    """The streams as one item after another sees them."""

    def moved(stream: Stream, units: float) -> Stream:
        return stream.inside(units * stream.unit)

    return Sources(
        moved(sources.q, items.queries),
        moved(sources.k, items.keys),
        moved(sources.v, items.keys),
        moved(sources.o, items.queries * work.value_dim),
    )


def _scores(spec: FpgaSpec, work: Attention, items: Items, one: Sources) -> Product:
    q, k = work.reads[:2]
    return Product(
        operands=spec.core.operands,
        rows=items.queries,
        columns=items.keys,
        depth=work.head_dim,
        weights=one.k,
        inputs=one.q,
        results=Stream(None, SCORE_BYTES),
        input_bits=q.bits,
        weight_bits=k.bits,
        work=BACKWARD_WORK if work.backward else 1.0,
    )


def _score_section(spec: FpgaSpec, work: Attention, items: Items, one: Sources) -> Section:
    """Queries times keys, then softmax on the lanes."""
    core = spec.core
    held = SCORE_BYTES * items.queries * items.keys
    fits = held <= _score_room(spec)
    elements = items.queries * padded(items.keys, core.special_lanes)
    done = product(spec, _scores(spec, work, items, one))
    return Section(matrix=(Wait("outputs_room", held),) if fits else ()).then(
        done,
        Section(
            matrix=(Release("scores"),),
            special=(
                Wait("scores"),
                Compute("special", elements * core.passes.softmax),
                Release("probabilities"),
            ),
        ),
    )


def _value_section(spec: FpgaSpec, work: Attention, items: Items, one: Sources) -> Section:
    """Probabilities times values."""
    q, _, v = work.reads[:3]
    held = SCORE_BYTES * items.queries * items.keys
    fits = held <= _score_room(spec)
    columns = Product(
        operands=spec.core.operands,
        rows=items.queries,
        columns=work.value_dim,
        depth=items.keys,
        # A row of V is one key; its columns are streamed over all keys.
        weights=replace(one.v, unit=one.v.unit * items.keys / work.value_dim),
        inputs=Stream(None, 0.0),
        results=one.o,
        input_bits=q.bits,
        weight_bits=v.bits,
        work=BACKWARD_WORK if work.backward else 1.0,
    )
    return Section(matrix=(Wait("probabilities"),)).then(
        product(spec, columns),
        Section(matrix=(Release("outputs_room", held),) if fits else ()),
    )
