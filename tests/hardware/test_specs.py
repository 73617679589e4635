"""Impossible devices are refused; possible changes move the peaks they should move."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import HardwareError
from simulator.hardware import resolve
from simulator.system.specs import check, load_hardware, peaks


def peak(name: str, what: str, *overrides: str) -> float:
    """A derived peak of a device with overrides."""
    return {one.name: one.value for one in peaks(check(resolve(name, overrides)))}[what]


@pytest.mark.parametrize(
    ("name", "override", "says"),
    [
        ("a100-sxm-80gb", "l2.capacity=41 MB", "multiple of 163840 B"),
        ("a100-sxm-80gb", "l2.sector=48 B", "not a whole number of sectors"),
        ("a100-sxm-80gb", "l2.usable=1.5", "at most 1"),
        ("a100-sxm-80gb", "l2.far_latency_cycles=100", "below hit_latency_cycles 206"),
        ("a100-sxm-80gb", "l2.far_latency_cycles=-1", "l2.far_latency_cycles"),
        ("a100-sxm-80gb", "chip.clock=0 MHz", "is not between 1 MHz and 100 GHz"),
        ("a100-sxm-80gb", "chip.sm.matrix.float8=4096", "energy.matrix has no 'float8'"),
        ("a100-sxm-80gb", "chip.sm.matrix.floaf16=4096", "did you mean 'float16'?"),
        ("a100-sxm-80gb", "energy.idle=300 W", "below energy.idle"),
        ("a100-sxm-80gb", "memory.data_rate=6.4 Gb/s", "clock together with data_rate"),
        ("a100-sxm-80gb", "defaults.quantise=w4", "did you mean 'quantize'?"),
        ("pim-gpt", "bank.lanes=8", "a unit consumes one column"),
        ("pim-gpt", "bank.mac_interval=0 ns", "above 0"),
        ("pim-gpt", "buffer.capacity=100 B", "whole number of columns"),
        ("pim-gpt", "activation=group", "did you mean 'group_faw'?"),
        ("flightllm-u280", "core.gemm.m=1024", "needs 49152 DSPs, the board has 9024"),
        ("flightllm-u280", "cores=4", "lower cores"),
        ("flightllm-u280", "core.buffers.weights=32 MiB", "on-chip memory"),
        ("flightllm-u280", "channels.per_core=11", "needs 34 memory channels"),
        ("flightllm-u280", "core.gemv.n=512", "core.gemv uses more multipliers"),
        ("flightllm-u280", "axi.port_bits=12", "axi.port_bits"),
    ],
)
def test_impossible_devices(name, override, says):
    with pytest.raises(HardwareError) as caught:
        load_hardware(name, [override])
    assert says in str(caught.value)
    assert f"--set {override}" in str(caught.value)


@pytest.mark.parametrize("name", ["hbm2-2.0", "host-pytorch"])
def test_only_devices_can_be_loaded_as_devices(name):
    with pytest.raises(HardwareError, match="not a device"):
        load_hardware(name)


@settings(max_examples=25, deadline=None)
@given(sms=st.integers(1, 500), mhz=st.integers(100, 3000))
def test_compute_peaks_are_proportional_to_units_and_clock(sms, mhz):
    overrides = (f"chip.sms={sms}", f"chip.clock={mhz} MHz")
    for what in ("matrix bfloat16", "vector float32", "special functions"):
        expected = peak("a100-sxm-80gb", what) * (sms / 108) * (mhz / 1410)
        assert peak("a100-sxm-80gb", what, *overrides) == pytest.approx(expected)


@settings(max_examples=15, deadline=None)
@given(stacks=st.integers(1, 12))
def test_bandwidth_and_capacity_are_proportional_to_stacks(stacks):
    override = f"memory.organization.stacks={stacks}"
    for what in ("DRAM bandwidth", "DRAM capacity"):
        expected = peak("h100-sxm", what) * stacks / 5
        assert peak("h100-sxm", what, override) == pytest.approx(expected)


def test_ports_limit_the_channels_behind_them():
    full = peak("flightllm-u280", "weight-channel bandwidth")
    assert peak("flightllm-u280", "weight-channel bandwidth", "axi.port_bits=256") < 0.51 * full


def test_a_matrix_type_can_be_added_with_its_energy():
    overrides = ["chip.sm.matrix.float8=4096", "energy.matrix.float8=0.4 pJ/flop"]
    spec = load_hardware("a100-sxm-80gb", overrides).spec
    assert spec.kind == "gpu"
    assert spec.matrix_peak("float8") == 2 * spec.matrix_peak("float16")
    assert spec.matrix_peak("float32") == 0


def test_specs_are_frozen():
    spec = load_hardware("a100-sxm-80gb").spec
    with pytest.raises(ValueError, match="frozen"):
        spec.chip.sms = 3  # type: ignore[union-attr,misc]
