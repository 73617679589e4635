"""Microbenchmarks of whole kernels: streams, launch intervals, matrix pipes.

A benchmark repeats its kernel and reports the time of one; so do these, on the last of a few
repetitions, whose operands and dirty lines are where the one before left them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from simulator.engine.platform import Platform
from simulator.engine.program import Kernel, Loop, Program, grid
from simulator.gpu.mapping.rates import matrix_units, product
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.system.plan import plan_work
from simulator.system.run import execute
from simulator.system.specs import Hardware
from simulator.trace.schema import DTYPE_BITS
from simulator.trace.work import Elementwise, Gemm, Operand, Work
from simulator.units import BYTES, parse
from simulator.validate.microbench.accesses import STREAMS
from simulator.validate.microbench.laboratory import FEMTO, gpu, machine, play
from simulator.validate.probe import probe

REPETITIONS = 3
FAR_LARGER = 4
"""Times the cache, above which one repetition before the last leaves what many would."""
LARGE = "256 MiB"
"""Of one array: far beyond every cache."""
PRODUCTS = 64
"""Products that each resident block does one after another."""


def steady_seconds(hardware: Hardware, works: Sequence[Work], launch: str) -> float:
    """Time from one repetition's end to the next one's."""
    return _steady(gpu(hardware), works, launch)


def _steady(spec: GpuSpec, works: Sequence[Work], launch: str) -> float:
    platform = cast(Platform, GpuPlatform(spec))
    operands = {one.storage: one.bytes for work in works for one in (*work.reads, *work.writes)}
    far_larger = sum(operands.values()) > FAR_LARGER * platform.cache_bytes
    repetitions = 2 if far_larger else REPETITIONS
    plan = plan_work([*works] * repetitions, platform, "microbenchmark")
    kernels = execute(plan, platform, launch).kernels
    before, last = (
        max(kernel.end_fs for kernel in kernels if kernel.index < len(works) * count)
        for count in (repetitions - 1, repetitions)
    )
    return (last - before) * FEMTO


def _stream(kernel: str, size: int) -> Elementwise:
    """A kernel over float64 arrays of ``size`` bytes each."""
    reads, writes = STREAMS[kernel]
    arrays = [
        Operand(number, 0, size, 64, "float64", "activation", size)
        for number in range(reads + writes)
    ]
    return Elementwise(tuple(arrays[:reads]), tuple(arrays[reads:]), elements=size // 8)


@probe("B/s")
def stream(hardware: Hardware, kernel: str, size: str = LARGE) -> float:
    """Bytes moved per second by a kernel over arrays of ``size``, blocks as many as fit."""
    length = int(parse(size, BYTES))
    seconds = steady_seconds(hardware, [_stream(kernel, length)], "graph")
    return sum(STREAMS[kernel]) * length / seconds


@probe("s")
def launch_interval(hardware: Hardware, moved: str, launch: str) -> float:
    """Time per kernel of small copies launched back to back; ``moved`` counts both sides. The
    host issues ahead of the device, so that the device sets the pace."""
    spec = gpu(hardware)
    ahead = spec.host.model_copy(update={"operator_cost": 0.0, "launch_cost": 0.0})
    copy = _stream("scale", int(parse(moved, BYTES)) // 2)
    return _steady(spec.model_copy(update={"host": ahead}), [copy], launch)


def _product(dtype: str, m: int, n: int, k: int) -> Gemm:
    """The work of one product, for the pipe that would run it."""
    bits = DTYPE_BITS[dtype]
    a, b, c = (
        Operand(number, 0, size * bits // 8, bits, dtype, "activation")
        for number, size in enumerate((m * k, n * k, m * n))
    )
    return Gemm((a, b), (c,), 1, m, n, k)


@probe("op/s")
def matrix_rate(hardware: Hardware, dtype: str, m: int, n: int, k: int, blocks: int = 0) -> float:
    """Operations per second of matrix pipes alone: on every SM so many blocks (0: as many as it
    holds) each wait for one product of this shape before they start the next."""
    spec = gpu(hardware)
    sm = spec.chip.sm
    operations = 2 * m * n * k
    pipe, units = matrix_units(spec, _product(dtype, m, n, k), operations)
    count = (blocks or sm.thread_blocks) * spec.chip.sms
    program = Program(((Loop(PRODUCTS, (product(spec, pipe, units),)),),))
    needs = {"shared": sm.shared_memory // (blocks or sm.thread_blocks), "blocks": 1}
    seconds = play(machine(hardware), Kernel("products", "sm", (program,), grid(count), needs))
    return count * PRODUCTS * operations / seconds
