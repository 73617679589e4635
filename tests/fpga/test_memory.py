"""Ports and channels of the U280 against Shuhai (Huang et al., arXiv 2005.04324)."""

import numpy as np
import pytest
from fpga_bench import END, FEMTO, Bench

from simulator.engine.program import Access, Delay, Kernel, Pattern, Program

NANO = FEMTO // 10**9
SHUHAI = ("axi.port_bits=256", "axi.clock=450 MHz", "axi.outstanding=32")
"""Its engines sit at the ports of the memory, at their width and clock, and keep many reads up."""


def measure(bench: Bench, *patterns: Pattern, wait_ns: int = 0) -> float:
    """Nanoseconds of accesses one after another on an otherwise idle core."""
    steps = (Delay(wait_ns * NANO), *(Access(pattern) for pattern in patterns))
    kernel = Kernel("probe", "core", (Program((steps,)),), np.array([[0]]), {"contexts": 1})
    start = bench.device.now
    bench.device.launch(kernel, start)
    bench.device.advance(END)
    return (bench.device.now - start) / NANO - wait_ns


def read(address: int, size: int = 32, port: str = "read0") -> Pattern:
    return Pattern("read", port, size, base=address)


def strided(burst: int, stride: int, window: int, count: int = 4000) -> Pattern:
    places = np.arange(count, dtype=np.int64) * stride % window
    return Pattern("read", "read0", burst, inner=count, inner_stride=1, index=places)


def test_idle_latencies_of_hit_closed_row_and_conflict():
    bench = Bench(*SHUHAI, "memory.timing.refresh.mode=none")
    closed = measure(bench, read(0))
    hit = measure(bench, read(64))
    bank_stride = 1024 * 16
    conflict = measure(bench, read(bank_stride))
    assert hit == pytest.approx(106.7, rel=0.02)
    assert closed == pytest.approx(122.2, rel=0.02)
    assert conflict == pytest.approx(137.8, rel=0.02)


def test_sequential_throughput_of_one_channel():
    size = 8 << 20
    assert size / measure(Bench(*SHUHAI), read(0, size)) == pytest.approx(13.27, rel=0.03)


def test_the_switch_adds_its_clocks_where_a_port_leaves_its_channel():
    bench = Bench(*SHUHAI, "memory.timing.refresh.mode=none")
    measure(bench, read(0))
    own = measure(bench, read(64))
    measure(bench, read(128, port="cross_read"))
    crossing = measure(bench, read(192, port="cross_read"))
    # 7 clocks of 450 MHz for the switch and 11 for the mean distance.
    assert crossing - own == pytest.approx(18 / 0.45, abs=2)


@pytest.mark.parametrize(("window", "published"), [(8 << 10, 6.7), (256 << 20, 2.4)])
def test_locality_of_small_strided_reads(window, published):
    pattern = strided(32, 4096, window)
    assert 32 * 4000 / measure(Bench(*SHUHAI), pattern) == pytest.approx(published, rel=0.1)


def test_throughput_collapses_with_large_strides():
    bench = Bench(*SHUHAI)
    rates = [
        32 * 4000 / measure(bench, strided(32, stride, 1 << 28)) for stride in (64, 1024, 16384)
    ]
    assert rates[0] > 2 * rates[1] > 4 * rates[2]


def test_a_narrow_port_halves_the_rate_and_a_slow_clock_too():
    size = 1 << 20
    wide = measure(Bench(*SHUHAI), read(0, size))
    for override in ("axi.port_bits=128", "axi.clock=225 MHz"):
        assert measure(Bench(*SHUHAI, override), read(0, size)) > 1.75 * wide


def test_one_burst_at_a_time_exposes_the_latency():
    size = 1 << 20
    alone = measure(Bench(*SHUHAI, "axi.outstanding=1"), read(0, size))
    bursts = size // 512
    assert alone > bursts * 106.7
    assert alone > 2 * measure(Bench(*SHUHAI), read(0, size))


def test_the_cross_port_reaches_all_channels_at_the_rate_of_one_port():
    size = 1 << 20
    bench = Bench(*SHUHAI)
    rate = size / measure(bench, read(0, size, "cross_read"))
    assert 13.0 < rate <= bench.spec.port_bytes_per_s / 1e9


def test_refresh_takes_its_share():
    size = 4 << 20
    without = measure(Bench(*SHUHAI, "memory.timing.refresh.mode=none"), read(0, size))
    share = 1 - without / measure(Bench(*SHUHAI), read(0, size))
    timing = Bench(*SHUHAI).spec.memory.timing.refresh
    assert share == pytest.approx(timing.all_bank.seconds / timing.interval.seconds, rel=0.4)
