"""The clock under a power cap: laws of the solution."""

from hypothesis import given
from hypothesis import strategies as st

from simulator.power.clock import LEAST_CLOCK, Draw, clocked_share, sustained_clock

DRAWS = st.builds(
    Draw,
    seconds=st.floats(1e-6, 1e-2),
    clocked_j=st.floats(0, 10).map(lambda watts: watts * 1e-4),
    other_j=st.floats(0, 10).map(lambda watts: watts * 1e-5),
    static_w=st.floats(10, 200),
    clocked_share=st.floats(0, 1),
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
    draw = Draw(1e-3, 0.5, 0.1, 100, clocked_share=0.0)
    assert draw.seconds_at(0.5) == 1e-3
    assert draw.watts_at(0.5) < draw.watts_at(1.0)


@given(st.floats(0, 1), st.floats(0, 1))
def test_shares_follow_the_busier_part(clocked, other):
    share = clocked_share(clocked, other)
    assert 0 <= share <= 1
    if clocked > other > 0:
        assert share > 0.5
