"""Integer expressions of named sizes, such as ``4096*batch*prompt+12``.

Operators are ``+ - * //`` and parentheses; names are sizes.  Expressions come
from files, so they are parsed with the Python grammar but evaluated by a walk
over the few allowed nodes: nothing else can run.  Evaluation is compiled to
closures once per text and cached.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import lru_cache

from simulator.errors import TraceError, suggest

LONGEST = 2000
LARGEST = 1 << 60
"""No size, stride or count of a real trace comes near; beyond it is a mistake."""

Evaluate = Callable[[Mapping[str, int]], int]

_OPERATIONS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class Expression(str):
    """An expression among an operator's arguments, told apart from plain strings."""

    __slots__ = ()


@lru_cache(maxsize=65536)
def compiled(text: str) -> Evaluate:
    """A function of the sizes; raises :class:`TraceError` if ``text`` is no expression."""
    if len(text) > LONGEST:
        raise TraceError(f"expression of {len(text)} characters", remedy=f"use at most {LONGEST}")
    try:
        return _build(ast.parse(text, mode="eval").body, text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _malformed(text) from error


def evaluate(text: str, sizes: Mapping[str, int]) -> int:
    """The value of an expression, checked to be an integer within reason."""
    try:
        value = compiled(text)(sizes)
    except KeyError as error:
        name = str(error.args[0])
        raise TraceError(
            f"'{text}' names the unknown size '{name}'", remedy=suggest(name, sizes)
        ) from error
    except ZeroDivisionError as error:
        raise TraceError(f"'{text}' divides by zero", remedy="change the sizes") from error
    if abs(value) > LARGEST:
        raise TraceError(f"'{text}' exceeds 2^60", remedy="use smaller sizes")
    return value


@lru_cache(maxsize=65536)
def names_of(text: str) -> tuple[str, ...]:
    """The sizes an expression mentions, sorted."""
    compiled(text)
    nodes = ast.walk(ast.parse(text, mode="eval"))
    return tuple(sorted({node.id for node in nodes if isinstance(node, ast.Name)}))


def _build(node: ast.expr, text: str) -> Evaluate:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        constant = node.value
        return lambda _sizes: constant
    if isinstance(node, ast.Name):
        name = node.id
        return lambda sizes: sizes[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        operand = _build(node.operand, text)
        return lambda sizes: -operand(sizes)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        apply = _OPERATIONS[type(node.op)]
        left, right = _build(node.left, text), _build(node.right, text)
        return lambda sizes: apply(left(sizes), right(sizes))
    raise _malformed(text)


def _malformed(text: str) -> TraceError:
    shown = text if len(text) <= 60 else text[:57] + "..."
    return TraceError(
        f"'{shown}' is not an expression of sizes",
        remedy="use integers, names of sizes, + - * // and parentheses",
    )
