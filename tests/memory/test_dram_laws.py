"""Laws that hold for any traffic: nothing lost, nothing early, more never slower."""

from collections import Counter
from dataclasses import replace

from dram_bench import WRITE, Channels, Request, timing
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.memory import dram

ROW_CYCLE = 45

traffic = st.lists(
    st.builds(
        Request,
        bank=st.integers(0, 15),
        row=st.integers(0, 3),
        bursts=st.integers(1, 8),
        kind=st.sampled_from([0, WRITE]),
        at=st.integers(0, 2000),
        channel=st.integers(0, 3),
    ),
    min_size=1,
    max_size=60,
)
modes = st.sampled_from([{}, {"refi": 3900}, {"refi": 1600, "per_bank_refresh": 1}])
laws = settings(max_examples=60, deadline=None, derandomize=True)


def on_channels(requests: list[Request], count: int) -> list[Request]:
    return [replace(request, channel=request.channel % count) for request in requests]


@laws
@given(traffic, modes)
def test_every_request_is_served_once_and_not_before_its_latency(requests, mode):
    bench = Channels(timing(**mode), 4)
    done = bench.play(requests)
    for request, time in zip(sorted(requests, key=lambda r: r.at), done, strict=True):
        latency = 10 if request.kind == WRITE else 14
        assert time >= request.at + latency + 2 + (request.bursts - 1) * 4
    moved = Counter[int]()
    for request in requests:
        moved[request.kind] += request.bursts
    assert bench.count(dram.N_READ) == moved[0]
    assert bench.count(dram.N_WRITE) == moved[WRITE]
    assert bench.count(dram.N_REQUESTS) == len(requests)
    assert bench.count(dram.C_READS) + bench.count(dram.C_WRITES) == 0


@laws
@given(traffic, modes)
def test_the_pins_carry_one_burst_at_a_time(requests, mode):
    bench = Channels(timing(**mode), 4)
    span = bench.makespan(requests)
    for channel in bench.dram.channel:
        assert channel[dram.N_BUS_FS] / 10**6 <= span


@laws
@given(traffic)
def test_rows_are_opened_for_requests_only(requests):
    bench = Channels(timing(), 4)
    bench.play(requests)
    distinct = {(r.channel, r.bank, r.row) for r in requests}
    banks = {(r.channel, r.bank) for r in requests}
    assert len(distinct) <= bench.count(dram.N_ACT) <= len(requests)
    assert bench.count(dram.N_MISS) == len(banks)
    assert bench.count(dram.N_MISS) + bench.count(dram.N_CONFLICT) == bench.count(dram.N_ACT)


@laws
@given(traffic)
def test_more_channels_are_not_slower(requests):
    spans = [
        Channels(timing(), count).makespan(on_channels(requests, count)) for count in (1, 2, 4)
    ]
    # A scheduler that opens rows greedily may lose one row cycle to a lucky order.
    assert spans[1] <= spans[0] + ROW_CYCLE
    assert spans[2] <= spans[1] + ROW_CYCLE


@laws
@given(traffic)
def test_more_requests_are_not_faster(requests):
    ordered = sorted(requests, key=lambda request: request.at)
    half = Channels(timing(), 4).makespan(ordered[: len(ordered) // 2 + 1])
    assert Channels(timing(), 4).makespan(ordered) >= half - ROW_CYCLE


@laws
@given(traffic)
def test_playing_twice_gives_the_same_times(requests):
    assert Channels(timing(), 4).play(requests) == Channels(timing(), 4).play(requests)
