"""One access on an idle machine costs the latencies on its way, and nothing else."""

import pytest
from engine_bench import (
    ALU_NS,
    CLOSED_ROW,
    HIT_NS,
    MISS_NS,
    OPEN_ROW,
    SEEN,
    Bench,
    read,
    write,
)

from simulator.engine.program import Access, Compute, Delay

TRANSFER = 32 / 32
"""A sector through a slice; the wider port is hidden behind it."""
DIRECT = 1
"""32 B at 64 B/ns, in whole DRAM ticks."""


def second(*steps, **machine) -> float:
    """Time of a repetition of the steps once they have been played before."""
    bench = Bench(**machine)
    bench.time(*steps)
    bench.time(Delay(10**9))
    return bench.time(*steps)


@pytest.mark.parametrize("lookahead", [0, 100])
def test_a_hit_costs_the_slice_and_its_latency(lookahead):
    assert second(Access(read(32)), lookahead=lookahead) == TRANSFER + HIT_NS


@pytest.mark.parametrize("lookahead", [0, 100])
def test_a_miss_adds_the_way_to_memory_and_a_closed_row(lookahead):
    bench = Bench(lookahead=lookahead)
    assert bench.time(Access(read(32))) == TRANSFER + HIT_NS + MISS_NS + CLOSED_ROW


def test_a_direct_read_pays_port_and_dram_alone():
    assert Bench().time(Access(read(32, path="direct"))) == DIRECT + CLOSED_ROW
    assert second(Access(read(32, path="direct"))) == DIRECT + OPEN_ROW


def test_the_port_s_latency_is_added_once():
    plain, slow = (Bench(port_latency=ns).time(Access(read(32))) for ns in (0, 40))
    assert slow - plain == 40


def test_a_write_ends_at_the_cache():
    bench = Bench()
    assert bench.time(Access(write(32))) == TRANSFER + HIT_NS
    bench.settle()
    assert bench.dram_bytes == 0


def test_a_direct_write_ends_with_its_command():
    """An activate of two ticks and tRCD of 12."""
    assert Bench().time(Access(write(32, path="direct"))) == DIRECT + SEEN + 1 + 12


def test_larger_reads_add_their_transfer():
    small, large = (second(Access(read(size))) for size in (32, 512))
    assert large - small == (512 - 32) / 32


def test_compute_costs_its_units_and_the_pipe_s_latency():
    assert Bench().time(Compute("alu", 100)) == 100 + ALU_NS


def test_steps_of_a_thread_follow_each_other():
    steps = (Compute("alu", 7), Access(read(32)), Delay(3 * 10**6), Compute("alu", 5))
    separate = 7 + ALU_NS + TRANSFER + HIT_NS + MISS_NS + CLOSED_ROW + 3 + 5 + ALU_NS
    assert Bench().time(*steps) == separate


def test_an_empty_access_takes_no_time_and_moves_nothing():
    bench = Bench()
    assert bench.time(Access(read(32, inner=0))) == 0
    assert bench.time(Access(read(32, base=4096, limit=4096))) == 0
    assert bench.dram_bytes == 0
