"""FlashAttention backward: a thread block keeps a tile of keys and values and walks the queries.

Five products a step: scores and dP, then, from their softmax, dV, dK and dQ.  A block has its SM
to itself, so that nothing hides the softmax and ``softmax_cycles``.  The parts of dQ are added
atomically in float32; a kernel before clears them and turns O and dO into one number a row, a
kernel after converts them (Dao 2023, ``flash_bwd_kernel.h``).
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
from simulator.gpu.mapping.attention_operands import (
    consecutive,
    end,
    even_steps,
    head_stride,
    mask_and_others,
    mask_row_bytes,
    softmax_units,
)
from simulator.gpu.mapping.rates import attention_ramp, matrix_units, mma_sync_share
from simulator.gpu.mapping.streams import elementwise, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Elementwise, Operand

KEYS = 128
STAGES = 2
THREADS = 256


def backward(spec: GpuSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Clear and sum, the five products, convert."""
    mask, others = mask_and_others(work)
    rows = work.batch * work.heads * work.q_len
    count = rows * work.head_dim
    sums = Operand(-1, 0, 4 * count, 32, "float32", "gradient")

    def place(operand: Operand) -> int:
        return spec.capacity_bytes if operand is sums else address(operand)

    clear = Elementwise(others, (sums,), elements=count, vector_per_element=2)
    convert = Elementwise((sums,), work.writes[:1], elements=count, vector_per_element=1)
    ramp = attention_ramp(spec)
    return (
        replace(elementwise(spec, clear, place)[0], name="attention backward prepare"),
        _products(spec, work, address, mask, _walked(others)),
        replace(elementwise(spec, convert, place)[0], name="attention backward convert", ramp=ramp),
    )


def _walked(others: tuple[Operand, ...]) -> tuple[Operand, ...]:
    """What is walked with the queries: O is needed for the sums alone, and is as large as dO."""
    largest = max((one.bytes for one in others), default=0)
    alike = [one for one in others if one.bytes == largest]
    return tuple(one for one in others if len(alike) < 2 or one is not alike[-1])


def _products(
    spec: GpuSpec,
    work: Attention,
    address: Addresses,
    mask: Operand | None,
    walked: tuple[Operand, ...],
) -> Kernel:
    q, k, v = work.reads[:3]
    sm = spec.chip.sm
    q_tile = 128 if max(work.head_dim, work.value_dim) <= 64 else 64
    steps, rows = even_steps(work.q_len, q_tile)
    tiles, keys = even_steps(work.kv_len, KEYS)
    all_rows = work.batch * work.heads * work.q_len
    blocks = work.batch * work.heads * tiles
    k_row, v_row = work.head_dim * k.bits // 8, work.value_dim * v.bits // 8
    mask_row = mask_row_bytes(mask, work) if mask else 0
    mask_rows = mask.bytes // mask_row if mask else 1

    head, tile = np.divmod(np.arange(blocks, dtype=np.int64), tiles)
    skipped = np.zeros_like(tile)
    if work.causal:
        # Queries before a tile's first key see none of it; the longest blocks come first.
        skipped = np.clip((tile * keys - (work.kv_len - work.q_len)) // rows, 0, steps - 1)
    kv_head = head // (work.heads // work.kv_heads)
    kv_count = work.batch * work.kv_heads
    first = head * work.q_len + skipped * rows
    tasks = np.column_stack(
        [
            np.zeros_like(head),
            first % mask_rows * mask_row + (tile * keys * mask.bits // 8 if mask else 0),
            address(k) + kv_head * head_stride(k, kv_count) + tile * keys * k_row,
            address(v) + kv_head * head_stride(v, kv_count) + tile * keys * v_row,
            steps - skipped,
            np.arange(blocks),
            first,
        ]
    )

    def walk(kind: str, path: str, base: int, row: int, limit: int) -> Pattern:
        """A tile of queries' rows per step."""
        coordinates = (0, 0, 0, 0, 0, row)
        return Pattern(kind, path, rows * row, base, coordinates, (rows * row,), limit=limit)

    loads = [
        Access(walk("read", "load", address(one), share, end(one, address)), "rows")
        for one in (q, *walked)
        for share in [-(-one.bytes // all_rows)]
    ]
    if mask is not None:
        loads.append(Access(_mask_tile(mask, address, keys, rows, mask_rows, mask_row), "rows"))
    dq_row = 4 * work.head_dim
    sums = spec.capacity_bytes
    add_dq = walk("atomic", "store", sums, dq_row, sums + all_rows * dq_row)
    own = (
        Access(consecutive(keys * k_row, 1, end(k, address))),
        Access(consecutive(keys * v_row, 2, end(v, address))),
    )
    scores = q_tile * KEYS
    share = mma_sync_share(spec)
    dims = work.head_dim + work.value_dim
    pipe, recomputed = matrix_units(spec, work, 2 * scores * dims, share)
    _, gradients = matrix_units(spec, work, 2 * scores * (dims + work.head_dim), share)
    special, vector = softmax_units(spec, scores)
    threads: tuple[tuple[Step, ...], ...] = (
        (
            start(spec),
            Loop(Coordinate(3), (Wait("room"), *loads), alike=True),
        ),
        (
            start(spec),
            *own,
            Loop(
                Coordinate(3),
                (
                    Wait("rows", len(loads)),
                    Compute(pipe, recomputed),
                    Compute("special", special),
                    Compute("vector", vector),
                    Delay(clocks_fs(spec, sm.softmax_cycles)),
                    Compute(pipe, gradients),
                    Access(add_dq, "added"),
                    Release("room"),
                ),
                alike=True,
            ),
            *(Access(_own_share(one, address, blocks)) for one in work.writes[1:] if one.bytes),
        ),
        (start(spec), Loop(Coordinate(3), (Wait("added"),), alike=True)),
    )
    needs = {
        "threads": min(THREADS, sm.threads),
        "registers": sm.registers,
        "shared": min(KEYS * (k_row + v_row) + STAGES * q_tile * (k_row + v_row), sm.shared_memory),
        "blocks": 1,
    }
    program = Program(threads, {"room": STAGES, "rows": 0, "added": 0})
    ramp = attention_ramp(spec)
    name = f"attention backward {q_tile}x{KEYS}"
    return Kernel(name, "sm", (program,), tasks, needs, ramp=ramp, alike=not work.causal)


def _own_share(operand: Operand, address: Addresses, blocks: int) -> Pattern:
    """A block's part of the gradient of keys or values."""
    share = math.ceil(operand.bytes / blocks)
    coordinates = (0, 0, 0, 0, share)
    limit = end(operand, address)
    return Pattern("write", "store", share, address(operand), coordinates, limit=limit)


def _mask_tile(
    mask: Operand, address: Addresses, keys: int, rows: int, mask_rows: int, mask_row: int
) -> Pattern:
    """Per step, the columns of the block's keys in the rows of one tile of queries."""
    whole = mask_rows > 1
    return Pattern(
        "read",
        "load",
        chunk=max(1, min(keys * mask.bits // 8, mask_row)),
        base=address(mask),
        coordinates=(1,),
        loops=(rows * mask_row if whole else 0,),
        inner=rows if whole else 1,
        inner_stride=mask_row,
        limit=address(mask) + mask.bytes,
    )
