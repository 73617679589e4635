"""A PIM device as the system sees it: kernels for work, roofs, parts, energy by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.engine.assembly import Assembly
from simulator.engine.platform import Addresses, EnergyRates, Limit, Part
from simulator.engine.program import Kernel
from simulator.errors import UnmappedOperatorError
from simulator.pim.machine import assemble
from simulator.pim.mapping import CHOICES, MAPPINGS
from simulator.pim.roofs import limits
from simulator.pim.spec import PimSpec
from simulator.trace.schema import Operator
from simulator.trace.work import Unmapped, View, Work


class PimPlatform:
    """Memory whose banks multiply, and its controller."""

    cache = None
    cache_bytes = 0
    choices: Mapping[str, tuple[str, ...]] = CHOICES

    def __init__(self, spec: PimSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.capacity_bytes = spec.capacity_bytes
        self.host = spec.host
        self.defaults = spec.defaults

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> Sequence[Work]:
        """Operator by operator."""
        return works

    def assemble(self, exact: bool) -> Assembly:
        return assemble(self.spec, exact)

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        if isinstance(work, View):
            return ()
        mapping = MAPPINGS.get(type(work))
        if mapping is None:
            name = work.name if isinstance(work, Unmapped) else work.kind
            raise UnmappedOperatorError(
                f"no PIM kernel for '{name}'",
                where=self.name,
                remedy="lower it to a kind of work in simulator/trace/lowering, or add a "
                "mapping function in simulator/pim/mapping; --approximate-unmapped replaces "
                "it by its memory traffic",
            )
        return mapping(self.spec, work, address)

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        """``dram_bytes`` does not bound PIM: banks read weights without their pins."""
        return limits(self.spec, work)

    def gap_s(self, launch: str) -> float:
        """The controller plays its own command programs, however the host launches them."""
        return self.spec.launch.gap

    def parts(self) -> Sequence[Part]:
        memory = self.spec.memory
        channels = memory.channels
        return (
            Part("dram", "dram", channels, memory.peak_bytes_per_s, "B/s"),
            Part("bank", "macro", channels, self.spec.mac_peak, "op/s"),
            Part("vector", "vector", 1, self.spec.vector_peak, "op/s"),
        )

    def energy_rates(self, work: Work | None) -> EnergyRates:
        memory, energy = self.spec.memory, self.spec.energy
        column_bits = 8 * memory.organization.access
        return EnergyRates(
            per_unit={"vector": ("controller", energy.controller_operation)},
            per_macro_column=self.spec.column_energy + column_bits * energy.buffer,
            per_buffer_burst=column_bits * (memory.energy.io + energy.buffer),
            static_w={"controller static": energy.controller_static},
            memory=memory.energy,
            burst_bytes=memory.organization.access,
            channels=memory.channels,
        )


PLATFORM = PimPlatform
