"""What happened in one run: plain data between the simulation and everything that reports it.

The system fills these records while it runs; results, validation and plots only read
them.  Times are integer femtoseconds from the start of the run, so that nothing rounds
before somebody asks for seconds.  Behaviour (sums, rates, tables) lives in
:mod:`simulator.results`; what a record must obey is written down and checked in
:mod:`simulator.results.laws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

RECORD_SCHEMA = 1


@dataclass(frozen=True)
class KernelRecord:
    """One kernel on one device."""

    index: int
    """Place in program order."""
    name: str
    """The kernel as its mapping names it: ``gemm 128x128x64 split 2``."""
    operator: str
    """ATen name of the operator it runs: ``aten.mm.default``."""
    kind: str
    """Kind of work: gemm, attention, elementwise, rowwise, gather, scatter, copy, host ..."""
    module: str
    phase: str
    stream: int
    issued_fs: int
    """When the host issued it."""
    start_fs: int
    end_fs: int
    bound_fs: int
    """No execution on this device can be shorter (roofline of this kernel)."""
    bound_by: str
    """What sets that bound: dram, matrix, vector, special, launch, link, l2 ..."""
    operations: Mapping[str, float]
    """Scalar operations by kind of unit: matrix, vector, special."""
    bytes_compulsory: int
    """Distinct bytes the kernel must read and write, wherever they are."""
    dram_bytes_read: int
    dram_bytes_written: int
    counters: Mapping[str, float]
    """Events counted by the components: l2_hits, row_misses, activates, refreshes ..."""
    busy_fs: Mapping[str, int]
    """Component -> busy time while this kernel ran, averaged over its instances."""
    energy_j: Mapping[str, float]
    """Part of the device -> energy spent for this kernel."""
    simulated_share: float
    """Share of the kernel's tasks played event by event; the rest was extrapolated.
    A reused kernel carries the share of the kernel it repeats."""
    error_estimate: float
    """Estimated relative error of the duration from extrapolation and reuse."""
    reused: bool
    """The duration was taken from an identical kernel under identical conditions."""
    approximated: bool
    """No mapping knows the operator; it was replaced by its memory traffic."""

    @property
    def duration_fs(self) -> int:
        return self.end_fs - self.start_fs

    @property
    def dram_bytes(self) -> int:
        return self.dram_bytes_read + self.dram_bytes_written


@dataclass(frozen=True)
class HostSpan:
    """The host was busy: dispatching an operator, launching, copying."""

    name: str
    start_fs: int
    end_fs: int


@dataclass(frozen=True)
class Component:
    """A part of the device whose utilization is reported."""

    name: str
    """``dram`` (the channels' data pins), ``bank`` (arrays inside the memory), ``l2``,
    ``link``, ``matrix``, ``vector``, ``special`` ..."""
    instances: int
    peak: float
    """Peak rate of all instances together."""
    unit: str
    """``B/s`` for what moves data, ``op/s`` for what computes."""


@dataclass(frozen=True)
class Provenance:
    """How many of a description's numbers rest on one source."""

    quality: str
    """datasheet, jedec, measured, fitted, derived or guess."""
    source: str
    count: int


@dataclass
class RunRecord:
    """One workload on one system, from the first operator issued to the last kernel's end."""

    schema: int
    workload: str
    phase: str
    sizes: Mapping[str, int]
    hardware: str
    hardware_digest: str
    trace_digest: str
    options: dict[str, Any]
    """Everything else that decides the result: launch, fidelity, overrides, transforms."""
    kernels: list[KernelRecord]
    host: list[HostSpan]
    latency_fs: int
    bound_fs: int
    bound_by: str
    energy_j: dict[str, float]
    """Part -> energy of the whole run, idle time included; the total is their sum."""
    components: list[Component]
    tokens: int
    """Tokens this run produced or consumed (decode: the batch); 0 if it has none."""
    graphs: int
    """Graphs it processed; 0 if it has none."""
    capacity_bytes: int
    footprint_bytes: int
    """Peak device memory the workload needs."""
    guesses: tuple[str, ...]
    """Decisions the trace or a mapping made without data."""
    warnings: tuple[str, ...]
    quality: str | None
    """How well the description's numbers are known, in a few words."""
    version: str
    """Of the simulator."""
    provenance: tuple[Provenance, ...] = field(default=())
