"""The banks obey their timing: rows, activation windows, refresh, link, all from one YAML."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Loop, Pattern, Program, grid
from simulator.pim.machine import activation_fs
from simulator.pim.mapping.geometry import Geometry

NS = 10**6


def rows_fs(on, rows: int, columns: int) -> int:
    """Time of so many lockstep rows in one channel."""
    macro = Pattern("macro", "banks", chunk=columns, loops=(1,))
    program = Program(((Loop(rows, (Access(macro, "done"),)),),), {"done": 0})
    device = Device(on.assemble(True))
    device.launch(Kernel("rows", "channel", (program,), grid(1), {"stream": 1}), 0)
    return device.advance(1 << 62).time


@pytest.mark.parametrize("columns", [8, 16, 32, 64])
def test_rows_follow_each_other_as_in_aim_simulator(lab, columns):
    """Measured there: (57 + 2c) + (k - 1) (98 + 2c) cycles of 0.5 ns for k rows of c columns."""
    on = lab.platform(lab.no_refresh, name="gddr6-aim")
    for rows in (1, 2, 8, 32):
        cycles = rows_fs(on, rows, columns) / (NS / 2)
        assert cycles == pytest.approx((57 + 2 * columns) + (rows - 1) * (98 + 2 * columns), abs=1)


@settings(max_examples=15, deadline=None)
@given(columns=st.integers(1, 64), interval=st.integers(1, 4), rcd=st.integers(1, 40))
def test_row_law(lab, columns, interval, rcd):
    """No row streams faster than its activate, columns and precharge, and refresh, allow."""
    on = lab.platform(f"bank.mac_interval={interval} ns", f"bank.rcd_compute={rcd} ns")
    timing, fs = on.spec.memory.timing, on.spec.memory.femtoseconds
    busy = columns * interval * NS
    close = max(0, fs(timing.read_to_precharge) - interval * NS) + fs(timing.precharge)
    row = max(rcd * NS + busy + close, fs(timing.rc))
    refresh = 1 - fs(timing.refresh.all_bank) / fs(timing.refresh.interval)
    rows = 400
    # One interval more or less of refresh falls on so short a run.
    slack = 1 + fs(timing.refresh.interval) / (rows * row)
    assert rows_fs(on, rows, columns) * slack >= rows * row / refresh
    assert rows_fs(on, rows, columns) >= (rows - 1) * row


def test_opening_all_banks_obeys_the_activation_window(lab):
    relaxed, group, strict = (
        lab.platform(f"activation={policy}", lab.no_refresh)
        for policy in ("relaxed", "group_faw", "faw")
    )
    faw = strict.spec.memory.femtoseconds(strict.spec.memory.timing.faw)
    assert activation_fs(relaxed.spec) == 0
    assert activation_fs(group.spec) == 3 * faw
    assert activation_fs(strict.spec) >= 3 * faw
    times = [rows_fs(on, 50, 64) for on in (relaxed, group, strict)]
    assert times == sorted(times)
    # Four windows of four banks each pass before the same bank opens again.
    assert times[2] >= 49 * 4 * faw


def test_a_row_is_never_reopened_within_trc(lab):
    on = lab.platform("memory.timing.rc=500 ns", "memory.timing.ras=480 ns", lab.no_refresh)
    assert rows_fs(on, 11, 1) >= 10 * 500 * NS


def test_refresh_is_counted_and_paid(lab, pim):
    work = lab.gemm(1, 4096, 4096)
    with_refresh, without = lab.play(pim, work), lab.play(lab.platform(lab.no_refresh), work)
    timing, clock = pim.spec.memory.timing.refresh, pim.spec.memory
    expected = with_refresh.seconds / (clock.femtoseconds(timing.interval) * 1e-15)
    channels = pim.spec.memory.channels
    assert without.refreshes == 0
    assert abs(with_refresh.refreshes - expected * channels) <= channels
    assert with_refresh.seconds > without.seconds


def test_refreshing_together_is_never_slower_than_in_turns(lab):
    """Channels in lockstep wait for whichever refreshes."""
    work = lab.gemm(1, 4096, 4096)
    together = lab.play(lab.platform("refresh=together"), work)
    staggered = lab.play(lab.platform("refresh=staggered"), work)
    assert together.seconds <= staggered.seconds


def test_link_latency_is_paid_both_ways(lab):
    near, far = (
        lab.platform(f"controller.link_latency={latency}", lab.no_refresh)
        for latency in ("0 ns", "100 ns")
    )
    assert rows_fs(far, 1, 64) - rows_fs(near, 1, 64) == 200 * NS


def test_geometry_is_that_of_the_description(pim):
    geometry = Geometry.of(pim.spec)
    assert (geometry.channels, geometry.units, geometry.row_columns) == (8, 16, 64)
    assert geometry.stripe_bytes * geometry.channels * 16384 == pim.capacity_bytes
    assert geometry.result_bursts == 1
