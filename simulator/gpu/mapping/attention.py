"""Fused attention: FlashAttention-like prefill and backward, split-KV decode.

A thread block keeps a tile of queries and walks the keys and values: scores on the
matrix pipe, exponentials on the special pipe, weighted sum on the matrix pipe.  The
blocks of an SM take turns: products of one overlap the softmax of another, as those of
the warps of FlashAttention-2 and -3 do (Dao 2023, Shah et al. 2024).  Decode has one
query per head: the KV sequence is split over blocks and a second kernel combines.
Heads that share keys and values (grouped queries) load them once.  A mask is walked with
the keys; what backward reads besides (dO, O, sums) comes in with the queries.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

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
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, special_units, vector_units
from simulator.gpu.mapping.streams import elementwise, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Elementwise, Operand

QUERY_TILE = 128
KEY_TILE = 64
DECODE_QUERIES = 128
"""Up to this many query rows per KV head, one tile of a block, the kernel is a decode
kernel: more rows of tiles keep the SMs busy without splitting the context."""
FRAGMENT_ROWS = 16
"""The matrix pipe works on whole fragments."""
MIN_SPLIT_KEYS = 128
VECTOR_PER_SCORE = 4
"""Scale, subtract the running maximum, sum, convert."""
STAGES = 2


def attention(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Forward or backward; decode kernels when there are few queries per KV head."""
    if not work.q_len or not work.kv_len or not work.batch:
        return ()
    group = work.heads // work.kv_heads
    if work.backward:
        return (_tiled(spec, work, address, "attention backward"),)
    if work.q_len * group <= DECODE_QUERIES:
        return _decode(spec, work, address)
    return (_tiled(spec, work, address, "attention"),)


def _end(operand: Operand, address: Addresses) -> int:
    return address(operand) + max(operand.span, operand.bytes)


def _head_stride(operand: Operand, heads: int) -> int:
    """Bytes from one head's first position to the next one's: a slice of a longer cache
    keeps the cache's stride."""
    own = operand.bytes // max(heads, 1)
    if heads > 1 and operand.span > operand.bytes:
        return (operand.span - own) // (heads - 1)
    return own


