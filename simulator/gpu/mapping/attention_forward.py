"""FlashAttention forward: a thread block keeps a tile of queries and walks keys and values.

``mma.sync`` (FlashAttention-2; Dao 2023): scores, softmax and weighted sum of a step follow each
other, ``softmax_cycles`` in between; what one block leaves idle the other block of its SM uses.
Keys and values have one buffer each.  ``wgmma`` (FlashAttention-3; Shah et al. 2024) and
``tcgen05`` (FlashAttention-4): one block has the SM, warpgroups take turns, so only a
share ``softmax_exposed`` of each softmax passes without products beside it, and its latency shows
once a block; keys and values have two stages.  Tiles are those of the libraries.  A mask is walked
with the keys.
"""

from __future__ import annotations

import math
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
    Step,
    Wait,
)
from simulator.gpu.machine import clocks_fs
from simulator.gpu.mapping.attention_operands import (
    consecutive,
    end,
    even_steps,
    head_stride,
    mask_and_others,
    mask_row_bytes,
    share_of_rows,
    softmax_units,
)
from simulator.gpu.mapping.attention_split import join, prompt_parts
from simulator.gpu.mapping.attention_tiles import Tiling, shared_bytes, tiling
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, mma_sync_share, product
from simulator.gpu.mapping.streams import start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Operand

Steps = tuple[Step, ...]

OF_MASK, KEYS, VALUES, STEPS, FIRST_ROW = 1, 2, 3, 4, 6
"""Columns of the blocks."""
USUAL_TILE = 128 * 128
"""Elements of a tile of queries at which a block's latency is ``softmax_cycles``."""


