"""DRAM energy: closed forms, parts that add up, HBM2 where it was published and measured."""

import json
from functools import cache

import numpy as np
import pytest

from simulator.cli import main
from simulator.errors import HardwareError, OptionError
from simulator.memory.currents import Conditions, Currents, Times, derive
from simulator.memory.energy import ERROR_BAND, energy, energy_model
from simulator.memory.patterns import AddressTrace, make_trace
from simulator.memory.policy import policy
from simulator.memory.replay import load_memory, memories, replay

REQUESTS = 50_000

# O'Connor et al., MICRO 2017: an access of HBM2 costs 3.92 pJ/bit on average over their
# workloads, 1.21 of it activation at 909 pJ per 1 KiB row, so one activate per 751 bits;
# the rest is paid by the bit.  Neither refresh nor standby is in these figures.
PUBLISHED = 3.92e-12
PUBLISHED_ACTIVATE = 909e-12
PUBLISHED_ACTIVATE_SHARE = 1.21e-12
PUBLISHED_BIT = PUBLISHED - PUBLISHED_ACTIVATE_SHARE
ACCESS_PARTS = ("activate", "read", "write", "io")


def models(spec):
    return ["per-bit", *(f"currents:{name}" for name in spec.currents or {})]


EVERY_MODEL = [(name, model) for name in memories() for model in models(load_memory(name)[0])]


