"""Where operands lie and how a core moves them.

Weights, KV cache and large activations are spread evenly over the memory channels of all
cores; a core streams its part through its own ports, striped burst by burst.  Activations
that fit a core's activation buffer stay on chip between operators; a core that needs more
than its own part of one gets it through the shared channels after a barrier.  Anything
else is reached through the ``cross`` port, which sees the channels of all cores.

A load or store instruction ends with its last byte; only then does its queue go on.

Source: buffer and channel use of FlightLLM and its artifact.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from simulator.engine.platform import Addresses
from simulator.engine.program import Access, Pattern, Step, Wait
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Operand

PASSING_ROLES = frozenset({"activation", "index", "gradient"})
"""Roles of operands that one operator makes for the next."""


def on_chip(spec: FpgaSpec, operand: Operand) -> bool:
    """Whether an operand stays in the cores between operators."""
    return operand.role in PASSING_ROLES and operand.bytes <= spec.core.buffers.activations


def off_chip_bytes(spec: FpgaSpec, operands: tuple[Operand, ...]) -> int:
    """Bytes of those operands that lie in memory."""
    return sum(operand.bytes for operand in operands if not on_chip(spec, operand))


@dataclass(frozen=True, slots=True)
class Stream:
    """Bytes a core reads or writes in order; ``None`` as base says that they are on chip.

    ``outer`` are the bytes by which each enclosing loop moves on.
    """

    base: int | None
    unit: float
    """Bytes of one element of what is streamed: a row, a column, an element."""
    outer: tuple[float, ...] = ()

    def inside(self, *outer: float) -> Stream:
        """The stream as seen within further loops."""
        return replace(self, outer=(*outer, *self.outer))

    def later(self, units: float) -> Stream:
        """The stream from a later unit on."""
        if self.base is None:
            return self
        return replace(self, base=self.base + round(units * self.unit))


def own_stream(
    spec: FpgaSpec, address: Addresses, operand: Operand, units: float, extra: float = 0.0
) -> Stream:
    """An operand of so many units in the cores' channels, as each core sees its part.
    ``extra`` bytes travel with it (metadata)."""
    unit = (operand.bytes + extra) / max(units, 1)
    if on_chip(spec, operand):
        return Stream(None, unit)
    # All storages are spread over the cores in equal parts.
    return Stream(address(operand) // spec.total_cores, unit)


def whole_stream(spec: FpgaSpec, address: Addresses, operand: Operand, units: float) -> Stream:
    """An operand that a core reads whole through its ``cross`` port."""
    base = None if on_chip(spec, operand) else address(operand)
    return Stream(base, operand.bytes / max(units, 1))


def striped(
    spec: FpgaSpec,
    kind: str,
    stream: Stream,
    size: float,
    first: float = 0.0,
    strides: tuple[float, ...] = (),
) -> tuple[Step, ...]:
    """``size`` units from unit ``first`` over a core's own ports at once, in equal parts of
    whole bursts; ``strides`` are the units by which the innermost loops move on."""
    count = round(size * stream.unit)
    if stream.base is None or count <= 0:
        return ()
    channels = spec.channels.per_core
    used = min(channels, -(-count // spec.axi.burst))
    moves = (*stream.outer, *(stride * stream.unit for stride in strides))
    base = (stream.base + round(first * stream.unit)) // channels
    accesses = tuple(
        Access(
            Pattern(
                kind,
                f"{kind}{channel}",
                chunk=count * (channel + 1) // used - count * channel // used,
                base=base // spec.axi.burst * spec.axi.burst,
                loops=tuple(-(-round(move) // used) for move in moves),
            ),
            _LANDED[kind],
        )
        for channel in range(used)
    )
    return (*accesses, Wait(_LANDED[kind], used))


_LANDED = {"read": "loaded", "write": "stored"}


def loads(spec: FpgaSpec, address: Addresses, operands: Iterable[Operand]) -> tuple[Step, ...]:
    """A core's equal part of each operand, read through its own ports."""
    return _parts(spec, "read", address, operands)


def stores(spec: FpgaSpec, address: Addresses, operands: Iterable[Operand]) -> tuple[Step, ...]:
    """A core's equal part of each operand, written through its own ports."""
    return _parts(spec, "write", address, operands)


def _parts(
    spec: FpgaSpec, kind: str, address: Addresses, operands: Iterable[Operand]
) -> tuple[Step, ...]:
    return tuple(
        step
        for operand in operands
        for step in striped(spec, kind, own_stream(spec, address, operand, spec.total_cores), 1)
    )


def single(
    kind: str,
    port: str,
    stream: Stream,
    size: float,
    first: float = 0.0,
    strides: tuple[float, ...] = (),
    spread: int = 1,
) -> tuple[Step, ...]:
    """``size`` units through one port; ``spread`` channels share what lies behind it."""
    count = round(size * stream.unit)
    if stream.base is None or count <= 0:
        return ()
    moves = (*stream.outer, *(stride * stream.unit for stride in strides))
    pattern = Pattern(
        kind,
        port,
        chunk=count,
        base=(stream.base + round(first * stream.unit)) // spread,
        loops=tuple(round(move) // spread for move in moves),
    )
    return (Access(pattern),)
