"""Which tile a GEMM library would choose, from shapes and data-sheet rates alone.

The choice minimizes a closed-form time: waves of thread blocks, each the slower of its
products and its loads, the C tile stored after them, and a fixed cost for split-K.
Resources that work side by side add as the fourth root of fourth powers: overlap is never
perfect.  The choice never sees a measured time.  Tile shapes are those of CUTLASS's
device-level GEMMs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import HardwareError
from simulator.gpu.spec import GpuSpec

TILE_M = (16, 32, 64, 128, 256)
TILE_N = (16, 32, 64, 128, 256)
SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LINE_BYTES = 128
SECTOR_BYTES = 32
K_STEPS = (512, 384, 256, LINE_BYTES)
"""Bytes per K-step of streaming kernels: the longest that divides a row."""
MIN_SPLIT_K_BYTES = 512
MAX_STAGES = 4
STREAM_ROWS = 16
"""Up to this many rows of A the kernel streams B: long K-steps, one row of tiles."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Shape of a thread block's work and its resources."""

    m: int
    n: int
    k_bytes: int
    """Bytes along K per step, of the wider operand."""
    stages: int
    split: int
    threads: int
    registers: int
    shared: int

    @property
    def label(self) -> str:
        split = f" split {self.split}" if self.split > 1 else ""
        return f"{self.m}x{self.n}{split}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What the choice depends on."""

    batch: int
    m: int
    n: int
    k: int
    a_bytes: float
    b_bytes: float
    c_bytes: float
    operations_per_s: float

    @property
    def row_bytes(self) -> int:
        """Bytes along K of the wider operand: whole lines, or sectors if shorter than one."""
        row = self.k * max(self.a_bytes, self.b_bytes)
        unit = LINE_BYTES if row > LINE_BYTES else SECTOR_BYTES
        return max(1, math.ceil(row / unit)) * unit


def choose(spec: GpuSpec, problem: Problem, may_split: bool = True) -> Tile:
    """The tile with the least estimated time; an SM that holds none is a HardwareError."""
    best: Tile | None = None
    best_time = math.inf
    for tile in _candidates(spec, problem, SPLITS if may_split else SPLITS[:1]):
        time = _estimate(spec, problem, tile)
        if time < best_time:
            best, best_time = tile, time
    if best is None:
        sm = spec.chip.sm
        raise HardwareError(
            f"no tile of a matrix product fits an SM with {sm.shared_memory} B of shared memory "
            f"and {sm.registers} registers",
            where="chip.sm",
            remedy="raise shared_memory to 32 KiB and registers to 16384, or above",
        )
    return best


def _candidates(spec: GpuSpec, problem: Problem, splits: Sequence[int]) -> list[Tile]:
    sm = spec.chip.sm
    streaming = problem.m <= STREAM_ROWS
    row = problem.row_bytes
    k_bytes = min(LINE_BYTES, row)
    if streaming:
        k_bytes = next((step for step in K_STEPS if row % step == 0), k_bytes)
    found = []
    for m in (STREAM_ROWS,) if streaming else TILE_M:
        if m > 16 and m >= 2 * problem.m:
            continue
        for n in TILE_N:
            if (n > 16 and n >= 2 * problem.n) or m * n > 128 * 256:
                continue
            threads = 256 if m * n >= 128 * 128 else 128
            registers = m * n + threads * 64
            stage = (m + n) * k_bytes
            stages = min(MAX_STAGES, sm.shared_memory // stage)
            if stages < 2 or registers > sm.registers:
                continue
            for split in splits:
                if split > 1 and row // split < MIN_SPLIT_K_BYTES:
                    break
                found.append(Tile(m, n, k_bytes, stages, split, threads, registers, stages * stage))
    return found


def resident(spec: GpuSpec, tile: Tile) -> int:
    """Thread blocks of this tile that fit on one SM."""
    sm = spec.chip.sm
    return max(
        1,
        min(
            sm.threads // tile.threads,
            sm.registers // tile.registers,
            sm.shared_memory // tile.shared,
            sm.thread_blocks,
        ),
    )


def _estimate(spec: GpuSpec, problem: Problem, tile: Tile) -> float:
    chip, sm = spec.chip, spec.chip.sm
    blocks_m = math.ceil(problem.m / tile.m)
    blocks_n = math.ceil(problem.n / tile.n)
    blocks = problem.batch * blocks_m * blocks_n * tile.split
    k = problem.k / tile.split
    per_sm = resident(spec, tile)
    busiest = math.ceil(blocks / chip.sms)
    load = (tile.m * problem.a_bytes + tile.n * problem.b_bytes) * k
    products = 2 * tile.m * tile.n * k / (problem.operations_per_s / chip.sms)
    port = load / (sm.load_bytes_per_clk * chip.clock)
    steps = k * max(problem.a_bytes, problem.b_bytes) / tile.k_bytes
    latency = spec.l2.hit_latency_cycles / chip.clock + spec.l2.miss_latency
    # One block alone cannot hide the latency of a step behind its ring of stages.
    alone = steps * latency / tile.stages / min(per_sm, busiest)
    traffic = blocks * load / spec.l2_bytes_per_s
    unique = problem.batch * (problem.m * problem.a_bytes + problem.n * problem.b_bytes)
    memory = unique * problem.k / spec.memory.peak_bytes_per_s
    c_bytes = 4 if tile.split > 1 else problem.c_bytes
    c_tile = tile.m * tile.n * c_bytes
    stored = busiest * c_tile / (sm.store_bytes_per_clk * chip.clock)
    waves = math.ceil(busiest / per_sm)
    overlapped = (busiest * products, busiest * port, busiest * alone, traffic, memory)
    time = math.sqrt(math.hypot(*(part * part for part in overlapped)))
    time += stored / max(1, waves) + waves * (sm.block_start + latency)
    if tile.split > 1:
        partial = problem.batch * problem.m * problem.n * 4 * tile.split
        time += spec.launch.graph_gap + sm.block_start + 2 * latency
        # Written by one kernel and read by the next, in L2 if they fit.
        fits = partial <= spec.l2.capacity * spec.l2.usable
        rate = spec.l2_bytes_per_s if fits else spec.memory.peak_bytes_per_s
        time += 2 * partial / rate
    return time
