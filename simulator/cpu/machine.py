"""A processor as agents and components: cores with a port and lanes, the shared cache, DRAM.

    thread --> load / store port --> shared cache, slices --> DRAM channels
           --> lanes

Each core is an agent that runs one thread.  Left out: private caches, the mesh.
"""

from __future__ import annotations

from simulator.cpu.spec import CpuSpec
from simulator.engine.assembly import (
    FEMTO,
    AgentClass,
    Assembly,
    CacheLevel,
    MemoryView,
    Pipe,
    Port,
    rate,
)
from simulator.memory.model import channel_of

CORE, LANES, LLC = "core", "lanes", "llc"


def assemble(spec: CpuSpec) -> Assembly:
    """A fresh machine, the same in both fidelities."""
    chip, llc, memory = spec.chip, spec.llc, spec.memory
    assembly = Assembly()
    assembly.memory("dram", channel_of(memory), memory.channels)
    assembly.add(
        MemoryView.mapped(memory, "memory"),
        CacheLevel(
            LLC,
            "memory",
            capacity=llc.capacity,
            line=llc.line,
            sector=llc.line,
            ways=llc.ways,
            slices=llc.slices,
            slice_rate=rate(llc.slice_bytes_per_clk * chip.clock),
            hit_latency=round(llc.hit_latency * FEMTO),
            miss_latency=round(llc.miss_latency * FEMTO),
            interleave=llc.line,
        ),
    )
    port = rate(chip.bytes_per_clk * chip.clock)
    parts = (
        Port("load", port, LLC),
        Port("store", port, LLC),
        Pipe(LANES, rate(chip.lanes * chip.clock)),
    )
    assembly.agent_class(AgentClass(CORE, chip.cores, {"thread": 1}, parts, slots=1))
    return assembly