def three_bursts():
    """Random places, three neighbouring bursts each: close to the published locality."""
    place = make_trace("random", REQUESTS // 3, 128).address
    address = (place[:, None] + 32 * np.arange(3, dtype=np.uint64)).ravel()
    return AddressTrace(address, np.zeros(len(address), np.uint8))


@cache
def run(name, pattern, requests=REQUESTS):
    spec, device = load_memory(name)
    if pattern == "three":
        # Whole rows in one bank; other mappings put neighbouring bursts in different banks.
        trace, how = three_bursts(), policy("default", mapping="row")
    else:
        trace, how = make_trace(pattern, requests, device.access_bytes), policy("default")
    result = replay(device, trace, how)
    return spec, device, result, len(trace) * device.access_bytes * 8


def per_bit(name, pattern, model="per-bit", requests=REQUESTS):
    """Joules per bit by part."""
    spec, device, result, bits = run(name, pattern, requests)
    parts = energy(spec, device, result.commands, 1, result.seconds, energy_model(spec, model))
    return {part: joules / bits for part, joules in parts.items()}


def activates_per_bit(pattern):
    _, _, result, bits = run("hbm2-2.0", pattern)
    return result.commands["ACT"] / bits


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
def test_parts_are_positive_and_add_up(name, model):
    parts = per_bit(name, "mix21", model, 5000)
    total = parts.pop("total")
    assert set(parts) == {"activate", "read", "write", "io", "background", "refresh"}
    assert total == pytest.approx(sum(parts.values()))
    assert all(value > 0 for value in parts.values())


# HBM2 against publications.  The band is that of the model, relative to the published figure.


def test_hbm2_costs_the_published_energy_at_the_published_locality():
    assert 1 / activates_per_bit("three") == pytest.approx(751, rel=0.1)
    parts = per_bit("hbm2-2.0", "three")
    assert sum(parts[part] for part in ACCESS_PARTS) == pytest.approx(PUBLISHED, rel=ERROR_BAND)
    assert parts["total"] == pytest.approx(PUBLISHED, rel=ERROR_BAND)
    assert parts["activate"] == pytest.approx(PUBLISHED_ACTIVATE_SHARE, rel=0.1)


@pytest.mark.parametrize("pattern", ["stream", "three", "random"])
def test_hbm2_access_is_near_the_published_parts_at_any_locality(pattern):
    parts = per_bit("hbm2-2.0", pattern)
    published = PUBLISHED_ACTIVATE * activates_per_bit(pattern) + PUBLISHED_BIT
    access = sum(parts[part] for part in ACCESS_PARTS)
    assert access == pytest.approx(published, rel=ERROR_BAND)


def test_hbm2_stream_is_near_the_published_average_with_standby_and_refresh():
    assert per_bit("hbm2-2.0", "stream")["total"] == pytest.approx(PUBLISHED, rel=ERROR_BAND)


@pytest.mark.parametrize("model", ["per-bit", "currents:measured"])
def test_hbm2_random_cannot_cost_the_published_average(model):
    """An activate for each 256 bits is 3.55 pJ/bit alone, the average has one for 751."""
    parts = per_bit("hbm2-2.0", "random", model)
    assert parts["activate"] == pytest.approx(PUBLISHED_ACTIVATE / 256, rel=0.05)
    assert parts["activate"] + PUBLISHED_BIT > (1 + ERROR_BAND) * PUBLISHED


@pytest.mark.parametrize("pattern", ["stream", "mix21", "three", "random"])
@pytest.mark.parametrize("model", ["per-bit", "currents:dramsim3"])
def test_hbm2_is_within_its_band_of_measured_currents(pattern, model):
    measured = per_bit("hbm2-2.0", pattern, "currents:measured")
    band = energy_model(load_memory("hbm2-2.0")[0], model).error_band
    total = per_bit("hbm2-2.0", pattern, model)["total"]
    assert total == pytest.approx(measured["total"], rel=band)


def test_measured_activate_is_the_published_one_for_a_pseudo_channel_row():
    """948 pJ on 1 KiB rows: the published 909 pJ are of a pseudo-channel, not of two."""
    events = energy_model(load_memory("hbm2-2.0")[0], "currents:measured").events
    assert events.activate == pytest.approx(PUBLISHED_ACTIVATE, rel=0.1)


def test_measured_currents_give_back_a_board_that_streams():
    """HBM-Power, ws_bg0_bg2 with random data: 4326 mW on average over 18 boards, of which
    985.6 mW are drawn with the stack off; 8 of 16 pseudo-channels read without a gap."""
    events = energy_model(load_memory("hbm2-2.0")[0], "currents:measured").events
    reading = 64 * 1.2e9 * (events.read_bit + events.io_bit) + events.open_watts
    stack = 8 * reading + 8 * events.closed_watts
    assert stack == pytest.approx(4.326 - 0.9856, rel=0.05)


# Currents: closed forms with round numbers.

TIMES = Times(rc=50e-9, ras=30e-9, rfc=200e-9, rfc_bank=100e-9)


def currents(**changes):
    """1 V; 10 and 20 mA of standby, 60 mA in the activate loop."""
    values = {
        "devices": 1, "vdd": "1 V", "idd0": "60 mA", "idd2n": "10 mA", "idd3n": "20 mA",
        "idd4r": "120 mA", "idd4w": "100 mA", "idd5b": "220 mA",
    } | changes  # fmt: skip
    return Currents.model_validate(values)


def events(given, times=TIMES, bits_per_s=1e9, ranks=1, io_bit=1e-12):
    return derive(given, times, bits_per_s, ranks, io_bit)


def test_each_event_is_current_above_standby_times_its_loop():
    one = events(currents())
    assert one.activate == pytest.approx(60e-3 * 50e-9 - 20e-3 * 30e-9 - 10e-3 * 20e-9)
    assert one.read_bit == pytest.approx(100e-3 / 1e9)
    assert one.write_bit == pytest.approx(80e-3 / 1e9)
    assert one.io_bit == 1e-12
    assert (one.open_watts, one.closed_watts) == (20e-3, 10e-3)
    assert one.refresh == pytest.approx(200e-3 * 200e-9)
    assert one.refresh_bank is None
    assert events(currents(idd5pb="70 mA")).refresh_bank == pytest.approx(50e-3 * 100e-9)


def test_one_open_bank_counts_in_the_activate_only():
    one = events(currents(idd3n1="15 mA"))
    assert one.activate == pytest.approx(60e-3 * 50e-9 - 15e-3 * 30e-9 - 10e-3 * 20e-9)
    assert one.open_watts == 20e-3
    assert one.read_bit == events(currents()).read_bit


DRAWN = ("activate", "read_bit", "write_bit", "open_watts", "closed_watts", "refresh")


@pytest.mark.parametrize(("change", "factor"), [({"devices": 2}, 2), ({"devices": "1/2"}, 0.5),
                                                ({"vdd": "3 V"}, 3)])  # fmt: skip
def test_devices_and_volts_multiply_all_but_the_pins(change, factor):
    one, other = events(currents()), events(currents(**change))
    for part in DRAWN:
        assert getattr(other, part) == pytest.approx(factor * getattr(one, part)), part
    assert other.io_bit == one.io_bit


def test_ranks_stand_by_and_refresh_but_one_is_accessed():
    one, two = events(currents()), events(currents(), ranks=2)
    assert (two.activate, two.read_bit) == (one.activate, one.read_bit)
    assert two.open_watts == 2 * one.open_watts
    assert two.refresh == 2 * one.refresh


def test_word_line_supply_is_standby():
    one, pumped = events(currents()), events(currents(vpp="2 V", ipp="5 mA", devices=2))
    assert pumped.open_watts == pytest.approx(2 * (one.open_watts + 10e-3))
    assert pumped.activate == 2 * one.activate


def test_io_is_moved_when_the_currents_include_it():
    whole, split = events(currents()), events(currents(io_included="30 pJ/bit"))
    assert split.io_bit == pytest.approx(30e-12)
    assert split.read_bit + split.io_bit == pytest.approx(whole.read_bit)
    assert split.write_bit + split.io_bit == pytest.approx(whole.write_bit)


def test_loops_of_the_meter_replace_those_of_the_memory():
    at = Conditions.model_validate({"rc": "100 ns", "ras": "60 ns", "rfc": "400 ns"})
    slow = events(currents().model_copy(update={"at": at}))
    one = events(currents())
    assert slow.activate == pytest.approx(2 * one.activate)
    assert slow.refresh == pytest.approx(2 * one.refresh)
    assert slow.read_bit == one.read_bit


FASTER = ("clock=2 GHz", "data_rate=4 Gb/s", "timing.rtw=26 ck")


def test_the_clock_has_no_part_in_energy():
    """The same nanoseconds at 1 and at 2 GHz; joules that multiplied cycles would double."""
    for name in ("measured", "dramsim3"):
        slow, fast = (
            energy_model(load_memory("hbm2-2.0", overrides)[0], f"currents:{name}").events
            for overrides in ((), FASTER)
        )
        assert fast == slow


def test_a_current_without_its_own_rate_is_of_the_memory():
    slow, fast = (
        energy_model(load_memory("hbm2-2.0", overrides)[0], "currents:dramsim3").events
        for overrides in (
            ("currents.dramsim3.at.data_rate=2 Gb/s",),
            ("currents.dramsim3.at.data_rate=4 Gb/s",),
        )
    )
    assert fast.read_bit == pytest.approx(slow.read_bit / 2)
    assert fast.activate == slow.activate


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("ddr4-3200", ("activate", "read_bit", "write_bit", "refresh")),
        ("ddr5-4800", ("activate", "read_bit", "write_bit", "open_watts", "refresh")),
        ("lpddr5-6400", ("read_bit", "write_bit", "open_watts", "refresh")),
    ],
)
def test_joules_written_down_are_those_of_the_currents(name, same):
    """The descriptions' own arithmetic, done once by hand, to its two digits."""
    spec = load_memory(name)[0]
    by_hand, derived = (energy_model(spec, model).events for model in ("per-bit", "currents"))
    for part in same:
        assert getattr(by_hand, part) == pytest.approx(getattr(derived, part), rel=0.025), part


