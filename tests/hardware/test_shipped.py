"""The shipped descriptions: valid, every number with source and quality, peaks as published."""

import pytest

from simulator.hardware import DEVICE_KINDS, QUALITIES, catalogue, resolve
from simulator.hardware.compose import Composer
from simulator.hardware.leaf import leaves
from simulator.system.specs import check, load_hardware, peaks

ENTRIES = catalogue()
NAMES = [entry.name for entry in ENTRIES]


def test_the_first_devices_and_their_memories_are_there():
    assert {"a100-sxm-80gb", "h100-sxm", "pim-gpt", "flightllm-u280", "host-pytorch"} <= {*NAMES}
    assert {"hbm2-2.0", "hbm2e-3.2", "hbm3-5.2", "gddr6-16"} <= {*NAMES}


def test_names_are_unique_and_lower_case():
    assert len(set(NAMES)) == len(NAMES)
    assert all(name == name.lower() for name in NAMES)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_valid_and_in_the_folder_of_its_kind(entry):
    description = resolve(entry.name)
    assert description.kind == entry.kind
    assert entry.title
    spec = check(description)
    for peak in peaks(spec):
        assert peak.value > 0, peak


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_number_has_a_source_and_a_quality(entry):
    for path, leaf in leaves(Composer().compose(entry.path)):
        if leaf.is_number:
            assert leaf.provenance.source, path
            assert leaf.provenance.quality in QUALITIES, path


PEAKS = [
    ("a100-sxm-80gb", "DRAM bandwidth", 2.039e12),
    ("a100-sxm-80gb", "matrix bfloat16", 312e12),
    ("a100-sxm-80gb", "matrix tf32", 156e12),
    ("a100-sxm-80gb", "matrix int8", 624e12),
    ("a100-sxm-80gb", "matrix float64", 19.5e12),
    ("a100-sxm-80gb", "vector float32", 19.5e12),
    ("a100-sxm-80gb", "L2 bandwidth", 5.43e12),
    ("h100-sxm", "DRAM bandwidth", 3.35e12),
    ("h100-sxm", "matrix bfloat16", 989.4e12),
    ("h100-sxm", "matrix float8", 1979e12),
    ("h100-sxm", "vector float32", 61.8e12),
    ("h200-sxm", "DRAM bandwidth", 4.8e12),
    ("h200-sxm", "matrix bfloat16", 989.4e12),
    ("h200-sxm", "L2 bandwidth", 9.7e12),
    ("gh200", "DRAM bandwidth", 4.02e12),
    ("h100-pcie", "DRAM bandwidth", 2.039e12),
    ("h100-pcie", "matrix float16", 756e12),
    ("b200", "DRAM bandwidth", 8e12),
    ("b200", "matrix bfloat16", 2.25e15),
    ("b200", "matrix float4", 9e15),
    ("a100-sxm-40gb", "DRAM bandwidth", 1.555e12),
    ("a100-pcie-40gb", "matrix float16", 312e12),
    ("a100-pcie-80gb", "DRAM bandwidth", 1.935e12),
    ("v100-sxm", "DRAM bandwidth", 900e9),
    ("v100-sxm", "matrix float16", 125e12),
    ("v100-sxm", "matrix float64", 7.83e12),
    ("v100-sxm", "vector float32", 15.7e12),
    ("v100-pcie-32gb", "matrix float16", 113e12),
    ("v100-pcie-32gb", "vector float32", 14.1e12),
    ("p100-sxm", "DRAM bandwidth", 732e9),
    ("p100-sxm", "matrix float64", 5.3e12),
    ("p100-sxm", "vector float32", 10.6e12),
    ("p100-pcie", "vector float32", 9.34e12),
    ("t4", "DRAM bandwidth", 320e9),
    ("t4", "matrix float16", 65e12),
    ("t4", "matrix int8", 130e12),
    ("a40", "DRAM bandwidth", 696e9),
    ("a40", "matrix bfloat16", 149.7e12),
    ("a40", "vector float32", 37.4e12),
    ("a10", "DRAM bandwidth", 600e9),
    ("a10", "matrix bfloat16", 125e12),
    ("rtx-3090", "DRAM bandwidth", 936e9),
    ("rtx-3090", "matrix bfloat16", 71.1e12),
    ("rtx-3090", "matrix int8", 284e12),
    ("l4", "DRAM bandwidth", 300e9),
    ("l4", "matrix bfloat16", 121e12),
    ("l40", "matrix bfloat16", 181e12),
    ("l40s", "DRAM bandwidth", 864e9),
    ("l40s", "matrix float8", 733e12),
    ("l40s", "vector float32", 91.6e12),
    ("rtx-4090", "DRAM bandwidth", 1.008e12),
    ("rtx-4090", "matrix bfloat16", 165.2e12),
    ("rtx-pro-6000", "DRAM bandwidth", 1.792e12),
    ("rtx-pro-6000", "vector float32", 126e12),
    ("pim-gpt", "in-bank bandwidth", 4.096e12),
    ("pim-gpt", "DRAM bandwidth", 256e9),
    ("flightllm-u280", "DRAM bandwidth", 460e9),
    ("flightllm-u280", "weight-channel bandwidth", 345e9),
    ("flightllm-u280", "matrix mode", 2 * 3 * 4096 * 225e6),
    ("hbm2-2.0", "DRAM bandwidth", 256e9),
    ("xeon-6154", "DRAM bandwidth", 128e9),
    ("xeon-6154", "vector float32", 3.456e12),
    ("gddr6-16", "DRAM bandwidth", 64e9),
]


