"""Laws that hold for any traffic: nothing lost, nothing early, more never slower."""

from hypothesis import given, settings
from hypothesis import strategies as st
from pool_bench import READ, WRITE, Bench, Request, model

from simulator.memory.controller import layout

CHANNEL = model()
T = CHANNEL.device.ticks
ROW_CYCLE = T["ras"] + T["precharge"]

traffic = st.lists(
    st.builds(
        Request,
        at=st.integers(0, 2000),
        pseudo_channel=st.integers(0, 3),
        bank=st.integers(0, 15),
        row=st.integers(0, 3),
        kind=st.sampled_from([READ, WRITE]),
        accesses=st.integers(1, 8),
    ),
    min_size=1,
    max_size=60,
)
modes = st.sampled_from(["none", "all_bank", "per_bank"])
laws = settings(max_examples=60, deadline=None, derandomize=True)


def on_channels(requests: list[Request], count: int) -> list[Request]:
    return [r._replace(pseudo_channel=r.pseudo_channel % count) for r in requests]


@laws
@given(traffic, modes)
def test_every_request_is_served_once_and_not_before_its_latency(requests, refresh):
    bench = Bench(model(refresh=refresh), requests, 4)
    for request, time in zip(requests, bench.play(), strict=True):
        latency = 0 if request.kind == WRITE else T["read_latency"] + T["burst"]
        assert time >= request.at + 1 + latency + (request.accesses - 1) * T["ccd_l"]
    for kind, command in ((READ, "RD"), (WRITE, "WR")):
        assert bench.issued(command) == sum(r.accesses for r in requests if r.kind == kind)


@laws
@given(traffic)
def test_rows_are_opened_for_requests_only(requests):
    bench = Bench(CHANNEL, requests, 4)
    bench.play()
    distinct = {(r.pseudo_channel, r.bank, r.row) for r in requests}
    banks = {(r.pseudo_channel, r.bank) for r in requests}
    opened, accesses = bench.counted(layout.N_OPENED), sum(r.accesses for r in requests)
    assert len(distinct) <= opened == bench.issued("ACT") <= accesses
    # Only the first row of a bank meets a closed one.
    assert bench.issued("PRE") == opened - len(banks)
    missed = bench.counted(layout.N_MISS) + bench.counted(layout.N_CONFLICT)
    assert missed + bench.counted(layout.N_HIT) == accesses
    assert missed <= opened


@laws
@given(traffic)
def test_channels_do_not_disturb_each_other(requests):
    together = Bench(CHANNEL, requests, 4).play()
    for channel in range(4):
        chosen = [i for i, r in enumerate(requests) if r.pseudo_channel == channel]
        alone = Bench(CHANNEL, [requests[i]._replace(pseudo_channel=0) for i in chosen]).play()
        assert alone == [together[i] for i in chosen]


@laws
@given(traffic)
def test_more_channels_are_not_slower(requests):
    spans = [Bench(CHANNEL, on_channels(requests, count), count).makespan() for count in (1, 2, 4)]
    # A scheduler that opens rows greedily may lose one row cycle to a lucky order.
    assert spans[1] <= spans[0] + ROW_CYCLE
    assert spans[2] <= spans[1] + ROW_CYCLE


@laws
@given(traffic)
def test_more_requests_are_not_faster(requests):
    ordered = sorted(requests)
    half = Bench(CHANNEL, ordered[: len(ordered) // 2 + 1], 4).makespan()
    assert Bench(CHANNEL, ordered, 4).makespan() >= half - ROW_CYCLE
