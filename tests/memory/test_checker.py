"""The checker passes every run of the controller and catches every class of injected fault."""

from itertools import product

import numpy as np
import pytest

from simulator.memory.checker import check_log
from simulator.memory.controller import layout
from simulator.memory.patterns import PATTERNS, make_trace
from simulator.memory.policy import policy
from simulator.memory.replay import load_memory, memories, replay
from simulator.memory.standards import COMMANDS

NUMBER = {name: number for number, name in enumerate(COMMANDS)}
PROTOCOLS = ["ddr4-3200", "ddr5-4800", "gddr6-14", "hbm2-2.0", "hbm3e-9.6-12h", "lpddr5-6400"]


def run(name, pattern, requests=4000, channels=1, **wishes):
    device = load_memory(name)[1]
    trace = make_trace(pattern, requests, device.access_bytes)
    return device, replay(device, trace, policy("default", **wishes), channels, log=True)


def refreshes(device):
    return ["none", "all-bank", *(["per-bank"] if device.has("REFpb") else [])]


def check_matrix(names, patterns, requests):
    for name in names:
        modes = refreshes(load_memory(name)[1])
        for pattern, refresh, row in product(patterns, modes, ("open", "closed")):
            device, result = run(name, pattern, requests, refresh=refresh, row_policy=row)
            found = check_log(device, result.log, refreshed=refresh != "none")
            assert found == [], (name, pattern, refresh, row)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_no_violations(name):
    check_matrix([name], ["mix21", "random"], 1500)


@pytest.mark.slow
@pytest.mark.parametrize("name", memories())
def test_no_violations_anywhere(name):
    check_matrix([name], PATTERNS, 20_000)