# Counting.


def priced(name, commands, seconds=0.0, model="currents", **more):
    spec, device = load_memory(name)
    return energy(spec, device, commands, 1, seconds, energy_model(spec, model), **more), spec


@pytest.mark.parametrize("model", ["per-bit", "currents:measured"])
def test_refreshing_each_bank_costs_one_all_bank_refresh(model):
    apart, spec = priced("hbm2-2.0", {"REFpb": 16}, model=model)
    together, _ = priced("hbm2-2.0", {"REFab": 1}, model=model)
    assert apart["refresh"] == pytest.approx(together["refresh"])
    assert together["refresh"] == energy_model(spec, model).events.refresh
    assert together["total"] == together["refresh"]


def test_a_bank_refresh_with_its_own_current():
    spec, device = load_memory("hbm2-2.0", ("currents.dramsim3.idd5pb=155 mA",))
    parts = energy(spec, device, {"REFpb": 10}, 1, 0.0, energy_model(spec, "currents:dramsim3"))
    assert parts["refresh"] == pytest.approx(10 * 1.2 * 100e-3 * 160e-9 / 2)


def test_background_grows_with_time_and_channels_only():
    spec, device = load_memory("hbm2-2.0")
    one, two = (energy(spec, device, {}, channels, 1e-3) for channels in (1, 2))
    assert two["background"] == 2 * one["background"]
    assert one["background"] == pytest.approx(2 * 26.5e-3 * 1e-3)
    assert one["total"] == one["background"]


