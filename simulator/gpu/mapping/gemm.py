"""Matrix products: tiled, multistage, with split-K, batches and expert groups.

A thread block owns a tile of C.  Its copy thread fills a ring of stages with slices of
A and B along K; its matrix thread consumes them and stores the tile at the end, after
the last product, as library kernels do.  What is added to the product (a bias, a C) is
loaded before the store, or by the kernel that adds the parts of split-K.  Pruned weights save
traffic, not products: no pipe that skips them is described.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
from simulator.gpu.machine import FEMTO, PIPE_UNITS_PER_CLOCK, clocks_fs
from simulator.gpu.mapping import tiles
from simulator.gpu.mapping.rates import (
    expert_ramp,
    idle_s,
    matrix_type,
    matrix_units,
    product_ramp,
    reduction_ramp,
)
from simulator.gpu.mapping.streams import elementwise, start
from simulator.gpu.mapping.tiles import Problem, Tile
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Elementwise, Gemm, GroupedGemm, Operand, Work

EXPERT_LOOKUPS = 2
"""Number of a block's expert, then those of its rows (fused_moe kernel of vLLM)."""
RASTER_ROWS = 8
"""Rows of tiles that advance together over the columns, for reuse of B in L2."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Products of a launch that differ in place alone: extents, where the first one's
    operands begin, how far the next one's are."""

    m: int
    n: int
    a: int
    b: int
    c: int
    """Elements of C before its first."""
    count: int = 1
    stride_a: int = 0
    stride_b: int = 0


@dataclass(frozen=True, slots=True)
class Launch:
    """What all products of one launch share."""

    problem: Problem
    tile: Tile
    name: str
    output: int
    """Byte address of C, or of the partial sums of split-K."""
    element: int
    """Bytes of an element of the output."""
    elements: int
    """Elements of C in all products."""
    end_a: int
    """Byte address where A ends; edge tiles load nothing beyond it."""
    end_b: int
    lookups: int = 0
    """Loads that a block waits for, one after the other, before it knows its rows."""

    @property
    def steps(self) -> int:
        """K-steps of the whole product."""
        return math.ceil(self.problem.row_bytes / self.tile.k_bytes)

    def step_bytes(self, element_bytes: float) -> int:
        """Bytes along K that one step covers in one row of an operand."""
        widest = max(self.problem.a_bytes, self.problem.b_bytes)
        step = math.ceil(self.tile.k_bytes * element_bytes / widest)
        return min(step, _row_bytes(self.problem.k, element_bytes))

    @property
    def step_a(self) -> int:
        return self.step_bytes(self.problem.a_bytes)

    @property
    def step_b(self) -> int:
        return self.step_bytes(self.problem.b_bytes)


