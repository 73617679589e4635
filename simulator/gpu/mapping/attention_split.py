"""Splitting a context over thread blocks, and joining the parts.

How many parts a library makes is its heuristic: FlashAttention-2 (``flash_api.cpp``) the fewest
that fill two blocks per SM almost as evenly as any number does; FlashAttention-3
(``flash_prepare_scheduler.cu``) parts of the length at which all SMs have equally many tiles, a
tenth more; Blackwell's kernels parts of :data:`MIN_KEYS` keys until every SM has a block.  A block
of the joining kernel walks the parts of a few rows one after another.  FlashAttention-2's waits for
each; newer ones have :data:`JOINED` on their way.
"""

from __future__ import annotations

import math

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Wait,
)
from simulator.gpu.mapping.rates import vector_units
from simulator.gpu.mapping.streams import block_needs, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention

MOST_PARTS = 128
BLOCKS_PER_SM = 2
"""That FlashAttention-2 splits for."""
FULL, NEAR_BEST = 0.8, 0.85
"""FlashAttention-2 splits nothing that fills this share of the blocks, and takes the fewest parts
that come this near to the best."""
FEW_TILES = 4
"""FlashAttention-3 does not split so few tiles."""
MARGIN = 1.1
"""FlashAttention-3 plans for so many times its tiles."""
MIN_KEYS = 256
JOINED = 4
"""Parts on their way to a joining block (``flash_fwd_combine_kernel.h``)."""
JOINED_ELEMENTS = 4 * 128
"""Of the rows of queries of a joining block."""


def parts(spec: GpuSpec, heads: int, keys: int, tile: int) -> int:
    """Parts that the contexts of ``heads`` key-value heads, of ``keys`` keys in tiles, get."""
    sms, tiles = spec.chip.sms, math.ceil(keys / tile)
    match spec.chip.sm.attention_instruction:
        case "mma.sync":
            return _even(heads, BLOCKS_PER_SM * sms, tiles)
        case "wgmma":
            each = math.ceil(MARGIN * heads * tiles / sms)
            return 1 if tiles <= FEW_TILES else min(math.ceil(tiles / each), MOST_PARTS)
    return max(1, min(sms // heads, keys // MIN_KEYS))


def prompt_parts(spec: GpuSpec, blocks: int, tiles: int) -> int:
    """Parts that each tile of queries of a prompt walks its tiles of keys in: FlashAttention-3
    splits those of few blocks as well."""
    if spec.chip.sm.attention_instruction != "wgmma" or tiles <= FEW_TILES:
        return 1
    return _even(blocks, spec.chip.sms, tiles)


def _even(heads: int, room: int, tiles: int) -> int:
    """The fewest parts with which the blocks come near to filling whole waves of ``room``."""
    if heads >= FULL * room:
        return 1
    count = np.arange(1, min(MOST_PARTS, room, tiles) + 1)
    each = -(-tiles // count)
    waves = count * heads / room
    # A number that leaves as many tiles in the longest part as the one before is no choice.
    even = np.where(np.diff(each, prepend=0) != 0, waves / np.ceil(waves), 0.0)
    return int(count[np.argmax(even >= NEAR_BEST * even.max())])


def join(spec: GpuSpec, work: Attention, address: Addresses, count: int) -> Kernel:
    """The kernel that adds ``count`` parts, which lie behind everything else, part by part."""
    rows = work.batch * work.heads * work.q_len
    height = max(1, JOINED_ELEMENTS // work.value_dim)
    source, target = work.value_dim * 4, work.value_dim * work.writes[0].bits // 8
    first = np.arange(0, rows, height, dtype=np.int64)
    tasks = np.column_stack([np.zeros_like(first), first, np.minimum(rows - first, height)])
    part = Pattern(
        "read",
        "load",
        chunk=source,
        base=spec.capacity_bytes,
        coordinates=(source,),
        loops=(rows * source,),
        inner=Coordinate(1),
        inner_stride=source,
    )
    sums = Pattern(
        "write",
        "store",
        chunk=target,
        base=address(work.writes[0]),
        coordinates=(target,),
        inner=Coordinate(1),
        inner_stride=target,
    )
    load = (start(spec), Loop(count, (Wait("room"), Access(part, "part"))))
    scale = Compute("vector", vector_units(spec, 2 * height * work.value_dim))
    add = (Loop(count, (Wait("part"), scale, Release("room"))), Access(sums))
    waits = spec.chip.sm.attention_instruction == "mma.sync"
    program = Program((load, add), {"room": 1 if waits else JOINED, "part": 0})
    return Kernel("attention join", "sm", (program,), tasks, block_needs(threads=128))
