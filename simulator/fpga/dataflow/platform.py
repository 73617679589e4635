"""A dataflow design as the system sees it: grouping, mapping, roofs, utilization, energy."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.assembly import Assembly
from simulator.engine.platform import Addresses, EnergyRates, Limit, Part
from simulator.engine.program import Kernel
from simulator.errors import UnmappedOperatorError
from simulator.fpga.dataflow import mapping
from simulator.fpga.dataflow.arrange import Group, arrange
from simulator.fpga.dataflow.spec import DataflowSpec
from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Defaults
from simulator.trace.schema import Operator
from simulator.trace.work import View, Work


class DataflowPlatform:
    """A dataflow design of one description."""

    cache: str | None = None
    cache_bytes: int = 0

    def __init__(self, spec: DataflowSpec) -> None:
        self.spec = spec
        self.name: str = spec.name
        self.capacity_bytes: int = spec.capacity_bytes
        self.host: HostSpec = spec.host
        self.defaults: Defaults = spec.defaults

    def arrange(self, works: Sequence[Work], operators: Sequence[Operator]) -> list[Work]:
        """Operators as groups that run through the pipeline."""
        return arrange(self.spec, works, operators)

    def assemble(self, exact: bool) -> Assembly:
        """A fresh machine."""
        return mapping.assemble(self.spec, exact)

    def kernels(self, work: Work, address: Addresses) -> Sequence[Kernel]:
        """What the design runs for one group."""
        if isinstance(work, View):
            return ()
        if not isinstance(work, Group):
            raise UnmappedOperatorError(
                f"a dataflow design runs whole models, not '{work.kind}' alone",
                where=self.name,
                remedy="use accsim run, or an overlay for single operators",
            )
        return mapping.kernels(self.spec, work, address)

    def limits(self, work: Work, dram_bytes: int) -> Sequence[Limit]:
        """The pins over what must be loaded, the stages over their work."""
        if not isinstance(work, Group):
            return ()
        spec = self.spec
        loaded = sum(one.load_bytes for one in work.members)
        stages = (one.units / (spec.stages[one.stage].rate * spec.clock) for one in work.members)
        return (
            Limit(
                "dram", min(dram_bytes, loaded) / spec.memory.peak_bytes_per_s * bool(work.members)
            ),
            Limit("slowest stage", max(stages, default=0.0)),
        )

    def gap_s(self, launch: str) -> float:
        """Groups follow one another; what it costs to start one is in the description."""
        return 0.0

    def parts(self) -> Sequence[Part]:
        """Stages and memory pins."""
        spec = self.spec
        return (
            *(
                Part(name, name, 1, stage.rate * spec.clock, "1/s")
                for name, stage in spec.stages.items()
            ),
            Part("dram", "dram", spec.channels, spec.memory.channel_bytes_per_s, "B/s"),
        )

    def energy_rates(self, work: Work | None) -> EnergyRates:
        """Multiply-adds and elements by stage, bytes by port."""
        spec, energy = self.spec, self.spec.energy
        stages = {
            name: (
                ("matrix stages", energy.mac)
                if stage.takes in ("matrix", "attention")
                else ("graph stages", energy.special)
            )
            for name, stage in spec.stages.items()
        }
        through_port = ("on-chip memory", 2 * 8 * energy.sram)
        running = {"clocked logic": energy.clocked} if work and energy.clocked else {}
        return EnergyRates(
            per_unit={**stages, "load": through_port, "store": through_port},
            per_dram_bit=energy.port,
            static_w={"board": spec.board.static_power, **running},
            memory=spec.memory.energy,
            burst_bytes=spec.memory.organization.access,
            channels=spec.memory.channels,
        )