PUBLISHED_AT = {"h100-sxm": 1830e6, "h200-sxm": 1830e6, "b200": 1855e6}
"""Clocks of data-sheet peaks of boards whose highest clock is another."""
RUN_AT_THE_CLOCK = ("matrix", "vector")


@pytest.mark.parametrize(("name", "what", "published"), PEAKS)
def test_derived_peaks_are_the_published_ones(name, what, published):
    spec = check(resolve(name))
    derived = {peak.name: peak.value for peak in peaks(spec)}
    if name in PUBLISHED_AT and what.startswith(RUN_AT_THE_CLOCK):
        published *= spec.chip.clock / PUBLISHED_AT[name]
    assert derived[what] == pytest.approx(published, rel=4e-3)


@pytest.mark.parametrize(
    ("name", "gibibytes"),
    [
        ("a100-sxm-80gb", 80),
        ("h100-sxm", 80),
        ("h200-sxm", 144),  # 141 for programs
        ("gh200", 96),
        ("b200", 192),
        ("a100-sxm-40gb", 40),
        ("v100-sxm", 16),
        ("v100-pcie-32gb", 32),
        ("p100-sxm", 16),
        ("t4", 16),
        ("a40", 48),
        ("a10", 24),
        ("rtx-3090", 24),
        ("l4", 24),
        ("l40s", 48),
        ("rtx-4090", 24),
        ("rtx-pro-6000", 96),
        ("pim-gpt", 4),
        ("hbm2-u280", 8),
        ("flightllm-u280", 6),  # 24 of 32 channels carry weights
        ("hbm2-2.0", 4),
        ("xeon-6154", 48),
        ("gddr6-16", 1),
    ],
)
def test_capacity_follows_from_the_organisation(name, gibibytes):
    assert check(resolve(name)).capacity_bytes == gibibytes * 2**30  # type: ignore[union-attr]


@pytest.mark.parametrize("entry", [e for e in ENTRIES if e.kind in DEVICE_KINDS], ids=str)
def test_devices_load(entry):
    hardware = load_hardware(entry.name)
    assert (hardware.name, hardware.kind) == (entry.name, entry.kind)
    cards = getattr(hardware.spec, "cards", 1)
    assert 0 < hardware.spec.capacity_bytes <= cards * hardware.spec.memory.capacity_bytes
