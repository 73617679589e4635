"""The share of peak bandwidth follows from the design: one test for each cause Shuhai shows
(Huang et al., arXiv 2005.04324), and no efficiency constant anywhere."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fpga_bench import END, Bench, linear

from simulator.engine.program import Access, Kernel, Pattern, Program
from simulator.hardware.yaml_file import read_yaml
from simulator.paths import hwconfigs

PORT = ("axi.port_bits=256", "axi.clock=450 MHz", "axi.outstanding=32")


def bytes_per_ns(bench: Bench, *patterns: Pattern) -> float:
    """Patterns side by side on one core."""
    threads = tuple((Access(pattern),) for pattern in patterns)
    kernel = Kernel("probe", "core", (Program(threads),), np.array([[0]]), {"contexts": 1})
    start = bench.device.now
    bench.device.launch(kernel, start)
    assert bench.device.advance(END).reason == "finished"
    moved = sum(pattern.chunk * int(pattern.inner) for pattern in patterns)
    return moved / (bench.device.now - start) * 1e6


def scattered(burst: int, stride: int = 8192, count: int = 2000) -> Pattern:
    places = np.arange(count, dtype=np.int64) * stride % (256 << 20)
    return Pattern("read", "read0", burst, inner=count, inner_stride=1, index=places)


def test_longer_bursts_reach_more_of_a_channel():
    rates = [bytes_per_ns(Bench(*PORT), scattered(burst)) for burst in (32, 64, 128, 512)]
    assert all(longer > 1.3 * shorter for shorter, longer in pairwise(rates))
    assert rates[0] < 0.2 * rates[-1]


def test_channels_add_up_and_are_all_there_is():
    size = 1 << 20
    one, four, eight = (
        bytes_per_ns(Bench(*PORT), *(Pattern("read", f"read{c}", size) for c in range(count)))
        for count in (1, 4, 8)
    )
    assert four == pytest.approx(4 * one, rel=0.02)
    assert eight == pytest.approx(8 * one, rel=0.02)


@pytest.mark.parametrize("bits", [64, 128])
def test_a_narrow_port_is_the_limit(bits):
    rate = bytes_per_ns(Bench(*PORT, f"axi.port_bits={bits}"), Pattern("read", "read0", 1 << 20))
    assert rate == pytest.approx(bits / 8 * 0.45, rel=0.03)


@pytest.mark.parametrize("megahertz", [112.5, 225])
def test_a_slow_port_clock_is_the_limit(megahertz):
    bench = Bench(*PORT, f"axi.clock={megahertz} MHz")
    rate = bytes_per_ns(bench, Pattern("read", "read0", 1 << 20))
    assert rate == pytest.approx(32 * megahertz / 1000, rel=0.03)


def test_bursts_in_flight_hide_the_latency():
    rates = [
        bytes_per_ns(Bench(*PORT, f"axi.outstanding={count}"), Pattern("read", "read0", 1 << 20))
        for count in (1, 2, 4, 32)
    ]
    assert rates[1] == pytest.approx(2 * rates[0], rel=0.15)
    assert rates[0] < rates[1] < rates[2] < rates[3]
    assert rates[3] == pytest.approx(13.27, rel=0.03)


def test_the_share_of_a_whole_product_moves_with_the_design():
    work = linear(1, 4096, 4096)
    base = Bench().run(work).seconds
    assert Bench("axi.outstanding=2").run(work).seconds > 1.3 * base
    assert Bench("axi.outstanding=16").run(work).seconds < 0.97 * base
    assert Bench("channels.per_core=4").run(work).seconds > 1.5 * base


def test_no_description_holds_an_efficiency():
    def keys(node) -> set[str]:
        if not isinstance(node, dict):
            return set()
        return set(node) | {key for child in node.values() for key in keys(child.value)}

    for path in [*(hwconfigs() / "fpga").rglob("*.yaml")]:
        assert not {key for key in keys(read_yaml(Path(path)).value) if "efficiency" in key}