def _tiled(spec: GpuSpec, work: Attention, address: Addresses, name: str) -> Kernel:
    q, k, v = work.reads[:3]
    q_tile = min(QUERY_TILE, max(16, -(-work.q_len // 16) * 16))
    tiles = math.ceil(work.q_len / q_tile)
    kv_count = work.batch * work.kv_heads
    group = work.heads // work.kv_heads
    head, tile = np.divmod(np.arange(work.batch * work.heads * tiles, dtype=np.int64), tiles)
    if work.causal:
        # Longest rows first, so that the tail of the launch is made of short ones.
        tile = tiles - 1 - tile
        last_key = work.kv_len - work.q_len + np.minimum((tile + 1) * q_tile, work.q_len)
        steps = -(-np.clip(last_key, 1, work.kv_len) // KEY_TILE)
    else:
        steps = np.full_like(tile, -(-work.kv_len // KEY_TILE))
    kv_head = head // group
    rows = np.minimum(work.q_len - tile * q_tile, q_tile)
    all_rows = work.batch * work.heads * work.q_len
    first_row = head * work.q_len + tile * q_tile
    mask, others = _mask(work)
    k_row = work.head_dim * k.bits // 8
    v_row = work.value_dim * v.bits // 8
    o_row = work.value_dim * work.writes[0].bits // 8
    mask_row = work.kv_len * mask.bits // 8 if mask else 0
    mask_rows = mask.bytes // mask_row if mask else 1
    k_base = address(k) + kv_head * _head_stride(k, kv_count)
    v_base = address(v) + kv_head * _head_stride(v, kv_count)
    tasks = np.column_stack(
        [
            np.zeros_like(head),
            first_row % mask_rows * mask_row,
            k_base,
            v_base,
            steps,
            rows,
            first_row,
        ]
    )
    scores = q_tile * KEY_TILE
    pipe, products_qk = matrix_units(spec, work, 2 * scores * work.head_dim)
    _, products_pv = matrix_units(spec, work, 2 * scores * work.value_dim)
    # Backward recomputes the scores and adds dV, dP, dQ, dK.
    first, second = (1, 1) if not work.backward else (2, 3)
    load_rows = [Access(_with_queries(operand, address, all_rows)) for operand in (q, *others)]
    load_k = _rows("read", "load", KEY_TILE * k_row, 1, limit=_end(k, address))
    load_v = _rows("read", "load", KEY_TILE * v_row, 2, limit=_end(v, address))
    load_mask = [] if mask is None else [Access(_mask_tile(mask, address, mask_row), "keys")]
    threads: list[tuple[Step, ...]] = [
        (
            start(spec),
            *load_rows,
            Loop(
                Coordinate(3),
                (Wait("empty"), *load_mask, Access(load_k, "keys"), Access(load_v, "values")),
                alike=True,
            ),
        ),
        (
            start(spec),
            Loop(
                Coordinate(3),
                (
                    Wait("keys", 1 + len(load_mask)),
                    Wait("room"),
                    Compute(pipe, first * products_qk, clocks_fs(spec, spec.chip.sm.barrier_cycles)),
                    Release("scores"),
                ),
                alike=True,
            ),
        ),
        (
            start(spec),
            Loop(
                Coordinate(3),
                (
                    Wait("scores"),
                    Compute("special", special_units(spec, scores)),
                    Compute("vector", vector_units(spec, VECTOR_PER_SCORE * scores)),
                    Delay(clocks_fs(spec, spec.chip.sm.softmax_cycles)),
                    Release("weights"),
                ),
                alike=True,
            ),
        ),
    ]
    outputs = work.writes if work.backward else work.writes[:1]
    stores = tuple(
        Access(
            Pattern(
                "write",
                "store",
                chunk=max(1, min(o_row, operand.bytes)),
                base=address(operand),
                coordinates=(0, 0, 0, 0, 0, o_row),
                inner=Coordinate(4),
                inner_stride=o_row,
                limit=address(operand) + max(operand.bytes, operand.span),
            )
        )
        for operand in outputs
    )
    threads.append(
        (
            start(spec),
            Loop(
                Coordinate(3),
                (
                    Wait("weights"),
                    Wait("values"),
                    Compute(pipe, second * products_pv, clocks_fs(spec, spec.chip.sm.barrier_cycles)),
                    Release("empty"),
                    Release("room"),
                ),
                alike=True,
            ),
            *stores,
        )
    )
    tokens = {"empty": STAGES, "room": 1, "keys": 0, "values": 0, "scores": 0, "weights": 0}
    shared = q_tile * work.head_dim * q.bits // 8 + STAGES * KEY_TILE * (k_row + v_row)
    needs = {
        "threads": 128,
        "registers": q_tile * (work.value_dim + KEY_TILE) + 128 * 64,
        "shared": min(shared, spec.chip.sm.shared_memory),
        "blocks": 1,
    }
    needs["registers"] = min(needs["registers"], spec.chip.sm.registers)
    programs = (Program(tuple(threads), tokens),)
    ramp = attention_ramp(spec)
    return Kernel(name, "sm", programs, tasks, needs, ramp=ramp, alike=not work.causal)


def _mask(work: Attention) -> tuple[Operand | None, tuple[Operand, ...]]:
    """The operand that has an element per query row (or few rows for all) and key, and the
    operands that have some bytes per query row.  A causal kernel skips keys and so cannot
    walk a mask with them."""
    others = tuple(operand for operand in work.reads[3:] if operand.bytes)
    if work.causal:
        return None, others
    rows = work.batch * work.heads * work.q_len
    per_row = rows * max(work.head_dim, work.value_dim)
    for number, operand in enumerate(others):
        elements = operand.bytes * 8 // operand.bits
        like_queries = work.backward and elements % rows == 0 and elements <= per_row
        mask_rows, rest = divmod(elements, work.kv_len)
        whole = mask_rows == 1 or (mask_rows and mask_rows % work.q_len == 0)
        if not like_queries and not rest and whole and work.kv_len * operand.bits % 8 == 0:
            return operand, others[:number] + others[number + 1 :]
    return None, others


def _mask_tile(mask: Operand, address: Addresses, mask_row: int) -> Pattern:
    """Per step, the columns of one tile of keys in the block's rows of the mask."""
    columns = max(1, KEY_TILE * mask.bits // 8)
    return Pattern(
        "read",
        "load",
        chunk=min(columns, mask_row),
        base=address(mask),
        coordinates=(1,),
        loops=(columns,),
        inner=Coordinate(4),
        inner_stride=mask_row,
        limit=address(mask) + mask.bytes,
    )


def _with_queries(operand: Operand, address: Addresses, all_rows: int) -> Pattern:
    """The share of an operand that belongs to the block's query rows."""
    share = -(-operand.bytes // all_rows)
    return Pattern(
        "read",
        "load",
        chunk=share,
        base=address(operand),
        coordinates=(0, 0, 0, 0, 0, share),
        inner=Coordinate(4),
        inner_stride=share,
        limit=_end(operand, address),
    )


def _rows(kind: str, path: str, chunk: int, coordinate: int, limit: int) -> Pattern:
    """Consecutive chunks from the address in a coordinate, one per step."""
    coordinates = [0] * 6
    coordinates[coordinate] = 1
    return Pattern(
        kind,
        path,
        chunk=chunk,
        coordinates=tuple(coordinates),
        loops=(chunk,),
        limit=limit,
    )


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
        limit=_end(operand, address),
    )


def _decode(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    q, k, v = work.reads[:3]
    heads = work.batch * work.kv_heads
    rows = work.q_len * (work.heads // work.kv_heads)
    k_row = work.head_dim * k.bits // 8
    v_row = work.value_dim * v.bits // 8
    key_tile = KEY_TILE
    tiles = math.ceil(work.kv_len / key_tile)
    # A block for every SM, none shorter than a few tiles.
    split = max(1, min(spec.chip.sms // heads, work.kv_len // MIN_SPLIT_KEYS))
    cuts = np.array([tiles * i // split for i in range(split + 1)], dtype=np.int64)
    q_share = -(-q.bytes // heads)
    head, part = np.divmod(np.arange(heads * split, dtype=np.int64), split)
    tasks = np.column_stack(
        [
            np.zeros_like(head),
            address(q) + head * q_share,
            address(k) + head * _head_stride(k, heads) + cuts[part] * key_tile * k_row,
            address(v) + head * _head_stride(v, heads) + cuts[part] * key_tile * v_row,
            cuts[part + 1] - cuts[part],
            head * split + part,
        ]
    )
    fragments = -(-rows // FRAGMENT_ROWS) * FRAGMENT_ROWS
    pipe, products = matrix_units(
        spec, work, 2 * fragments * key_tile * (work.head_dim + work.value_dim)
    )
    scores = rows * key_tile
    element = 4 if split > 1 else max(1, work.writes[0].bits // 8)
    out_bytes = rows * work.value_dim * element
    store = Pattern(
        "write",
        "store",
        chunk=out_bytes,
        base=spec.capacity_bytes if split > 1 else address(work.writes[0]),
        coordinates=(0, 0, 0, 0, out_bytes),
    )
    load_k = _rows("read", "load", key_tile * k_row, 1, limit=_end(k, address))
    load_v = _rows("read", "load", key_tile * v_row, 2, limit=_end(v, address))
    extras = [
        Access(_with_steps(operand, address, heads * split, tiles // split), "full")
        for operand in work.reads[3:]
        if operand.bytes
    ]
    threads = (
        (
            start(spec),
            Access(_rows("read", "load", q_share, 0, limit=_end(q, address))),
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
                    Compute(pipe, products, clocks_fs(spec, spec.chip.sm.barrier_cycles)),
                    Compute("special", special_units(spec, scores)),
                    Compute("vector", vector_units(spec, VECTOR_PER_SCORE * scores)),
                    Delay(clocks_fs(spec, spec.chip.sm.decode_cycles)),
                    Release("empty"),
                ),
                alike=True,
            ),
            Access(store),
        ),
    )
    # Sums and scores of a fragment fit beside the other registers of 128 threads.
    sums = (fragments - FRAGMENT_ROWS) * (work.value_dim + key_tile)
    shared = fragments * work.head_dim * q.bits // 8 + STAGES * key_tile * (k_row + v_row)
    # The kernels of serving stacks have an SM to themselves, for a deep ring of pages.
    alone = spec.chip.sm.shared_memory // 2 + 1
    needs = {
        "threads": 128,
        "registers": min(128 * 128 + sums, spec.chip.sm.registers),
        "shared": min(max(shared, alone), spec.chip.sm.shared_memory),
        "blocks": 1,
    }
    program = Program(threads, {"empty": STAGES, "full": 0})
    name, ramp = f"decode attention split {split}", attention_ramp(spec)
    kernel = Kernel(name, "sm", (program,), tasks, needs, ramp=ramp)
    if split == 1:
        return (kernel,)
    count = heads * rows * work.value_dim
    partial = Operand(-1, 0, count * 4 * split, 32, "float32", "activation")
    combine = Elementwise((partial,), work.writes[:1], elements=count, vector_per_element=2 * split)

    def place(operand: Operand) -> int:
        return spec.capacity_bytes if operand is partial else address(operand)

    return kernel, replace(elementwise(spec, combine, place)[0], ramp=ramp)
