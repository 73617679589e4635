"""The clock under a power cap: laws of the solution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.power.clock import LEAST_CLOCK, Draw, clocked_share, settled, sustained_clock

DRAWS = st.builds(
    Draw,
    seconds=st.floats(1e-6, 1e-2),
    clocked_j=st.floats(0, 10).map(lambda watts: watts * 1e-4),
    other_j=st.floats(0, 10).map(lambda watts: watts * 1e-5),
    static_w=st.floats(10, 100),
    awake_w=st.floats(0, 100),
    clocked_share=st.floats(0, 1),
    voltage_floor=st.floats(0, 1),
)


@given(DRAWS, st.floats(50, 2000))
def test_the_cap_holds_wherever_a_clock_can_hold_it(draw, cap):
    clock = sustained_clock(draw, cap)
    assert LEAST_CLOCK <= clock <= 1
    if draw.watts_at(LEAST_CLOCK) <= cap:
        assert draw.watts_at(clock) <= cap * (1 + 1e-9)
    if clock < 1:
        # No faster clock is within the cap.
        assert draw.watts_at(min(1.0, clock + 1e-3)) > cap


@given(DRAWS, st.floats(50, 1000), st.floats(1, 1000))
def test_more_power_is_never_slower(draw, cap, more):
    assert draw.seconds_at(sustained_clock(draw, cap + more)) <= draw.seconds_at(
        sustained_clock(draw, cap)
    ) * (1 + 1e-9)


def test_what_memory_bounds_takes_no_longer_at_a_lower_clock():
    draw = Draw(1e-3, 0.5, 0.1, 60, 40, clocked_share=0.0, voltage_floor=0.4)
    assert draw.seconds_at(0.5) == 1e-3
    assert draw.watts_at(0.5) < draw.watts_at(1.0)


@given(st.floats(0, 1), st.floats(0, 1))
def test_shares_follow_the_busier_part(clocked, other):
    share = clocked_share(clocked, other)
    assert 0 <= share <= 1
    if clocked > other > 0:
        assert share > 0.5


@given(
    start=st.floats(0, 1),
    length=st.floats(0, 1),
    more=st.floats(1e-6, 1),
    limiter=st.floats(1e-3, 0.1),
)
def test_the_longer_the_load_the_nearer_to_the_sustained_clock(start, length, more, limiter):
    share = settled(start, start + length, limiter)
    assert 0 <= share <= 1
    assert share <= settled(start, start + length + more, limiter) + 1e-9
    assert share <= settled(start + more, start + more + length, limiter) + 1e-9
    assert share >= settled(start, start + length, 2 * limiter) - 1e-9


def test_a_mean_over_time_constants_in_closed_form():
    assert settled(0, 0, 1) == 0
    assert settled(1, 1, 1) == pytest.approx(1 - 0.36787944)
    assert settled(0, 1, 1) == pytest.approx(0.36787944)
    assert settled(1, 1 + 1e-12, 1) == pytest.approx(settled(1, 1, 1), rel=1e-3)
    assert settled(5, 6, 0) == 1
