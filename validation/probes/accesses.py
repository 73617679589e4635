"""Memory paths of FPGA and PIM: single accesses written in the engine's own vocabulary.

Single channels of an FPGA follow the methods of Shuhai (Huang et al., arXiv 2005.04324), lockstep
rows of a PIM device the traces of aim_simulator.  Those of GPUs are in
``simulator/validate/microbench``.
"""

from __future__ import annotations

import numpy as np

from simulator.api import platform
from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, grid
from simulator.system.specs import Hardware
from simulator.units import BYTES, parse
from simulator.validate.probe import probe

FEMTO = 1e-15
END = 1 << 62
LOAD_BYTES = 32


def _play(device: Device, kernel: Kernel) -> float:
    """Seconds from launch to end of a kernel on an otherwise idle device."""
    start = device.now
    device.launch(kernel, start)
    outcome = device.advance(END)
    assert outcome.reason == "finished", kernel.name
    return (device.now - start) * FEMTO


def _device(hardware: Hardware) -> Device:
    return Device(platform(hardware).assemble(True))


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
