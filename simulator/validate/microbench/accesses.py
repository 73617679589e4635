"""Microbenchmarks of the memory path: single accesses in the engine's own vocabulary.

The kernels are those of the published benchmarks: RRZE-HPC/gpu-benches (``gpu-latency``,
``gpu-stream``, ``gpu-l2-cache``) and HPMLL/NVIDIA-Hopper-Benchmark (bulk loads).  Each is played
on the whole machine of a description; what it finds is what that machine does.  Left out: L1 and
shared memory, TLB reach, the instructions of the benchmark itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulator.engine.device import Device
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
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import Hardware
from simulator.units import BYTES, parse
from simulator.validate.microbench.laboratory import gpu, machine, play
from simulator.validate.probe import probe

LINE_BYTES = 128
LOAD_BYTES = 32
CHASE_LOADS = 4096
"""Loads of a chain that are timed: refresh and banks average out to a tenth of a per cent."""
NEVER_CACHED = 1.25
"""Times the cache, above which a chain finds nothing of itself: it is not walked before."""
WARM_LINES, WARM_BLOCKS = 8, 4
"""Lines that one block of the warm-up fetches at once, blocks on an SM: together so few that lines
reach the cache in the order of the chain."""
BLOCKS_PER_SM = 2
"""``gpu-stream`` lets so many blocks reside on an SM, whatever their size."""
ELEMENT_BYTES = 8
SHORT_ROUNDS, LONG_ROUNDS, LONG_BYTES = 4, 12, 16 << 20
"""Blocks that each place on an SM plays in turn, and bytes of an array that are enough."""
LEFT_BYTES = 1 << 16
STREAMS = {"init": (0, 1), "read": (1, 0), "scale": (1, 1), "triad": (2, 1)}
"""Arrays a kernel reads and writes."""


@probe("s")
def pointer_chase(hardware: Hardware, footprint: str) -> float:
    """Time of one load of a lone thread that follows a random chain through every line of a
    buffer, after the chain has been walked once. That walk is done by all SMs together, in the
    order of the chain, and leaves in the cache what a walk by one thread would."""
    size = int(parse(footprint, BYTES))
    lines = max(1, size // LINE_BYTES)
    device = machine(hardware)
    if size <= NEVER_CACHED * gpu(hardware).l2.capacity:
        order = np.random.default_rng(0).permutation(lines).astype(np.int64)
        play(device, _walk_by_all(gpu(hardware), order))
        chain = np.resize(order, CHASE_LOADS)
    else:
        chain = np.random.default_rng(0).choice(lines, CHASE_LOADS, replace=False)
    load = Pattern("read", "load", LOAD_BYTES, loops=(1,), inner_stride=LINE_BYTES, index=chain)
    walk = Kernel("chase", "sm", (Program(((Loop(len(chain), (Access(load),)),),)),), grid(1))
    return play(device, walk) / len(chain)


def _walk_by_all(spec: GpuSpec, order: np.ndarray) -> Kernel:
    """Every line once, a few at a time, in this order."""
    blocks = -(-len(order) // WARM_LINES)
    fetch = Pattern(
        "read",
        "load",
        LOAD_BYTES,
        coordinates=(WARM_LINES,),
        inner=WARM_LINES,
        inner_stride=LINE_BYTES,
        index=np.resize(order, blocks * WARM_LINES),
    )
    needs = {"shared": spec.chip.sm.shared_memory // WARM_BLOCKS}
    return Kernel("warm-up", "sm", (Program(((Access(fetch),),)),), grid(blocks), needs)


@probe("B/s")
def shared_reads(hardware: Hardware, footprint: str) -> float:
    """All SMs read one buffer together again and again, many loads in flight."""
    chunk, flying, blocks = 1024, 4, 8 * gpu(hardware).chip.sms
    count = max(1, int(parse(footprint, BYTES)) // (chunk * blocks))
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(0, chunk * blocks))

    def passes(number: int) -> Kernel:
        step = (Wait("free"), Access(load, "free"))
        steps = (Loop(number, (Loop(count, step),)), Wait("free", flying))
        return Kernel("reads", "sm", (Program((steps,), {"free": flying}),), grid(blocks))

    device = machine(hardware)
    play(device, passes(1))
    short, long = play(device, passes(1)), play(device, passes(2))
    return count * blocks * chunk / (long - short)


@probe("B/s")
def bulk_loads(hardware: Hardware, blocks: int, size: str) -> float:
    """Thread blocks that each keep one bulk load in flight, over untouched memory."""
    chunk = int(parse(size, BYTES))
    rounds = max(20, (12 << 20) // (blocks * chunk))
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(blocks * chunk,))
    program = Program(((Loop(rounds, (Access(load),)),),))
    kernel = Kernel("bulk loads", "sm", (program,), grid(blocks))
    return rounds * blocks * chunk / play(machine(hardware), kernel)


@probe("B/s")
def occupied_stream(hardware: Hardware, kernel: str, threads: int) -> float:
    """Bytes per second of a stream at low occupancy: two blocks of ``threads`` threads reside on
    each SM, every thread has one 8-byte element to read (and, for ``scale``, to write)."""
    reads, writes = STREAMS[kernel]
    spec = gpu(hardware)
    piece = threads * ELEMENT_BYTES
    resident = BLOCKS_PER_SM * spec.chip.sms
    device = machine(hardware)
    _leave(device, spec, reads, writes)
    rounds = max(LONG_ROUNDS, -(-LONG_BYTES // (resident * piece)))
    launch = _blocks(spec, piece, reads, writes, threads)
    # Blocks follow each other: what a long launch takes more than a short one is steady.
    short = play(device, launch(0, SHORT_ROUNDS * resident))
    long = play(device, launch(SHORT_ROUNDS * resident, rounds * resident))
    return (rounds - SHORT_ROUNDS) * resident * piece * (reads + writes) / (long - short)


def _leave(device: Device, spec: GpuSpec, reads: int, writes: int) -> None:
    """Fill the cache with what a stream that has run for long leaves there: pieces it read and
    pieces it wrote, which have yet to go to memory."""
    for number in range(-(-spec.l2.capacity // LEFT_BYTES)):
        place = spec.capacity_bytes // 2 + number * LEFT_BYTES
        device.install(GpuPlatform.cache, place, LEFT_BYTES, number % (reads + writes) < writes)


def _blocks(
    spec: GpuSpec, piece: int, reads: int, writes: int, threads: int
) -> Callable[[int, int], Kernel]:
    """A launch of ``count`` blocks from block ``first`` on: array after array, piece by piece."""
    far = 1 << 30
    whole = [
        Pattern(kind, path, piece, base=array * far, coordinates=(piece,))
        for array, (kind, path) in enumerate(
            [("read", "load")] * reads + [("write", "store")] * writes
        )
    ]
    steps: list[Step] = [start(spec), *(Access(pattern, "loaded") for pattern in whole[:reads])]
    if reads:
        steps.append(Wait("loaded", reads))
    steps += [Access(pattern) for pattern in whole[reads:]]
    program = Program((tuple(steps),), {"loaded": 0})
    needs = block_needs(spec.chip.sm.shared_memory // BLOCKS_PER_SM, threads)

    def launch(first: int, count: int) -> Kernel:
        tasks = grid(count)
        tasks[:, 1] += first
        return Kernel("stream", "sm", (program,), tasks, needs)

    return launch
