"""DRAM timing parameters: clock cycles, nanoseconds, or the larger of both.

JEDEC gives each parameter as cycles of the command clock (``4 ck``), as analog time
(``14 ns``) or as the larger of the two (``max(4 ck, 5 ns)``).  Analog times are
rounded up to whole clocks by the controller, so a faster speed grade that keeps the
nanoseconds gets its cycles by arithmetic.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from simulator.units import SECONDS, UnitError, parse, split_quantity

_LARGER = re.compile(r"max\((?P<first>[^,]+),(?P<second>[^,]+)\)")
_EXAMPLE = "write it as '14 ns', '4 ck' or 'max(4 ck, 5 ns)'"


@dataclass(frozen=True, slots=True)
class TimingValue:
    """The larger of ``clocks`` command clocks and ``seconds``."""

    clocks: float = 0.0
    seconds: float = 0.0

    def cycles(self, clock_hz: float) -> int:
        """Whole clock cycles that cover this time."""
        # The tolerance keeps 14 ns at 1 GHz at 14 cycles whatever the last bit says.
        return math.ceil(max(self.clocks, self.seconds * clock_hz) - 1e-6)

    def femtoseconds(self, clock_hz: float) -> int:
        """This time rounded up to whole clock cycles, in femtoseconds."""
        return round(self.cycles(clock_hz) * 1e15 / clock_hz)

    @classmethod
    def parse(cls, value: object) -> TimingValue:
        """From text; raises ``ValueError`` with one line that says what is expected."""
        if not isinstance(value, str):
            raise ValueError(
                f"expected a time or clock count, {value!r:.60} has no unit; {_EXAMPLE}"
            )
        larger = _LARGER.fullmatch(value.strip())
        parts = (larger["first"], larger["second"]) if larger else (value,)
        clocks = seconds = 0.0
        for part in parts:
            in_clocks, amount = _single(part)
            clocks = max(clocks, amount if in_clocks else 0.0)
            seconds = max(seconds, 0.0 if in_clocks else amount)
        return cls(clocks, seconds)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: object) -> TimingValue:
            return value if isinstance(value, cls) else cls.parse(value)

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    def __str__(self) -> str:
        clocks, seconds = f"{self.clocks:g} ck", f"{self.seconds * 1e9:g} ns"
        if self.clocks and self.seconds:
            return f"max({clocks}, {seconds})"
        return clocks if self.clocks else seconds


Timing = Annotated[TimingValue, "14 ns"]


def _single(text: str) -> tuple[bool, float]:
    """Whether ``text`` counts clocks, and the clocks or seconds."""
    try:
        number, unit = split_quantity(text)
        if unit == "ck":
            if not 0 <= number <= 10**9:
                raise UnitError(f"'{text.strip():.60}' is out of range")
            return True, float(number)
        return False, float(parse(text.strip(), SECONDS))
    except UnitError:
        raise ValueError(
            f"expected a time or clock count, got '{text.strip():.60}'; {_EXAMPLE}"
        ) from None