def test_background_lies_between_closed_and_open():
    shares = (0.0, 0.25, 1.0)
    closed, some, open_ = (
        priced("ddr4-3200", {}, 1e-3, open_share=share)[0]["background"] for share in shares
    )
    pumps = 8 * 2.5 * 3e-3 * 1e-3
    assert closed == pytest.approx(8 * 1.2 * 37e-3 * 1e-3 + pumps)
    assert open_ == pytest.approx(8 * 1.2 * 52e-3 * 1e-3 + pumps)
    assert some == pytest.approx(0.75 * closed + 0.25 * open_)
    with pytest.raises(OptionError, match="from 0 to 1"):
        priced("ddr4-3200", {}, 1e-3, open_share=1.5)


# What is chosen and what is refused.


def test_the_first_set_is_preferred_and_bands_are_of_the_set():
    spec, _ = load_memory("hbm2-2.0")
    assert energy_model(spec, "currents").name == "currents:measured"
    assert energy_model(spec).error_band == ERROR_BAND == 0.4
    assert energy_model(spec, "currents:dramsim3").error_band == 0.6


@pytest.mark.parametrize(
    ("memory", "model", "complaint"),
    [
        ("hbm3-6.4", "currents", "gives no supply currents; use per-bit, or .*ddr4-3200.*hbm2-2.0"),
        ("hbm4-8.0", "currents:measured", "gives no supply currents"),
        ("hbm2e-3.2", "currents", "gives no supply currents"),
        ("hbm2-2.0", "currents:mesured", "did you mean 'measured'"),
        ("hbm2-2.0", "current", "did you mean 'currents'"),
        ("hbm2-2.0", "per-bit:x", "unknown energy model"),
    ],
)
def test_unknown_models_are_named(memory, model, complaint):
    with pytest.raises(OptionError, match=complaint):
        energy_model(load_memory(memory)[0], model)


@pytest.mark.parametrize(
    ("memory", "override", "complaint"),
    [
        ("hbm2-2.0", "currents.dramsim3.idd4r=50 mA", "idd4r of 50 mA is not above idd3n of 55 mA"),
        ("hbm2-2.0", "currents.dramsim3.idd2n=60 mA", "idd3n of 55 mA is not above idd2n of 60 mA"),
        ("gddr6-16", "currents.samsung.idd5pb=45 mA", "idd5pb of 45 mA is not above idd3n"),
        ("ddr5-4800", "currents.micron.idd3n1=142 mA", "an activate would cost -.* give idd3n1"),
        ("hbm2-2.0", "currents.measured.io_included=5 pJ/bit", "io_included is more than"),
        ("ddr4-3200", "currents.dramsim3.vdd=1.2 mA", "'mA' is a unit of current"),
        ("ddr4-3200", "currents.dramsim3.idd0=57 W", "expected a current such as '57 mA'"),
        ("ddr4-3200", "currents.dramsim3.devices=1/0", "above 0"),
        ("ddr4-3200", "currents.dramsim3.devices=half", "expected a count or a ratio"),
        ("ddr4-3200", "currents.dramsim3.idd1=57 mA", "unknown key 'idd1'"),
        ("ddr5-4800", "currents.micron.vpp=1.8 V", "vpp and ipp belong together"),
    ],
)
def test_impossible_currents_are_one_line(memory, override, complaint):
    with pytest.raises(HardwareError, match=complaint) as caught:
        load_memory(memory, (override,))
    assert "\n" not in str(caught.value)


def test_the_command_line_prices_by_the_chosen_model(tmp_path, capsys):
    path = tmp_path / "t.npz"
    options = ["--pattern", "mix21", "--requests", "2000", "--bytes", "32", "-o", str(path)]
    assert main(["dram", "trace", *options]) == 0
    capsys.readouterr()
    command = ["dram", "run", "--standard", "hbm2-2.0", "--trace", str(path)]
    documents = []
    for model in ((), ("--energy", "currents")):
        assert main([*command, *model, "--json"]) == 0
        documents.append(json.loads(capsys.readouterr().out))
    by_bit, by_current = documents
    assert by_bit["energy_model"] == "per-bit"
    assert by_current["energy_model"] == "currents:measured"
    assert by_bit["energy_j"].keys() == by_current["energy_j"].keys()
    assert by_current["energy_j"]["read"] > by_bit["energy_j"]["read"]
    assert main([*command, "--energy", "currents:dramsim3"]) == 0
    assert "± 60% of measured, currents:dramsim3" in capsys.readouterr().out
    assert main([*command, "--energy", "amperes"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
