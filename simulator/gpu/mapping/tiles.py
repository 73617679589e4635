"""Which tile a GEMM library would choose, from shapes and data-sheet rates alone.

The choice minimizes a closed-form time: waves of thread blocks, each the slower of its
products and its loads, the C tile stored after them, and a fixed cost for split-K.
Resources that work side by side add as the fourth root of fourth powers: overlap is never
perfect.  The choice never sees a measured time.  The description names the tiles that the
library has (``chip.sm.tile_sides``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulator.errors import HardwareError
from simulator.gpu.mapping.rates import idle_s
from simulator.gpu.spec import GpuSpec

SPLITS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
LINE_BYTES = 128
SECTOR_BYTES = 32
K_STEPS = (512, 384, 256, LINE_BYTES)
"""Bytes per K-step of streaming kernels: the longest that divides a row and fits the ring twice."""
GROUPS = ((1, 1), (2, 1), (1, 2), (4, 1), (1, 4), (4, 2), (2, 4))
"""Blocks along the columns, which share A, and along the rows, which share B (nvjet_sm90)."""
FEW_STAGES = 4
"""Stages that a tile takes whatever it leaves for the blocks beside it."""
WARPGROUP = 128
"""Threads that issue products together."""
GROUPED_COLUMNS = 64
"""Of the tiles of grouped products with few rows: fused_moe of vLLM and SGLang has 32 where it was
not tuned to the shape, 64 and 128 where it was."""
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


def choose(spec: GpuSpec, problem: Problem, grouped: bool = False) -> Tile:
    """The tile with the least estimated time; an SM that holds none is a HardwareError. Kernels of
    ``grouped`` products neither split K nor stream it in long steps."""
    sm = spec.chip.sm
    for name, unit in (("tile_rows", sm.tile_rows), ("tile_columns", sm.tile_columns)):
        if not _multiples(spec, unit, problem.m):
            raise HardwareError(
                f"no tile of a matrix product has a side that is a multiple of {unit}",
                where=f"chip.sm.{name}",
                remedy=f"give a divisor of tile_sides: {', '.join(map(str, sm.tile_sides))}",
            )
    tiles = _candidates(spec, problem, grouped)
    if not tiles:
        raise HardwareError(
            f"no tile of a matrix product fits an SM with {sm.shared_memory} B of shared memory "
            f"and {sm.registers} registers",
            where="chip.sm",
            remedy="raise shared_memory to 32 KiB and registers to 16384, or above",
        )
    return tiles[int(np.argmin(_estimate(spec, problem, tiles)))]


def _candidates(spec: GpuSpec, problem: Problem, grouped: bool) -> list[Tile]:
    row = problem.row_bytes
    sm = spec.chip.sm
    k_bytes = min(LINE_BYTES, row)
    if problem.m <= STREAM_ROWS and not grouped:
        long = (step for step in K_STEPS if row % step == 0 and 2 * step <= sm.ring)
        k_bytes = next(long, k_bytes)
    splits = [split for split in SPLITS if split == 1 or row // split >= sm.split_bytes]
    splits = splits[:1] if grouped else splits
    ring = min(sm.ring, FEW_STAGES * k_bytes) if grouped else sm.ring
    found = []
    for m, n in _sides(spec, problem, grouped):
        tiles = problem.batch * math.ceil(problem.m / m) * math.ceil(problem.n / n)
        for split in splits:
            if split > 1 and tiles * split > sm.split_waves * spec.chip.sms:
                break
            beside = math.ceil(tiles * split / spec.chip.sms) if sm.ring_grows else sm.thread_blocks
            shape = _shape(
                m, n, k_bytes, ring, sm.registers, sm.shared_memory, sm.accumulators, beside
            )
            if shape is not None:
                found.append(Tile(m, n, k_bytes, split=split, **shape))
    return found


def _sides(spec: GpuSpec, problem: Problem, grouped: bool) -> list[tuple[int, int]]:
    """Tiles that the instructions make, either way round, and that are not mostly beyond the
    product's edge; those of a streaming kernel are one row of tiles."""
    unit = spec.chip.sm.tile_rows, spec.chip.sm.tile_columns
    found = {
        (m, n)
        for rows, columns in (unit, unit[::-1])
        for m in _multiples(spec, rows, problem.m)
        for n in _multiples(spec, columns, problem.n)
    }
    if problem.m <= STREAM_ROWS and found:
        lowest = min(m for m, _ in found)
        found = {(m, n) for m, n in found if m == lowest}
        least = min(n for _, n in found)
        found = {(m, n) for m, n in found if not grouped or n <= max(least, GROUPED_COLUMNS)}
    return sorted(found)


def _multiples(spec: GpuSpec, unit: int, extent: int) -> list[int]:
    """Sides of whole units that are not mostly beyond an extent, the least one in any case."""
    sides = [side for side in sorted(spec.chip.sm.tile_sides) if side % unit == 0]
    return [side for side in sides if side == sides[0] or side < 2 * extent]


