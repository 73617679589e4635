"""Attention on a unit of its own: a few queries at a time, all keys streamed past them.

For each block of queries the keys of all heads stream by and the scores go to memory with what
the softmax needs; in a second round the scores come back, are exponentiated again, and the
values stream by.  Softmax keeps up with the stream.

Source: sharc-lab/Edge-MoE, ``src/attention.cpp``.  Left out: several batches or groups of heads
at once, causal masks (all keys pass).
"""

from __future__ import annotations

from simulator.engine.platform import Addresses
from simulator.engine.program import Compute, Kernel, Release, Step, Wait
from simulator.errors import UnmappedOperatorError
from simulator.fpga.core import AttentionUnit
from simulator.fpga.mapping.data import Stream, single, whole_stream
from simulator.fpga.mapping.kernels import kernel
from simulator.fpga.mapping.sections import Section, Span, spans, sweep
from simulator.fpga.mapping.stream_mode import CHUNKS_IN_BUFFER
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Attention

SCORE_BYTES = 4


def streamed_attention(
    spec: FpgaSpec, unit: AttentionUnit, work: Attention, address: Addresses
) -> list[Kernel]:
    """Both rounds of all blocks of queries, on one core."""
    if work.backward:
        raise UnmappedOperatorError(
            "the attention unit of this design has no backward pass",
            where=spec.name,
            remedy="use the prefill phase",
        )
    if not work.batch * work.heads * work.q_len * work.kv_len:
        return []
    q, k, v = (whole_stream(spec, address, x, x.bytes) for x in work.reads[:3])
    out = whole_stream(spec, address, work.writes[0], work.writes[0].bytes)
    scores = Stream(address(work.writes[0]), 1)
    blocks = spans(work.batch * work.q_len, unit.queries)
    pair = work.heads * SCORE_BYTES

    def round_(before: tuple[Stream, int], keys: Stream, after: tuple[Stream, int]) -> Section:
        """For each block: load something of it, stream all keys, store something."""
        row = work.reads[1].bytes // (work.batch * work.kv_len)
        fits = spec.core.buffers.activations // (CHUNKS_IN_BUFFER * row)
        chunks = spans(work.kv_len, max(1, fits))

        def held(chunk: Span) -> int:
            return min(chunk.size * row, spec.core.buffers.activations)

        def move(kind: str, what: tuple[Stream, int], block: Span) -> tuple[Step, ...]:
            stream, each = what
            size = block.size * each
            return single(kind, f"cross_{kind}", stream, size, block.first * each, (size,))

        def load(block: Span) -> tuple[Step, ...]:
            def one(chunk: Span) -> tuple[Step, ...]:
                size = chunk.size * row
                moved = single("read", "cross_read", keys, size, chunk.first * row, (0, size))
                return (Wait("activations_room", held(chunk)), *moved, Release("streamed"))

            return (*move("read", before, block), Release("stationary"), *sweep((chunks,), one))

        def compute(block: Span) -> tuple[Step, ...]:
            def one(chunk: Span) -> tuple[Step, ...]:
                beats = chunk.size * work.heads * work.head_dim * unit.queries
                free = Release("activations_room", held(chunk))
                return (Wait("streamed"), Compute("attention", beats), free)

            return (Wait("stationary"), *sweep((chunks,), one), Release("results"))

        def store(block: Span) -> tuple[Step, ...]:
            return (Wait("results"), *move("write", after, block))

        return Section(
            sweep((blocks,), load), sweep((blocks,), compute), (), sweep((blocks,), store)
        )

    rows = work.batch * work.q_len
    found = (scores, work.kv_len * pair)
    first = round_((q, work.reads[0].bytes // rows), k, found)
    second = round_(found, v, (out, work.writes[0].bytes // rows))
    return [kernel(spec, "scores", [first]), kernel(spec, "values", [second])]
