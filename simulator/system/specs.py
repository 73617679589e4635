"""From a name or file to a device's specification, whatever its kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.cpu.spec import CpuSpec
from simulator.errors import HardwareError, suggest
from simulator.fpga.board import Board
from simulator.fpga.dataflow.spec import DataflowSpec
from simulator.fpga.spec import FpgaSpec
from simulator.gpu.spec import GpuSpec
from simulator.hardware import DEVICE_KINDS, Description, Peak, catalogue, resolve, validate
from simulator.hardware.host import HostSpec
from simulator.memory.spec import MemorySpec
from simulator.pim.spec import PimSpec
from simulator.system.hybrid_spec import HybridSpec

DeviceSpec = GpuSpec | PimSpec | FpgaSpec | DataflowSpec | CpuSpec
Spec = DeviceSpec | HybridSpec | MemorySpec | HostSpec | Board

_CLASSES: dict[str, type[Spec]] = {
    "gpu": GpuSpec,
    "pim": PimSpec,
    "fpga": FpgaSpec,
    "cpu": CpuSpec,
    "hybrid": HybridSpec,
    "memory": MemorySpec,
    "system": HostSpec,
    "board": Board,
}


@dataclass(frozen=True)
class Hardware:
    """A device one can run on: what its files say, and the checked specification."""

    description: Description
    spec: DeviceSpec

    @property
    def name(self) -> str:
        """Catalogue name or file stem."""
        return self.description.name

    @property
    def kind(self) -> str:
        """``gpu``, ``pim``, ``fpga`` or ``cpu``."""
        return self.description.kind


def check(description: Description) -> Spec:
    """The specification of a description of any kind."""
    if description.kind == "fpga" and description.tree.get("template") == "dataflow":
        return validate(description, DataflowSpec)
    return validate(description, _CLASSES[description.kind])


def peaks(spec: Spec) -> tuple[Peak, ...]:
    """Derived limits; a host has none."""
    return () if isinstance(spec, HostSpec) else spec.peaks()


def load_hardware(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Hardware:
    """A device by catalogue name or YAML path, with ``KEY=VALUE`` overrides."""
    description = resolve(name_or_path, overrides)
    spec = check(description)
    if isinstance(spec, HybridSpec | MemorySpec | HostSpec | Board):
        devices = [entry.name for entry in catalogue() if entry.kind in DEVICE_KINDS]
        raise HardwareError(
            f"'{description.name}' is a {description.kind} description, not a device",
            where=description.files[0],
            remedy=suggest(description.name, devices),
        )
    return Hardware(description, spec)
