"""The overlay as the system sees it: mapping, roofs, utilization and energy.

Roofs count what no mapping of this design can avoid: the bytes of operands that do not
stay on chip over all memory pins, the multiply-adds over the array in its faster mode,
the elements over the special-function lanes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simulator.engine.assembly import Assembly
from simulator.engine.platform import Addresses, EnergyRates, Limit, Part
from simulator.engine.program import Kernel
from simulator.fpga import machine, mapping
from simulator.fpga.dataflow.platform import DataflowPlatform
from simulator.fpga.dataflow.spec import DataflowSpec
from simulator.fpga.mapping.data import off_chip_bytes
from simulator.fpga.mapping.products import pieces
from simulator.fpga.spec import FpgaSpec
from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Defaults
from simulator.trace.chains import fuse_chains
from simulator.trace.schema import Operator
from simulator.trace.work import Elementwise, Gemm, GroupedGemm, RowWise, View, Work

OPERATIONS_PER_MAC = 2


class FpgaPlatform:
    """An overlay of one description."""

    cache: str | None = None
    cache_bytes: int = 0
    choices: Mapping[str, tuple[str, ...]] = {}

    def __init__(self, spec: FpgaSpec) -> None:
        self.spec = spec
        self.name: str = spec.name
        self.capacity_bytes: int = spec.capacity_bytes
        self.host: HostSpec = spec.host
        self.defaults: Defaults = spec.defaults

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> Sequence[Work]:
        """Chains of elementwise operators as one."""
        return fuse_chains(works, [operator.stream for operator in operators])

    def assemble(self, exact: bool) -> Assembly:
        """A fresh machine."""
        return machine.assemble(self.spec, exact)

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        """What the overlay runs for one piece of work, in order."""
        return mapping.kernels(self.spec, work, address)

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        """Every roof over the work."""
        if isinstance(work, View):
            return ()
        spec = self.spec
        moved = min(dram_bytes, off_chip_bytes(spec, (*work.reads, *work.writes)))
        limits = [Limit("dram", moved / (spec.cards * spec.memory.peak_bytes_per_s))]
        matrix = work.operations.get("matrix", 0)
        if matrix:
            peak = max(spec.gemm_peak, spec.gemv_peak)
            limits.append(Limit("matrix array", matrix * _passes(spec, work) / peak))
        if isinstance(work, Elementwise | RowWise):
            elements = work.elements if isinstance(work, Elementwise) else work.rows * work.columns
            operations = sum(work.operations.values())
            chained = operations / spec.core.lane_operations
            units = min(elements, chained) if operations else 0.0
            limits.append(Limit("special functions", units / spec.special_peak))
        return limits

    def gap_s(self, launch: str) -> float:
        """The cores run on by themselves, however the host launched them."""
        return self.spec.operator_gap

    def parts(self) -> Sequence[Part]:
        """Arrays in both modes, lanes, ports and memory pins."""
        spec = self.spec
        channels = spec.total_cores * spec.channels.per_core
        mac, vector = spec.core.gemm.macs * spec.clock, spec.core.gemv.macs * spec.clock
        return (
            Part("matrix mode", "gemm", spec.total_cores, mac, "mac/s"),
            Part(
                "matrix-vector mode",
                "gemv",
                spec.total_cores,
                vector,
                "mac/s",
            ),
            Part(
                "special functions",
                "special",
                spec.total_cores,
                spec.core.special_lanes * spec.clock,
                "element/s",
            ),
            *(
                Part(f"{name} ports", name, spec.total_cores, spec.port_bytes_per_s, "B/s")
                for name in ("cross_read", "exchange_read")
            ),
            Part("dram", "dram", channels, spec.memory.channel_bytes_per_s, "B/s"),
        )

    def energy_rates(self, work: Work | None) -> EnergyRates:
        """Multiply-adds by operation, everything else by what components served."""
        spec, energy = self.spec, self.spec.energy
        # A byte that passes a port is written to a buffer and read from it again.
        through_port = ("on-chip memory", 2 * 8 * energy.sram)
        ports = [f"{kind}{i}" for kind in ("read", "write") for i in range(spec.channels.per_core)]
        ports += [f"{name}_{kind}" for name in ("cross", "exchange") for kind in ("read", "write")]
        mac = energy.mac * (_passes(spec, work) if work is not None else 1)
        running = {"clocked logic": spec.cards * energy.clocked} if work and energy.clocked else {}
        return EnergyRates(
            per_unit={
                "special": ("special functions", energy.special),
                **dict.fromkeys(ports, through_port),
            },
            per_operation={"matrix": ("matrix array", mac / OPERATIONS_PER_MAC)},
            per_dram_bit=energy.port,
            static_w={
                "board": spec.cards * spec.board.static_power,
                **running,
            },
            memory=spec.memory.energy,
            burst_bytes=spec.memory.organization.access,
            channels=spec.cards * spec.memory.channels,
        )


def _passes(spec: FpgaSpec, work: Work) -> int:
    """Passes of operands wider than the array's."""
    if not isinstance(work, Gemm | GroupedGemm) and work.kind != "attention":
        return 1
    left, right = work.reads[:2]
    return pieces(spec.core.operands, left.bits, right.bits)


def PLATFORM(spec: FpgaSpec | DataflowSpec) -> FpgaPlatform | DataflowPlatform:
    """The platform of a description's template."""
    return DataflowPlatform(spec) if isinstance(spec, DataflowSpec) else FpgaPlatform(spec)
