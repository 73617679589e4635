"""Parametric traces: one trace for all sizes, from exports at a few.

Every integer of a trace of a neural network (shape, stride, offset, argument) is
a polynomial of the sizes that is linear in each of them: ``4096*batch*prompt``,
never ``prompt*prompt`` as long as attention stays fused.  :func:`fit` solves for
the coefficients from exports at ``2**sizes`` points, exactly, in rational
arithmetic, and checks the result against one more export.  Rows of experts are
the exception: rounded shares of a total, written as such.

:func:`bind` puts numbers in.  Each distinct expression is evaluated once.

Left out: traces whose sequence of operators depends on the sizes; fitting them
is an error that names the first operator that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from simulator.errors import TraceError, suggest
from simulator.trace import expressions, routing
from simulator.trace.expressions import Expression
from simulator.trace.polynomials import Interpolation
from simulator.trace.schema import Dim, Header, Operator, Tensor, TensorRef, Trace


def bind(trace: Trace, sizes: Mapping[str, int]) -> Trace:
    """The concrete trace at ``sizes``; sizes not given keep their recorded default."""
    header = trace.header
    if not header.parametric:
        raise TraceError(
            "the trace is not parametric", where=header.name, remedy="run it without sizes"
        )
    values = check_sizes(header, sizes)
    known: dict[str, int] = {}

    def dim(value: Dim) -> int:
        if type(value) is int:
            return value
        text = str(value)
        found = known.get(text)
        if found is None:
            found = known[text] = expressions.evaluate(text, values)
            if found < 0:
                raise TraceError(
                    f"'{text}' is negative", where=header.name, remedy="use larger sizes"
                )
        return found

    def argument(value: Any) -> Any:
        kind = type(value)
        if kind is Expression:
            return expressions.evaluate(value, values)
        if kind is list:
            return [argument(item) for item in value]
        if kind is dict:
            return {key: argument(item) for key, item in value.items()}
        return value

    tensors = {
        id: Tensor(
            id,
            tensor.storage,
            dim(tensor.offset),
            tuple([dim(value) for value in tensor.shape]),
            tuple([dim(value) for value in tensor.strides]),
            tensor.dtype,
            tensor.role,
            tensor.name,
            tensor.data,
        )
        for id, tensor in trace.tensors.items()
    }
    operators = [
        _with_arguments(operator, argument) if _has_expressions(operator) else operator
        for operator in trace.operators
    ]
    bound = replace(header, sizes=values, parametric=False)
    return Trace(bound, tensors, operators, dict(trace.arrays))


def fit_exports(
    export: Callable[..., Trace],
    values: Mapping[str, Sequence[int]],
    verify: Mapping[str, int],
    defaults: Mapping[str, int] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> Trace:
    """Call ``export(**sizes)`` at every combination of ``values``, fit, and check at ``verify``.

    Choose numbers that are no multiples of the model's own dimensions, so that
    nothing coincides by accident.
    """
    corners = [dict(zip(values, corner, strict=True)) for corner in product(*values.values())]
    traces = [export(**corner) for corner in corners]
    return fit(traces, export(**verify), defaults, ranges)


def fit(
    traces: Sequence[Trace],
    verify: Trace,
    defaults: Mapping[str, int] | None = None,
    ranges: Mapping[str, tuple[int, int]] | None = None,
) -> Trace:
    """One parametric trace from concrete ones at different sizes, checked on ``verify``.

    ``defaults`` are the sizes at which the trace runs when none are given,
    ``ranges`` those in which it holds, narrower than the exporter's.  A size that
    is the same in all exports holds for that value alone.
    """
    first = traces[0]
    if any(trace.arrays for trace in traces):
        raise TraceError(
            "recorded values have no expression of the sizes",
            where=first.header.name,
            remedy="export with index inputs on the meta device, which have no values",
        )
    fitting = Interpolation([trace.header.sizes for trace in traces], first.header.name)
    for other in (*traces[1:], verify):
        _check_same_operators(first, other)
    tensors = {
        id: _fit_tensor([trace.tensors[id] for trace in traces], fitting) for id in first.tensors
    }
    operators = [
        _fit_operator([trace.operators[place] for trace in traces], fitting, first.header.source)
        for place in range(len(first.operators))
    ]
    fitted = Trace(replace(first.header, parametric=True), tensors, operators)
    bound = bind(fitted, verify.header.sizes)
    for id, tensor in bound.tensors.items():
        if tensor != verify.tensors[id]:
            raise _not_parametric(fitting.name, f"tensor {id}", tensor, verify.tensors[id])
    for operator, expected in zip(bound.operators, verify.operators, strict=True):
        if operator != expected:
            raise _not_parametric(fitting.name, f"operator {operator.id}", operator, expected)
    header = replace(
        fitted.header,
        sizes={**first.header.sizes, **(defaults or {})},
        ranges={**first.header.ranges, **(ranges or {}), **_fixed(traces)},
    )
    return replace(fitted, header=header)


def _fixed(traces: Sequence[Trace]) -> dict[str, tuple[int, int]]:
    """Ranges of the sizes that the exports do not vary."""
    values = {
        size: {trace.header.sizes[size] for trace in traces} for size in traces[0].header.sizes
    }
    return {size: (min(seen), max(seen)) for size, seen in values.items() if len(seen) == 1}


def _fit_tensor(variants: Sequence[Tensor], fitting: Interpolation) -> Tensor:
    first = variants[0]
    return replace(
        first,
        offset=fitting.dim(tuple(int(v.offset) for v in variants)),
        shape=tuple(map(fitting.dim, _columns(v.shape for v in variants))),
        strides=tuple(map(fitting.dim, _columns(v.strides for v in variants))),
    )


def _fit_operator(
    variants: Sequence[Operator], fitting: Interpolation, source: Mapping[str, str]
) -> Operator:
    first = variants[0]
    kwargs = {key: [v.kwargs[key] for v in variants] for key in first.kwargs}
    rows = kwargs.pop("rows_per_expert", None)
    fitted = {key: _fit_argument(values, fitting) for key, values in kwargs.items()}
    if rows is not None:
        fitted["rows_per_expert"] = _fit_rows(rows, fitting, source)
    args = [
        _fit_argument(values, fitting) for values in zip(*(v.args for v in variants), strict=True)
    ]
    return replace(first, args=tuple(args), kwargs=fitted)


def _fit_argument(values: Sequence[Any], fitting: Interpolation) -> Any:
    first = values[0]
    if isinstance(first, list):
        return [_fit_argument(items, fitting) for items in zip(*values, strict=True)]
    if isinstance(first, dict):
        return {key: _fit_argument([v[key] for v in values], fitting) for key in first}
    if type(first) is int:
        found = fitting.dim(tuple(values))
        return Expression(found) if isinstance(found, str) else found
    if any(value != first for value in values):
        raise _not_parametric(fitting.name, "an argument", first, values[-1])
    return first


def _fit_rows(
    variants: Sequence[list[int]], fitting: Interpolation, source: Mapping[str, str]
) -> list[Any]:
    """Rows of experts as rounded shares of the total, which is a polynomial."""
    total = str(fitting.dim(tuple(sum(rows) for rows in variants)))
    shares = routing.expert_shares(
        source["routing"], len(variants[0]), int(source["experts_per_token"])
    )
    return [Expression(text) for text in routing.rows_expressions(total, shares)]


def check_sizes(header: Header, sizes: Mapping[str, int]) -> dict[str, int]:
    """All sizes of a parametric trace at ``sizes``, or one TraceError about the first mistake."""
    for name, value in sizes.items():
        if name not in header.sizes:
            raise TraceError(
                f"'{header.name}' ({header.phase}) has no size '{name}'",
                where=name,
                remedy=suggest(name, header.sizes),
            )
        if type(value) is not int:
            raise TraceError(f"expected an integer, got {value!r}", where=name)
    values = {**header.sizes, **sizes}
    for name, value in values.items():
        least, most = header.ranges.get(name, (1, expressions.LARGEST))
        if not least <= value <= most:
            raise TraceError(
                f"{name}={value} is outside the range of '{header.name}' ({header.phase})",
                where=name,
                remedy=f"use {least} to {most}",
            )
    return values


def _has_expressions(operator: Operator) -> bool:
    pending: list[Any] = [*operator.args, *operator.kwargs.values()]
    while pending:
        value = pending.pop()
        kind = type(value)
        if kind is Expression:
            return True
        if kind is list:
            pending.extend(value)
        elif kind is dict:
            pending.extend(value.values())
    return False


def _with_arguments(operator: Operator, argument: Any) -> Operator:
    return replace(
        operator,
        args=tuple([argument(value) for value in operator.args]),
        kwargs={key: argument(value) for key, value in operator.kwargs.items()},
    )


def _check_same_operators(first: Trace, other: Trace) -> None:
    name = first.header.name
    for one, two in zip(first.operators, other.operators, strict=False):
        if _structure(one) != _structure(two):
            raise _not_parametric(name, f"operator {one.id} ({one.module})", one.name, two.name)
    if len(first.operators) != len(other.operators):
        raise _not_parametric(
            name, "the number of operators", len(first.operators), len(other.operators)
        )
    for id, tensor in first.tensors.items():
        match = other.tensors.get(id)
        if match is None or _shapeless(match) != _shapeless(tensor):
            raise _not_parametric(name, f"tensor {id}", tensor, match)


def _structure(operator: Operator) -> tuple[Any, ...]:
    return (
        operator.name,
        operator.inputs,
        operator.outputs,
        operator.module,
        operator.phase,
        operator.stream,
        operator.guess,
        _skeleton(list(operator.args)),
        _skeleton(dict(operator.kwargs)),
    )


def _skeleton(value: Any) -> Any:
    """An argument's structure without its integers."""
    if isinstance(value, list):
        return [_skeleton(item) for item in value]
    if isinstance(value, dict):
        return {key: _skeleton(item) for key, item in value.items()}
    if isinstance(value, TensorRef) or type(value) is not int:
        return value
    return int


def _shapeless(tensor: Tensor) -> tuple[Any, ...]:
    return (tensor.storage, len(tensor.shape), tensor.dtype, tensor.role, tensor.name)


def _not_parametric(name: str, what: str, one: object, two: object) -> TraceError:
    return TraceError(
        f"{what} differs between sizes: {one} and {two}",
        where=name,
        remedy="record the trace at fixed sizes, or in a narrower range",
    )


def _columns(rows: Iterable[tuple[Dim, ...]]) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in column) for column in zip(*rows, strict=True)]
