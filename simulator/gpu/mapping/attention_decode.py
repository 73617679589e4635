"""Decode attention: few queries on a long context, as serving stacks run it.

A block walks the keys and values of one key-value head for all queries of its group (which load
them once).  The context is split over blocks where there are fewer heads than SMs, and a second
kernel joins the parts.  Queries are padded to a tile of 64 rows in kernels for groups, as those of
FlashAttention-2 and -3 are; with ``wgmma`` such a block has its SM to itself.  Kernels for one
query a head, and those of ``tcgen05``, which multiply the other way round, pad to fragments of 16.
Whatever its context, a block spends ``decode_cycles`` before its first load; kernels of
``mma.sync`` spend ``softmax_cycles`` in each step, as in ``attention_forward.py``.
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
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, product
from simulator.gpu.mapping.streams import elementwise, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Elementwise, Operand

TILE_ELEMENTS = 128 * 128
"""Of a step's keys in a kernel with an SM to itself; half as many where two blocks share it."""
MOST_KEYS = 128
FRAGMENT_ROWS = 16
GROUP_ROWS = 64
MIN_SPLIT_KEYS = 256
"""Keys of a part at least: two of the libraries' tiles of 128."""
FEW_STAGES, MOST_STAGES = 2, 8
"""Steps of keys and values in flight, as far as shared memory reaches."""
USUAL_DIM = 128
"""Head dimension at which a block's latency is ``decode_cycles``."""


def decode(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    q, k, v = work.reads[:3]
    sm = spec.chip.sm
    heads = work.batch * work.kv_heads
    group = work.heads // work.kv_heads
    rows = work.q_len * group
    dim = max(work.head_dim, work.value_dim)
    padded = group > 1 and sm.attention_instruction != "tcgen05"
    key_tile = max(16, min(MOST_KEYS, TILE_ELEMENTS // (1 if padded else 2) // dim))
    unit = GROUP_ROWS if padded else FRAGMENT_ROWS
    k_row = work.head_dim * k.bits // 8
    v_row = work.value_dim * v.bits // 8
    tiles, keys = even_steps(work.kv_len, key_tile)
    # A block for every SM, none shorter than a few tiles.
    split = max(1, min(spec.chip.sms // heads, work.kv_len // MIN_SPLIT_KEYS))
    cuts = np.array([tiles * i // split for i in range(split + 1)], dtype=np.int64)
    q_share = -(-q.bytes // heads)
    head, part = np.divmod(np.arange(heads * split, dtype=np.int64), split)
    tasks = np.column_stack(
        [
            np.zeros_like(head),
            address(q) + head * q_share,
            address(k) + head * head_stride(k, heads) + cuts[part] * keys * k_row,
            address(v) + head * head_stride(v, heads) + cuts[part] * keys * v_row,
            cuts[part + 1] - cuts[part],
            head * split + part,
        ]
    )
    fragments = -(-rows // unit) * unit
    pipe, products = matrix_units(
        spec, work, 2 * fragments * key_tile * (work.head_dim + work.value_dim)
    )
    special, vector = softmax_units(spec, fragments * key_tile, fragments * work.value_dim)
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
        Access(_with_steps(operand, address, heads * split, tiles // split), "full")
        for operand in work.reads[3:]
        if operand.bytes
    ]
    step, queries = key_tile * (k_row + v_row), fragments * work.head_dim * q.bits // 8
    alone = padded and sm.attention_instruction == "wgmma"
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
    threads = (
        (
            start(spec),
            latency,
            Access(consecutive(q_share, 0, limit=end(q, address))),
            Loop(
                Coordinate(3),
                (
                    Wait("empty"),
                    Access(load_k, "full"),
                    Access(load_v, "full"),
                    *extras,
                ),
                alike=True,
            ),
        ),
        (
            start(spec),
            Loop(
                Coordinate(3),
                (
                    Wait("full", 2 + len(extras)),
                    product(spec, pipe, products),
                    Compute("special", special),
                    Compute("vector", vector),
                    *chain,
                    Release("empty"),
                ),
                alike=True,
            ),
            Access(store),
        ),
    )
    # Sums and scores of a fragment fit beside the other registers of 128 threads.
    sums = (fragments - FRAGMENT_ROWS) * (work.value_dim + key_tile)
    needs = {
        "threads": 128,
        "registers": min(128 * 128 + sums, sm.registers),
        "shared": min(max(queries + stages * step, least), sm.shared_memory),
        "blocks": 1,
    }
    program = Program(threads, {"empty": stages, "full": 0})
    name, ramp = f"decode attention split {split}", attention_ramp(spec)
    kernel = Kernel(name, "sm", (program,), tasks, needs, ramp=ramp)
    if split == 1:
        return (kernel,)
    count = heads * rows * work.value_dim
    partial = Operand(-1, 0, count * 4 * split, 32, "float32", "activation")
    combine = Elementwise((partial,), work.writes[:1], elements=count, vector_per_element=2 * split)

    def place(operand: Operand) -> int:
        return spec.capacity_bytes if operand is partial else address(operand)

    return kernel, *elementwise(spec, combine, place)


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
