"""A PIM device as agents and components: channels that multiply, one controller.

    controller --(link)--> channel queue --> buffer, banks with multiply-accumulate units
        |--> vector pipe, SRAM           `-> the same rows by ordinary reads and writes

Each channel is an agent that runs one command stream at a time; its ``banks`` view takes
macros, buffer transfers and single-bank accesses.  The controller is an agent whose
SRAM is its resource; its lanes (``vector``) also reduce what the channels send.

With two row buffers a bank (``bank.row_buffers``) ordinary accesses have a controller of their own
beside the lockstep one, with rows of its own; both refresh at the same times.  What they would
share, command slots, data pins and the activate window, is not: lockstep needs few of the first
two.  Left out: that sharing, bandwidth of the SRAM, pipeline depth of the units in the banks.
"""

from __future__ import annotations

from simulator.engine.assembly import AgentClass, Assembly, MemoryView, Pipe, Port, rate
from simulator.memory.model import channel_of
from simulator.memory.standards import Lockstep
from simulator.memory.standards.compiled import NO_TIME
from simulator.memory.timing import TimingValue
from simulator.pim.spec import PimSpec

FEMTO = 10**15
FAST_LOOKAHEAD_FS = 100 * 10**6
"""How far ahead a transaction books a shared part before others get their turn (100 ns)."""
ACTS_PER_WINDOW = 4
"""Activates that tFAW allows."""
RESIDENT_TASKS = 8
"""Tasks the controller keeps in flight at most; its SRAM usually limits them first."""


def activation_fs(spec: PimSpec) -> int:
    """From the first to the last activate when all banks open a row."""
    timing, organization = spec.memory.timing, spec.memory.organization
    rrd, faw = spec.memory.femtoseconds(timing.rrd_s), spec.memory.femtoseconds(timing.faw)
    match spec.activation:
        case "relaxed" | "power":
            return 0
        case "group_faw":
            # A group opens at once; groups follow as the window lets that many banks through.
            groups = spec.memory.banks // organization.banks_per_group
            return (groups - 1) * faw * organization.banks_per_group // ACTS_PER_WINDOW
    starts = [0]
    while len(starts) < spec.memory.banks:
        window = starts[-ACTS_PER_WINDOW] + faw if len(starts) >= ACTS_PER_WINDOW else 0
        starts.append(max(starts[-1] + rrd, window))
    return starts[-1]


def lockstep(spec: PimSpec) -> Lockstep:
    """How all banks open a row and read it together."""
    memory, organization = spec.memory, spec.memory.organization
    span = {"faw": 1, "group_faw": organization.banks_per_group}.get(spec.activation, spec.units)
    # A group opens at once; groups follow as the window lets that many banks through.
    windows = organization.banks_per_group / ACTS_PER_WINDOW
    faw = memory.cycles(memory.timing.faw)
    return Lockstep(
        rcd_compute=spec.bank.rcd_compute,
        mac_interval=spec.bank.mac_interval,
        span=span,
        activate_spacing=TimingValue(clocks=faw * windows),
        sets=spec.bank.shared,
        overlap=spec.buffer.overlap,
        switch=spec.buffer.switch or NO_TIME,
        fence=spec.fence.time if spec.fence else NO_TIME,
        activate_cost=spec.memory.energy.activate / spec.channel_power,
        column_cost=spec.column_energy / spec.channel_power,
        power_window=spec.power.window if spec.power else 0.0,
    )


def assemble(spec: PimSpec, exact: bool) -> Assembly:
    """The machine of one PIM device. ``exact`` shares every part run by run."""
    memory, controller = spec.memory, spec.controller
    link = round(controller.link_latency * FEMTO)
    assembly = Assembly(lookahead=0 if exact else FAST_LOOKAHEAD_FS)
    model = channel_of(memory, lockstep(spec))
    together = spec.refresh == "together"
    assembly.memory("dram", model, memory.channels, together)
    ordinary = "dram"
    if spec.bank.row_buffers > 1:
        ordinary = "second row buffers"
        assembly.memory(ordinary, model, memory.channels, together)
    assembly.add(
        MemoryView.mapped(memory, "memory", ordinary, latency=link),
        Pipe("vector", rate(controller.vector_lanes * controller.clock)),
    )
    if controller.port is not None:
        assembly.add(Port("port", rate(controller.port), "memory"))
    views = [("banks", "dram"), ("rows", ordinary)] if ordinary != "dram" else [("banks", "dram")]
    own = tuple(
        MemoryView(
            name,
            part,
            1,
            first=lambda channel: channel,
            interleave=memory.mapping.bank_interleave,
            bank_interleave=memory.mapping.bank_interleave,
            latency=link,
        )
        for name, part in views
    )
    assembly.agent_class(AgentClass("channel", memory.channels, {"stream": 1}, own, slots=1))
    assembly.agent_class(
        AgentClass("controller", 1, {"sram": controller.sram}, (), slots=RESIDENT_TASKS)
    )
    return assembly
