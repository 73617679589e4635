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
from dataclasses import dataclass, replace

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
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, mma_sync_share, product
from simulator.gpu.mapping.streams import start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Operand

Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tile sides of a kernel, and what a block takes."""

    queries: int
    keys: int
    stages: int
    """Buffers of keys, and of values."""
    threads: int
    alone: bool
    """Whether a block takes all registers of its SM."""
    packed: bool = False
    """Whether a tile holds the queries of all heads of a group."""


HOPPER_TILES: tuple[tuple[int, int, int, int], ...] = (
    (64, 192, 192, 128),
    (96, 192, 144, 128),
    (128, 128, 176, 128),
    (192, 128, 112, 112),
    (256, 128, 80, 80),
)
"""Head dimension at most, queries, keys, keys of a causal kernel (``hopper/tile_size.h``)."""
USUAL_TILE = 128 * 128
"""Elements of a tile of queries at which a block's latency is ``softmax_cycles``."""
WARPGROUP = 128
"""Threads; with ``wgmma`` one warpgroup has 64 rows of queries and one more loads."""


PACKING_PAYS = 0.9
"""FlashAttention-3 packs the heads of a group where tiles of single heads would be fuller by less
than this ratio (``heuristics.h``)."""


def tiling(spec: GpuSpec, work: Attention) -> Tiling:
    """The library's tiles for these heads, halved until they fit the shared memory."""
    dim = max(work.head_dim, work.value_dim)
    match spec.chip.sm.attention_instruction:
        case "mma.sync":
            keys = 128 if dim <= 64 else 64
            chosen = Tiling(128, keys, 1, 128 if dim <= 128 else 256, alone=False)
        case "wgmma":
            queries, full, causal = next(
                (sides for most, *sides in HOPPER_TILES if dim <= most), (64, 64, 64)
            )
            keys = causal if work.causal else full
            packed = _fill(work, queries, 1) < PACKING_PAYS * _fill(work, queries, None)
            rows = work.q_len * (work.heads // work.kv_heads if packed else 1)
            queries = min(queries, -(-rows // 64) * 64)
            threads = (queries // 64 + 1) * WARPGROUP
            chosen = Tiling(queries, keys, 2, threads, alone=True, packed=packed)
        case "tcgen05":
            # Two tiles of 128 rows take turns where tensor memory holds both sums.
            chosen = Tiling(256 if dim <= 128 else 128, 128, 2, 4 * WARPGROUP, alone=True)
    return _fitting(spec, work, chosen)


def _fill(work: Attention, queries: int, group: int | None) -> float:
    """Share of the rows of all tiles that hold a query, with the heads of a group in one."""
    rows = work.q_len * (group or work.heads // work.kv_heads)
    return rows / (math.ceil(rows / queries) * queries)


def _fitting(spec: GpuSpec, work: Attention, wanted: Tiling) -> Tiling:
    queries, keys = wanted.queries, wanted.keys
    while shared_bytes(work, queries, keys, wanted.stages) > spec.chip.sm.shared_memory:
        if max(queries, keys) <= 16:
            break
        queries, keys = (queries // 2, keys) if queries >= keys else (queries, keys // 2)
    # Libraries have a smaller tile for what would leave half of the SMs without a block.
    blocks = work.batch * work.heads * math.ceil(work.q_len / queries)
    if 2 * blocks <= spec.chip.sms and queries > 64:
        queries = max(64, queries // 2)
    return replace(wanted, queries=queries, keys=keys)


def shared_bytes(work: Attention, queries: int, keys: int, stages: int) -> int:
    """Shared memory of a block."""
    q, k, v = work.reads[:3]
    step = keys * (work.head_dim * k.bits + work.value_dim * v.bits)
    return (queries * work.head_dim * q.bits + stages * step) // 8


def forward(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """One kernel, a block for each tile of queries of each head."""
    tile = tiling(spec, work)
    sm = spec.chip.sm
    mask, others = mask_and_others(work)
    threads = (
        _loads(spec, work, address, tile, mask, others),
        *_computes(spec, work, address, tile, mask is not None, 1 + len(others)),
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
    tasks = _tasks(work, address, tile, mask)
    ramp = attention_ramp(spec)
    name = f"attention {tile.queries}x{tile.keys}"
    return (Kernel(name, "sm", (program,), tasks, needs, ramp=ramp, alike=not work.causal),)


def _tasks(work: Attention, address: Addresses, tile: Tiling, mask: Operand | None) -> np.ndarray:
    """(block, 7): program, first byte of mask, keys and values, steps, rows, first row."""
    _, k, v = work.reads[:3]
    group = work.heads // work.kv_heads if tile.packed else 1
    heads, rows = work.heads // group, work.q_len * group
    tiles = math.ceil(rows / tile.queries)
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
    spec: GpuSpec, work: Attention, address: Addresses, tile: Tiling, masked: bool, operands: int
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
        Wait("keys", 1 + masked),
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
    row = work.value_dim * work.writes[0].bits // 8
    main: Steps = (
        Wait("queries", operands),
        Loop(Coordinate(3), body, alike=True),
        *((latency,) if tile.alone else ()),
        Access(share_of_rows("write", "store", work.writes[0], address, row, 5, 4)),
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
