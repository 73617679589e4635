"""Quantities with units: ``"2.039 TB/s"`` to plain SI numbers and back.

A quantity is a number, a space (optional) and a unit: an SI prefix (decimal:
k M G T P, m u n p f) or, for bytes and bits, a binary one (Ki Mi Gi Ti), and a
base unit.  ``B`` is bytes and ``b`` bits; ``GB`` is 1e9 bytes and ``GiB`` 2**30.
Counts take no unit.  Exactness: integral results (bytes, hertz) come back as
exact floats below 2**53; :data:`Bytes` is an ``int``.  Left out: arithmetic on
units; code works on SI numbers only.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

from simulator.errors import AccsimError, nearest

_LARGEST = Decimal("1e30")

_DECIMAL: Mapping[str, Decimal] = {
    "": Decimal(1),
    "k": Decimal("1e3"),
    "M": Decimal("1e6"),
    "G": Decimal("1e9"),
    "T": Decimal("1e12"),
    "P": Decimal("1e15"),
}
_SMALL: Mapping[str, Decimal] = {
    "m": Decimal("1e-3"),
    "u": Decimal("1e-6"),
    "µ": Decimal("1e-6"),
    "n": Decimal("1e-9"),
    "p": Decimal("1e-12"),
    "f": Decimal("1e-15"),
}
_BINARY: Mapping[str, Decimal] = {
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}


class UnitError(AccsimError):
    """Text is not a quantity of the expected dimension."""


@dataclass(frozen=True, slots=True, eq=False)
class Dimension:
    """A physical dimension: the units it may be written in and the SI unit it becomes.

    Equal only to itself, hence hashable, as optional annotations need.
    """

    name: str
    si: str
    example: str
    units: Mapping[str, Decimal]
    integral: bool = False

    @property
    def wanted(self) -> str:
        """In words, with an example: ``a size such as '40 MiB'``."""
        article = "an" if self.name[0] in "aeiou" else "a"
        return f"{article} {self.name} such as '{self.example}'"


def _units(base: str, *prefixes: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {prefix + base: factor for table in prefixes for prefix, factor in table.items()}


def _per(numerator: Mapping[str, Decimal], *denominators: str) -> dict[str, Decimal]:
    return {
        f"{unit}/{under}": factor for unit, factor in numerator.items() for under in denominators
    }


_BYTES = _units("B", _DECIMAL, _BINARY)
_BITS = _units("b", _DECIMAL, _BINARY) | _units("bit", _DECIMAL, _BINARY)
_JOULES = _units("J", _DECIMAL, _SMALL)

BYTES = Dimension("size", "B", "40 MiB", _BYTES, integral=True)
SECONDS = Dimension("time", "s", "14 ns", _units("s", {"": Decimal(1)}, _SMALL))
HERTZ = Dimension("frequency", "Hz", "1410 MHz", _units("Hz", _DECIMAL))
BYTES_PER_SECOND = Dimension("bandwidth", "B/s", "2.039 TB/s", _per(_BYTES, "s"))
BITS_PER_SECOND = Dimension("data rate", "b/s", "3.2 Gb/s", _per(_BITS, "s"))
JOULES = Dimension("energy", "J", "909 pJ", _JOULES)
JOULES_PER_BIT = Dimension("energy per bit", "J/bit", "3.9 pJ/bit", _per(_JOULES, "bit", "b"))
JOULES_PER_OPERATION = Dimension(
    "energy per operation", "J/op", "0.7 pJ/flop", _per(_JOULES, "op", "flop")
)
JOULES_PER_MAC = Dimension("energy per multiply-add", "J/mac", "0.3 pJ/mac", _per(_JOULES, "mac"))
WATTS = Dimension("power", "W", "400 W", _units("W", _DECIMAL, _SMALL))
VOLTS = Dimension("voltage", "V", "1.2 V", _units("V", {"": Decimal(1)}, _SMALL))
AMPERES = Dimension("current", "A", "57 mA", _units("A", {"": Decimal(1)}, _SMALL))

DIMENSIONS = (
    BYTES,
    SECONDS,
    HERTZ,
    BYTES_PER_SECOND,
    BITS_PER_SECOND,
    JOULES,
    JOULES_PER_BIT,
    JOULES_PER_OPERATION,
    JOULES_PER_MAC,
    WATTS,
    VOLTS,
    AMPERES,
)

_QUANTITY = re.compile(r"\s*(?P<number>[-+]?[0-9._eE+\-]*[0-9.])\s*(?P<unit>\D.*?)?\s*")


def split_quantity(text: str) -> tuple[Decimal, str]:
    """The number and the unit text of a quantity; raises :class:`UnitError` if no number."""
    match = _QUANTITY.fullmatch(text)
    try:
        number = Decimal(match["number"]) if match else None
    except InvalidOperation:
        number = None
    if match is None or number is None or not number.is_finite():
        raise UnitError(f"'{text}' is not a quantity", remedy="write a number and a unit")
    return number, match["unit"] or ""


def parse(value: object, dimension: Dimension) -> float | int:
    """``value`` (text with a unit) in SI units, or :class:`UnitError` in one line."""
    expected = f"expected {dimension.wanted}"
    if isinstance(value, bool) or not isinstance(value, str):
        shown = f"{value!r} has no unit" if isinstance(value, int | float) else f"got {value!r:.60}"
        raise UnitError(f"{expected}, {shown}", remedy=f"write it as '{dimension.example}'")
    try:
        number, unit = split_quantity(value)
    except UnitError:
        raise UnitError(
            f"{expected}, got '{value:.60}'", remedy=f"write it as '{dimension.example}'"
        ) from None
    if unit not in dimension.units:
        raise UnitError(f"{expected}, got '{value:.60}'", remedy=_unit_remedy(unit, dimension))
    if number < 0:
        raise UnitError(f"{expected}, got the negative '{value:.60}'", remedy="use a value >= 0")
    si = number * dimension.units[unit] if number < _LARGEST else number
    if si > _LARGEST:
        raise UnitError(f"{expected}, '{value:.60}' is too large", remedy="check the exponent")
    if not dimension.integral:
        return float(si)
    if si >= 2**63:
        raise UnitError(f"{expected}, '{value:.60}' is too large", remedy="check the exponent")
    if si != si.to_integral_value():
        raise UnitError(f"'{value:.60}' is not a whole number of {dimension.si}", remedy=expected)
    return int(si)


def _unit_remedy(unit: str, dimension: Dimension) -> str:
    if not unit:
        return f"add a unit, as in '{dimension.example}'"
    for other in DIMENSIONS:
        if unit in other.units:
            return f"'{unit}' is a unit of {other.name}; units here: {_common(dimension)}"
    near = nearest(unit, dimension.units)
    return f"did you mean '{near}'?" if near else f"units here: {_common(dimension)}"


def _common(dimension: Dimension) -> str:
    return ", ".join(unit for unit in dimension.units if unit[0] not in "µPf")


def looks_like_quantity(text: str) -> bool:
    """Whether ``text`` reads as a number with a known unit."""
    try:
        unit = split_quantity(text)[1]
    except UnitError:
        return False
    return any(unit in dimension.units for dimension in DIMENSIONS)


def human(value: float, unit: str, digits: int = 3) -> str:
    """``value`` of an SI ``unit`` with a readable prefix: ``human(1.2e-3, "s") == "1.20 ms"``.

    Bytes are shown with decimal prefixes, as bandwidths are.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    exponent = math.floor(math.log10(abs(value)))
    # Rounding may carry into the next prefix: 999.96 -> 1.00 k.
    if round(abs(value) / 10**exponent, digits - 1) >= 10:
        exponent += 1
    step = max(-5, min(6, exponent // 3))
    if unit.startswith(("B", "b", "flop", "op")):
        step = max(step, 0)
    prefix = "fpnum kMGTPE"[step + 5].strip()
    scaled = value / 1000.0**step
    decimals = max(0, digits - 1 - (exponent - 3 * step))
    return f"{scaled:.{decimals}f} {prefix}{unit}"


def quantity(dimension: Dimension) -> tuple[Any, ...]:
    """Pydantic metadata that parses text of ``dimension`` and leaves SI numbers."""

    def validate(value: object) -> float | int:
        try:
            return parse(value, dimension)
        except UnitError as error:
            raise ValueError(str(error)) from None

    return (
        BeforeValidator(validate),
        PlainSerializer(lambda si: f"{si!r} {dimension.si}", return_type=str),
        dimension,
    )


Bytes = Annotated[int, *quantity(BYTES)]
Seconds = Annotated[float, *quantity(SECONDS)]
Hertz = Annotated[float, *quantity(HERTZ)]
BytesPerSecond = Annotated[float, *quantity(BYTES_PER_SECOND)]
BitsPerSecond = Annotated[float, *quantity(BITS_PER_SECOND)]
Joules = Annotated[float, *quantity(JOULES)]
JoulesPerBit = Annotated[float, *quantity(JOULES_PER_BIT)]
JoulesPerOperation = Annotated[float, *quantity(JOULES_PER_OPERATION)]
JoulesPerMac = Annotated[float, *quantity(JOULES_PER_MAC)]
Watts = Annotated[float, *quantity(WATTS)]
Volts = Annotated[float, *quantity(VOLTS)]
Amperes = Annotated[float, *quantity(AMPERES)]

Count = Annotated[int, Field(strict=True, gt=0, le=10**15)]
"""A positive whole number."""
Fraction = Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)]
"""A share from 0 to 1."""


def _ratio(value: object) -> float:
    over, _, under = str(value).partition("/")
    if isinstance(value, bool) or not over.strip().isdecimal() or "/" in under:
        raise ValueError(f"expected a count or a ratio, got {value!r:.60}; write it as 8 or '1/2'")
    try:
        result = int(over) / int(under or 1)
    except (ValueError, ZeroDivisionError):
        result = 0.0
    if result <= 0:
        raise ValueError(f"expected a ratio above 0, got {value!r:.60}; write it as 8 or '1/2'")
    return result


Ratio = Annotated[float, BeforeValidator(_ratio)]
"""A positive whole number, or one over another: ``8``, ``1/2``."""
