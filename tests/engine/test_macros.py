"""Macros and buffer transfers: one command of a program, all banks of a channel at work."""

import pytest
from dram_bench import timing
from engine_bench import END, NS

from simulator.engine.assembly import AgentClass, Assembly, MemoryView, Port, rate
from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, grid
from simulator.memory import dram

CHANNELS = 4


def machine(**changes: float) -> Device:
    """One controller per channel, as processing in memory has it; a port nobody uses."""
    assembly = Assembly()
    assembly.memory("dram", timing(**changes), CHANNELS)
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
    return device.machine.dram.channel[:, column].tolist()


def rows(number: int, columns: int) -> Loop:
    return Loop(number, (Access(Pattern("macro", "banks", columns, loops=(1,))),))


@pytest.mark.parametrize("columns", [1, 32, 128])
def test_rows_follow_each_other_at_the_cost_of_a_row(columns):
    rcd, column, rtp, rp, ras, rc = 14, 2, 6, 13, 32, 45
    period = max(rc, max(ras, rcd + (columns - 1) * column + rtp) + rp)
    device = machine()
    assert play(device, rows(50, columns)) == 49 * period + rcd + columns * column
    assert count(device, dram.N_MACRO_COLUMNS) == [50 * columns, 0, 0, 0]


def test_channels_work_side_by_side():
    one, four = machine(), machine()
    assert play(one, rows(20, 64)) == play(four, rows(20, 64), channels=4)
    assert count(four, dram.N_MACRO_COLUMNS) == [20 * 64] * 4


def test_a_slower_column_or_activate_shows_in_every_row():
    def ns(**changes: float) -> float:
        return play(machine(**changes), rows(10, 64))

    assert ns(macro_column=3) - ns() == pytest.approx(10 * 64, abs=10)
    assert ns(macro_activate=40) - ns() == 10 * 40


def test_refresh_takes_its_share_and_loses_nothing():
    plain, refreshed = machine(), machine(refi=3900)
    without, with_refresh = (play(device, rows(400, 64)) for device in (plain, refreshed))
    assert count(refreshed, dram.N_MACRO_COLUMNS) == count(plain, dram.N_MACRO_COLUMNS)
    refreshes = count(refreshed, dram.N_REFRESH)[0]
    assert refreshes == pytest.approx(with_refresh / 3900, abs=1)
    lost = (with_refresh - without) / refreshes
    assert 300 <= lost <= 300 + 60


def test_a_buffer_transfer_moves_bytes_over_the_bus():
    device = machine()
    assert play(device, Access(Pattern("buffer", "banks", 1000))) == 32 * 2 + 14
    assert count(device, dram.N_BUFFER) == [32, 0, 0, 0]
    assert count(device, dram.N_ACT) == [0] * 4
