"""Errors, rooflines and samples, against closed forms and by their properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.validate.metrics import errors, within_spread
from simulator.validate.rooflines import FEWEST_ROWS, Fitted, Roof, crossed, fit
from simulator.validate.rows import read_file
from simulator.validate.sampling import _shares, sample


def test_errors_in_closed_form():
    found = errors([11, 8, 10, 20], [10, 10, 10, 10])
    assert found.n == 4
    assert found.mape == pytest.approx((0.1 + 0.2 + 0 + 1) / 4)
    assert found.median == pytest.approx(0.15)
    assert found.bias == pytest.approx((0.1 - 0.2 + 0 + 1) / 4)
    assert found.p90 == pytest.approx(0.2 + 0.7 * 0.8)
    assert errors([], []) is None


def test_a_spread_counts_where_it_is_one():
    inside = within_spread([1, 2, 3, 4, 5], [1, 3, 3, None, 4], [2, 4, 3, 9, None])
    assert inside == (2, 0.5)
    assert within_spread([1.0], [None], [None]) == (0, None)


def roofs(count, seed=0):
    draw = np.random.default_rng(seed)
    return [
        Roof(tuple(10 ** draw.uniform(-7, -3, 2)), tuple(10 ** draw.uniform(-7, -3, 2)))
        for _ in range(count)
    ]


def test_a_roof_is_the_longer_of_both_work_by_work():
    assert Roof((1.0, 4.0), (2.0, 3.0)).seconds == 6.0
    times = Fitted(0.5, 0.5, 0.25).seconds([Roof((1.0, 4.0), (2.0, 1.0)), Roof((3.0,), (0.0,))])
    assert times == pytest.approx([0.5 + 8 + 8, 0.5 + 6])


def test_a_fit_finds_the_numbers_that_made_the_times():
    some = roofs(60)
    truth = Fitted(3e-6, 0.7, 0.8)
    found = fit(some, truth.seconds(some).tolist())
    assert found.seconds(some) == pytest.approx(truth.seconds(some), rel=0.02)
    assert fit(some[: FEWEST_ROWS - 1], [1.0] * (FEWEST_ROWS - 1)) is None


def test_each_half_is_scored_by_the_fit_of_the_other():
    some, halves = roofs(40), [place % 2 for place in range(40)]
    slow, quick = Fitted(1e-6, 0.25, 0.25), Fitted(1e-6, 0.75, 0.75)
    times = [
        float((slow if half else quick).seconds([roof])[0])
        for roof, half in zip(some, halves, strict=True)
    ]
    seconds = crossed(some, times, halves)
    assert seconds(some[0], 0) == pytest.approx(slow.seconds(some[:1])[0], rel=0.05)
    assert seconds(some[0], 1) == pytest.approx(quick.seconds(some[:1])[0], rel=0.05)
    lonely = crossed(some[:FEWEST_ROWS], times[:FEWEST_ROWS], [0] * FEWEST_ROWS)
    assert lonely(some[0], 0) is None
    assert lonely(some[0], 1) is not None


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=20), share=st.floats(0, 1))
def test_shares_add_up_and_leave_nobody_out(sizes, share):
    count = max(1, int(share * sum(sizes)))
    shares = _shares(sizes, count)
    assert sum(shares) == count
    assert all(0 <= part <= size for part, size in zip(shares, sizes, strict=True))
    if count >= len(sizes):
        assert min(shares) >= 1


@pytest.fixture
def many(write_file):
    rows = [
        {"m": m, "op": op, "gpu": gpu, "dtype": dtype, "time_us": time}
        for m in range(1, 9)
        for op in ("gemm", "bmm")
        for gpu in ("H100-SXM", "A40")
        for dtype in ("bf16", "fp8")
        for time in (5, 50, 500, 5000)
    ]
    return list(read_file(write_file("gemm.csv", *rows)))


def test_a_small_sample_has_every_gpu_operator_type_and_size(many):
    chosen = sample(many, 32, seed=3)
    strata = {(row.gpu, row.op, row.dtype, row.size_range) for row in chosen}
    assert len(chosen) == len(strata) == 32


def test_a_sample_depends_on_seed_and_content_alone(many):
    chosen = [row.identity for row in sample(many, 50, seed=1)]
    assert chosen == [row.identity for row in sample(many, 50, seed=1)]
    assert sorted(chosen) == sorted(row.identity for row in sample(many[::-1], 50, seed=1))
    assert chosen != [row.identity for row in sample(many, 50, seed=2)]
    assert len(set(chosen)) == 50
    assert sample(many, 10_000, seed=1) == many
