"""Tiles of queries and keys that the libraries' attention kernels have, and what a block takes.

FlashAttention-2 (``mma.sync``), -3 (``wgmma``; ``hopper/tile_size.h``) and Blackwell's kernels
(``tcgen05``).  Tiles shrink to the shared memory of boards that have less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention


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
WARPGROUP = 128
"""Threads; with ``wgmma`` one warpgroup has 64 rows of queries and one more loads."""
WARPGROUP_ROWS = 64
ONE_WARPGROUP_DIMS = (64, 128)
"""Heads above the first and up to the second have a kernel of one warpgroup for few queries."""
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
            queries, _ = hopper_tile(dim, False, 1 << 20)
            packed = _fill(work, queries, 1) < PACKING_PAYS * _fill(work, queries, None)
            rows = work.q_len * (work.heads // work.kv_heads if packed else 1)
            queries, keys = hopper_tile(dim, work.causal, rows)
            threads = (queries // WARPGROUP_ROWS + 1) * WARPGROUP
            chosen = Tiling(queries, keys, 2, threads, alone=True, packed=packed)
        case "tcgen05":
            # Two tiles of 128 rows take turns where tensor memory holds both sums.
            chosen = Tiling(256 if dim <= 128 else 128, 128, 2, 4 * WARPGROUP, alone=True)
    return _fitting(spec, work, chosen)


def hopper_tile(dim: int, causal: bool, rows: int) -> tuple[int, int]:
    """Queries and keys of a tile of FlashAttention-3, for a head that has ``rows`` queries."""
    queries, full, masked = next((sides for most, *sides in HOPPER_TILES if dim <= most), (64,) * 3)
    above, most = ONE_WARPGROUP_DIMS
    if above < dim <= most and rows <= WARPGROUP_ROWS:
        queries = WARPGROUP_ROWS
    return queries, masked if causal else full


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
    # Libraries but FlashAttention-3 have a smaller tile for what would leave half of the SMs
    # without a block.
    blocks = work.batch * work.heads * math.ceil(work.q_len / queries)
    few = 2 * blocks <= spec.chip.sms and spec.chip.sm.attention_instruction != "wgmma"
    if few and queries > 64:
        queries = max(64, queries // 2)
    return replace(wanted, queries=queries, keys=keys)


def shared_bytes(work: Attention, queries: int, keys: int, stages: int) -> int:
    """Shared memory of a block."""
    q, k, v = work.reads[:3]
    step = keys * (work.head_dim * k.bits + work.value_dim * v.bits)
    return (queries * work.head_dim * q.bits + stages * step) // 8
