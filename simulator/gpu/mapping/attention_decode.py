"""Decode attention: few queries on a long context, as serving stacks run it.

A block walks the keys and values of one key-value head for all queries of its group (which load
them once).  The context is split over blocks as the library's heuristic says, and a second kernel
joins the parts (``attention_split.py``).  Queries are padded to a tile of 64 rows with ``wgmma``
(FlashAttention-3), where a block has its SM to itself, and, in groups, with ``mma.sync``
(FlashAttention-2).  Other kernels for one query a head, and those of ``tcgen05``, which multiply
the other way round, pad to fragments of 16.  Whatever its context, a block spends
``decode_cycles`` before its first load; kernels of ``mma.sync`` spend ``softmax_cycles`` in each
step, as in ``attention_forward.py``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Wait,
)
from simulator.gpu.machine import clocks_fs
from simulator.gpu.mapping.attention_operands import (
    consecutive,
    end,
    even_steps,
    head_stride,
    softmax_units,
)
from simulator.gpu.mapping.attention_split import join, parts
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, mma_sync_share, product
from simulator.gpu.mapping.streams import elementwise, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Elementwise, Operand

TILE_ELEMENTS = 128 * 128
"""Of a tile of keys in FlashAttention's kernels; half as many in those for one query."""
MOST_KEYS = 128
FRAGMENT_ROWS = 16
GROUP_ROWS = 64
FEW_STAGES, MOST_STAGES = 2, 8
"""Tiles of keys, and of values, in flight, as far as shared memory reaches."""
USUAL_DIM = 128
"""Head dimension at which a block's latency is ``decode_cycles``."""


