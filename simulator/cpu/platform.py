"""A processor as the system sees it: loops for work, roofs, parts, energy by event.

It is its own host: an eager operator is dispatched before it runs, in series, so the host's cost
of one is a gap between kernels; a compiled graph has none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.cpu import mapping
from simulator.cpu.machine import LANES, LLC, assemble
from simulator.cpu.spec import CpuSpec
from simulator.engine.assembly import Assembly
from simulator.engine.platform import Addresses, EnergyRates, Limit, Part
from simulator.engine.program import Kernel
from simulator.trace.schema import Operator
from simulator.trace.work import View, Work


class CpuPlatform:
    """One socket, for memory-bound work."""

    cache = LLC
    choices: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, spec: CpuSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.capacity_bytes = spec.capacity_bytes
        self.cache_bytes = spec.llc.capacity
        self.host = spec.host
        self.defaults = spec.defaults

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> Sequence[Work]:
        """Operator by operator."""
        return works

    def assemble(self, exact: bool) -> Assembly:
        """The same machine for both fidelities."""
        return assemble(self.spec)

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        return mapping.kernels(self.spec, work, address)

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        if isinstance(work, View):
            return ()
        spec = self.spec
        operations = mapping.lane_operations(spec, work)
        return (
            Limit("dram", dram_bytes / spec.memory.peak_bytes_per_s),
            Limit("vector", operations / spec.lane_peak),
        )

    def gap_s(self, launch: str) -> float:
        return self.spec.host.operator_cost if launch == "eager" else 0.0

    def parts(self) -> Sequence[Part]:
        spec = self.spec
        return (
            Part("dram", "dram", spec.memory.channels, spec.memory.peak_bytes_per_s, "B/s"),
            Part("llc", "slices", spec.llc.slices, spec.llc_bytes_per_s, "B/s"),
            Part("vector", LANES, spec.chip.cores, 2 * spec.lane_peak, "op/s"),
        )

    def energy_rates(self, work: Work | None) -> EnergyRates:
        energy, memory = self.spec.energy, self.spec.memory
        awake = {"cores": self.spec.chip.cores * energy.core} if work is not None else {}
        return EnergyRates(
            per_unit={
                LANES: ("vector", energy.operation),
                "slices": ("llc", 8 * energy.llc),
            },
            per_dram_bit=energy.dram_path,
            static_w={"idle": energy.idle, **awake},
            memory=memory.energy,
            burst_bytes=memory.organization.access,
            channels=memory.channels,
        )


PLATFORM = CpuPlatform
