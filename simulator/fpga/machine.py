"""An overlay's parts as tables of the event engine: cores, AXI ports, memory channels.

Each core is one agent with its own matrix array, special-function lanes and AXI ports.
A core reads and writes its own memory channels through one port each, the channels of
all cores through one further port (``cross``), and the shared channels through another
(``exchange``).  Reads and writes of a port do not share its wires; they meet in the
channel.  Outstanding bursts bound the bytes in flight of each port.

Source: the structure of FlightLLM (Zeng et al., FPGA 2024) and its artifact.  Left out:
contention inside the HBM switch, distance between a port and a channel, clock crossings.
"""

from __future__ import annotations

from collections.abc import Callable

from simulator.engine.assembly import (
    FEMTO,
    AgentClass,
    Assembly,
    Component,
    MemoryView,
    Pipe,
    Port,
    rate,
)
from simulator.fpga.spec import FpgaSpec
from simulator.memory.model import channel_of

CORE = "core"
CONTEXTS = 64
"""Operators whose instructions a core can hold: more than a run has streams."""
BOOKED_AHEAD_BURSTS = 4


def assemble(spec: FpgaSpec, exact: bool) -> Assembly:
    """A fresh machine of ``spec``."""
    burst_fs = round(spec.axi.burst / spec.port_bytes_per_s * FEMTO)
    assembly = Assembly(lookahead=0 if exact else BOOKED_AHEAD_BURSTS * burst_fs)
    assembly.memory("dram", channel_of(spec.memory), spec.memory.channels)
    own = spec.cores * spec.channels.per_core
    assembly.add(
        _view(spec, "all", 0, own),
        _view(spec, "shared", own if spec.channels.shared else 0, spec.channels.shared or own),
    )
    resources = {"contexts": CONTEXTS, "buffers": 1}
    assembly.agent_class(AgentClass(CORE, spec.cores, resources, _core(spec), CONTEXTS))
    return assembly


def _core(spec: FpgaSpec) -> list[Component]:
    cycle_fs = FEMTO / spec.clock
    fill = round(spec.core.launch_cycles * cycle_fs)
    parts: list[Component] = [
        Pipe("gemm", rate(spec.core.gemm.macs * spec.clock), fill),
        Pipe("gemv", rate(spec.core.gemv.macs * spec.clock), fill),
        Pipe("special", rate(spec.core.special_lanes * spec.clock), round(cycle_fs)),
    ]
    for channel in range(spec.channels.per_core):
        view = f"channel{channel}"
        parts += [
            MemoryView(
                view,
                "dram",
                channels=1,
                first=_first_channel(spec.channels.per_core, channel),
                interleave=spec.axi.burst,
                bank_interleave=spec.memory.mapping.bank_interleave,
                latency=round(spec.axi.latency * FEMTO),
            ),
            _port(spec, f"read{channel}", view),
            _port(spec, f"write{channel}", view),
        ]
    for name, view in (("cross", "all"), ("exchange", "shared")):
        parts += [_port(spec, f"{name}_read", view), _port(spec, f"{name}_write", view)]
    return parts


def _first_channel(per_core: int, channel: int) -> Callable[[int], int]:
    return lambda core: core * per_core + channel


def _port(spec: FpgaSpec, name: str, view: str) -> Port:
    in_flight = spec.axi.burst * spec.axi.outstanding
    return Port(name, rate(spec.port_bytes_per_s), view, in_flight=in_flight)


def _view(spec: FpgaSpec, name: str, first: int, channels: int) -> MemoryView:
    return MemoryView(
        name,
        "dram",
        channels,
        first,
        interleave=spec.memory.mapping.channel_interleave,
        bank_interleave=spec.memory.mapping.bank_interleave,
        hashed=spec.memory.mapping.hashed,
        latency=round(spec.axi.latency * FEMTO),
    )
