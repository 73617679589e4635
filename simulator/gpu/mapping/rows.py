"""Kernels of known libraries that give a thread block its rows: PyTorch's norms and softmax, norms
and activations of serving stacks.

A block walks its row in steps of what its threads load at once, waits, computes, goes on; between
two walks its warps meet.  A later walk loads the row again: what L1 has lost of it through the L2,
which decides how much of that DRAM sees.  Short rows of softmax stay in the registers of a warp
each.

Instructions an element are those on the fp32 lanes and special units in the loops that CUDA 12.9
compiles for sm_80 from the published source: ``layer_norm_kernel.cu``, ``SoftMax.cu``,
``PersistentSoftmax.cuh`` of PyTorch 2.0, ``layernorm_kernels.cu`` and ``activation_kernels.cu`` of
vLLM 0.2, which loads single elements; an address of 64 bits counts twice.  Left out: warps of a
block that drift apart, loads of weights that L1 holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Kernel,
    Loop,
    Pattern,
    Program,
    Step,
    Wait,
    grid,
)
from simulator.gpu.machine import clocks_fs
from simulator.gpu.mapping.rates import special_units, vector_units
from simulator.gpu.mapping.streams import block_needs, share, start
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Elementwise, Operand, RowWise

VECTOR_BYTES = 16
MOST_THREADS = 1024
WARP = 32
DEPENDENT_CYCLES = 6
"""From one instruction to one that needs its result: 4 for fp32 arithmetic, more for conversions
and branches (arXiv 2503.20481)."""
WARPS = 4
"""Of a block whose warps have rows of their own."""


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk over a row: instructions an element, of fp32 lanes and special units."""

    vector: float
    special: float = 0
    chain: int = 0
    """Instructions of a step that depend on each other, from one load to the next."""


@dataclass(frozen=True, slots=True)
class RowKernel:
    """How a library's kernel walks rows."""

    threads: Callable[[int, int], int]
    """Of a block, for so many elements a thread loads at once and so many columns."""
    loaded: Callable[[int], int]
    """Bytes a thread loads at once, of elements of so many bytes."""
    walks: tuple[Walk, ...]
    meeting: Walk = Walk(0)
    """Instructions a thread from one walk to the next: sums of warps and of the block."""
    meeting_cycles: int = 0
    """... and their latency: shuffles and barriers one after the other."""
    singles: bool = False
    """Whether what vectors of all threads leave over is loaded element by element."""
    held: int = 0
    """Bytes of a row up to which a warp keeps it in registers."""
    held_columns: int = 0


