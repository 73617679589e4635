"""A GPU as the system sees it: kernels for work, roofs, parts, energy by event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.engine.assembly import Assembly
from simulator.engine.platform import Addresses, EnergyRates, Limit, Part
from simulator.engine.program import Kernel
from simulator.errors import UnmappedOperatorError
from simulator.gpu.machine import assemble
from simulator.gpu.mapping import MAPPINGS
from simulator.gpu.mapping.rates import matrix_type
from simulator.gpu.spec import GpuSpec
from simulator.trace.schema import Operator
from simulator.trace.work import Attention, Gemm, GroupedGemm, Unmapped, View, Work

CLOCKED = frozenset({"matrix", "vector", "special", "l1", "l2", "awake"})
"""Parts of the energy report that run at the SM clock and voltage."""


class GpuPlatform:
    """One GPU."""

    cache = "l2"
    choices: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, spec: GpuSpec) -> None:
        self.spec = spec
        self.name = spec.name
        self.capacity_bytes = spec.capacity_bytes
        self.cache_bytes = spec.l2.kept
        self.host = spec.host
        self.defaults = spec.defaults

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> Sequence[Work]:
        """Operator by operator."""
        return works

    def assemble(self, exact: bool) -> Assembly:
        """The same machine for both fidelities."""
        return assemble(self.spec)

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        if isinstance(work, View):
            return ()
        mapping = MAPPINGS.get(type(work))
        if mapping is None:
            name = work.name if isinstance(work, Unmapped) else work.kind
            raise UnmappedOperatorError(
                f"no GPU kernel for '{name}'",
                remedy="lower it to a kind of work in simulator/trace/lowering, or add a "
                "mapping function in simulator/gpu/mapping; --approximate-unmapped replaces "
                "it by its memory traffic",
            )
        return mapping(self.spec, work, address)

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        spec = self.spec
        operations = work.operations
        limits = [
            Limit("dram", dram_bytes / spec.memory.peak_bytes_per_s),
            Limit("vector", operations.get("vector", 0) / spec.vector_peak),
            Limit("special", operations.get("special", 0) / spec.special_peak),
        ]
        products = operations.get("matrix", 0) / _kept(work)
        if products:
            kind = matrix_type(spec, work)
            if kind is None:
                limits.append(Limit("vector", products / spec.vector_peak))
            else:
                limits.append(Limit("matrix", products / spec.matrix_peak(kind)))
        if isinstance(work, (Gemm, GroupedGemm, Attention)):
            port = spec.chip.sms * spec.chip.sm.load_bytes_per_clk * spec.chip.clock
            limits.append(Limit("l2", work.bytes_read / min(port, spec.l2_bytes_per_s)))
        return limits

    def gap_s(self, launch: str) -> float:
        launches = self.spec.launch
        return launches.graph_gap if launch == "graph" else launches.stream_gap

    def parts(self) -> Sequence[Part]:
        spec = self.spec
        # The roof that is drawn is the one of 16-bit floats, in which models run by default.
        rates = spec.chip.sm.matrix
        usual: str = next(
            (kind for kind in ("bfloat16", "float16") if kind in rates),
            min(rates, key=lambda kind: rates[kind], default=""),
        )
        sms = spec.chip.sms
        port = sms * spec.chip.clock
        return (
            Part("dram", "dram", spec.memory.channels, spec.memory.peak_bytes_per_s, "B/s"),
            Part("l2", "slices", spec.l2.slices, spec.l2_bytes_per_s, "B/s"),
            Part("load", "load", sms, port * spec.chip.sm.load_bytes_per_clk, "B/s"),
            Part("store", "store", sms, port * spec.chip.sm.store_bytes_per_clk, "B/s"),
            Part("matrix", "matrix", sms, spec.matrix_peak(usual), "op/s"),
            Part("vector", "vector", sms, spec.vector_peak, "op/s"),
            Part("special", "special", sms, spec.special_peak, "op/s"),
        )

    def energy_rates(self, work: Work | None) -> EnergyRates:
        energy, power = self.spec.energy, self.spec.power
        kind = matrix_type(self.spec, work) if work is not None else None
        matrix = energy.vector if kind is None else energy.matrix[kind]  # type: ignore[index]
        matrix *= (1.0 if kind is None else energy.of_operands) / _kept(work)
        awake = {"awake": energy.static - energy.idle} if work is not None else {}
        l1 = 8 * energy.l1
        return EnergyRates(
            per_unit={
                "load": ("l1", l1),
                "store": ("l1", l1),
                "slices": ("l2", 8 * energy.l2),
            },
            per_operation={
                "matrix": ("matrix", matrix),
                "vector": ("vector", energy.vector),
                "special": ("special", energy.special),
            },
            per_dram_bit=energy.dram_path,
            static_w={"static": energy.idle, **awake},
            memory=self.spec.memory.energy,
            burst_bytes=self.spec.memory.organization.access,
            channels=self.spec.memory.channels,
            clocked=CLOCKED,
            voltage_floor=power.voltage_floor,
            power_cap_w=power.cap,
            peak_w=power.cap * power.excursion,
            limiter_s=power.limiter_time,
        )


def _kept(work: Work | None) -> float:
    """Share of the executed products that the work counts: pipes also multiply what was
    pruned."""
    return work.density if isinstance(work, (Gemm, GroupedGemm)) else 1.0


PLATFORM = GpuPlatform
