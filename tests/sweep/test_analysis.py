"""Pareto fronts against brute force, sensitivity against functions whose shares are known."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.sweep import analysis

ROWS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 3)), min_size=1)


@given(ROWS)
def test_the_front_is_what_nothing_dominates(rows):
    goals = {"a": "min", "b": "max", "c": "min"}
    front = analysis.pareto(pd.DataFrame(rows, columns=list("abc")), goals)

    def beats(one, two):
        pairs = list(zip((one[0], -one[1], one[2]), (two[0], -two[1], two[2]), strict=True))
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    expected = [row for row in rows if not any(beats(other, row) for other in rows)]
    assert sorted(map(tuple, front.to_numpy().tolist())) == sorted(expected)


def grid(function, **values):
    points = [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]
    return pd.DataFrame([{**point, "y": function(**point)} for point in points])


def test_shares_of_a_sum_are_its_variances():
    frame = grid(lambda x, z: 3 * x + z, x=[0, 1, 2, 3], z=[0, 1, 2, 3])
    table = analysis.sensitivity(frame, ["z", "x"], "y").set_index("axis")
    assert list(table.index) == ["x", "z"]
    for column in ("first_order", "total_order"):
        assert table[column].to_dict() == pytest.approx({"x": 0.9, "z": 0.1})


def test_an_interaction_is_in_the_total_alone():
    frame = grid(lambda x, z: x * z, x=[-1, 1], z=[-1, 1])
    table = analysis.sensitivity(frame, ["x", "z"], "y")
    assert table["first_order"].tolist() == pytest.approx([0, 0])
    assert table["total_order"].tolist() == pytest.approx([1, 1])


def test_one_at_a_time_starts_from_the_middle():
    frame = grid(
        lambda clock, cores: cores + len(clock), clock=["1 GHz", "10 GHz"], cores=[1, 2, 8]
    )
    table = analysis.sensitivity(frame, ["clock", "cores"], "y").set_index("axis")
    assert table["base"].to_dict() == {"clock": "10 GHz", "cores": 2}
    cores = table.loc["cores"]
    assert (cores["low"], cores["low_at"], cores["high"], cores["high_at"]) == (7, 1, 14, 8)
    assert cores["swing"] == 2
    other = analysis.sensitivity(frame, ["clock", "cores"], "y", {"clock": "1 GHz"})
    assert other.set_index("axis").loc["cores", "low"] == 6


def test_the_first_order_of_a_sample_is_near_the_integral():
    """y = x1 + 0.5 x2 on the unit square: shares 0.8 and 0.2, and an axis of noise has none."""
    draw = np.random.default_rng(5)
    frame = pd.DataFrame(draw.random((600, 3)), columns=["x1", "x2", "x3"])
    frame["y"] = frame["x1"] + 0.5 * frame["x2"]
    table = analysis.sensitivity(frame, ["x1", "x2", "x3"], "y", sampled=True)
    shares = table.set_index("axis")["first_order"]
    assert shares.to_dict() == pytest.approx({"x1": 0.8, "x2": 0.2, "x3": 0}, abs=0.05)
    assert table["total_order"].isna().all()
