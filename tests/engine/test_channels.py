"""DRAM channels behind the engine: they run ahead of its clock, refresh while idle, count."""

import pytest
from engine_bench import NS, Bench, kernel, memory, read, stream, write

from simulator.engine.assembly import Assembly
from simulator.engine.program import Access
from simulator.memory.controller.layout import (
    ACT,
    N_CONFLICT,
    N_HIT,
    N_MISS,
    N_OPENED,
    PRE,
    RD,
    REFAB,
    WR,
)
from simulator.memory.pool import D_LOOKAHEAD_FS

KIB = 1 << 10
INTERVAL_NS = 3900


@pytest.mark.parametrize("refresh", ["none", "all_bank"])
def test_running_ahead_of_the_clock_changes_nothing(refresh):
    """As far as a miss takes to arrive, unless a port leads past the cache."""
    played = []
    for direct, ahead in ((True, 0), (False, 150 * NS)):
        bench = Bench(direct=direct, refresh=refresh, capacity=16 * KIB, in_flight=4 * KIB)
        assert bench.device.machine.dram.clock[0, D_LOOKAHEAD_FS] == ahead
        mixed = kernel((Access(write(4 * KIB, 1 << 20)), Access(read(8 * KIB))), tasks=8)
        ends = bench.together(stream(16 * KIB), mixed)
        bench.settle()
        played.append([*(end.ns for end in ends), *(bench.issued(c) for c in (ACT, PRE, RD, WR))])
    assert played[0] == played[1]


def test_idle_channels_refresh_before_a_kernel_starts():
    """Four channels, a quarter of the interval apart."""
    bench = Bench(refresh="all_bank")
    bench.device.refresh_until(round(100.6 * INTERVAL_NS * NS))
    refreshes = bench.issued(REFAB)
    assert refreshes == 101 + 101 + 100 + 100
    bench.time(Access(read(32)))
    assert bench.issued(REFAB) == refreshes


def test_rows_and_hits_are_counted():
    """64 KiB over four channels of 16 banks fill a row of 1 KiB in each bank."""
    bench = Bench()
    bench.play(stream(64 * KIB, path="direct", tasks=1))
    seen = bench.device.snapshot()
    assert seen.dram(N_OPENED) == seen.dram(N_MISS) == 4 * 16
    assert seen.dram(N_CONFLICT) == 0
    assert seen.dram(N_HIT) == bench.issued(RD) - 4 * 16 == 64 * KIB // 32 - 4 * 16


def test_pseudo_channels_come_in_whole_channels():
    pairs = memory(("organization.pseudo_channels=2",))
    with pytest.raises(ValueError, match="3 pseudo-channels are no whole number of channels"):
        Assembly().memory("dram", pairs, 3)
