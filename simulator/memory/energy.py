"""DRAM energy of a run from its commands: activate, read and write, I/O, background, refresh.

The joules of each event are the memory description's, which derives them from data-sheet
currents (Micron TN-40-07) or published energy per bit (O'Connor et al., MICRO 2017).  Left
out: power-down states, temperature, data toggling beyond the description's average.
"""

from __future__ import annotations

from collections.abc import Mapping

from simulator.memory.spec import MemorySpec
from simulator.memory.standards import Device

ERROR_BAND = 0.4
"""Published current-based models miss measured HBM2 by 20 to 40 % (CMU-SAFARI HBM-Power)."""


def energy(
    spec: MemorySpec,
    device: Device,
    commands: Mapping[str, int],
    channels: int,
    seconds: float,
) -> dict[str, float]:
    """Joules by part and in total."""
    per = spec.energy
    access_bits = 8 * device.access_bytes
    reads, writes = commands.get("RD", 0), commands.get("WR", 0)
    independent = channels * spec.organization.pseudo_channels
    # The description's refresh covers all banks of one pseudo-channel.
    groups = device.groups / spec.organization.pseudo_channels
    group_banks = device.banks // device.groups
    refreshes = commands.get("REFab", 0) + commands.get("REFpb", 0) / group_banks
    parts = {
        "activate": commands.get("ACT", 0) * per.activate,
        "read": reads * access_bits * per.read,
        "write": writes * access_bits * per.write,
        "io": (reads + writes) * access_bits * per.io,
        "background": independent * per.background * seconds,
        "refresh": refreshes * per.refresh / groups,
    }
    return {**parts, "total": sum(parts.values())}