@lru_cache(maxsize=4096)
def _shape(
    m: int,
    n: int,
    k_bytes: int,
    ring: int,
    registers: int,
    shared: int,
    accumulators: int,
    beside: int,
) -> dict[str, int] | None:
    """Stages, threads and resources of a tile with so many bytes along K in flight, on an SM of so
    many registers, so much shared memory and so many accumulators a thread, where a launch has so
    many blocks for each; None if it does not fit."""
    threads = 256 if m * n >= 128 * 128 else 128
    needed = m * n + threads * 64
    stage = (m + n) * k_bytes
    if shared // stage < 2 or needed > registers or m * n > accumulators * threads:
        return None
    # Small tiles take more of what the blocks beside them leave, up to a ring's length.
    left = shared // stage // min(registers // needed, beside)
    stages = min(max(left, FEW_STAGES), shared // stage, max(2, ring // k_bytes))
    return {
        "stages": stages,
        "threads": threads,
        "registers": needed,
        "shared": stages * stage,
    }


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


def receivers(spec: GpuSpec, problem: Problem, tile: Tile) -> tuple[int, int]:
    """Blocks that one transfer of A serves, and of B: those beside each other in a row of tiles
    share A, those in a column B; of the ways to group them, the one that transfers least."""
    rows, columns = math.ceil(problem.m / tile.m), math.ceil(problem.n / tile.n)
    a, b = tile.m * problem.a_bytes, tile.n * problem.b_bytes
    fitting = (
        (along, across)
        for along, across in GROUPS
        if along * across <= spec.chip.sm.multicast and along <= columns and across <= rows
    )
    return min(fitting, key=lambda one: a / one[0] + b / one[1])


def groups(spec: GpuSpec, tile: Tile) -> int:
    """Warpgroups of a block that multiply on their own."""
    return min(spec.chip.sm.warpgroups, max(1, tile.threads // WARPGROUP))


def _estimate(spec: GpuSpec, problem: Problem, tiles: Sequence[Tile]) -> np.ndarray:
    """Seconds of the product with each of the tiles."""
    chip, sm, l2 = spec.chip, spec.chip.sm, spec.l2
    m, n, k_bytes, stages, split = (
        np.array([getattr(tile, name) for tile in tiles], float)
        for name in ("m", "n", "k_bytes", "stages", "split")
    )
    per_sm = np.array([resident(spec, tile) for tile in tiles], float)
    blocks = problem.batch * np.ceil(problem.m / m) * np.ceil(problem.n / n) * split
    k = problem.k / split
    busiest = np.ceil(blocks / chip.sms)
    pipe = 2 * m * n * k / (problem.operations_per_s * sm.matrix_issue / chip.sms)
    steps = k * max(problem.a_bytes, problem.b_bytes) / k_bytes
    idle = idle_s(spec, pipe / steps, k_bytes, np.array([groups(spec, tile) for tile in tiles]))
    products = pipe + steps * idle / np.minimum(per_sm, busiest)
    latency = l2.hit_latency_cycles / chip.clock + l2.miss_latency
    # One block alone cannot hide the latency of a step behind its ring of stages.
    alone = steps * latency / stages / np.minimum(per_sm, busiest)
    shared = np.array([receivers(spec, problem, tile) for tile in tiles], float)
    served = (m * problem.a_bytes / shared[:, 0] + n * problem.b_bytes / shared[:, 1]) * k
    port = (m * problem.a_bytes + n * problem.b_bytes) * k / (sm.load_bytes_per_clk * chip.clock)
    traffic = blocks * served / spec.l2_bytes_per_s
    unique = problem.batch * (problem.m * problem.a_bytes + problem.n * problem.b_bytes)
    memory = unique * problem.k / spec.memory.peak_bytes_per_s
    c_bytes = np.where(split > 1, 4, problem.c_bytes)
    written = l2.write_cost * blocks * m * n * c_bytes / spec.l2_bytes_per_s
    stored = np.maximum(busiest * m * n * c_bytes / (sm.store_bytes_per_clk * chip.clock), written)
    waves = np.ceil(busiest / per_sm)
    overlapped = (busiest * products, busiest * port, busiest * alone, traffic, memory)
    time = sum(part**4 for part in overlapped) ** 0.25
    time = time + stored / np.maximum(1, waves) + waves * (sm.block_start + latency)
    # The next kernel reads the partial sums, from L2 if they fit; else both kernels wait for DRAM.
    partial = problem.batch * problem.m * problem.n * 4 * split
    moved = np.where(
        partial <= l2.capacity * l2.usable,
        partial / spec.l2_bytes_per_s,
        2 * partial / spec.memory.peak_bytes_per_s,
    )
    start = spec.launch.graph_gap + spec.launch.reduction_ramp
    reduction = start + sm.block_start + 2 * latency + moved
    return np.asarray(np.where(split > 1, time + reduction, time))
