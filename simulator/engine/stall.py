"""Why a machine has no event left while kernels still run on it.

A program that waits for a token nobody will release, a barrier that counts more
threads than arrive, or a task too large for every agent stops without a trace.  The
device asks here for the sentence that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simulator.engine import layout
from simulator.engine.assembly import Names
from simulator.engine.layout import Machine
from simulator.engine.program import Kernel


@dataclass(frozen=True, slots=True)
class Launched:
    """A kernel on the machine, where its programs start in the machine's table, and for each
    program and thread the first and last operation of the loop whose iterations are alike
    (0 and -1: none)."""

    kernel: Kernel
    first_program: int
    loops: np.ndarray


def reason(machine: Machine, names: Names, running: Mapping[int, Launched]) -> str:
    """One sentence about the first kernel that cannot go on."""
    for handle, launched in running.items():
        waiting = _waiting_thread(machine, handle)
        if waiting is not None:
            return _wait(machine, handle, launched, waiting)
    handle, launched = next(iter(running.items()))
    return _no_room(machine, names, launched.kernel)


def _waiting_thread(machine: Machine, handle: int) -> int | None:
    owner = np.repeat(machine.slot[:, layout.S_KERNEL], layout.THREADS)
    waits = machine.thread[:, layout.X_WAIT] != layout.X_RUNNING
    found = np.flatnonzero(waits & (owner == handle))
    return int(found[0]) if len(found) else None


def _wait(machine: Machine, handle: int, launched: Launched, thread: int) -> str:
    kernel = launched.kernel
    slot, number = divmod(thread, layout.THREADS)
    row = machine.slot[slot]
    task = int(row[layout.S_TASK])
    what = int(machine.thread[thread, layout.X_WAIT])
    place = (
        f"kernel '{kernel.name}', task {task - int(machine.kernel[handle, layout.J_FIRST_TASK])}, "
        f"thread {number}"
    )
    if what >= layout.TOKENS:
        barrier = what - layout.TOKENS
        arrived = int(machine.kernel[handle, layout.J_TOKEN_0 + barrier])
        return f"{place} waits at barrier {barrier}: {arrived} threads arrived, nobody else will"
    program = kernel.programs[int(machine.task[task, 0]) - launched.first_program]
    token = list(program.tokens)[what]
    return (
        f"{place} waits for token '{token}', which nobody releases: it holds "
        f"{row[layout.S_TOKEN + what]} of {machine.thread[thread, layout.X_AMOUNT]}"
    )


def _no_room(machine: Machine, names: Names, kernel: Kernel) -> str:
    of_class = machine.agent[machine.agent[:, layout.A_CLASS] == names.classes[kernel.agents]]
    left = of_class[0, layout.A_LEFT_0 :]
    lacking = [
        f"{need} {name} (an agent has {left[i]})"
        for i, name in enumerate(names.resources[kernel.agents])
        if (need := kernel.needs.get(name, 0)) > left[i]
    ]
    return (
        f"kernel '{kernel.name}': no '{kernel.agents}' has room for a task, which needs "
        f"{' and '.join(lacking) or 'a free slot'}"
    )
