"""A design that does not fit its board, or tiles that do not fit their buffers, are errors."""

import pytest
from fpga_bench import Bench, design

from simulator.errors import HardwareError


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("core.gemm.m=256", "DSPs"),
        ("cores=4", "SLRs"),
        ("core.buffers.weights=16 MiB", "on-chip memory"),
        ("channels.per_core=11", "memory channels"),
        ("axi.burst=48 B", "axi.burst"),
        ("axi.port_bits=20", "axi.port_bits"),
        ("core.gemv.n=512", "core.gemv"),
        ("core.buffers.weights=2 KiB", "core.buffers.weights"),
        ("core.buffers.activations=256 B", "core.buffers.activations"),
        ("core.buffers.outputs=8 KiB", "core.buffers.outputs"),
    ],
)
def test_what_does_not_fit_is_named(override, words):
    with pytest.raises(HardwareError) as caught:
        design(override)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_capacity_is_that_of_the_channels_in_use():
    spec = Bench().spec
    assert spec.capacity_bytes == 24 * (256 << 20)
    assert spec.dsps <= spec.board.dsp


def test_the_array_reaches_the_published_size():
    spec = Bench().spec
    assert spec.core.gemm.macs == 4096
    assert spec.core.gemv.macs == 1024
    assert spec.dsps == 6144
