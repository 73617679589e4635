"""Exact interpolation of integers by polynomials that are linear in each size.

The unknown coefficients (one for each product of distinct sizes that vary) are solved for
in rational arithmetic, so a fit is either exact or refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations

from simulator.errors import TraceError
from simulator.trace.schema import Dim

Monomial = tuple[str, ...]


class Interpolation:
    """Turns a value at each point into an integer or an expression."""

    def __init__(self, points: Sequence[Mapping[str, int]], name: str) -> None:
        self.name = name
        self._monomials = _monomials(
            size for size in points[0] if len({point[size] for point in points}) > 1
        )
        rows = [[_product(m, point) for m in self._monomials] for point in points]
        self._inverse = _inverse(rows, name)
        self._known: dict[tuple[int, ...], Dim] = {}

    def dim(self, values: tuple[int, ...]) -> Dim:
        if values not in self._known:
            self._known[values] = self._solve(values)
        return self._known[values]

    def _solve(self, values: tuple[int, ...]) -> Dim:
        if len(set(values)) == 1:
            return values[0]
        coefficients = [
            sum((a * v for a, v in zip(row, values, strict=True)), Fraction(0))
            for row in self._inverse
        ]
        if any(coefficient.denominator != 1 for coefficient in coefficients):
            raise TraceError(
                f"the values {values} are no polynomial of the sizes",
                where=self.name,
                remedy="record the trace at fixed sizes instead",
            )
        return _polynomial_text(self._monomials, [int(c) for c in coefficients])


def _monomials(sizes: Iterable[str]) -> list[Monomial]:
    """Every product of distinct sizes, the constant first."""
    names = sorted(sizes)
    return [m for degree in range(len(names) + 1) for m in combinations(names, degree)]


def _product(monomial: Monomial, sizes: Mapping[str, int]) -> int:
    result = 1
    for name in monomial:
        result *= sizes[name]
    return result


def _polynomial_text(monomials: Sequence[Monomial], coefficients: Sequence[int]) -> Dim:
    terms = []
    for monomial, coefficient in zip(reversed(monomials), reversed(coefficients), strict=True):
        if coefficient:
            factors = [str(abs(coefficient))] if abs(coefficient) != 1 or not monomial else []
            sign = "-" if coefficient < 0 else "+"
            terms.append(sign + "*".join((*factors, *monomial)))
    return "".join(terms).removeprefix("+")


def _inverse(rows: list[list[int]], name: str) -> list[list[Fraction]]:
    """Exact inverse of a square matrix by Gauss-Jordan elimination."""
    order = len(rows[0])
    if len(rows) != order:
        raise TraceError(
            f"{len(rows)} exports for {order} unknowns",
            where=name,
            remedy=f"export at {order} combinations of sizes",
        )
    matrix = [
        [Fraction(v) for v in row] + [Fraction(int(i == j)) for j in range(order)]
        for i, row in enumerate(rows)
    ]
    for column in range(order):
        pivot = next((r for r in range(column, order) if matrix[r][column]), None)
        if pivot is None:
            raise TraceError(
                "the exports' sizes do not determine the polynomials",
                where=name,
                remedy="vary each size independently",
            )
        matrix[column], matrix[pivot] = matrix[pivot], matrix[column]
        scale = matrix[column][column]
        matrix[column] = [value / scale for value in matrix[column]]
        for r in range(order):
            if r != column and matrix[r][column]:
                factor = matrix[r][column]
                matrix[r] = [a - factor * b for a, b in zip(matrix[r], matrix[column], strict=True)]
    return [row[order:] for row in matrix]
