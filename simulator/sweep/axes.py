"""Axes of a sweep: lists, ranges and log ranges of plain values or quantities.

An axis is a list (``[1, 2, 4]``) or a mapping:

- ``{range: [FIRST, LAST], step: STEP}``: both ends are in; the step is 1 if not given;
- ``{linear: [FIRST, LAST], points: N}``: evenly spaced;
- ``{log: [FIRST, LAST], points: N}`` or ``{log: [FIRST, LAST], base: B}``: evenly spaced in
  ratio, or the powers ``FIRST * B**k``.

Ends may be quantities in one unit (``[10 MiB, 80 MiB]``).  Where the ends are whole numbers, so
are the values.  ``linear`` and ``log`` without ``points`` are continuous: only a sample takes
values from them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulator.errors import SweepError, suggest
from simulator.units import UnitError, split_quantity

Value = int | float | str | bool

LONGEST = 100_000
_DIGITS = 6
"""Of a value between the ends: enough to tell neighbours apart, few enough to read."""
_KINDS = {"range": "step", "linear": "points", "log": "points"}
_FORMS = "write a list, or one of {range: [1, 9], step: 2}, {linear: ...}, {log: [1, 256], base: 2}"


@dataclass(frozen=True)
class Axis:
    """Values in order, or a continuous range of them."""

    values: tuple[Value, ...] = ()
    ends: tuple[float, float] | None = None
    """Of a continuous axis, in ``unit``."""
    unit: str = ""
    log: bool = False
    whole: bool = False

    @property
    def continuous(self) -> bool:
        return self.ends is not None

    def at(self, place: float) -> Value:
        """The value at ``place`` in [0, 1) of the axis."""
        if self.ends is None:
            return self.values[int(place * len(self.values))]
        return _written(_between(*self.ends, place, self.log), self.unit, self.whole)


def parse(given: Any) -> Axis:
    """An axis as a sweep file writes it, or one SweepError."""
    if isinstance(given, list):
        return Axis(_distinct([_scalar(item) for item in given]))
    if isinstance(given, int | float | str):
        return Axis((given,))
    if not isinstance(given, dict):
        raise SweepError(f"expected an axis, got {given!r:.60}", remedy=_FORMS)
    kinds = [kind for kind in _KINDS if kind in given]
    if len(kinds) != 1:
        unknown = next((key for key in given if key not in _KINDS), None)
        raise SweepError(
            f"unknown kind of axis '{unknown}'" if unknown and not kinds else "no kind of axis",
            remedy=suggest(unknown, _KINDS, _FORMS) if unknown and not kinds else _FORMS,
        )
    kind = kinds[0]
    allowed = (kind, _KINDS[kind], "base") if kind == "log" else (kind, _KINDS[kind])
    for key in given:
        if key not in allowed:
            raise SweepError(f"'{key}' means nothing beside '{kind}'", remedy=suggest(key, allowed))
    if "points" in given and "base" in given:
        raise SweepError("'points' and 'base' say the same twice", remedy="leave one out")
    first, last, unit, whole = _ends(kind, given[kind])
    if kind == "range":
        return _range(first, last, unit, given.get("step"))
    if kind == "log" and first <= 0:
        raise SweepError(f"a log axis starts above zero, not at {first}", remedy="raise its start")
    if "base" in given:
        return _powers(first, last, unit, given["base"])
    if "points" not in given:
        return Axis((), (float(first), float(last)), unit, kind == "log", whole)
    points = given["points"]
    if type(points) is not int or not 2 <= points <= LONGEST:
        raise SweepError(f"expected 2 to {LONGEST:,} points, got {points!r:.40}")
    places = (step / (points - 1) for step in range(points))
    spaced = [_between(float(first), float(last), place, kind == "log") for place in places]
    # Whole values of a short log axis meet; they are one value.
    return Axis(tuple(dict.fromkeys(_written(value, unit, whole) for value in spaced)))


def _between(first: float, last: float, place: float, log: bool) -> float:
    if place in (0, 1):
        return last if place else first
    return first * (last / first) ** place if log else first + (last - first) * place


def _written(value: float, unit: str, whole: bool) -> Value:
    """As one would write it: whole where the ends are, else to six digits, with its unit."""
    short = round(value) if whole else float(f"{value:.{_DIGITS}g}")
    if not unit:
        return short
    return f"{short} {unit}" if isinstance(short, int) else f"{short:.{_DIGITS}g} {unit}"


def _range(first: Decimal, last: Decimal, unit: str, step: Any) -> Axis:
    width = Decimal(1)
    if step is not None:
        width, step_unit = _quantity(step)
        if step_unit not in (unit, "") or (step_unit == "" and unit):
            raise SweepError(f"the step '{step}' has not the unit of the ends, '{unit}'")
    if width <= 0:
        raise SweepError(f"expected a step above zero, got {step}")
    count = int((last - first) / width) + 1
    if count > LONGEST:
        raise SweepError(f"an axis of {count:,} values", remedy=f"use at most {LONGEST:,}")
    return Axis(tuple(_plain(first + width * place, unit) for place in range(count)))


def _powers(first: Decimal, last: Decimal, unit: str, base: Any) -> Axis:
    if isinstance(base, bool) or not isinstance(base, int | float) or not 1.001 <= base <= 1e6:
        raise SweepError(f"expected a base such as 2, got {base!r:.40}")
    ratio = Decimal(str(base))
    count = math.floor(float((last / first).ln() / ratio.ln()) + 1e-9) + 1
    return Axis(tuple(_plain(first * ratio**power, unit) for power in range(count)))


def _plain(value: Decimal, unit: str) -> Value:
    if value == value.to_integral_value():
        short: int | float = int(value)
    else:
        short = float(value)
    return f"{short} {unit}" if unit else short


def _ends(kind: str, given: Any) -> tuple[Decimal, Decimal, str, bool]:
    if not isinstance(given, list) or len(given) != 2:
        raise SweepError(
            f"expected the two ends of '{kind}', got {given!r:.60}",
            remedy=f"write {kind}: [FIRST, LAST]",
        )
    (first, unit), (last, other) = _quantity(given[0]), _quantity(given[1])
    if unit != other:
        raise SweepError(
            f"the ends '{given[0]}' and '{given[1]}' differ in unit", remedy="write both in one"
        )
    if first > last or (kind != "range" and first == last):
        raise SweepError(
            f"the axis ends at {given[1]} before it starts at {given[0]}",
            remedy="put the smaller end first",
        )
    whole = not unit and all(type(end) is int for end in given)
    return first, last, unit, whole


def _quantity(value: Any) -> tuple[Decimal, str]:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise SweepError(f"expected a number or a quantity, got {value!r:.40}")
    try:
        return split_quantity(str(value))
    except UnitError as error:
        raise SweepError(error.message, remedy=error.remedy) from None


def _scalar(item: Any) -> Value:
    if isinstance(item, int | float | str):
        return item
    raise SweepError(f"expected a plain value in the list, got {item!r:.40}")


def _distinct(values: list[Value]) -> tuple[Value, ...]:
    if not values:
        raise SweepError("the axis is empty", remedy="give it at least one value")
    if len(values) > LONGEST:
        raise SweepError(f"an axis of {len(values):,} values", remedy=f"use at most {LONGEST:,}")
    seen: set[tuple[type, Value]] = set()
    for value in values:
        if (type(value), value) in seen:
            raise SweepError(f"the value {value} stands twice", remedy="leave one out")
        seen.add((type(value), value))
    return tuple(values)
