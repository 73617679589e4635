"""Formulas over named values: ``chip.sms * batch <= 4096``, ``energy_j * latency_s``.

Filters and objectives of a sweep are formulas.  Names are axes (dotted where the key of a
description is) and columns of the result; text that is a quantity counts in SI units, so
``l2.size >= '40 MiB'`` compares bytes.  Formulas come from files: the Python grammar is
parsed, and only the few nodes below are evaluated.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from simulator.errors import SweepError
from simulator.units import DIMENSIONS, UnitError, split_quantity

LONGEST = 1000

Values = Mapping[str, Any]
_Evaluate = Callable[[Values], Any]

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda one, many: one in many,
    ast.NotIn: lambda one, many: one not in many,
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "abs": abs,
    "log2": math.log2,
    "max": max,
    "min": min,
    "sqrt": math.sqrt,
}
_ALLOWED = "use names, numbers, 'text', + - * / // %, comparisons, in, and, or, not, " + ", ".join(
    _FUNCTIONS
)


@dataclass(frozen=True)
class Formula:
    """A parsed formula."""

    text: str
    names: frozenset[str]
    """Axes and columns it mentions."""
    _evaluate: _Evaluate

    def __call__(self, values: Values) -> Any:
        """Its value; raises SweepError where it has none (a name is missing, types clash)."""
        try:
            return self._evaluate(values)
        except KeyError as error:
            raise SweepError(f"'{self.text}' names '{error.args[0]}', which is missing") from None
        except (TypeError, ValueError, ArithmeticError) as error:
            raise SweepError(f"'{self.text}' has no value: {error}") from None


@lru_cache(maxsize=4096)
def number(value: Any) -> Any:
    """A quantity written as text in SI units; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        amount, unit = split_quantity(value)
    except UnitError:
        return value
    for dimension in DIMENSIONS:
        if unit in dimension.units:
            si = amount * dimension.units[unit]
            return int(si) if si == int(si) else float(si)
    return value


def parse(text: str) -> Formula:
    """A formula from its text, or one SweepError."""
    if len(text) > LONGEST:
        raise SweepError(f"formula of {len(text)} characters", remedy=f"use at most {LONGEST}")
    names: set[str] = set()
    try:
        evaluate = _build(ast.parse(text.strip(), mode="eval").body, names)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SweepError(f"'{text:.60}' is not a formula", remedy=_ALLOWED) from None
    return Formula(text, frozenset(names), evaluate)


def _build(node: ast.expr, names: set[str]) -> _Evaluate:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        constant = number(node.value)
        return lambda _values: constant
    if isinstance(node, ast.Name | ast.Attribute):
        name = _dotted(node)
        names.add(name)
        return lambda values: number(values[name])
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
        apply = _BINARY[type(node.op)]
        left, right = _build(node.left, names), _build(node.right, names)
        return lambda values: apply(left(values), right(values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        operand = _build(node.operand, names)
        if isinstance(node.op, ast.Not):
            return lambda values: not operand(values)
        return lambda values: -operand(values)
    if isinstance(node, ast.BoolOp):
        parts = [_build(part, names) for part in node.values]
        together = all if isinstance(node.op, ast.And) else any
        return lambda values: together(part(values) for part in parts)
    if isinstance(node, ast.Compare):
        return _chain(node, names)
    if isinstance(node, ast.List | ast.Tuple):
        items = [_build(item, names) for item in node.elts]
        return lambda values: [item(values) for item in items]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        function = _FUNCTIONS.get(node.func.id)
        if function is not None:
            arguments = [_build(argument, names) for argument in node.args]
            return lambda values: function(*(argument(values) for argument in arguments))
    raise ValueError("not a formula")


def _chain(node: ast.Compare, names: set[str]) -> _Evaluate:
    """``a < b < c``."""
    operands = [_build(part, names) for part in (node.left, *node.comparators)]
    if not all(type(op) in _COMPARE for op in node.ops):
        raise ValueError("not a formula")
    compare = [_COMPARE[type(op)] for op in node.ops]

    def evaluate(values: Values) -> bool:
        found = [operand(values) for operand in operands]
        return all(op(*pair) for op, pair in zip(compare, pairwise(found), strict=True))

    return evaluate


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    raise ValueError("not a name")