@pytest.mark.parametrize("name", ["ddr4-3200", "lpddr5-6400"])
def test_no_violations_with_ranks_and_channels(name):
    device = load_memory(name, ("organization.ranks=2",))[1]
    trace = make_trace("triad", 4000, device.access_bytes)
    for feed in ("shared", "independent"):
        result = replay(device, trace, policy("default", feed=feed), 3, log=True)
        assert check_log(device, result.log) == []
        assert len(np.unique(result.log[:, 2] // device.banks)) == 3


@pytest.fixture(scope="module", params=PROTOCOLS)
def clean(request):
    """A run with every command of the standard, and its log."""
    device = load_memory(request.param, ("organization.ranks=2",))[1]
    generator = np.random.default_rng(5)
    trace = make_trace("random", 6000, device.access_bytes)
    trace = type(trace)(trace.address, (generator.random(6000) < 0.4).astype(np.uint8))
    mode = "per-bank" if device.has("REFpb") else "all-bank"
    logs = {
        refresh: replay(device, trace, policy("default", refresh=refresh), log=True).log
        for refresh in {"all-bank", mode}
    }
    for log in logs.values():
        assert check_log(device, log) == []
    return device, logs


def tightest(device, log, rule):
    """A pair of log entries under ``rule``, as near each other as any; None if there is none."""
    span = device.node_banks(rule.level)
    parent = span * dict(device.sizes).get(rule.level, 1)
    group = device.banks // device.groups
    wide = {"PREab", "REFab"}
    best = None
    recent = {}
    for place, (tick, command, bank, _) in enumerate(log.tolist()):
        if command == NUMBER[rule.following]:
            for node, entries in recent.items():
                covered = rule.following in wide and span < group
                same = node == bank // span or (covered and node * span // group == bank // group)
                kin = node != bank // span and node * span // parent == bank // parent
                if (kin if rule.sibling else same) and len(entries) >= rule.window:
                    gap = tick - log[entries[-rule.window], 0]
                    if best is None or gap < best[0]:
                        best = gap, entries[-rule.window], entries[-1], place
        if command == NUMBER[rule.preceding]:
            nodes = [bank // span]
            if rule.preceding in wide and span < group:
                first = bank // group * (group // span)
                nodes = list(range(first, first + group // span))
            for node in nodes:
                recent.setdefault(node, []).append(place)
    return best


def test_every_constraint_is_caught_when_its_command_comes_early(clean):
    """Move the following command to one tick before it is legal, for every rule seen."""
    device, logs = clean
    caught, unseen = set(), set()
    for rule in device.rules:
        for log in logs.values():
            pair = tightest(device, log, rule)
            if pair is None:
                unseen.add(rule)
                continue
            unseen.discard(rule)
            _, earlier, latest, later = pair
            moved = log.copy()
            moved[later, 0] = moved[earlier, 0] + rule.latency - 1
            order = np.lexsort((np.arange(len(moved)), moved[:, 0]))
            position = int(np.flatnonzero(order == later)[0])
            if position < int(np.flatnonzero(order == latest)[0]):
                continue  # Landed before a predecessor: another rule's business.
            found = {violation.rule for violation in check_log(device, moved[order])}
            text = f"{rule.preceding} -> {rule.following} @ {rule.level} >= {rule.latency} ticks"
            assert any(one.startswith(text) for one in found), rule
            caught.add(rule)
            break
    assert len(caught) > 0.75 * len(device.rules), unseen


def faulty(log, fault):
    """The log with one fault."""
    numbers = log[:, 1]
    middle = len(log) // 2

    def after(*names):
        chosen = np.flatnonzero(np.isin(numbers, [NUMBER[name] for name in names]))
        return int(chosen[np.searchsorted(chosen, middle)])

    changed = log.copy()
    if fault == "dropped activate":
        return np.delete(changed, after("ACT"), axis=0)
    if fault == "dropped precharge":
        return np.delete(changed, after("PRE"), axis=0)
    if fault == "other row":
        changed[after("RD"), 3] += 1
    elif fault == "two at once":
        place = after("RD")
        return np.insert(changed, place, changed[place], axis=0)
    elif fault == "swapped":
        place = after("ACT")
        bank = changed[place, 2]
        later = np.flatnonzero((changed[:, 2] == bank) & (np.arange(len(log)) > place))
        column = later[np.isin(changed[later, 1], [NUMBER["RD"], NUMBER["WR"]])][0]
        changed[[place, column], 1:] = changed[[column, place], 1:]
    elif fault == "no refresh":
        return changed[~np.isin(numbers, [NUMBER["REFab"], NUMBER["REFpb"]])]
    elif fault == "backwards":
        changed[middle, 0] = 0
    return changed


@pytest.mark.parametrize(
    "fault",
    ["dropped activate", "dropped precharge", "other row", "two at once", "swapped", "backwards"],
)
def test_faults_are_caught(clean, fault):
    device, logs = clean
    for log in logs.values():
        assert check_log(device, faulty(log, fault))


def test_refresh_debt_is_caught():
    device, result = run("hbm2-2.0", "random", 20_000)
    assert check_log(device, result.log) == []
    found = check_log(device, faulty(result.log, "no refresh"))
    assert {one.rule for one in found} == {"refresh overdue"}
    assert check_log(device, faulty(result.log, "no refresh"), refreshed=False) == []


def test_falling_edges_are_for_precharges():
    device, result = run("hbm3-6.4", "stream", 500)
    log = result.log.copy()
    place = np.flatnonzero(log[:, 1] == layout.ACT)[-1]
    log[place:, 0] += 1
    assert "falling clock edge" in {one.rule for one in check_log(device, log)}


def test_missing_second_activates_are_caught():
    device, result = run("lpddr5-6400", "random", 500)
    log = result.log[result.log[:, 1] != layout.ACT2]
    assert "ACT2 too late or missing" in {one.rule for one in check_log(device, log)}


def test_close_activates_do_not_starve_a_refresh():
    """Each activate puts REFpb off by more than the next activate on HBM2E."""
    device, result = run("hbm2e-3.6", "random", 20_000, refresh="per-bank")
    assert check_log(device, result.log) == []