def softmax_threads(at_once: int, columns: int) -> int:
    """``SoftMax_getBlockSize``: half to all of the threads that one step over the row needs."""
    most, threads = min(columns // at_once, MOST_THREADS), 1
    while threads < most / 2:
        threads *= 2
    return max(threads, WARP)


KERNELS: Mapping[str, RowKernel] = {
    "norm": RowKernel(
        threads=lambda at_once, columns: 4 * WARP,
        loaded=lambda element: 4 * element,
        # Welford's update with a reciprocal; centre, scale, weight and bias.
        walks=(Walk(8, 1, 20), Walk(3, chain=10)),
        # Five shuffles of three values, two of warps through shared memory, seven combinations.
        meeting=Walk(90, 6),
        meeting_cycles=800,
    ),
    "softmax": RowKernel(
        threads=softmax_threads,
        loaded=lambda element: VECTOR_BYTES,
        # Maximum; exponential and sum; exponential and quotient.
        walks=(Walk(1.2, chain=14), Walk(8.3, 1, 24), Walk(15, 3, 20)),
        meeting=Walk(20),
        meeting_cycles=400,
        singles=True,
        held=4096,
        held_columns=1024,
    ),
    "serving": RowKernel(
        threads=lambda at_once, columns: min(columns, MOST_THREADS),
        loaded=lambda element: element,
        # Sum of squares; scale and weight: most of it addresses.
        walks=(Walk(6, chain=8), Walk(11, chain=15)),
        meeting=Walk(20),
        meeting_cycles=500,
    ),
}
ACTIVATION = Walk(27, 3, 24)
"""Of a gated activation that is walked element by element: a precise exponential and quotient,
conversions, addresses."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Equal steps of a block's threads along a row, in bytes."""

    begin: int
    step: int
    count: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """A dense operand in rows of equal bytes."""

    operand: Operand
    base: int
    bytes: int

    def pattern(self, kind: str, stretch: Stretch, parts: int = 1, share: float = 1.0) -> Pattern:
        """A step, or a share of its bytes; of ``parts`` that lie behind each other in each row."""
        return Pattern(
            kind,
            "store" if kind == "write" else "load",
            chunk=math.ceil(stretch.step * share),
            base=self.base + stretch.begin,
            coordinates=(self.bytes * parts,),
            loops=(stretch.step,),
            inner=parts,
            inner_stride=self.bytes,
            limit=self.base + self.operand.bytes,
        )


def stretches(row_bytes: int, vectors: int, singles: int = 0) -> list[Stretch]:
    """Steps over a row: whole ones of ``vectors`` bytes, then the rest at once, or in steps of
    ``singles`` bytes, in which such kernels also begin if rows are not aligned to vectors."""
    found = []
    begin = 0
    if singles and row_bytes % VECTOR_BYTES and row_bytes > singles:
        found.append(Stretch(0, singles, 1))
        begin = singles
    for step in (vectors, singles):
        count = (row_bytes - begin) // step if step else 0
        if count:
            found.append(Stretch(begin, step, count))
            begin += step * count
    if begin < row_bytes:
        found.append(Stretch(begin, row_bytes - begin, 1))
    return found


def library_rows(spec: GpuSpec, work: RowWise, address: Addresses) -> Sequence[Kernel]:
    """A kernel of ``work.library``; its first operands are the rows."""
    kernel = KERNELS[work.library]
    rows, columns = work.rows, work.columns
    source, result = work.reads[0], work.writes[0]
    element = max(1, source.bytes // (rows * columns))
    at_once = kernel.loaded(element)
    if columns * element <= kernel.held and columns <= kernel.held_columns:
        return (_held(spec, work, kernel, address),)
    threads = kernel.threads(max(1, at_once // element), columns)
    needs = block_needs(threads=threads)
    row_bytes = columns * element
    read = _Rows(source, address(source), row_bytes)
    written = _Rows(result, address(result), result.bytes // rows)
    singles = threads * element if kernel.singles else 0
    along = stretches(row_bytes, threads * at_once, singles)
    lost = _lost(spec, needs, row_bytes)
    steps: list[Step] = [start(spec)]
    for number, walk in enumerate(kernel.walks):
        if number:
            steps += _arithmetic(spec, kernel.meeting, threads, kernel.meeting_cycles)
        for stretch in along:
            body: list[Step] = []
            if not number:
                body.append(Access(read.pattern("read", stretch)))
            elif lost:
                body.append(Access(read.pattern("read", stretch, share=lost)))
            body += _arithmetic(spec, walk, stretch.step / element)
            if number == len(kernel.walks) - 1:
                body.append(Access(written.pattern("write", stretch), "stored"))
            steps.append(Loop(stretch.count, tuple(body)))
    steps += _small(work, address, rows)
    return (_kernel(f"{work.library} rows", steps, rows, needs),)


def activation_rows(spec: GpuSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    """A row of the result for each block; operands twice as long have two parts in each row."""
    result = work.writes[0]
    row_bytes = result.bytes // work.rows
    element = max(1, result.bytes // work.elements)
    threads = min(row_bytes // element, MOST_THREADS)
    written = _Rows(result, address(result), row_bytes)
    steps: list[Step] = [start(spec)]
    for stretch in stretches(row_bytes, threads * element):
        loads = [
            Access(
                _Rows(operand, address(operand), row_bytes).pattern(
                    "read", stretch, operand.bytes // result.bytes
                ),
                "loaded",
            )
            for operand in work.reads
        ]
        body: list[Step] = [*loads, Wait("loaded", len(loads))]
        body += _arithmetic(spec, ACTIVATION, stretch.step / element)
        body.append(Access(written.pattern("write", stretch), "stored"))
        steps.append(Loop(stretch.count, tuple(body)))
    return (_kernel("activation rows", steps, work.rows, block_needs(threads=threads)),)


def _held(spec: GpuSpec, work: RowWise, kernel: RowKernel, address: Addresses) -> Kernel:
    """A warp has a row in its registers, padded to a power of two: one walk, one meeting."""
    blocks = -(-work.rows // WARPS)
    elements = WARPS * (1 << max(5, (work.columns - 1).bit_length()))
    steps: list[Step] = [start(spec), Access(share("read", work.reads[0], address, blocks))]
    for walk in kernel.walks[::2]:
        steps += _arithmetic(spec, walk, elements)
    steps += _arithmetic(spec, kernel.meeting, WARPS * WARP, kernel.meeting_cycles)
    steps.append(Access(share("write", work.writes[0], address, blocks)))
    registers = 32 + elements // (WARPS * WARP)
    needs = block_needs(threads=WARPS * WARP, registers=registers)
    return _kernel(f"{work.library} warps", steps, blocks, needs)


def _arithmetic(spec: GpuSpec, walk: Walk, elements: float, cycles: int = 0) -> list[Step]:
    """Instructions of a block; its warps wait for their own last ones, so pipes add up."""
    cycles += DEPENDENT_CYCLES * walk.chain
    steps: list[Step] = []
    if walk.special:
        steps.append(Compute("special", special_units(spec, walk.special * elements)))
    if walk.vector:
        units = vector_units(spec, walk.vector * elements)
        steps.append(Compute("vector", units, clocks_fs(spec, cycles)))
    return steps


def _lost(spec: GpuSpec, needs: Mapping[str, int], row_bytes: int) -> float:
    """Share of a row that L1 has lost when it is walked again, after every other resident block has
    gone on by a row's bytes: that of the array which those fill, as if by chance."""
    sm = spec.chip.sm
    by_registers = sm.registers // needs["registers"]
    blocks = min(sm.threads // needs["threads"], by_registers, sm.thread_blocks)
    return min(1.0, blocks * row_bytes / (sm.l1 or sm.shared_memory))


def _small(work: RowWise, address: Addresses, tasks: int) -> list[Step]:
    """Weights come from DRAM once; statistics of the rows are stored."""
    others = [("read", operand) for operand in work.reads[1:]]
    others += [("write", operand) for operand in work.writes[1:]]
    return [Access(share(kind, one, address, tasks)) for kind, one in others if one.bytes]


def _kernel(name: str, steps: Sequence[Step], tasks: int, needs: Mapping[str, int]) -> Kernel:
    program = Program((tuple(steps),), {"loaded": 0, "stored": 0})
    return Kernel(name, "sm", (program,), grid(tasks), needs)
