"""Macros and buffer transfers: one command of a program, all banks of a channel at work."""

import pytest
from engine_bench import END, NS, SEEN, memory

from simulator.engine.assembly import AgentClass, Assembly, MemoryView, Port, rate
from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, grid
from simulator.memory.controller import layout
from simulator.memory.standards import Lockstep
from simulator.memory.timing import TimingValue

CHANNELS, BANKS, GROUP_BANKS = 4, 16, 4
RCD, COLUMN = 14, 2
RTP, RP, RAS, RC, RFC, INTERVAL = 5, 14, 34, 48, 260, 3900
"""HBM2 at 1 GHz, in ticks."""


def ticks(number: int) -> TimingValue:
    return TimingValue(clocks=number)


def machine(
    refresh: str = "none", column: int = COLUMN, span: int = BANKS, spacing: int = 0
) -> Device:
    """One controller per channel, as processing in memory has it; a port nobody uses."""
    assembly = Assembly()
    units = Lockstep(ticks(RCD), ticks(column), span, ticks(spacing))
    assembly.memory("dram", memory(refresh=refresh, lockstep=units), CHANNELS)
    banks = MemoryView("banks", "dram", 1, first=lambda channel: channel)
    port = Port("unused", rate(1e9), "banks")
    assembly.agent_class(AgentClass("channel", CHANNELS, {"stream": 1}, (banks, port), slots=1))
    return Device(assembly)


def play(device: Device, *steps, channels: int = 1) -> float:
    work = Kernel("rows", "channel", (Program((steps,)),), grid(channels), {"stream": 1})
    start = device.now
    device.launch(work, start)
    assert device.advance(END).reason == "finished"
    return (device.now - start) / NS


def count(device: Device, column: int) -> list[int]:
    return device.dram_counters()[:, column - layout.COUNTERS].tolist()


def issued(device: Device, command: int) -> list[int]:
    return count(device, layout.N_COMMAND + command)


def rows(number: int, columns: int) -> Loop:
    return Loop(number, (Access(Pattern("macro", "banks", columns, loops=(1,))),))


@pytest.mark.parametrize("columns", [1, 32, 128])
def test_rows_follow_each_other_at_the_cost_of_a_row(columns):
    period = max(RC, max(RAS, RCD + (columns - 1) * COLUMN + RTP) + RP)
    device = machine()
    assert play(device, rows(50, columns)) == SEEN + 49 * period + RCD + columns * COLUMN
    assert issued(device, layout.MACAB) == [50 * columns, 0, 0, 0]
    assert count(device, layout.N_MACROS) == [50, 0, 0, 0]
    assert count(device, layout.N_OPENED) == [50 * BANKS, 0, 0, 0]


def test_channels_work_side_by_side():
    one, four = machine(), machine()
    assert play(one, rows(20, 64)) == play(four, rows(20, 64), channels=4)
    assert issued(four, layout.MACAB) == [20 * 64] * 4


def test_a_slower_column_shows_in_every_column():
    slow, usual = (play(machine(column=column), rows(10, 64)) for column in (3, COLUMN))
    assert slow - usual == 10 * 63 + 1  # the last column of all ends one tick later


def test_groups_that_open_in_turn_delay_every_row():
    together = play(machine(), rows(10, 64))
    in_turn = play(machine(span=GROUP_BANKS, spacing=40), rows(10, 64))
    assert in_turn - together == 10 * 3 * 40


def test_refresh_takes_its_share_and_loses_nothing():
    plain, refreshed = machine(), machine(refresh="all_bank")
    without, with_refresh = (play(device, rows(400, 64)) for device in (plain, refreshed))
    assert issued(refreshed, layout.MACAB) == issued(plain, layout.MACAB)
    refreshes = issued(refreshed, layout.REFAB)[0]
    assert refreshes == pytest.approx(with_refresh / INTERVAL, abs=1)
    lost = (with_refresh - without) / refreshes
    assert RFC <= lost <= RFC + RC + RP + RCD


def test_a_buffer_transfer_moves_bytes_over_the_pins():
    device = machine()
    assert play(device, Access(Pattern("buffer", "banks", 1000))) == SEEN + 32 * 2 + 14
    assert issued(device, layout.BUF) == [32, 0, 0, 0]
    assert count(device, layout.N_OPENED) == [0] * 4
