"""Which points a sweep file means: axes, zips, filters, samples; formulas; content keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import SweepError
from simulator.sweep import axes, formula, load_sweep
from simulator.sweep.plan import plan

HEAD = "workloads: {decode: {trace: gpt2, phase: decode}}\ndevices: [pim-gpt]\n"


def levels(path, *names):
    return [tuple(point.levels[name] for name in names) for point in plan(load_sweep(path)).points]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ([1, "x", 2.5], (1, "x", 2.5)),
        ({"range": [2, 8], "step": 3}, (2, 5, 8)),
        ({"range": [2, 7], "step": 3}, (2, 5)),
        ({"range": [0.1, 0.5], "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"range": ["10 MiB", "20 MiB"], "step": "5 MiB"}, ("10 MiB", "15 MiB", "20 MiB")),
        ({"linear": ["1 GHz", "2 GHz"], "points": 3}, ("1 GHz", "1.5 GHz", "2 GHz")),
        ({"log": [1, 256], "base": 4}, (1, 4, 16, 64, 256)),
        ({"log": [1, 4], "points": 5}, (1, 2, 3, 4)),
        ({"log": [0.01, 1], "points": 3}, (0.01, 0.1, 1)),
    ],
)
def test_an_axis_means_its_values(written, meant):
    assert axes.parse(written).values == meant


@given(
    st.integers(1, 1000),
    st.integers(1, 1000),
    st.integers(2, 50),
    st.sampled_from(["linear", "log"]),
)
def test_spaced_axes_keep_their_ends_and_rise(first, more, points, kind):
    values = axes.parse({kind: [first, first + more], "points": points}).values
    assert (values[0], values[-1]) == (first, first + more)
    assert list(values) == sorted(set(values))


def test_product_zip_and_filter(sweep_file):
    path = sweep_file(
        HEAD
        + "axes: {batch: [1, 2]}\n"
        + "zip: {pairs: {context: [64, 128, 256], controller.clock: [1 GHz, 2 GHz, 3 GHz]}}\n"
        + "where: [batch * context < 512, controller.clock <= '2 GHz' or batch == 1]\n"
    )
    assert levels(path, "batch", "context", "controller.clock") == [
        (1, 64, "1 GHz"),
        (1, 128, "2 GHz"),
        (1, 256, "3 GHz"),
        (2, 64, "1 GHz"),
        (2, 128, "2 GHz"),
    ]


def test_a_latin_hypercube_takes_one_point_of_every_slice(sweep_file):
    path = sweep_file(
        HEAD
        + "axes: {controller.clock: {linear: [1 GHz, 2 GHz]}, context: [64, 128, 192, 256]}\n"
        + "sample: {method: latin_hypercube, points: 40, seed: 3}\n"
    )
    drawn = levels(path, "controller.clock", "context")
    slices = [int((float(clock.split()[0]) - 1) * 40) for clock, _ in drawn]
    assert sorted(slices) == list(range(40))
    contexts = [context for _, context in drawn]
    assert {contexts.count(value) for value in (64, 128, 192, 256)} == {10}
    assert levels(path, "controller.clock", "context") == drawn


def test_a_seed_is_another_sample(sweep_file):
    text = (
        HEAD + "axes: {context: {range: [1, 900]}}\nsample: {method: random, points: 9, seed: %d}"
    )
    first = levels(sweep_file(text % 1), "context")
    assert first != levels(sweep_file(text % 2), "context")
    assert len(first) == 9


def test_keys_follow_content_and_nothing_else(sweep_file):
    def key(more, device="pim-gpt"):
        text = (HEAD + more).replace("pim-gpt", device)
        return plan(load_sweep(sweep_file(text))).points[0].key

    same = key("axes: {context: [64]}")
    assert key("axes: {context: [64], batch: [1], controller.clock: [1 GHz]}") == same
    others = [
        key("axes: {context: [65]}"),
        key("axes: {context: [64], controller.clock: [2 GHz]}"),
        key("axes: {context: [64], launch: [eager]}"),
        key("axes: {context: [64]}", "attacc-bank"),
    ]
    assert len({same, *others}) == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2 * a.b + 1", 7),
        ("1 < a.b <= 3 and not c == 'x'", True),
        ("size >= '40 MiB'", True),
        ("c in ['y', 'z']", True),
        ("max(a.b, 10) // 4", 2),
        ("-a.b % 2", 1),
    ],
)
def test_formulas(text, value):
    assert formula.parse(text)({"a.b": 3, "c": "y", "size": "41.9431 MB"}) == value


@given(st.text(max_size=40))
def test_any_text_is_a_formula_or_one_error(text):
    try:
        parsed = formula.parse(text)
        parsed(dict.fromkeys(parsed.names, 1))
    except SweepError as error:
        assert "\n" not in str(error)
