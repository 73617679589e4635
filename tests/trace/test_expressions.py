"""Expressions of sizes: integers only, exact, and nothing else can run."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace.expressions import evaluate, names_of

SIZES = {"batch": 3, "prompt": 7, "context": 11}

expressions = st.recursive(
    st.one_of(st.integers(0, 99).map(str), st.sampled_from(sorted(SIZES))),
    lambda inner: st.tuples(inner, st.sampled_from(["+", "-", "*"]), inner).map(
        lambda parts: f"({parts[0]}{parts[1]}{parts[2]})"
    ),
    max_leaves=8,
)


@given(expressions)
def test_evaluates_as_arithmetic_does(text):
    assert evaluate(text, SIZES) == eval(text, {"__builtins__": {}}, dict(SIZES))


def test_division_rounds_down():
    assert evaluate("(prompt*100+50)//100", SIZES) == 7
    assert evaluate("-prompt//2", SIZES) == -4


def test_names():
    assert names_of("4*batch*prompt+batch") == ("batch", "prompt")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "9**9**9",
        "batch.bit_length",
        "[batch][0]",
        "batch if 1 else 2",
        "batch/2",
        "1.5",
        "True",
        "'batch'",
        "",
        "batch +",
        "(" * 500 + "1" + ")" * 500,
        "+".join(["batch"] * 1000),
        "lambda: 0",
        "batch\x00",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(TraceError) as error:
        evaluate(text, SIZES)
    assert "\n" not in str(error.value)


def test_unknown_size_names_the_nearest():
    with pytest.raises(TraceError, match=r"'batsh'.*did you mean 'batch'"):
        evaluate("2*batsh", SIZES)


@pytest.mark.parametrize("text", ["prompt//(batch-3)", "*".join(["1000000007"] * 4)])
def test_results_without_meaning_are_refused(text):
    with pytest.raises(TraceError):
        evaluate(text, SIZES)
