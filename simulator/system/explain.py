"""The lowering of one piece of work, as text: work, kernels, tasks, programs.

What ``accsim op --explain`` prints: each step from the operator down to the operations
the event core plays, in the vocabulary of :mod:`simulator.engine.program`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.engine.platform import Platform
from simulator.engine.program import (
    Access,
    Amount,
    Arrive,
    Compute,
    Coordinate,
    Delay,
    Kernel,
    Loop,
    Pattern,
    Program,
    Release,
    Step,
    Wait,
)
from simulator.trace.work import Operand, Work
from simulator.units import human

SHOWN_TASKS = 3


def explain_work(work: Work, platform: Platform) -> str:
    """Every level between a work and the operations of its tasks."""
    top = 0
    addresses: dict[int, int] = {}
    for operand in (*work.reads, *work.writes):
        addresses[operand.storage] = top
        top += -(-operand.bytes // 512) * 512

    def address(operand: Operand) -> int:
        return addresses[operand.storage] + operand.offset

    lines = [f"work {work.kind}"]
    for unit, count in work.operations.items():
        lines.append(f"  {human(count, 'op')} {unit}")
    lines.append(f"  reads {human(work.bytes_read, 'B')}, writes {human(work.bytes_written, 'B')}")
    for limit in platform.limits(work, work.bytes_read):
        lines.append(f"  cannot be faster than {human(limit.seconds, 's')} by {limit.name}")
    for kernel in platform.kernels(work, address):
        lines.extend(_kernel(kernel))
    return "\n".join(lines)


def _kernel(kernel: Kernel) -> Iterator[str]:
    needs = ", ".join(f"{amount} {name}" for name, amount in kernel.needs.items())
    yield f"kernel {kernel.name}: {kernel.count} tasks on '{kernel.agents}'"
    if needs:
        yield f"  each needs {needs}"
    for row in kernel.tasks[:SHOWN_TASKS]:
        yield f"  task: program {row[0]}, coordinates {', '.join(map(str, row[1:]))}"
    if kernel.count > SHOWN_TASKS:
        yield f"  ... and {kernel.count - SHOWN_TASKS} more"
    for number, program in enumerate(kernel.programs):
        yield from _program(number, program)


def _program(number: int, program: Program) -> Iterator[str]:
    tokens = ", ".join(f"{name} = {value}" for name, value in program.tokens.items())
    yield f"  program {number}" + (f"   tokens: {tokens}" if tokens else "")
    for thread, steps in enumerate(program.threads):
        yield f"    thread {thread}"
        yield from _steps(steps, "      ")


def _steps(steps: Sequence[Step], indent: str) -> Iterator[str]:
    for step in steps:
        match step:
            case Loop(count, body):
                yield f"{indent}loop {_amount(count)} times"
                yield from _steps(body, indent + "  ")
            case Access(pattern, token, _):
                then = f", then release {token}" if token else ""
                yield f"{indent}{_pattern(pattern)}{then}"
            case Compute(pipe, units):
                yield f"{indent}compute {_amount(units)} units on {pipe}"
            case Wait(token, amount):
                yield f"{indent}wait for {amount} {token}"
            case Release(token, amount):
                yield f"{indent}release {amount} {token}"
            case Delay(femtoseconds):
                yield f"{indent}delay {human(femtoseconds * 1e-15, 's')}"
            case Arrive(participants, barrier):
                yield f"{indent}barrier {barrier} of {participants}"


def _pattern(pattern: Pattern) -> str:
    chunks = f"{pattern.outer} x " if pattern.outer > 1 else ""
    source = " rows by index" if pattern.index is not None else ""
    return (
        f"{pattern.kind} through {pattern.path}: {chunks}{_amount(pattern.inner)} x "
        f"{pattern.chunk} B{source}"
    )


def _amount(amount: Amount) -> str:
    if isinstance(amount, Coordinate):
        scale = f" x {amount.scale}" if amount.scale != 1 else ""
        return f"coordinate {amount.number}{scale}"
    return str(amount)