def gemm(spec: GpuSpec, work: Gemm, address: Addresses) -> Sequence[Kernel]:
    """One kernel, plus a reduction when K is split. A narrow B trades places with A, so
    that the operand that is streamed lies along the tiles."""
    if not work.m or not work.n or not work.k or not work.batch:
        return ()
    a, b = work.reads[:2]
    m, n = work.m, work.n
    shared = (False, work.b_shared)
    kept = (1.0, work.density)
    if m > n and n <= tiles.STREAM_ROWS:
        a, b, m, n = b, a, n, m
        shared, kept = shared[::-1], kept[::-1]
    c = work.writes[0]
    problem = Problem(
        work.batch,
        m,
        n,
        work.k,
        a.bits / 8 * kept[0],
        b.bits / 8 * kept[1],
        c.bits / 8,
        _peak(spec, work),
    )
    tile = tiles.choose(spec, problem)
    split = tile.split > 1
    launch = Launch(
        problem,
        tile,
        f"gemm {tile.label}",
        spec.capacity_bytes if split else address(c),
        4 if split else max(1, c.bits // 8),
        work.batch * m * n,
        _end(a, address),
        _end(b, address),
    )
    strides = [
        0 if is_shared else operand.bytes // work.batch
        for operand, is_shared in zip((a, b), shared, strict=True)
    ]
    matrices = Matrix(m, n, address(a), address(b), 0, work.batch, *strides)
    kernel = _kernel(spec, work, launch, [matrices], address)
    return (kernel, _reduction(spec, work, launch, address)) if split else (kernel,)


def grouped_gemm(spec: GpuSpec, work: GroupedGemm, address: Addresses) -> Sequence[Kernel]:
    """All experts in one launch; an expert without rows costs nothing."""
    total = sum(work.rows)
    if not total:
        return ()
    a, b = work.reads[:2]
    c = work.writes[0]
    busy = sum(1 for count in work.rows if count)
    problem = Problem(
        busy,
        max(1, total // busy),
        work.n,
        work.k,
        a.bits / 8,
        b.bits / 8 * work.density,
        c.bits / 8,
        _peak(spec, work),
    )
    tile = tiles.choose(spec, problem, grouped=True)
    expert_bytes = b.bytes // busy  # B counts the experts in use
    launch = Launch(
        problem,
        tile,
        f"grouped gemm {tile.label}",
        address(c),
        max(1, c.bits // 8),
        total * work.n,
        _end(a, address),
        address(b) + expert_bytes * len(work.rows),
        lookups=EXPERT_LOOKUPS,
    )
    firsts = np.concatenate([[0], np.cumsum(work.rows)])
    matrices = [
        Matrix(
            count,
            work.n,
            address(a) + int(firsts[expert]) * _row_bytes(work.k, problem.a_bytes),
            address(b) + expert * expert_bytes,
            int(firsts[expert]) * work.n,
        )
        for expert, count in enumerate(work.rows)
        if count
    ]
    kernel = _kernel(spec, work, launch, matrices, address)
    return (replace(kernel, ramp=expert_ramp(spec)),)


def _peak(spec: GpuSpec, work: Work) -> float:
    kind = matrix_type(spec, work)
    return spec.vector_peak if kind is None else spec.matrix_peak(kind)


def _row_bytes(k: int, element_bytes: float) -> int:
    return max(1, math.ceil(k * element_bytes))


def _end(operand: Operand, address: Addresses) -> int:
    return address(operand) + max(operand.span, operand.bytes)


def _kernel(
    spec: GpuSpec, work: Work, launch: Launch, matrices: Sequence[Matrix], address: Addresses
) -> Kernel:
    problem, tile = launch.problem, launch.tile
    pitch_a = _row_bytes(problem.k, problem.a_bytes)
    pitch_b = _row_bytes(problem.k, problem.b_bytes)
    widest = max(problem.a_bytes, problem.b_bytes)
    pipe, units = matrix_units(spec, work, 2 * tile.m * tile.n * tile.k_bytes / widest)
    # The whole tile is multiplied, edges included: pipes work on full fragments.
    steps = Coordinate(3) if tile.split > 1 else launch.steps
    pipe_s = units / (PIPE_UNITS_PER_CLOCK * spec.chip.clock)
    groups = tiles.groups(spec, tile)
    idle = 0.0 if pipe == "vector" else float(idle_s(spec, pipe_s, tile.k_bytes, groups))
    one_step = (Wait("full", 2), Compute(pipe, units, round(idle * FEMTO)), Release("empty"))
    products = Loop(steps, one_step, alike=True)
    last = (problem.n - 1) % tile.n + 1
    of_a, of_b = tiles.receivers(spec, problem, tile)
    load_a = Pattern(
        "read",
        "load",
        chunk=launch.step_a,
        coordinates=(1,),
        loops=(launch.step_a,),
        inner=Coordinate(4),
        inner_stride=pitch_a,
        limit=launch.end_a,
        receivers=of_a,
    )
    tasks = np.concatenate([_tasks(launch, matrix, pitch_a, pitch_b) for matrix in matrices])
    if tile.split == 1:
        # All blocks take the same steps, so that their column can number the blocks.
        tasks[:, 4] = np.arange(len(tasks))
    programs = []
    for columns in (tile.n, last):
        load_b = Pattern(
            "read",
            "load",
            chunk=launch.step_b,
            coordinates=(0, 1),
            loops=(launch.step_b,),
            inner=columns,
            inner_stride=pitch_b,
            limit=launch.end_b,
            receivers=of_b,
        )
        store = Pattern(
            "write",
            "store",
            chunk=columns * launch.element,
            base=launch.output,
            coordinates=(0, 0, launch.element),
            inner=Coordinate(4),
            inner_stride=problem.n * launch.element,
        )
        latency = launch.lookups * clocks_fs(spec, spec.l2.hit_latency_cycles)
        begin = (start(spec), Delay(latency)) if latency else (start(spec),)
        copy: tuple[Step, ...] = (
            *begin,
            Loop(
                steps, (Wait("empty"), Access(load_a, "full"), Access(load_b, "full")), alike=True
            ),
        )
        added = () if tile.split > 1 else work.reads[2:]
        loads = [
            Access(_added(launch, operand, address, columns, len(tasks)), "added")
            for operand in added
            if operand.bytes
        ]
        last_steps: tuple[Step, ...] = (*loads, Wait("added", len(loads))) if loads else ()
        threads = (copy, (start(spec), products, *last_steps, Access(store)))
        programs.append(Program(threads, {"empty": tile.stages, "full": 0, "added": 0}))
    needs = {
        "threads": tile.threads,
        "registers": tile.registers,
        "shared": tile.shared,
        "blocks": 1,
    }
    return Kernel(launch.name, "sm", tuple(programs), tasks, needs, ramp=product_ramp(spec))


def _added(
    launch: Launch, operand: Operand, address: Addresses, columns: int, blocks: int
) -> Pattern:
    """The block's tile of an operand as large as C, or its share of a smaller one: a bias
    row passes the port once, not once per row of tiles."""
    element = max(1, operand.bits // 8)
    begin, end = address(operand), _end(operand, address)
    if operand.bytes >= launch.elements * element:
        return Pattern(
            "read",
            "load",
            chunk=columns * element,
            base=begin,
            coordinates=(0, 0, element),
            inner=Coordinate(4),
            inner_stride=launch.problem.n * element,
            limit=end,
        )
    share = -(-operand.bytes // blocks)
    return Pattern("read", "load", chunk=share, base=begin, coordinates=(0, 0, 0, share), limit=end)


def _tasks(launch: Launch, matrix: Matrix, pitch_a: int, pitch_b: int) -> np.ndarray:
    """Rows of (edge program, A address, B address, C element, K-steps, rows of C) in raster
    order: groups of tile rows that walk the columns together."""
    tile = launch.tile
    tiles_m = math.ceil(matrix.m / tile.m)
    tiles_n = math.ceil(matrix.n / tile.n)
    i, j = np.divmod(np.arange(tiles_m * tiles_n, dtype=np.int64), tiles_n)
    order = np.lexsort((i % RASTER_ROWS, j, i // RASTER_ROWS))
    i, j = i[order], j[order]
    rows = np.minimum(matrix.m - i * tile.m, tile.m)
    cuts = [launch.steps * part // tile.split for part in range(tile.split + 1)]
    parts = []
    for part, (first, stop) in enumerate(pairwise(cuts)):
        parts.append(
            np.column_stack(
                [
                    (j + 1) * tile.n > matrix.n,
                    matrix.a + i * tile.m * pitch_a + first * launch.step_a,
                    matrix.b + j * tile.n * pitch_b + first * launch.step_b,
                    part * launch.elements + matrix.c + i * tile.m * matrix.n + j * tile.n,
                    np.full_like(i, stop - first),
                    rows,
                ]
            )
        )
    one = np.concatenate(parts)
    product = np.repeat(np.arange(matrix.count, dtype=np.int64), len(one))
    tasks = np.tile(one, (matrix.count, 1))
    for column, stride in enumerate((matrix.stride_a, matrix.stride_b, matrix.m * matrix.n), 1):
        tasks[:, column] += product * stride
    return tasks


def _reduction(spec: GpuSpec, work: Gemm, launch: Launch, address: Addresses) -> Kernel:
    """Adds the partial sums of split-K, and what is added to the product."""
    split = launch.tile.split
    partial = Operand(-1, 0, launch.elements * 4 * split, 32, "float32", "activation")
    adds = Elementwise(
        (partial, *work.reads[2:]),
        work.writes[:1],
        elements=launch.elements,
        vector_per_element=split,
    )

    def place(operand: Operand) -> int:
        return launch.output if operand is partial else address(operand)

    return replace(elementwise(spec, adds, place)[0], ramp=reduction_ramp(spec))
