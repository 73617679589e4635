"""A GPU as agents and components: SMs with pipes and ports, a sliced L2, DRAM channels.

    thread block --> load port --\\
                --> store port ---> L2 slices, tags --> DRAM channels
                --> matrix / vector / special pipes

Each SM is an agent; a thread block takes threads, registers, shared memory and a block
slot of it.  Pipes count sixteenths of an SM clock, ports count bytes.
"""

from __future__ import annotations

from simulator.engine.assembly import (
    AgentClass,
    Assembly,
    CacheLevel,
    MemoryView,
    Pipe,
    Port,
    rate,
)
from simulator.gpu.spec import GpuSpec
from simulator.memory.model import channel_of

FEMTO = 10**15
PIPE_UNITS_PER_CLOCK = 16


def clocks_fs(spec: GpuSpec, clocks: float) -> int:
    """Femtoseconds of SM clocks."""
    return round(clocks * FEMTO / spec.chip.clock)


def assemble(spec: GpuSpec) -> Assembly:
    """The machine of one GPU, the same in both fidelities.

    Every port is shared run by run: booking it further ahead saves a tenth of the events' time
    and distorts streams by several per cent.
    """
    chip, sm, l2, memory = spec.chip, spec.chip.sm, spec.l2, spec.memory
    far = l2.far_latency_cycles
    assembly = Assembly()
    assembly.memory("dram", channel_of(memory), memory.channels)
    assembly.add(
        MemoryView.mapped(memory, "memory", in_flight=l2.bytes_in_flight),
        CacheLevel(
            "l2",
            "memory",
            capacity=l2.kept,
            line=l2.line,
            sector=l2.sector,
            ways=l2.ways,
            slices=l2.slices,
            slice_rate=rate(l2.slice_bytes_per_clk * chip.clock),
            hit_latency=clocks_fs(spec, l2.hit_latency_cycles),
            miss_latency=round(l2.miss_latency * FEMTO),
            interleave=memory.mapping.channel_interleave,
            atomic=clocks_fs(spec, 1),
            near_ways=l2.near_ways if far else 0,
            far_latency=clocks_fs(spec, far - l2.hit_latency_cycles) if far else 0,
            write_cost=l2.write_cost,
        ),
    )
    pipe = rate(PIPE_UNITS_PER_CLOCK * chip.clock)
    assembly.agent_class(
        AgentClass(
            "sm",
            chip.sms,
            {
                "threads": sm.threads,
                "registers": sm.registers,
                "shared": sm.shared_memory,
                "blocks": sm.thread_blocks,
            },
            (
                Port("load", rate(sm.load_bytes_per_clk * chip.clock), "l2"),
                Port("store", rate(sm.store_bytes_per_clk * chip.clock), "l2"),
                Pipe("matrix", pipe),
                Pipe("vector", pipe),
                Pipe("special", pipe),
            ),
            slots=sm.thread_blocks,
        )
    )
    return assembly
