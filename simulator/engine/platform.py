"""The contract between a device kind and the system that runs it.

A kind is a folder: ``spec.py`` (what the YAML says), ``machine.py`` (assembly),
``mapping/`` (work to kernels) and a ``platform.py`` whose class fulfils
:class:`Platform`.  Nothing else in the simulator knows the kind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from simulator.engine.assembly import Assembly
from simulator.engine.program import Kernel
from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Defaults
from simulator.memory.spec import MemoryEnergy
from simulator.trace.schema import Operator
from simulator.trace.work import Operand, Work


class Addresses(Protocol):
    """Where operands live in device memory."""

    def __call__(self, operand: Operand) -> int:
        """Byte address of the operand's first byte."""
        ...


@dataclass(frozen=True, slots=True)
class Limit:
    """One roof over one piece of work: ``name`` cannot finish it in less than ``seconds``."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the device whose utilization is reported.

    ``component`` is the name its instances carry in the assembly, ``dram`` for the
    channels' data pins, or ``macro`` for the lockstep columns of their banks.
    """

    name: str
    component: str
    instances: int
    peak: float
    unit: str


@dataclass(frozen=True, slots=True)
class EnergyRates:
    """Joules by event, by component name of the assembly.

    ``per_unit``: component -> (part of the report, joules per unit it served);
    ``per_operation``: unit kind of :attr:`Work.operations` -> (part, joules each);
    ``per_macro_column``: one lockstep column in all banks of a channel;
    ``per_buffer_burst``: one burst to or from a channel's buffer;
    ``static_w``: part -> constant watts while the run lasts.
    """

    per_unit: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    per_operation: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    per_macro_column: float = 0.0
    per_buffer_burst: float = 0.0
    per_dram_bit: float = 0.0
    """Beside the memory's own energy: controller, PHY, network."""
    static_w: Mapping[str, float] = field(default_factory=dict)
    memory: MemoryEnergy | None = None
    burst_bytes: int = 32
    channels: int = 1
    clocked: frozenset[str] = frozenset()
    """Parts of the report whose energy falls with the voltage when the clock is lowered."""
    voltage_floor: float = 1.0
    """Share of the highest voltage that the line of voltage over clock would reach at none."""
    power_cap_w: float = math.inf
    peak_w: float = math.inf
    """Most that the board may draw for a moment."""
    limiter_s: float = 0.0
    """Time constant with which the board's limiter enforces the cap."""


class Platform(Protocol):
    """A device, as the system sees it."""

    name: str
    capacity_bytes: int
    host: HostSpec
    defaults: Defaults
    cache: str | None
    """Name of the cache that keeps data between kernels, or None."""
    cache_bytes: int
    choices: Mapping[str, tuple[str, ...]]
    """Keys of the description that choose a mapping, and the values a search may give them."""

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> Sequence[Work]:
        """The works of a trace as this device runs them, position by position: several can be
        joined into one of them, views standing in the others' places."""
        ...

    def assemble(self, exact: bool) -> Assembly:
        """A fresh machine; ``exact`` asks for event-by-event sharing of all ports."""
        ...

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        """What the device runs for one piece of work, in order. Raises
        :class:`~simulator.errors.UnmappedOperatorError` for work it cannot run."""
        ...

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        """Every roof over the work, given the bytes that must come from DRAM."""
        ...

    def gap_s(self, launch: str) -> float:
        """Device time between two kernels of one stream, for ``eager`` or ``graph``."""
        ...

    def parts(self) -> Sequence[Part]:
        """What to report utilization of."""
        ...

    def energy_rates(self, work: Work | None) -> EnergyRates:
        """Energy by event while this work runs (``None``: idle)."""
        ...
