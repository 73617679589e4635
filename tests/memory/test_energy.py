"""DRAM energy: parts add up, HBM2 lands where it was published."""

import pytest

from simulator.memory.energy import ERROR_BAND, energy
from simulator.memory.patterns import make_trace
from simulator.memory.replay import load_memory, memories, policy, replay


def spent(name, pattern, requests=50_000):
    spec, device = load_memory(name)
    result = replay(device, make_trace(pattern, requests, device.access_bytes), policy("default"))
    parts = energy(spec, device, result.commands, 1, result.seconds)
    return parts, requests * device.access_bytes * 8, result


@pytest.mark.parametrize("name", memories())
def test_parts_are_positive_and_add_up(name):
    parts, _, _ = spent(name, "mix21", 5000)
    total = parts.pop("total")
    assert total == pytest.approx(sum(parts.values()))
    assert all(value > 0 for value in parts.values())


def test_hbm2_stream_is_near_the_published_energy_per_bit():
    """3.92 pJ/bit on average (O'Connor et al., MICRO 2017)."""
    parts, bits, _ = spent("hbm2-2.0", "stream")
    assert parts["total"] / bits == pytest.approx(3.92e-12, rel=ERROR_BAND)


def test_hbm2_random_pays_an_activate_for_every_access():
    parts, bits, result = spent("hbm2-2.0", "random")
    assert parts["activate"] / result.commands["ACT"] == pytest.approx(909e-12)
    per_bit = parts["total"] / bits
    # The stream's energy and one whole activate for each 256 bits, and more standby time.
    assert per_bit > 3.92e-12 + 909e-12 / 256 * 0.9


def test_background_grows_with_time_and_channels_only():
    spec, device = load_memory("hbm2-2.0")
    one, two = (energy(spec, device, {}, channels, 1e-3) for channels in (1, 2))
    assert two["background"] == 2 * one["background"] == pytest.approx(2 * 2 * 92e-6)
    assert one["total"] == one["background"]
