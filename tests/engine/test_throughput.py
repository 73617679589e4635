"""What components carry: pipes, ports, slices, pins, and bytes in flight (Little's law)."""

import pytest
from engine_bench import (
    ALU_NS,
    HIT_NS,
    MISS_NS,
    OPEN_ROW,
    PORT_BYTES_PER_NS,
    SLICE_BYTES_PER_NS,
    Bench,
    kernel,
    read,
    stream,
)

from simulator.engine import layout
from simulator.engine.program import Access, Compute, Loop
from simulator.memory.controller.layout import RD

KIB = 1 << 10


def resident_rate(cores: int, **machine) -> float:
    """Bytes per ns of reading what the cache already holds."""
    bench = Bench(cores=cores, **machine)
    work = stream(64 * KIB, tasks=4 * cores)
    bench.play(work)
    played = bench.play(work)
    assert played.dram_read == 0
    return 4 * cores * 64 * KIB / played.ns


def test_a_pipe_serves_threads_in_turn_and_adds_its_latency_once():
    steps = (Compute("alu", 50),)
    assert Bench(cores=1).play(kernel(steps, steps, steps)).ns == 3 * 50 + ALU_NS


def test_one_thread_waits_out_the_latency_each_time():
    loop = (Loop(10, (Compute("alu", 50),)),)
    assert Bench().time(*loop) == 10 * (50 + ALU_NS)


def test_pipes_of_different_cores_work_side_by_side():
    work = kernel((Compute("alu", 100),), tasks=2)
    assert Bench(cores=2).play(work).ns == 100 + ALU_NS
    assert Bench(cores=1).play(work).ns == 200 + ALU_NS


@pytest.mark.parametrize("lookahead", [0, 100])
def test_a_port_is_full_and_not_more(lookahead):
    rate = resident_rate(1, slices=16, lookahead=lookahead)
    assert 0.95 * PORT_BYTES_PER_NS < rate <= PORT_BYTES_PER_NS


@pytest.mark.parametrize("lookahead", [0, 100])
def test_slices_are_full_and_not_more(lookahead):
    rate = resident_rate(4, slices=2, lookahead=lookahead)
    assert 0.95 * 2 * SLICE_BYTES_PER_NS < rate <= 2 * SLICE_BYTES_PER_NS


def test_pins_are_nearly_full_and_not_more():
    """Tasks that sweep through memory side by side, so that they meet in open rows."""
    pins, tasks, chunks = 32 / 2, 16, 64  # bytes per ns and channel
    sweep = read(KIB, coordinates=(KIB,), inner=chunks, inner_stride=tasks * KIB)
    for channels in (1, 2):
        bench = Bench(channels=channels, cores=4, slices=8)
        played = bench.play(kernel((Access(sweep),), tasks=tasks))
        rate = tasks * chunks * KIB / played.ns
        assert 0.8 * pins * channels < rate <= pins * channels
        assert played.dram_read == tasks * chunks * KIB


@pytest.mark.parametrize("in_flight", [1 * KIB, 2 * KIB, 4 * KIB])
def test_bytes_in_flight_behind_a_cache_obey_little_s_law(in_flight):
    latency = HIT_NS + MISS_NS + OPEN_ROW
    bench = Bench(cores=4, slices=16, in_flight=in_flight)
    rate = 16 * 64 * KIB / bench.play(stream(64 * KIB, tasks=16)).ns
    # The run that meets the limit is still let through.
    assert rate <= (in_flight + 512) / latency
    assert rate > 0.5 * in_flight / (latency + 60)


def test_bytes_in_flight_of_a_port_obey_little_s_law():
    latency = 512 / 64 + OPEN_ROW
    rates = []
    for in_flight in (512, 1024, 2048):
        bench = Bench(port_in_flight=in_flight)
        pattern = read(512, path="direct", inner=512, inner_stride=512)
        rates.append(512 * 512 / bench.time(Access(pattern)))
        assert rates[-1] <= (in_flight + 512) / latency
    assert rates[0] < rates[1] < rates[2]


def test_credit_is_returned_in_full():
    bench = Bench(in_flight=2 * KIB, port_in_flight=1 * KIB)
    bench.play(stream(64 * KIB))
    bench.play(stream(64 * KIB, path="direct"))
    bench.settle()
    component = bench.device.machine.component
    assert component[:, layout.K_USED].tolist() == [0] * len(component)


def test_a_narrow_pool_of_requests_pauses_but_loses_nothing():
    wide, narrow = Bench(), Bench(requests=160)
    works = stream(64 * KIB, chunk=4096), stream(64 * KIB, base=1 << 22, path="direct")
    for work in works:
        assert 0.9 < narrow.play(work).ns / wide.play(work).ns < 2
    wide.settle()
    narrow.settle()
    assert wide.issued(RD) == narrow.issued(RD)


def test_a_pool_that_can_never_hold_a_run_is_refused():
    with pytest.raises(ValueError, match="requests"):
        Bench(requests=64)
