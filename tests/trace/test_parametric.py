"""Fitting recovers the expressions exactly or refuses; binding puts numbers in."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace import catalogue, parametric
from simulator.trace.expressions import Expression
from simulator.trace.polynomials import Interpolation
from simulator.trace.schema import Header, Operator, Tensor, TensorRef, Trace

POINTS = [{"batch": b, "prompt": p} for b, p in product((3, 5), (37, 53))]


def export(batch, prompt, width=16, strategy=lambda batch, prompt: batch * prompt):
    """A trace as an exporter would make it: shapes, offsets and arguments vary."""
    rows = strategy(batch, prompt)
    header = Header(
        "toy",
        "toy",
        "prefill",
        {"batch": batch, "prompt": prompt},
        ranges={"batch": (1, 64), "prompt": (2, 512)},
    )
    tensors = {
        0: Tensor(0, 0, 0, (batch, prompt, width), (prompt * width, width, 1), "bfloat16"),
        1: Tensor(1, 0, (prompt - 1) * width, (batch, width), (prompt * width, 1), "bfloat16"),
        2: Tensor(2, 1, 0, (rows, width), (width, 1), "bfloat16"),
    }
    operators = [
        Operator(0, "aten.slice.Tensor", (0,), (1,), (TensorRef(0), 1, prompt - 1, None)),
        Operator(1, "aten.view.default", (0,), (2,), (TensorRef(0), [rows, width]), {"eps": 1e-5}),
    ]
    return Trace(header, tensors, operators)


def fitted(**options):
    exports = [export(**point, **options) for point in POINTS]
    return parametric.fit(exports, export(7, 101, **options), {"batch": 1, "prompt": 8})


@given(st.integers(1, 64), st.integers(2, 512))
def test_a_bound_trace_is_what_an_export_at_these_sizes_gives(batch, prompt):
    assert parametric.bind(FITTED, {"batch": batch, "prompt": prompt}) == export(batch, prompt)


FITTED = fitted()


def test_expressions_are_readable():
    assert FITTED.tensors[2].shape == ("batch*prompt", 16)
    assert FITTED.tensors[1].offset == "16*prompt-16"
    assert FITTED.operators[0].args[2] == Expression("prompt-1")


def test_defaults_stand_in_for_sizes_not_given():
    assert parametric.bind(FITTED, {"prompt": 9}) == export(1, 9)


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50), min_size=8, max_size=8))
def test_interpolation_is_exact(coefficients):
    names = ("a", "b", "c")
    points = [dict(zip(names, values, strict=True)) for values in product((2, 3), (5, 7), (11, 4))]

    def value(a, b, c):
        terms = (1, a, b, c, a * b, a * c, b * c, a * b * c)
        return sum(k * t for k, t in zip(coefficients, terms, strict=True))

    text = Interpolation(points, "test").dim(tuple(value(**point) for point in points))
    assert eval(str(text), {"a": 13, "b": 17, "c": 19}) == value(13, 17, 19)


def test_what_is_not_linear_in_each_size_is_refused():
    with pytest.raises(TraceError, match="differs between sizes"):
        fitted(strategy=lambda batch, prompt: batch * prompt * prompt)


def test_half_integers_are_refused():
    with pytest.raises(TraceError, match="no polynomial"):
        fitted(strategy=lambda batch, prompt: (batch * prompt + 1) // 2)


@pytest.mark.parametrize(
    "change",
    [
        lambda trace: replace(trace.operators[1], name="aten.clone.default"),
        lambda trace: replace(trace.operators[1], kwargs={"eps": 1e-6}),
        lambda trace: replace(trace.operators[1], args=(TensorRef(0), [1])),
        lambda trace: replace(trace.operators[1], inputs=(2,)),
    ],
)
def test_other_operators_at_other_sizes_are_refused(change):
    exports = [export(**point) for point in POINTS]
    exports[2].operators[1] = change(exports[2])
    with pytest.raises(TraceError, match=r"toy.*differs between sizes"):
        parametric.fit(exports, export(7, 101))


def test_too_few_or_dependent_exports_are_refused():
    exports = [export(**point) for point in POINTS]
    with pytest.raises(TraceError, match="4 combinations"):
        parametric.fit(exports[:3], export(7, 101))
    with pytest.raises(TraceError, match="vary each size"):
        parametric.fit([exports[0], *exports[:3]], export(7, 101))


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ({"promt": 9}, "did you mean 'prompt'"),
        ({"context": 9}, "no size 'context'"),
        ({"prompt": 513}, "use 2 to 512"),
        ({"prompt": 1}, "use 2 to 512"),
        ({"batch": -1}, "use 1 to 64"),
        ({"batch": 1.5}, "integer"),
        ({"batch": True}, "integer"),
    ],
)
def test_sizes_are_checked(sizes, words):
    with pytest.raises(TraceError, match=words):
        parametric.bind(FITTED, sizes)


def test_a_concrete_trace_cannot_be_bound():
    with pytest.raises(TraceError, match="not parametric"):
        parametric.bind(export(1, 2), {})


def test_binding_runs_few_lines_for_an_operator(lines_run):
    trace = catalogue.open_recorded("llama2-7b", "decode")
    parametric.bind(trace, {"context": 5})
    assert lines_run(lambda: parametric.bind(trace, {"context": 777})) < 150 * len(trace.operators)
