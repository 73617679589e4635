"""``accsim calibrate --live``: the sweep on the GPU of this machine, into a folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from simulator.errors import OptionError
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import load_hardware
from simulator.validate.gpus import gpu_of
from simulator.validate.live import pytorch
from simulator.validate.live.plan import plan
from simulator.validate.live.store import Store
from simulator.validate.live.sweep import Swept, sweep


def measure(
    hardware: str,
    folder: Path,
    budget_s: float,
    seed: int,
    progress: Callable[[str], None] = lambda text: None,
) -> Swept:
    """Measure what ``folder`` lacks of the plan, for at most ``budget_s`` seconds. Raises
    OptionError if this machine has no such GPU, MeasurementError for a folder of another one."""
    described = load_hardware(hardware)
    if not isinstance(described.spec, GpuSpec):
        raise OptionError(
            f"'{described.name}' is not a GPU", where="--hw", remedy="name the GPU of this machine"
        )
    timer = pytorch.open_timer(seed)
    device, sms = timer.device, described.spec.chip.sms
    if device.sms != sms:
        raise OptionError(
            f"'{described.name}' has {sms} SMs, this machine's {device.name} {device.sms}",
            where="--hw",
            remedy="name the description of this GPU",
        )
    store = Store(folder, gpu_of(described.name), device)
    return sweep(
        plan(device.dtype, seed), timer, store, budget_s, clock=time.monotonic, progress=progress
    )


def account(swept: Swept) -> list[str]:
    """What became of the points, for people."""
    total = swept.measured + swept.held + swept.left + sum(swept.failed.values())
    lines = [
        f"{swept.measured} of {total} points measured, {swept.held} were there before, "
        f"{swept.left} left for another run"
    ]
    return lines + [f"{count} points: {reason}" for reason, count in swept.failed.items()]