def forward(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """One kernel, a block for each tile of queries of each head."""
    tile = tiling(spec, work)
    sm = spec.chip.sm
    mask, others = mask_and_others(work)
    tasks = _tasks(spec, work, address, tile, mask)
    parts = 1 if mask else prompt_parts(spec, len(tasks), int(tasks[:, STEPS].max()))
    threads = (
        _loads(spec, work, address, tile, mask, others),
        *_computes(spec, work, _result(spec, work, address, parts), tile, mask, 1 + len(others)),
    )
    rooms = {"key room": tile.stages, "value room": tile.stages, "beside": 1}
    filled = dict.fromkeys(("queries", "keys", "values", "softmax"), 0)
    program = Program(threads, rooms | filled)
    needs = {
        "threads": min(tile.threads, sm.threads),
        "registers": sm.registers if tile.alone else min(tile.threads * 255, sm.registers),
        "shared": min(shared_bytes(work, tile.queries, tile.keys, tile.stages), sm.shared_memory),
        "blocks": 1,
    }
    name, ramp = f"attention {tile.queries}x{tile.keys}", attention_ramp(spec)
    period = _period(work, tile)
    if parts == 1:
        return (Kernel(name, "sm", (program,), tasks, needs, ramp=ramp, period=period),)
    tasks = _split(work, tile, tasks, parts)
    kernel = Kernel(f"{name} split {parts}", "sm", (program,), tasks, needs, ramp=ramp, alike=False)
    return kernel, join(spec, work, address, parts)


def _result(spec: GpuSpec, work: Attention, address: Addresses, parts: int) -> Pattern:
    """Where a block stores its rows: in the result, or, of several parts, behind everything."""
    out = work.writes[0]
    if parts == 1:
        return share_of_rows("write", "store", out, address, work.value_dim * out.bits // 8, 5, 4)
    row = work.value_dim * 4
    return Pattern(
        "write",
        "store",
        chunk=row,
        base=spec.capacity_bytes,
        coordinates=(row,),
        inner=Coordinate(4),
        inner_stride=row,
    )


def _split(work: Attention, tile: Tiling, tasks: np.ndarray, parts: int) -> np.ndarray:
    """The blocks of all parts: each walks its share of the steps, and stores zeros if it has none.
    Where the first byte of a mask would stand, the part's first row."""
    _, k, v = work.reads[:3]
    _, keys = even_steps(work.kv_len, tile.keys)
    split = np.repeat(tasks, parts, axis=0)
    part = np.tile(np.arange(parts, dtype=np.int64), len(tasks))
    cuts = [split[:, STEPS] * end // parts for end in (part, part + 1)]
    split[:, KEYS] += cuts[0] * keys * work.head_dim * k.bits // 8
    split[:, VALUES] += cuts[0] * keys * work.value_dim * v.bits // 8
    split[:, STEPS] = cuts[1] - cuts[0]
    split[:, OF_MASK] = split[:, FIRST_ROW] + part * work.batch * work.heads * work.q_len
    return split


def _period(work: Attention, tile: Tiling) -> int:
    """Blocks after which their work begins anew: a causal mask makes those of a head (of a prompt,
    where the same tile of all heads comes first) unlike each other."""
    if not work.causal:
        return 1
    group = work.heads // work.kv_heads if tile.packed else 1
    tiles = math.ceil(work.q_len * group / tile.queries)
    return tiles * work.heads // group if tile.alone else tiles


def _tasks(
    spec: GpuSpec, work: Attention, address: Addresses, tile: Tiling, mask: Operand | None
) -> np.ndarray:
    """(block, 7): program, first byte of mask, keys and values, steps, rows, first row."""
    _, k, v = work.reads[:3]
    group = work.heads // work.kv_heads if tile.packed else 1
    heads, rows = work.heads // group, work.q_len * group
    tiles = math.ceil(rows / tile.queries)
    if tile.alone:
        head, row = _rows_before_heads(work, heads, tiles, heads_in_cache(spec, work) // group)
    else:
        head, row = np.divmod(np.arange(work.batch * heads * tiles, dtype=np.int64), tiles)
    most, _ = even_steps(work.kv_len, tile.keys)
    if work.causal:
        # Longest rows first, so that the tail of the launch is made of short ones.
        row = tiles - 1 - row
        queries = -(-np.minimum((row + 1) * tile.queries, rows) // group)
        last_key = work.kv_len - work.q_len + queries
        steps = np.clip(-(-last_key // tile.keys), 1, most)
    else:
        steps = np.full_like(row, most)
    kv_head = head // (heads // work.kv_heads)
    kv_count = work.batch * work.kv_heads
    first = head * rows + row * tile.queries
    mask_row = mask_row_bytes(mask, work) if mask else 0
    mask_rows = mask.bytes // mask_row if mask else 1
    return np.column_stack(
        [
            np.zeros_like(head),
            first % mask_rows * mask_row,
            address(k) + kv_head * head_stride(k, kv_count),
            address(v) + kv_head * head_stride(v, kv_count),
            steps,
            np.minimum(rows - row * tile.queries, tile.queries),
            first,
        ]
    )


def heads_in_cache(spec: GpuSpec, work: Attention) -> int:
    """Query heads whose keys and values the L2 holds together."""
    kv_bytes = (work.reads[1].bytes + work.reads[2].bytes) // (work.batch * work.kv_heads)
    return max(1, spec.l2.kept // max(kv_bytes, 1)) * (work.heads // work.kv_heads)


def _rows_before_heads(
    work: Attention, heads: int, tiles: int, together: int
) -> tuple[np.ndarray, np.ndarray]:
    """Head and tile of each block, of a prompt after the other: the same tile of as many heads as
    go ``together``, then the next tile (``hopper/tile_scheduler.hpp``)."""
    head = np.arange(heads, dtype=np.int64)
    section = head // max(together, 1)
    row = np.repeat(np.arange(tiles, dtype=np.int64), heads)
    head = np.tile(head, tiles)
    order = np.lexsort((head, row, np.tile(section, tiles)))
    prompts = np.repeat(np.arange(work.batch, dtype=np.int64), heads * tiles)
    return prompts * heads + np.tile(head[order], work.batch), np.tile(row[order], work.batch)


def _loads(
    spec: GpuSpec,
    work: Attention,
    address: Addresses,
    tile: Tiling,
    mask: Operand | None,
    others: Sequence[Operand],
) -> Steps:
    """The thread that loads queries, then keys (with the mask) and values in turn."""
    q, k, v = work.reads[:3]
    rows = work.batch * work.heads * work.q_len
    _, keys = even_steps(work.kv_len, tile.keys)
    queries = [
        Access(share_of_rows("read", "load", one, address, -(-one.bytes // rows), 5, 4), "queries")
        for one in (q, *others)
    ]
    load_k = consecutive(keys * work.head_dim * k.bits // 8, 1, end(k, address))
    load_v = consecutive(keys * work.value_dim * v.bits // 8, 2, end(v, address))
    with_keys = [Access(_mask_tile(mask, address, work, keys), "keys")] if mask else []
    step: Steps = (
        Wait("key room"),
        *with_keys,
        Access(load_k, "keys"),
        Wait("value room"),
        Access(load_v, "values"),
    )
    return (start(spec), *queries, Loop(Coordinate(3), step, alike=True))


def _computes(
    spec: GpuSpec,
    work: Attention,
    result: Pattern,
    tile: Tiling,
    mask: Operand | None,
    operands: int,
) -> tuple[Steps, ...]:
    """The thread of products and softmax, and, where warpgroups take turns, the one of what
    passes beside."""
    sm = spec.chip.sm
    scores = tile.queries * tile.keys
    share = mma_sync_share(spec)
    pipe, products_qk = matrix_units(spec, work, 2 * scores * work.head_dim, share)
    _, products_pv = matrix_units(spec, work, 2 * scores * work.value_dim, share)
    rescaled = tile.queries * work.value_dim
    exposed = sm.softmax_exposed if tile.alone else 1.0
    special, vector = softmax_units(spec, scores, rescaled, exposed)
    # Once a block, half of it goes with the tile: queries and results pass through shared memory.
    size = tile.queries * work.value_dim / USUAL_TILE if tile.alone else 1.0
    latency = Delay(clocks_fs(spec, sm.softmax_cycles * (1 + size) / 2))
    turns = (Wait("beside"), Release("softmax")) if tile.alone else ()
    body: Steps = (
        Wait("keys", 1 + (mask is not None)),
        product(spec, pipe, products_qk),
        Release("key room"),
        *turns,
        Compute("special", special),
        Compute("vector", vector),
        *(() if tile.alone else (latency,)),
        Wait("values"),
        product(spec, pipe, products_pv),
        Release("value room"),
    )
    main: Steps = (
        Wait("queries", operands),
        Loop(Coordinate(3), body, alike=True),
        *((latency,) if tile.alone else ()),
        Access(result),
    )
    if not tile.alone:
        return (main,)
    special, vector = softmax_units(spec, scores, rescaled, 1 - exposed)
    beside: Steps = (
        Loop(
            Coordinate(3),
            (
                Wait("softmax"),
                Compute("special", special),
                Compute("vector", vector),
                Release("beside"),
            ),
            alike=True,
        ),
    )
    return main, beside


def _mask_tile(mask: Operand, address: Addresses, work: Attention, keys: int) -> Pattern:
    """Per step, the columns of one tile of keys in the block's rows of the mask."""
    columns = max(1, keys * mask.bits // 8)
    row = mask_row_bytes(mask, work)
    return Pattern(
        "read",
        "load",
        chunk=min(columns, row),
        base=address(mask),
        coordinates=(1,),
        loops=(columns,),
        inner=Coordinate(4),
        inner_stride=row,
        limit=address(mask) + mask.bytes,
    )