def decode(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """A block for each part of each key-value head, and, if there are parts, the kernel that
    joins them."""
    q, k, v = work.reads[:3]
    sm = spec.chip.sm
    heads = work.batch * work.kv_heads
    group = work.heads // work.kv_heads
    rows = work.q_len * group
    dim = max(work.head_dim, work.value_dim)
    alone = sm.attention_instruction == "wgmma"
    padded = alone or (group > 1 and sm.attention_instruction == "mma.sync")
    unit = GROUP_ROWS if padded else FRAGMENT_ROWS
    key_tile = max(16, min(MOST_KEYS, TILE_ELEMENTS // (1 if padded else 2) // dim))
    k_row = work.head_dim * k.bits // 8
    v_row = work.value_dim * v.bits // 8
    tiles, keys = even_steps(work.kv_len, key_tile)
    split = parts(spec, heads, work.kv_len, max(16, TILE_ELEMENTS // dim))
    cuts = np.array([tiles * i // split for i in range(split + 1)], dtype=np.int64)
    q_share = -(-q.bytes // heads)
    part, head = np.divmod(np.arange(split * heads, dtype=np.int64), heads)
    tasks = np.column_stack(
        [
            np.zeros_like(head),
            address(q) + head * q_share,
            address(k) + head * head_stride(k, heads) + cuts[part] * keys * k_row,
            address(v) + head * head_stride(v, heads) + cuts[part] * keys * v_row,
            cuts[part + 1] - cuts[part],
            part * heads + head,
        ]
    )
    fragments = -(-rows // unit) * unit
    scores = fragments * key_tile
    share = mma_sync_share(spec)
    pipe, products_qk = matrix_units(spec, work, 2 * scores * work.head_dim, share)
    _, products_pv = matrix_units(spec, work, 2 * scores * work.value_dim, share)
    special, vector = softmax_units(spec, scores, fragments * work.value_dim)
    element = 4 if split > 1 else max(1, work.writes[0].bits // 8)
    out_bytes = rows * work.value_dim * element
    store = Pattern(
        "write",
        "store",
        chunk=out_bytes,
        base=spec.capacity_bytes if split > 1 else address(work.writes[0]),
        coordinates=(0, 0, 0, 0, out_bytes),
    )
    load_k = consecutive(keys * k_row, 1, limit=end(k, address))
    load_v = consecutive(keys * v_row, 2, limit=end(v, address))
    extras = [
        Access(_with_steps(operand, address, heads * split, tiles // split), "keys")
        for operand in work.reads[3:]
        if operand.bytes
    ]
    step, queries = key_tile * (k_row + v_row), fragments * work.head_dim * q.bits // 8
    # Two blocks share an SM at most, as FlashAttention-2's buffers of 80 KiB have it on 164 KiB.
    least = sm.shared_memory // (2 if alone else 3) + 1
    room = sm.shared_memory // (1 if alone else 2) - queries
    stages = min(max(room // step, 1 if padded and not alone else FEW_STAGES), MOST_STAGES)
    # Lengths, pages and barriers; partial sums of warps that meet in shared memory.
    cycles = sm.decode_cycles * (1 + work.value_dim / USUAL_DIM) / 2
    latency = Delay(clocks_fs(spec, cycles))
    chain = (
        (Delay(clocks_fs(spec, sm.softmax_cycles)),)
        if sm.attention_instruction == "mma.sync"
        else ()
    )
    loads = (
        start(spec),
        latency,
        Access(consecutive(q_share, 0, limit=end(q, address)), "queries"),
        Loop(
            Coordinate(3),
            (
                Wait("key room"),
                Access(load_k, "keys"),
                *extras,
                Wait("value room"),
                Access(load_v, "values"),
            ),
            alike=True,
        ),
    )
    computes = (
        Wait("queries"),
        Loop(
            Coordinate(3),
            (
                Wait("keys", 1 + len(extras)),
                product(spec, pipe, products_qk),
                Release("key room"),
                Compute("special", special),
                Compute("vector", vector),
                *chain,
                Wait("values"),
                product(spec, pipe, products_pv),
                Release("value room"),
            ),
            alike=True,
        ),
        Access(store),
    )
    # Sums and scores of a fragment fit beside the other registers of 128 threads.
    sums = (fragments - FRAGMENT_ROWS) * (work.value_dim + key_tile)
    needs = {
        "threads": 128,
        "registers": min(128 * 128 + sums, sm.registers),
        "shared": min(max(queries + stages * step, least), sm.shared_memory),
        "blocks": 1,
    }
    rooms = {"key room": stages, "value room": stages}
    program = Program((loads, computes), rooms | {"queries": 0, "keys": 0, "values": 0})
    name, ramp = f"decode attention split {split}", attention_ramp(spec)
    kernel = Kernel(name, "sm", (program,), tasks, needs, ramp=ramp)
    joins = (join(spec, work, address, split),) if split > 1 else ()
    before, after = _swaps(spec, work, address)
    return *before, kernel, *joins, *after


def _swaps(
    spec: GpuSpec, work: Attention, address: Addresses
) -> tuple[Sequence[Kernel], Sequence[Kernel]]:
    """What FlashAttention-2 runs before and after for grouped heads of one query: it takes a
    group for rows of queries, and where prompts and key-value heads are several, that is a copy,
    and so is the way back (``mha_varlen_fwd``)."""
    swapped = work.q_len == 1 and 1 not in (work.batch, work.kv_heads)
    grouped = work.heads > work.kv_heads
    if spec.chip.sm.attention_instruction != "mma.sync" or not (swapped and grouped):
        return (), ()
    before, after = (
        elementwise(spec, Elementwise((one,), (one,), one.bytes * 8 // one.bits, 0), address)
        for one in (work.reads[0], work.writes[0])
    )
    return before, after


def _with_steps(operand: Operand, address: Addresses, blocks: int, steps: int) -> Pattern:
    """A decode block's share of an operand (a mask), spread over its steps."""
    share = -(-operand.bytes // blocks)
    chunk = -(-share // steps)
    return Pattern(
        "read",
        "load",
        chunk=chunk,
        base=address(operand),
        coordinates=(0, 0, 0, 0, share),
        loops=(chunk,),
        limit=end(operand, address),
    )
