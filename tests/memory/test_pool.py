"""Channels behind a pool of requests: runs of accesses, lockstep rows, time cut anywhere.

The same traffic is played by visiting every tick, by jumping, and in slices; the command log
must be the same, and legal by the checker, which knows the constraint tables only.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pool_bench import MACRO, RESULT, Bench, Request, model, traffic, units

from simulator.errors import AccsimError
from simulator.hardware import resolve, validate
from simulator.memory import pool
from simulator.memory.checker import check_log
from simulator.memory.model import channel_of
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import COMMANDS
from simulator.memory.timing import TimingValue

NAMES = ["hbm2-2.0", "hbm3-6.4", "gddr6-16", "ddr4-3200", "lpddr5-6400"]
LOCKSTEP = ["hbm2-2.0", "hbm3-6.4", "gddr6-16"]


def alike(channel, requests, refreshed):
    """Every tick visited, jumped, and in slices: the same log, legal and complete."""
    polled = Bench(channel, requests).run(100_000, poll=True)
    assert (polled.depart >= 0).all()
    end = int(polled.depart.max()) + 2
    jumped = Bench(channel, requests).run(end)
    sliced = Bench(channel, requests)
    for until in [*range(50, end, 37), end]:
        sliced.run(until)
    expected = polled.log[polled.log[:, 0] <= end]
    assert np.array_equal(jumped.log, expected)
    assert np.array_equal(sliced.log, expected)
    assert np.array_equal(jumped.depart, polled.depart)
    assert jumped.violations(refreshed) == []
    return jumped


@pytest.mark.parametrize("gap", [3, 40])
@pytest.mark.parametrize("scheduler", ["fr-fcfs", "row-hit-first", "fcfs"])
@pytest.mark.parametrize("refresh", ["none", "all_bank", "per_bank"])
@pytest.mark.parametrize("name", NAMES)
def test_runs_are_played_alike_however_time_passes(name, refresh, scheduler, gap):
    if refresh == "per_bank" and name.startswith("ddr4"):
        pytest.skip("DDR4 has no per-bank refresh")
    channel = model(name, refresh, scheduler, queue=32)
    requests = traffic(channel, 1, gap)
    played = alike(channel, requests, refresh != "none")
    moved = played.issued("RD") + played.issued("WR")
    assert moved == sum(request.accesses for request in requests)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(NAMES),
    refresh=st.sampled_from(["none", "all_bank", "per_bank"]),
    scheduler=st.sampled_from(["fr-fcfs", "row-hit-first", "fcfs"]),
    queue=st.sampled_from([16, 32, 64]),
    gap=st.integers(2, 90),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_traffic_is_played_alike(name, refresh, scheduler, queue, gap, seed):
    if name.startswith("ddr4") and refresh == "per_bank":
        refresh = "all_bank"
    channel = model(name, refresh, scheduler, queue)
    alike(channel, traffic(channel, seed, gap), refresh != "none")


@pytest.mark.parametrize("span", ["bank", "group", "all"])
@pytest.mark.parametrize("refresh", ["none", "all_bank"])
@pytest.mark.parametrize("name", LOCKSTEP)
def test_lockstep_and_host_requests_share_a_channel_legally(name, refresh, span):
    plain = model(name)
    banks = {"bank": 1, "group": 4, "all": plain.banks}[span]
    channel = model(name, refresh, lockstep=units(banks, 10e-9))
    requests = traffic(channel, 2, 60, lockstep=0.4)
    played = alike(channel, requests, refresh != "none")
    columns = sum(request.accesses for request in requests if request.kind == MACRO)
    assert played.issued("MACab") == columns


SHARED = [(1, False), (1, True), (2, True), (4, False), (4, True), (16, True)]
"""Banks that share a unit, and whether transfers overlap columns."""


@pytest.mark.parametrize(("sets", "overlap"), SHARED)
@pytest.mark.parametrize("power", [0.0, 3e-9])
@pytest.mark.parametrize("refresh", ["none", "all_bank"])
@pytest.mark.parametrize("name", LOCKSTEP)
def test_sets_of_banks_take_turns_legally(name, refresh, power, sets, overlap):
    plain = model(name)
    span = plain.banks // sets
    lockstep = units(
        span,
        sets=sets,
        overlap=overlap,
        activate_cost=power / span,
        column_cost=power,
        power_window=2 * power,
        fence=TimingValue(seconds=4 * power),
    )
    channel = model(name, refresh, lockstep=lockstep)
    requests = traffic(channel, 5, 20, lockstep=0.9)
    played = alike(channel, requests, refresh != "none")
    columns = sum(request.accesses for request in requests if request.kind == MACRO)
    assert played.issued("MACab") == columns


def macros(channel, rows, columns):
    return Bench(channel, [Request(row=row, kind=MACRO, accesses=columns) for row in rows])


def test_a_row_costs_activate_columns_and_precharge():
    channel = model("gddr6-16", lockstep=units(16))
    ticks = channel.device.ticks
    done = macros(channel, range(20), 64).run(100_000).depart
    column = ticks["mac_interval"]
    open_ = max(ticks["ras"], ticks["rcd_compute"] + 63 * column + ticks["read_to_precharge"])
    assert np.diff(done).tolist() == [max(open_ + ticks["precharge"], ticks["rc"])] * 19


def test_an_open_row_is_not_opened_again():
    channel = model("gddr6-16", lockstep=units(16))
    bench = macros(channel, [3] * 5, 10).run(100_000)
    assert np.diff(bench.depart).tolist() == [10 * channel.device.ticks["mac_interval"]] * 4
    assert bench.issued("ACTab") == 1


def test_activates_one_by_one_obey_the_window_and_take_longer():
    spans = {1: "ACT", 4: "ACTbg", 16: "ACTab"}
    ends = []
    for span, command in spans.items():
        channel = model("gddr6-16", lockstep=units(span, 17e-9))
        bench = macros(channel, [0], 8).run(100_000)
        assert bench.issued(command) == 16 // span
        ends.append(int(bench.depart[0]))
    assert ends == sorted(ends, reverse=True)
    assert ends[0] - ends[2] >= 3 * channel.device.ticks["faw"]


def test_another_set_opens_its_row_meanwhile():
    """With two sets a row costs its columns alone; with one, activate and precharge too."""
    columns, rows = 64, 20
    requests = [
        Request(row=row // 2, bank=row % 2, kind=MACRO, accesses=columns) for row in range(rows)
    ]
    channel = model("gddr6-16", lockstep=units(8, sets=2, overlap=True))
    done = Bench(channel, requests).run(100_000).depart
    assert np.diff(done).tolist() == [columns * channel.device.ticks["mac_interval"]] * (rows - 1)


def test_results_wait_for_their_columns_and_hide_behind_the_next():
    """A result is fetched after the columns that made it, while the next row is at work."""
    requests = [
        Request(row=row, kind=kind, accesses=accesses)
        for row in range(10)
        for kind, accesses in ((MACRO, 64), (RESULT, 8))
    ]
    alone = [request for request in requests if request.kind == MACRO]
    beside, behind = (
        model("gddr6-16", lockstep=units(16, overlap=overlap)) for overlap in (True, False)
    )
    hidden = Bench(beside, requests).run(100_000)
    ends, fetched = hidden.depart[::2], hidden.depart[1::2]
    assert (fetched > ends).all()
    assert (fetched[:-1] < ends[1:]).all()
    # They share the command bus: a tick a row may be lost.
    assert ends[-1] <= Bench(beside, alone).run(100_000).depart[-1] + len(ends)
    assert Bench(behind, requests).run(100_000).depart[-2] > ends[-1] + 8 * len(ends)


def test_pseudo_channels_do_not_wait_for_each_others_macros():
    channel = model("hbm3-6.4", lockstep=units(32))
    both = [
        Request(pseudo_channel=p, row=row, kind=MACRO, accesses=32)
        for p in range(2)
        for row in range(20)
    ]
    apart, together = (
        int(Bench(channel, requests).run(100_000).depart.max()) for requests in (both[:20], both)
    )
    assert together < 1.05 * apart


@pytest.mark.parametrize("span", [1, 4, 16])
def test_no_span_of_time_draws_more_than_its_power(span):
    """Activates and columns draw what the budget gives in that time and the window before."""
    activate, column, window = 2e-9, 2.5e-9, 60e-9
    lockstep = units(span, 10e-9, activate_cost=activate, column_cost=column, power_window=window)
    channel = model("gddr6-16", lockstep=lockstep)
    limited = macros(channel, range(40), 64).run(100_000)
    free = macros(model("gddr6-16", lockstep=units(span, 10e-9)), range(40), 64).run(100_000)
    assert limited.violations(refreshed=False) == []
    cost = np.zeros(len(COMMANDS))
    for name, banks in (("ACT", 1), ("ACTbg", 4), ("ACTab", 16)):
        cost[COMMANDS.index(name)] = activate * banks
    cost[COMMANDS.index("MACab")] = column
    tick = channel.device.tick_fs * 1e-15
    drawn = np.cumsum(cost[limited.log[:, 1]])
    at = limited.log[:, 0] * tick
    # Any span from command i to command j: what is drawn less what refills, from its minimum on.
    excess = drawn - at
    before = np.concatenate([[0.0], drawn[:-1]]) - at
    assert (excess - np.minimum.accumulate(before)).max() <= window + tick
    busy = drawn[-1] / (at[-1] - at[0])
    assert 0.9 < busy <= 1.05
    assert limited.depart[-1] > 1.2 * free.depart[-1]


def test_a_refresh_splits_a_long_macro_and_loses_no_column():
    columns = 20_000
    plain = macros(model("gddr6-16", lockstep=units(16)), [0], columns).run(10**6)
    channel = model("gddr6-16", "all_bank", lockstep=units(16))
    split = macros(channel, [0], columns).run(10**6)
    assert split.issued("MACab") == columns
    until_done = split.log[split.log[:, 0] <= split.depart[0]]
    refreshes = int((until_done[:, 1] == COMMANDS.index("REFab")).sum())
    assert refreshes > 5
    lost = int(split.depart[0] - plain.depart[0]) / refreshes
    ticks = channel.device.ticks
    assert ticks["rfc"] + ticks["rcd_compute"] <= lost
    assert lost <= ticks["rfc"] + ticks["rcd_compute"] + 2 * ticks["precharge"] + 20


def test_host_requests_wait_for_lockstep_ones_that_came_before():
    channel = model("hbm2-2.0", lockstep=units(16))
    requests = [
        Request(row=1),
        Request(at=1, row=2, kind=MACRO, accesses=500),
        Request(at=2, pseudo_channel=1, row=1),
    ]
    first, macro, second = Bench(channel, requests).run(100_000).depart
    assert first < macro < second


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        *(("ACTab", fault) for fault in ("drop", "early")),
        *(("PREab", fault) for fault in ("drop", "early")),
        *(("REFab", fault) for fault in ("drop", "early")),
        ("MACab", "early"),  # a missing column breaks no rule
    ],
)
def test_the_checker_finds_faults_in_lockstep_logs(command, fault):
    channel = model("gddr6-16", "all_bank", lockstep=units(16))
    log = macros(channel, range(200), 64).run(40_000).log
    places = np.flatnonzero(log[:, 1] == COMMANDS.index(command))
    place = places[len(places) // 2]
    if command == "MACab":  # the first of a row, which follows its activate
        place = next(p for p in places if log[p - 1, 1] == COMMANDS.index("ACTab"))
    faulty = np.delete(log, place, axis=0) if fault == "drop" else log.copy()
    if fault == "early":
        faulty[place, 0] -= 3
    dropped_refresh = command == "REFab" and fault == "drop"
    if dropped_refresh:
        faulty = log[log[:, 1] != COMMANDS.index("REFab")]
    assert check_log(channel.device, log) == []
    assert check_log(channel.device, faulty) != []


def test_serving_ahead_of_the_clock_changes_nothing():
    channel = model("hbm2-2.0")
    requests = traffic(channel, 3, 40)
    whole = Bench(channel, requests).run(100_000)
    for ahead in (0, 50):
        assert Bench(channel, requests).play(ahead) == whole.depart.tolist()


def test_one_call_may_decide_more_requests_than_the_queues_hold():
    channel = model("hbm2-2.0", queue=4)
    requests = [Request(at=i) for i in range(2000)]
    assert Bench(channel, requests).play(ahead=100_000) == Bench(channel, requests).play()


def test_more_banks_than_a_group_may_have_are_told():
    spec = validate(resolve("hbm2-2.0", ["organization.ranks=16"]), MemorySpec)
    channel = channel_of(spec)
    with pytest.raises(AccsimError, match="256 banks that refresh together"):
        pool.make_dram([(channel, 2, True, 0)], 8)


def test_lockstep_commands_are_no_protocol():
    with pytest.raises(AccsimError) as told:
        channel_of(validate(resolve("hbm2-2.0", ["protocol=lockstep"]), MemorySpec))
    assert "unknown command protocol 'lockstep'" in str(told.value)
