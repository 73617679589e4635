"""A group as one program: a thread for each stage, one that loads, tokens between them.

Every stage waits for a token in its FIFO and for room in the next one, computes, and passes on,
so the slowest stage sets the pace and what is before it fills up.  The first token waits for the
stage's weights, piece by piece as they arrive, and for its initial delay.
"""

from __future__ import annotations

import numpy as np

from simulator.engine.assembly import FEMTO, AgentClass, Assembly, Component, MemoryView, Pipe, Port
from simulator.engine.assembly import rate as per_unit
from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Step,
    Wait,
)
from simulator.fpga.dataflow.arrange import Group, Member
from simulator.fpga.dataflow.spec import DataflowSpec
from simulator.memory.model import channel_of

PIPELINE = "pipeline"
PIECES = 16
"""Parts in which a stage's weights arrive."""


def assemble(spec: DataflowSpec, exact: bool) -> Assembly:
    """All stages as pipes of one agent, and its ports."""
    burst_fs = round(spec.axi.burst / spec.port_bytes_per_s * FEMTO)
    assembly = Assembly(lookahead=0 if exact else 4 * burst_fs)
    assembly.memory("dram", channel_of(spec.memory), spec.memory.channels)
    in_flight = spec.ports * spec.axi.burst * spec.axi.outstanding
    port = per_unit(spec.port_bytes_per_s)
    parts: list[Component] = [
        Pipe(name, per_unit(stage.rate * spec.clock)) for name, stage in spec.stages.items()
    ]
    parts += [
        MemoryView.mapped(
            spec.memory,
            "all",
            channels=spec.channels,
            latency=round((spec.axi.latency + spec.axi.switch) * FEMTO),
        ),
        Port("load", port, "all", in_flight=in_flight),
        Port("store", port, "all", in_flight=in_flight),
    ]
    assembly.agent_class(AgentClass(PIPELINE, 1, {"groups": 1}, parts, 1))
    return assembly


def kernels(spec: DataflowSpec, group: Group, address: Addresses) -> list[Kernel]:
    """The group's run; nothing if nothing of it takes time."""
    if not group.members and not group.edges:
        return []
    cycle = FEMTO / spec.clock
    setup = spec.setup
    cycles = setup.group_cycles + setup.edge_cycles * group.edges
    cycles += setup.node_cycles * group.nodes
    steps = max(
        (-(-one.tokens // spec.stages[one.stage].units) for one in group.members), default=1
    )
    last = len(group.members) - 1
    threads = [
        _stage(spec, one, number, number == last, steps) for number, one in enumerate(group.members)
    ]
    loads = _loads(spec, group, steps, address)
    if loads:
        threads.append(loads)
    begin = round(cycles * cycle)
    tokens: dict[str, int] = {}
    for number, _ in enumerate(group.members):
        tokens |= {f"weights{number}": 0}
        if number:
            tokens |= {f"full{number}": 0, f"room{number}": spec.fifo_tokens}
    if not threads:
        threads = [(Delay(1),)]
    program = Program(tuple(threads), tokens)
    return [Kernel("group", PIPELINE, (program,), np.array([[0]]), {"groups": 1}, ramp=begin)]


def _stage(
    spec: DataflowSpec, one: Member, number: int, is_last: bool, steps: int
) -> tuple[Step, ...]:
    """The first token piece by piece, then the others at the stage's own pace."""
    stage = spec.stages[one.stage]
    delay = round(stage.delay_cycles / spec.clock * FEMTO)
    before: tuple[Step, ...] = (Wait(f"full{number}"),) if number else ()
    taken: tuple[Step, ...] = (Release(f"room{number}"),) if number else ()
    after: tuple[Step, ...] = ()
    if not is_last:
        after = (Wait(f"room{number + 1}"), Release(f"full{number + 1}"))
    each = -(-one.units // steps)
    if stage.takes == "gather":
        token = (*before, Wait(f"weights{number}"), Compute(one.stage, each), *taken, *after)
        return (Delay(delay), Loop(steps, token))
    piece: tuple[Step, ...] = (Compute(one.stage, -(-each // PIECES)),)
    if one.load_bytes:
        piece = (Wait(f"weights{number}"), *piece)
    first = (*before, Delay(delay), Loop(PIECES, piece), *taken, *after)
    rest = (*before, Compute(one.stage, each), *taken, *after)
    return (*first, Loop(steps - 1, rest)) if steps > 1 else first


def _loads(spec: DataflowSpec, group: Group, steps: int, address: Addresses) -> tuple[Step, ...]:
    """What the stages need from memory, stage after stage: gathered rows token by token, the
    rest in pieces."""
    moves: list[Step] = []
    for number, one in enumerate(group.members):
        if not one.load_bytes:
            continue
        pieces = steps if spec.stages[one.stage].takes == "gather" else PIECES
        chunk = -(-one.load_bytes // pieces)
        base = address(group.reads[one.source])
        pattern = Pattern("read", "load", chunk, base=base, loops=(chunk,))
        moves.append(Loop(pieces, (Access(pattern, f"weights{number}"),)))
    return tuple(moves)
