"""A described GPU on which single kernels are played. Times are seconds."""

from __future__ import annotations

from simulator.engine.device import Device
from simulator.engine.program import Kernel
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import Hardware

FEMTO = 1e-15
END = 1 << 62


def gpu(hardware: Hardware) -> GpuSpec:
    """Its specification; the caller has made sure that it is a GPU."""
    assert isinstance(hardware.spec, GpuSpec), hardware.name
    return hardware.spec


def machine(hardware: Hardware) -> Device:
    """A fresh machine with empty caches, every event played."""
    return Device(GpuPlatform(gpu(hardware)).assemble(True))


def play(device: Device, kernel: Kernel) -> float:
    """From launch to end of a kernel on an otherwise idle device."""
    start = device.now
    device.launch(kernel, start)
    outcome = device.advance(END)
    assert outcome.reason == "finished", kernel.name
    return (device.now - start) * FEMTO
