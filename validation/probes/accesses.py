"""Microbenchmarks of memory paths: single accesses written in the engine's own vocabulary.

Pointer chases, shared reads and bulk loads of a GPU follow the methods of
RRZE-HPC/gpu-benches and HPMLL/NVIDIA-Hopper-Benchmark; single channels of an FPGA those of
Shuhai (Huang et al., arXiv 2005.04324); lockstep rows of a PIM device the traces of
aim_simulator.  Left out: TLB reach, instruction overhead of the benchmark itself.
"""

from __future__ import annotations

import numpy as np

from probes.registry import probe
from simulator.api import platform
from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, Wait, grid
from simulator.system.specs import Hardware
from simulator.units import BYTES, parse

FEMTO = 1e-15
END = 1 << 62
LINE_BYTES = 128
LOAD_BYTES = 32
CHASE_LINES = 1 << 19
"""Footprints of up to so many lines are walked twice and the second walk is timed; of
larger ones a cold sample is: nothing of it can be in a cache."""
COLD_SAMPLE = 20_000


def _play(device: Device, kernel: Kernel) -> float:
    """Seconds from launch to end of a kernel on an otherwise idle device."""
    start = device.now
    device.launch(kernel, start)
    outcome = device.advance(END)
    assert outcome.reason == "finished", kernel.name
    return (device.now - start) * FEMTO


def _device(hardware: Hardware) -> Device:
    return Device(platform(hardware).assemble(True))


@probe("s")
def pointer_chase(hardware: Hardware, footprint: str) -> float:
    """One SM follows a random chain through every line of a buffer, one load at a time."""
    lines = int(parse(footprint, BYTES)) // LINE_BYTES
    order = np.random.default_rng(0).permutation(lines).astype(np.int64)
    warm = lines <= CHASE_LINES
    if not warm:
        order = order[:COLD_SAMPLE]
    load = Pattern("read", "load", LOAD_BYTES, loops=(1,), inner_stride=LINE_BYTES, index=order)
    walk = Kernel("chase", "sm", (Program(((Loop(len(order), (Access(load),)),),)),), grid(1))
    device = _device(hardware)
    if warm:
        _play(device, walk)
    return _play(device, walk) / len(order)


@probe("B/s")
def shared_reads(hardware: Hardware, footprint: str) -> float:
    """All SMs read one buffer together again and again, many loads in flight."""
    chunk, flying, blocks = 1024, 4, 8 * hardware.spec.chip.sms
    count = int(parse(footprint, BYTES)) // (chunk * blocks)
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(0, chunk * blocks))

    def passes(number: int) -> Kernel:
        step = (Wait("free"), Access(load, "free"))
        steps = (Loop(number, (Loop(count, step),)), Wait("free", flying))
        return Kernel("reads", "sm", (Program((steps,), {"free": flying}),), grid(blocks))

    device = _device(hardware)
    _play(device, passes(2))
    short, long = _play(device, passes(1)), _play(device, passes(4))
    return 3 * count * blocks * chunk / (long - short)


@probe("B/s")
def bulk_loads(hardware: Hardware, blocks: int, size: str) -> float:
    """Thread blocks that each keep one bulk load in flight, over untouched memory."""
    chunk = int(parse(size, BYTES))
    rounds = max(40, (48 << 20) // (blocks * chunk))
    load = Pattern("read", "load", chunk, coordinates=(chunk,), loops=(blocks * chunk,))
    program = Program(((Loop(rounds, (Access(load),)),),))
    kernel = Kernel("bulk loads", "sm", (program,), grid(blocks))
    return rounds * blocks * chunk / _play(_device(hardware), kernel)


def _channel_reads(device: Device, *patterns: Pattern) -> float:
    steps = tuple(Access(pattern) for pattern in patterns)
    return _play(
        device, Kernel("probe", "core", (Program((steps,)),), np.array([[0]]), {"contexts": 1})
    )


@probe("s")
def idle_read(hardware: Hardware, row: str) -> float:
    """One 32-byte read on an idle port: row open (``hit``), ``closed``, or another open
    (``conflict``)."""
    organization = hardware.spec.memory.organization
    other_row = organization.row * organization.bank_groups * organization.banks_per_group
    after = {"closed": (), "hit": (0,), "conflict": (0, 64)}[row]
    place = {"closed": 0, "hit": 64, "conflict": other_row}[row]
    device = _device(hardware)
    for address in after:
        _channel_reads(device, Pattern("read", "read0", LOAD_BYTES, base=address))
    return _channel_reads(device, Pattern("read", "read0", LOAD_BYTES, base=place))


@probe("B/s")
def channel_stream(hardware: Hardware, size: str) -> float:
    """Sequential reads through one port."""
    length = int(parse(size, BYTES))
    return length / _channel_reads(_device(hardware), Pattern("read", "read0", length))


@probe("B/s")
def channel_strides(hardware: Hardware, burst: int, stride: str, window: str) -> float:
    """Reads of ``burst`` bytes at a stride that wraps in a window, through one port."""
    count = 4000
    places = np.arange(count, dtype=np.int64) * int(parse(stride, BYTES))
    index = places % int(parse(window, BYTES))
    reads = Pattern("read", "read0", burst, inner=count, inner_stride=1, index=index)
    return burst * count / _channel_reads(_device(hardware), reads)


@probe("s")
def lockstep_rows(hardware: Hardware, rows: int, columns: int) -> float:
    """All banks of one channel open row after row and multiply so many columns of each."""
    macro = Pattern("macro", "banks", columns, loops=(1,))
    program = Program(((Loop(rows, (Access(macro, "done"),)),),), {"done": 0})
    return _play(_device(hardware), Kernel("rows", "channel", (program,), grid(1), {"stream": 1}))
