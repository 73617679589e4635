"""The controller against Ramulator 2.1, against itself tick by tick, and against laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import AccsimError
from simulator.memory.controller import layout
from simulator.memory.patterns import AddressTrace, make_trace
from simulator.memory.policy import REFRESHES, ROW_POLICIES, SCHEDULERS, policy
from simulator.memory.replay import load_memory, memories, replay

REQUESTS = 2**20

# Ramulator 2.1 (CMU-SAFARI/ramulator2, c5b1c3a), 1,048,576 requests: ticks at the last accept,
# row misses plus conflicts, mean read latency in ticks.
ANCHORS = [
    ("hbm2-2.0", "mop4", "stream", {}, 1149227, 51493, 86.9),
    ("hbm2-2.0", "mop4", "mix21", {}, 1386905, 79849, 144.0),
    ("hbm2-2.0", "mop4", "random", {}, 3391479, 1048178, 238.0),
    ("hbm3-6.4", "mop4", "stream", {}, 2381783, 43732, 193.0),
    ("hbm3-6.4", "mop4", "mix21", {}, 3103003, 56986, 331.7),
    ("hbm3-6.4", "mop4", "random", {}, 7177307, 1048157, 546.0),
    ("gddr6-14", "mop4", "stream", {}, 2481902, 84624, 103.9),
    ("gddr6-14", "mop4", "mix21", {}, 3408651, 137844, 184.8),
    ("gddr6-14", "mop4", "random", {}, 9163724, 1048203, 332.6),
    ("lpddr5-6400", "mop4", "stream", {}, 2326887, 93009, 91.4),
    ("lpddr5-6400", "mop4", "mix21", {}, 2962444, 143608, 156.5),
    ("lpddr5-6400", "mop4", "random", {}, 4804605, 1048191, 180.6),
    ("ddr4-3200", "mop4", "stream", {}, 4469883, 101547, 164.8),
    ("ddr4-3200", "mop4", "mix21", {}, 5087738, 157290, 263.3),
    ("ddr4-3200", "mop4", "random", {}, 9656624, 1047314, 342.7),
    ("ddr5-4800", "mop4", "stream", {}, 9192452, 63522, 324.7),
    ("ddr5-4800", "mop4", "mix21", {}, 10238881, 76221, 514.3),
    ("ddr5-4800", "mop4", "random", {}, 13751783, 1047775, 495.7),
    ("hbm2-2.0", "row", "stream", {}, 1269226, 33987, 94.0),
    ("hbm3-6.4", "row", "stream", {}, 4143049, 33870, 299.0),
    ("ddr4-3200", "row", "stream", {}, 6819429, 8773, 234.3),
    ("ddr4-3200", "row", "mix21", {}, 6660192, 9022, 331.2),
    ("ddr4-3200", "row", "random", {}, 9657421, 1047292, 342.7),
    ("hbm2-2.0", "mop4", "stream", {"refresh": "none"}, 1053645, 40952, 80.9),
    ("hbm2-2.0", "mop4", "stream", {"scheduler": "row-hit-first"}, 1142464, 41728, 86.4),
    ("hbm3-6.4", "mop4", "random", {"refresh": "per-bank-blocking"}, 8186953, 1048177, 607.7),
    ("hbm3-6.4", "mop4", "stream", {"refresh": "none"}, 2126771, 32768, 176.7),
    ("hbm3-6.4", "mop4", "stream", {"refresh": "per-bank-blocking"}, 2935433, 46634, 226.4),
    ("hbm3-6.4", "mop4", "stream", {"scheduler": "row-hit-first"}, 2381499, 43787, 193.0),
    ("ddr4-3200", "mop4", "stream", {"refresh": "none"}, 4242567, 96760, 157.8),
    ("ddr4-3200", "row", "stream", {"refresh": "none"}, 6659736, 8192, 229.4),
    ("ddr5-6400", "mop4", "random", {}, 18346947, 1047767, 659.9),
    ("ddr5-6400", "mop4", "stream", {}, 9205471, 52597, 337.4),
    ("hbm4-8.0", "mop4", "random", {}, 9191781, 1048162, 685.0),
    ("hbm4-8.0", "mop4", "stream", {}, 2430031, 41670, 195.5),
    ("hbm2-2.0", "mop4", "random", {"channels": 8}, 435236, 1046380, 150.5),
    ("hbm2-2.0", "mop4", "stream", {"channels": 8}, 143316, 50995, 86.4),
    ("hbm3-6.4", "mop4", "random", {"channels": 16}, 463725, 1043047, 353.2),
    ("hbm3-6.4", "mop4", "stream", {"channels": 16}, 147795, 42112, 189.6),
]
QUICK = {("hbm2-2.0", "mix21"), ("lpddr5-6400", "stream"), ("ddr4-3200", "stream")}


def anchor(case):
    name, mapping, pattern, options = case[:4]
    quick = (name, pattern) in QUICK and mapping == "mop4" and not options
    marks = () if quick else (pytest.mark.slow,)
    label = "-".join([name, mapping, pattern, *(str(value) for value in options.values())])
    return pytest.param(case, marks=marks, id=label)


@pytest.mark.parametrize("case", [anchor(case) for case in ANCHORS])
def test_equal_to_ramulator_to_the_tick(case):
    name, mapping, pattern, options, ticks, opened, latency = case
    options = dict(options)
    channels = options.pop("channels", 1)
    device = load_memory(name)[1]
    trace = make_trace(pattern, REQUESTS, device.access_bytes)
    result = replay(device, trace, policy("ramulator2", mapping=mapping, **options), channels)
    counters = result.accepted_counters.sum(axis=0)
    assert result.ticks_last_accept == ticks
    assert counters[layout.N_MISS] + counters[layout.N_CONFLICT] == opened
    assert result.mean_latency_at_last_accept() == pytest.approx(latency, abs=0.06)


def mixed(seed, count, lines, writes, access):
    """A trace of few lines, so that forwarding, coalescing and conflicts all occur."""
    generator = np.random.default_rng(seed)
    address = generator.integers(0, lines, count).astype(np.uint64) * np.uint64(access)
    return AddressTrace(address, (generator.random(count) < writes).astype(np.uint8))


def same(one, two):
    assert one.ticks_last_accept == two.ticks_last_accept
    assert (one.arrive == two.arrive).all()
    assert (one.depart == two.depart).all()
    assert (one.log == two.log).all()
    notes = layout.N_VISITS, *range(layout.C_WAKE, layout.C_WAKE_ACTIVE + 1)
    columns = [n for n in range(layout.COUNTER_COLUMNS) if n not in notes]
    assert (one.channel_counters[:, columns] == two.channel_counters[:, columns]).all()


@pytest.mark.parametrize("refresh", REFRESHES)
@pytest.mark.parametrize("row_policy", ROW_POLICIES)
@pytest.mark.parametrize("name", ["hbm2-2.0", "hbm3e-9.6-12h", "ddr4-3200", "lpddr5-6400"])
def test_skipping_ticks_changes_nothing(name, row_policy, refresh):
    device = load_memory(name)[1]
    if refresh.startswith("per-bank") and not device.has("REFpb"):
        return
    trace = mixed(3, 3000, 20000, 0.4, device.access_bytes)
    for scheduler in SCHEDULERS:
        how = policy("ramulator2", refresh=refresh, row_policy=row_policy, scheduler=scheduler)
        same(
            replay(device, trace, how, log=True),
            replay(device, trace, how, log=True, poll=True),
        )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.sampled_from([40, 1000, 10**6]),
    st.floats(0, 1),
    st.sampled_from(["hbm2-2.0", "hbm3-6.4", "gddr6-14", "ddr5-4800", "lpddr5-6400"]),
    st.integers(1, 3),
)
def test_any_trace_is_served_completely_and_alike_with_and_without_skipping(
    seed, lines, writes, name, channels
):
    device = load_memory(name)[1]
    trace = mixed(seed, 400, lines, writes, device.access_bytes)
    how = policy("ramulator2", read_queue=8, write_queue=8)
    one = replay(device, trace, how, channels, log=True)
    same(one, replay(device, trace, how, channels, log=True, poll=True))
    served = one.counter(layout.N_FORWARDED) + one.counter(layout.N_COALESCED)
    assert one.commands["RD"] + one.commands["WR"] + served == len(trace)
    assert (one.depart >= one.arrive).all()
    assert (one.arrive >= 0).all()


def test_compiled_for_one_size_or_for_all_is_the_same():
    device = load_memory("ddr4-3200", ("organization.ranks=2",))[1]
    trace = make_trace("triad", 3000, 64)
    how = policy("ramulator2")
    one, two = (replay(device, trace, how, log=True, specialise=s) for s in (False, True))
    same(one, two)


def lone(device, addresses, how):
    """Latency in ticks of the last of a few reads, each far behind the one before."""
    trace = AddressTrace(np.array(addresses, np.uint64), np.zeros(len(addresses), np.uint8))
    return replay(device, trace, how).read_latency


@pytest.mark.parametrize("name", memories())
def test_latency_of_a_lone_read(name):
    """tRCD + CL + burst; the controller sees it one tick after it arrives."""
    device = load_memory(name)[1]
    how = policy("default", refresh="none")
    latency = int(lone(device, [0], how)[0])
    ticks = device.ticks
    expected = ticks["rcd_read"] + ticks["read_latency"] + ticks["burst"]
    slack = device.ticks_per_clock + 2 * device.standard.split_activate + 1
    length = device.standard.commands["ACT"].clocks * device.ticks_per_clock
    assert expected <= latency <= expected + slack + length


@pytest.mark.parametrize("name", memories())
def test_a_row_conflict_adds_the_precharge(name):
    device = load_memory(name)[1]
    how = policy("default", refresh="none", mapping="row")
    bank_stride = device.banks * device.columns * device.access_bytes
    first, second = lone(device, [0, bank_stride], how)
    ticks = device.ticks
    cycle = max(ticks["ras"], ticks["rcd_read"] + ticks["read_to_precharge"])
    assert second - first >= cycle + ticks["precharge"] - 2 * device.ticks_per_clock
    assert second - first <= ticks["rc"] + ticks["precharge"] + 8 * device.ticks_per_clock


def test_column_spacing_caps_the_bandwidth():
    """Row-linear streams stay in a bank group: one access each tCCD_L."""
    device = load_memory("ddr4-3200")[1]
    trace = make_trace("stream", 128, 64)
    how = policy("default", refresh="none", mapping="row")
    ticks = replay(device, trace, how).ticks_last_accept
    queued = device.standard.queue
    assert ticks >= (128 - queued - 1) * device.ticks["ccd_l"]
    spread = replay(device, trace, policy("default", refresh="none")).ticks_last_accept
    assert (128 - queued - 1) * device.ticks["ccd_s"] <= spread < ticks


@pytest.mark.parametrize("name", ["ddr4-3200", "hbm3-6.4", "gddr6-14"])
def test_four_activates_a_window(name):
    device = load_memory(name)[1]
    trace = make_trace("random", 4000, device.access_bytes)
    result = replay(device, trace, policy("default", refresh="none"), log=True)
    acts = result.log[result.log[:, 1] == layout.ACT]
    group = device.banks // device.groups
    for number in range(device.groups):
        ticks = acts[acts[:, 2] // group == number, 0]
        assert (ticks[4:] - ticks[:-4] >= device.ticks["faw"]).all()


@pytest.mark.parametrize("pattern", ["stream", "random"])
def test_per_bank_refresh_is_no_slower_than_all_bank_on_hbm3(pattern):
    device = load_memory("hbm3-6.4")[1]
    trace = make_trace(pattern, 100_000, 32)
    ours, all_bank = (
        replay(device, trace, policy("default", refresh=mode)).ticks_drained
        for mode in ("per-bank", "all-bank")
    )
    assert ours <= all_bank


@pytest.mark.parametrize("feed", ["shared", "independent"])
def test_more_channels_are_never_slower(feed):
    device = load_memory("hbm2-2.0")[1]
    trace = make_trace("random", 20_000, 32)
    ticks = [
        replay(device, trace, policy("default", feed=feed), channels).ticks_drained
        for channels in (1, 2, 4, 8)
    ]
    assert ticks == sorted(ticks, reverse=True)


def test_refresh_takes_its_share_of_a_stream():
    """Peak less the time in which all banks refresh: 1 - (RTP + RP + RFC + RCD) / REFI."""
    device = load_memory("ddr4-3200")[1]
    trace = make_trace("stream", 100_000, 64)
    with_refresh, without = (
        replay(device, trace, policy("ramulator2", refresh=mode)).ticks_drained
        for mode in ("all-bank", "none")
    )
    ticks = device.ticks
    lost = ticks["read_to_precharge"] + ticks["precharge"] + ticks["rfc"] + ticks["rcd_read"]
    assert with_refresh / without == pytest.approx(
        1 / (1 - lost / ticks["refresh_interval"]), rel=0.02
    )


def test_two_ranks_hide_activates():
    one = load_memory("ddr4-3200")[1]
    two = load_memory("ddr4-3200", ("organization.ranks=2",))[1]
    trace = make_trace("random", 20_000, 64)
    how = policy("ramulator2")
    assert replay(two, trace, how).ticks_drained < replay(one, trace, how).ticks_drained


@pytest.mark.parametrize(
    "wish",
    [
        {"scheduler": "frfcfs"},
        {"row_policy": "opened"},
        {"refresh": "allbank"},
        {"feed": "both"},
        {"read_queue": 0},
    ],
)
def test_bad_settings_are_told(wish):
    with pytest.raises(AccsimError, match=next(iter(wish)).replace("_", "-")):
        policy("default", **wish)


def test_ddr4_has_no_per_bank_refresh():
    device = load_memory("ddr4-3200")[1]
    with pytest.raises(AccsimError, match="no per-bank refresh"):
        replay(device, make_trace("stream", 10, 64), policy("default", refresh="per-bank"))


@pytest.mark.parametrize("feed", ["shared", "independent"])
def test_banks_and_channels_add_up_to_the_whole(feed):
    device = load_memory("hbm3-6.4")[1]
    trace = mixed(4, 4000, 10**6, 0.3, device.access_bytes)
    result = replay(device, trace, policy("default", feed=feed), 3)
    activates, reads, writes, conflicts = result.bank_counters.sum(axis=0).tolist()
    assert len(result.bank_counters) == 3 * device.banks
    assert (activates, reads, writes) == tuple(result.commands[c] for c in ("ACT", "RD", "WR"))
    assert conflicts == result.counter(layout.N_CONFLICT)


def test_rows_are_open_all_the_time_or_closed_at_once():
    device = load_memory("ddr4-3200")[1]
    stream = make_trace("stream", 20_000, 64)
    stays = replay(device, stream, policy("ramulator2", refresh="none")).open_share
    assert 0.99 < stays <= 1
    address = np.arange(40, dtype=np.uint64) * np.uint64(device.columns * 64 * device.banks)
    lone = AddressTrace(address, np.zeros(40, np.uint8))
    how = policy("default", refresh="none", mapping="row", row_policy="closed", read_queue=1)
    one_by_one = replay(device, lone, how)
    expected = device.ticks["ras"] / device.ticks["rc"]
    assert one_by_one.open_share == pytest.approx(expected, abs=0.05)
