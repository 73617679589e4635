"""Microbenchmarks of the memory path: single accesses in the engine's own vocabulary.

The kernels are those of the published benchmarks: RRZE-HPC/gpu-benches (``gpu-latency``,
``gpu-stream``, ``gpu-l2-cache``) and HPMLL/NVIDIA-Hopper-Benchmark (bulk loads).  Each is played
on the whole machine of a description; what it finds is what that machine does.  Left out: L1 and
shared memory, TLB reach, the instructions of the benchmark itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.engine.program import (
    Access,
    Kernel,
    Loop,
    Pattern,
    Program,
    Step,
    Wait,
    grid,
)
from simulator.gpu.mapping.streams import block_needs, start
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import Hardware
from simulator.units import BYTES, parse
from simulator.validate.microbench.laboratory import gpu, machine, play
from simulator.validate.probe import probe

LINE_BYTES = 128
LOAD_BYTES = 32
CHASE_LOADS = 8192
"""Loads of a chain that are timed: refresh and banks average out to a tenth of a per cent."""
NEVER_CACHED = 8
"""Times the cache, above which a chain finds nothing of itself: it is not walked before."""
WARM_LINES = 64
"""Lines that one block of the warm-up fetches at once."""
OCCUPANCY_ARRAYS = {"read": (1, 0), "scale": (1, 1)}
"""Arrays that the kernels of ``occupied_stream`` read and write."""
BLOCKS_PER_SM = 2
"""``gpu-stream`` lets so many blocks reside on an SM, whatever their size."""
ELEMENT_BYTES = 8


@probe("s")
def pointer_chase(hardware: Hardware, footprint: str) -> float:
    """Time of one load of a lone thread that follows a random chain through every line of a
    buffer, after the chain has been walked once."""
    return chase_seconds(hardware, int(parse(footprint, BYTES)))


def chase_seconds(hardware: Hardware, footprint: int) -> float:
    """As :func:`pointer_chase`, in bytes. The walk before is done by all SMs together, in the
    order of the chain, and leaves in the caches what a walk by one thread would."""
    lines = max(1, footprint // LINE_BYTES)
    order = np.random.default_rng(0).permutation(lines).astype(np.int64)
    device = machine(hardware)
    if footprint <= NEVER_CACHED * gpu(hardware).l2.capacity:
        blocks = -(-lines // WARM_LINES)
        padded = np.resize(order, blocks * WARM_LINES)
        fetch = Pattern(
            "read",
            "load",
            LOAD_BYTES,
            coordinates=(WARM_LINES,),
            inner=WARM_LINES,
            inner_stride=LINE_BYTES,
            index=padded,
        )
        play(device, Kernel("warm-up", "sm", (Program(((Access(fetch),),)),), grid(blocks)))
    chain = np.resize(order, CHASE_LOADS) if lines < CHASE_LOADS else order[:CHASE_LOADS]
    load = Pattern("read", "load", LOAD_BYTES, loops=(1,), inner_stride=LINE_BYTES, index=chain)
    walk = Kernel("chase", "sm", (Program(((Loop(len(chain), (Access(load),)),),)),), grid(1))
    return play(device, walk) / len(chain)


@probe("B/s")
def shared_reads(hardware: Hardware, footprint: str) -> float:
    """All SMs read one buffer together again and again, many loads in flight."""
    return shared_read_rate(hardware, int(parse(footprint, BYTES)))


def shared_read_rate(hardware: Hardware, footprint: int) -> float:
    """As :func:`shared_reads`, in bytes."""
    chunk, flying, blocks = 1024, 4, 8 * gpu(hardware).chip.sms
    count = max(1, footprint // (chunk * blocks))
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(0, chunk * blocks))

    def passes(number: int) -> Kernel:
        step = (Wait("free"), Access(load, "free"))
        steps = (Loop(number, (Loop(count, step),)), Wait("free", flying))
        return Kernel("reads", "sm", (Program((steps,), {"free": flying}),), grid(blocks))

    device = machine(hardware)
    play(device, passes(2))
    short, long = play(device, passes(1)), play(device, passes(4))
    return 3 * count * blocks * chunk / (long - short)


@probe("B/s")
def bulk_loads(hardware: Hardware, blocks: int, size: str) -> float:
    """Thread blocks that each keep one bulk load in flight, over untouched memory."""
    return bulk_load_rate(hardware, blocks, int(parse(size, BYTES)))


def bulk_load_rate(hardware: Hardware, blocks: int, chunk: int) -> float:
    """As :func:`bulk_loads`, with the size in bytes."""
    rounds = max(20, (24 << 20) // (blocks * chunk))
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(blocks * chunk,))
    program = Program(((Loop(rounds, (Access(load),)),),))
    kernel = Kernel("bulk loads", "sm", (program,), grid(blocks))
    return rounds * blocks * chunk / play(machine(hardware), kernel)


@probe("B/s")
def occupied_stream(hardware: Hardware, kernel: str, threads: int) -> float:
    """Bytes per second of a stream at low occupancy: two blocks of ``threads`` threads reside on
    each SM, every thread has one 8-byte element to read (and, for ``scale``, to write)."""
    reads, writes = OCCUPANCY_ARRAYS[kernel]
    spec = gpu(hardware)
    piece = threads * ELEMENT_BYTES
    resident = BLOCKS_PER_SM * spec.chip.sms
    device = machine(hardware)
    if writes:
        # A stream that has run for long finds the cache full of what it wrote.
        device.install("l2", spec.capacity_bytes // 2, spec.l2.capacity, True)
    rounds = max(12, -(-(16 << 20) // (resident * piece)))
    launch = _blocks(spec, piece, reads, writes, threads)
    before, long = launch(0, 4 * resident), launch(4 * resident, rounds * resident)
    # Blocks follow each other: what a short launch takes less than a long one is steady.
    ramp = play(device, before)
    whole = play(device, long)
    return (rounds - 4) * resident * piece * (reads + writes) / (whole - ramp)


def _blocks(
    spec: GpuSpec, piece: int, reads: int, writes: int, threads: int
) -> Callable[[int, int], Kernel]:
    """A launch of ``count`` blocks from block ``first`` on: array after array, piece by piece."""
    far = 1 << 30
    steps: list[Step] = [start(spec)]
    for kind, path, arrays, base in (
        ("read", "load", reads, 0),
        ("write", "store", writes, reads * far),
    ):
        for array in range(arrays):
            pattern = Pattern(kind, path, piece, base=base + array * far, coordinates=(piece,))
            steps.append(Access(pattern))
    program = Program((tuple(steps),))
    needs = block_needs(spec.chip.sm.shared_memory // BLOCKS_PER_SM, min(threads, 256))

    def launch(first: int, count: int) -> Kernel:
        tasks = grid(count)
        tasks[:, 1] += first
        return Kernel("stream", "sm", (program,), tasks, needs)

    return launch
