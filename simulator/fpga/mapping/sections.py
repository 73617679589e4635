"""Sections: the same stretch of work seen by each instruction queue of a core.

A core has in-order queues for loads, matrix instructions, special functions and stores.
They run concurrently and meet in tokens.  Room in a buffer is a token that counts free
bytes: a load takes what its tile needs, the instruction that used the tile gives it back,
so a queue runs ahead exactly as far as the buffer allows.  A mapping makes sections, puts
them one after another, repeats them, and turns the result into a program.

Instruction fetch is traffic: its bytes are read from the shared channels while the program
runs.  Left out: instruction caches, waiting for an instruction that is not there yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from simulator.engine.program import Access, Arrive, Compute, Loop, Pattern, Program, Step
from simulator.fpga.core import Instructions
from simulator.fpga.spec import FpgaSpec

WORD_BYTES = 4


@dataclass(frozen=True, slots=True)
class Section:
    """Steps of each queue."""

    load: tuple[Step, ...] = ()
    matrix: tuple[Step, ...] = ()
    special: tuple[Step, ...] = ()
    store: tuple[Step, ...] = ()

    def then(self, *others: Section) -> Section:
        """This section, then the others, queue by queue."""
        queues = zip(*(section.queues for section in (self, *others)), strict=True)
        return Section(*(tuple(step for steps in queue for step in steps) for queue in queues))

    def repeat(self, count: int) -> Section:
        """This section ``count`` times. Its patterns see one more enclosing loop."""
        return Section(*((Loop(count, steps),) if steps else () for steps in self.queues))

    @property
    def queues(self) -> tuple[tuple[Step, ...], ...]:
        return (self.load, self.matrix, self.special, self.store)


@dataclass(frozen=True, slots=True)
class Span:
    """``count`` tiles of ``size`` along one dimension, from ``first`` on."""

    first: int
    count: int
    size: int


def spans(total: int, size: int) -> tuple[Span, ...]:
    """A dimension cut into tiles of ``size`` and what is left over."""
    whole, rest = divmod(total, size)
    cut = (Span(0, whole, size), Span(whole * size, 1, rest))
    return tuple(span for span in cut if span.count and span.size)


def sweep(
    levels: Sequence[Sequence[Span]], body: Callable[..., Iterable[Step]]
) -> tuple[Step, ...]:
    """Nested loops over the spans of each level; ``body`` is called with one span a level."""
    if not levels:
        return tuple(body())
    return tuple(
        Loop(span.count, inner)
        for span in levels[0]
        if (inner := sweep(levels[1:], lambda *rest, span=span: body(span, *rest)))
    )


def split(total: int, parts: int) -> list[int]:
    """``total`` in ``parts`` shares that differ by one at most."""
    return [total * (part + 1) // parts - total * part // parts for part in range(parts)]


def program(spec: FpgaSpec, section: Section) -> Program:
    """The queues of a section as the threads of one task, instruction fetch included."""
    buffers = spec.core.buffers
    tokens = {
        "weights_room": buffers.weights,
        "activations_room": buffers.activations,
        "outputs_room": buffers.outputs,
        **dict.fromkeys(TOKENS, 0),
    }
    threads = [queue for queue in section.queues if queue]
    words = sum(_words(queue, spec.core.instructions) for queue in threads)
    if words:
        fetch = Pattern("read", "exchange_read", chunk=words * WORD_BYTES)
        threads.append((Access(fetch, "fetched"),))
    return Program(tuple(threads), tokens)


TOKENS = (
    "loaded",  # parts of a load that have landed
    "stored",  # parts of a store that have
    "stationary",  # tiles in the weight buffer
    "streamed",  # tiles in the activation buffer
    "operands",  # tiles in the output buffer
    "vectors",  # vectors in the activation buffer
    "results",  # from the matrix array to the store queue
    "scores",  # from the matrix array to the special functions
    "probabilities",  # and back
    "computed",  # from the special functions to the store queue
    "synced",  # barriers passed
    "fetched",  # instructions
)
"""Tokens that start empty; each is waited for by one queue alone."""


def _words(steps: Iterable[Step], words: Instructions) -> int:
    """Instruction words of a queue."""
    total = 0
    for step in steps:
        match step:
            case Loop(int() as count, body):
                total += count * _words(body, words)
            case Access(Pattern(kind="read")):
                total += words.load
            case Access():
                total += words.store
            case Compute("gemm"):
                total += words.matrix
            case Compute("gemv"):
                total += words.vector
            case Compute():
                total += words.special
            case Arrive():
                total += words.system
    return total
