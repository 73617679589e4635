"""Offering requests in batches and advancing in steps gives what one run gives."""

import numpy as np
import pytest

from simulator.memory.addressing import decode, parse_mapping
from simulator.memory.patterns import make_trace
from simulator.memory.replay import load_memory, open_port, policy, replay

FAR = 1 << 40


def batches(port, trace, earliest, device, channels, cuts):
    """Departures when each cut offers what becomes due before the next."""
    bank, row, line = decode(parse_mapping("mop4", device, channels), trace.address)
    departs = np.full(len(trace), -1, np.int64)
    sent = 0
    for until in (*cuts, FAR):
        due = int(np.searchsorted(earliest, until))
        place = slice(sent, due)
        port.offer(bank[place], row[place], line[place], trace.write[place], earliest[place])
        sent = due
        numbers, ticks = port.advance(until)
        assert (departs[numbers] < 0).all()
        departs[numbers] = ticks
        assert port.tick <= until
    assert port.idle
    return departs


@pytest.mark.parametrize(("name", "channels"), [("hbm3-6.4", 2), ("ddr4-3200", 1)])
def test_time_may_be_cut_anywhere(name, channels):
    device = load_memory(name)[1]
    trace = make_trace("mix21", 2000, device.access_bytes)
    generator = np.random.default_rng(1)
    earliest = np.cumsum(generator.integers(0, 30, 2000))
    how = policy("ramulator2")
    whole = batches(open_port(device, how, channels), trace, earliest, device, channels, [])
    for pieces in (3, 200):
        cuts = np.unique(generator.integers(1, earliest[-1] + 100, pieces)).tolist()
        port = open_port(device, how, channels)
        assert (batches(port, trace, earliest, device, channels, cuts) == whole).all()
    assert (whole > earliest).all()


def test_requests_offered_at_once_depart_as_in_a_replay():
    device = load_memory("hbm2-2.0")[1]
    trace = make_trace("triad", 3000, 32)
    how = policy("ramulator2")
    port = open_port(device, how)
    departs = batches(port, trace, np.zeros(3000, np.int64), device, 1, [])
    assert (departs == replay(device, trace, how).depart).all()


def test_an_idle_port_keeps_refreshing():
    device = load_memory("ddr4-3200")[1]
    port = open_port(device, policy("ramulator2"))
    one = np.zeros(1, np.int64)
    port.offer(one, one, one, one, one)
    port.advance(FAR)
    far = 10 * device.ticks["refresh_interval"]
    port.offer(one, one, one, one, one + far)
    _, ticks = port.advance(FAR)
    assert ticks[0] >= far
    counters = port.counters()[0]
    from simulator.memory.controller import layout

    assert counters[layout.N_COMMAND + layout.REFAB] >= 9
