"""From sections, one for each core, to a kernel of the engine.

Task i runs on core i; cores without work get no task.  Tasks that meet in a barrier hold
a context each, of which a core has more than enough, so that they never wait for each
other's place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.engine.assembly import FEMTO
from simulator.engine.program import (
    Access,
    Arrive,
    Compute,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Release,
    Step,
    Wait,
)
from simulator.fpga.machine import CORE
from simulator.fpga.mapping.sections import Section, program
from simulator.fpga.spec import FpgaSpec


def kernel(spec: FpgaSpec, name: str, sections: Sequence[Section]) -> Kernel:
    """One task for each section that does something, equal ones sharing a program."""
    busy = [section for section in sections if any(section.queues)]
    numbers = {section: number for number, section in enumerate(dict.fromkeys(busy))}
    rows = [[numbers[section]] for section in busy]
    return _kernel(spec, name, list(numbers), rows)


def indexed_kernel(
    spec: FpgaSpec, name: str, sections: Sequence[Section], starts: Sequence[int]
) -> Kernel:
    """A program for each section; its task's coordinates are its place in the index and 1."""
    busy = [place for place, section in enumerate(sections) if any(section.queues)]
    rows = [[number, starts[place], 1] for number, place in enumerate(busy)]
    return _kernel(spec, name, [sections[place] for place in busy], rows)


def _kernel(
    spec: FpgaSpec, name: str, sections: Sequence[Section], rows: Sequence[Sequence[int]]
) -> Kernel:
    programs = tuple(program(spec, section) for section in sections)
    tasks = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
    return Kernel(name, CORE, programs, tasks, {"contexts": 1})


def exchange(spec: FpgaSpec, size: int, parts: int) -> Section:
    """Every core stores its part of a vector of ``size`` bytes, all meet, each loads all.

    Cards pass the parts of the others around the ring first.  The matrix queue waits for the
    vector; so does what follows in the load queue.
    """
    if parts < 2:
        return Section()
    own = -(-size // parts)
    passed = _around_the_ring(spec, size, parts)
    if spec.cores == 1:
        # One core a card: what comes in from the ring is where it is needed.
        return Section(matrix=(Wait("vectors"),), store=(*passed, Release("vectors")))
    return Section(
        load=(
            Wait("synced"),
            Access(Pattern("read", "exchange_read", chunk=size)),
            Release("vectors"),
        ),
        matrix=(Wait("vectors"),),
        store=(
            Access(Pattern("write", "exchange_write", chunk=own)),
            *passed,
            *barrier(spec, parts),
            Release("synced"),
        ),
    )


def _around_the_ring(spec: FpgaSpec, size: int, parts: int) -> tuple[Step, ...]:
    """Every card sends what it has to the next, as often as there are others."""
    if spec.cards == 1:
        return ()
    step = (Compute("link", -(-size // spec.cards)), Arrive(parts, 1))
    return (Loop(spec.cards - 1, step),)


def barrier(spec: FpgaSpec, parts: int) -> tuple[Step, ...]:
    """A queue meets its counterparts in the other cores."""
    return (Arrive(parts), Delay(round(spec.sync_cycles / spec.clock * FEMTO)))
