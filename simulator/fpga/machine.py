"""An overlay's parts as tables of the event engine: cores, AXI ports, memory channels.

Each core is one agent with its own matrix array, special-function lanes and AXI ports.
A core reads and writes its own memory channels through one port each, the channels of
all cores of its card through one further port (``cross``), and the shared channels through
another (``exchange``); a link leads to the next card of a ring.  Reads and writes of a port
do not share its wires; they meet in the channel.  Outstanding bursts bound the bytes in
flight of each port.

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
    assembly.memory("dram", channel_of(spec.memory), spec.cards * spec.memory.channels)
    resources = {"contexts": CONTEXTS, "buffers": 1}
    assembly.agent_class(AgentClass(CORE, spec.total_cores, resources, _core(spec), CONTEXTS))
    return assembly


def _core(spec: FpgaSpec) -> list[Component]:
    cycle_fs = FEMTO / spec.clock
    fill = round(spec.core.launch_cycles * cycle_fs)
    own = spec.cores * spec.channels.per_core
    shared = spec.channels.shared
    parts: list[Component] = [
        Pipe("gemm", rate(spec.core.gemm.macs * spec.clock), fill),
        Pipe("gemv", rate(spec.core.gemv.macs * spec.clock), fill),
        Pipe("special", rate(spec.core.special_lanes * spec.clock), round(cycle_fs)),
        _view(spec, "all", own),
        _view(spec, "shared", shared or own, first=own if shared else 0),
    ]
    if spec.core.attention is not None:
        parts.append(Pipe("attention", rate(spec.core.attention.macs * spec.clock), fill))
    if spec.link is not None:
        parts.append(Pipe("link", rate(spec.link.bandwidth), round(spec.link.latency * FEMTO)))
    for channel in range(spec.channels.per_core):
        view = f"channel{channel}"
        parts += [
            MemoryView(
                view,
                "dram",
                channels=1,
                first=_own_channel(spec, channel),
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


def _own_channel(spec: FpgaSpec, channel: int) -> Callable[[int], int]:
    def number(core: int) -> int:
        card, place = divmod(core, spec.cores)
        return card * spec.memory.channels + place * spec.channels.per_core + channel

    return number


def _port(spec: FpgaSpec, name: str, view: str) -> Port:
    in_flight = spec.axi.burst * spec.axi.outstanding
    return Port(name, rate(spec.port_bytes_per_s), view, in_flight=in_flight)


def _view(spec: FpgaSpec, name: str, channels: int, first: int = 0) -> MemoryView:
    """Channels of the core's own card."""
    return MemoryView.mapped(
        spec.memory,
        name,
        channels=channels,
        first=lambda core: core // spec.cores * spec.memory.channels + first,
        latency=round((spec.axi.latency + spec.axi.switch) * FEMTO),
    )
