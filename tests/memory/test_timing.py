"""Timing parameters: clocks, nanoseconds, or the larger of both, in whole clocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.memory.timing import TimingValue


@pytest.mark.parametrize(
    ("text", "clock_hz", "cycles"),
    [
        ("4 ck", 1.0e9, 4),
        ("14 ns", 1.0e9, 14),
        ("14 ns", 1.593e9, 23),
        ("max(4 ck, 5 ns)", 0.5e9, 4),
        ("max(4 ck, 5 ns)", 2.0e9, 10),
        ("0.625 ns", 1.6e9, 1),
        ("1.5 ck", 1.0e9, 2),
        ("0 ns", 1.0e9, 0),
    ],
)
def test_cycles(text, clock_hz, cycles):
    assert TimingValue.parse(text).cycles(clock_hz) == cycles


@given(st.integers(0, 10_000), st.integers(200, 3000))
def test_nanoseconds_are_covered_and_never_by_a_whole_clock_too_much(picoseconds, mhz):
    clock_hz = mhz * 1e6
    cycles = TimingValue.parse(f"{picoseconds} ps").cycles(clock_hz)
    exact = picoseconds * mhz / 1e6
    assert exact - 1e-5 <= cycles < exact + 1


def test_femtoseconds_are_whole_clocks():
    assert TimingValue.parse("14 ns").femtoseconds(1.6e9) == 23 * 625_000


@pytest.mark.parametrize(
    "bad", [14, 1.5, None, "", "14", "14 MHz", "-1 ck", "nan ck", "max(4 ck)", "max(4 ck, 5 kg)"]
)
def test_refusals(bad):
    with pytest.raises(ValueError, match=r"time or clock count.*write it as"):
        TimingValue.parse(bad)


@given(st.integers(0, 99), st.integers(0, 99))
def test_text_round_trip(clocks, nanoseconds):
    value = TimingValue.parse(f"max({clocks} ck, {nanoseconds} ns)")
    assert TimingValue.parse(str(value)).cycles(1.7e9) == value.cycles(1.7e9)
