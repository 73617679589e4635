"""What every device specification is made of: strict, frozen pydantic blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from simulator.units import Fraction


class Block(BaseModel):
    """A mapping of a description: unknown keys are errors, values never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=False)


Choice = Annotated[bool, Field(strict=True)]
"""true or false."""
Number = Annotated[float, Field(strict=True, ge=0, le=1e15, allow_inf_nan=False)]
"""A number without unit that need not be whole, never negative."""
Whole = Annotated[int, Field(strict=True, ge=0, le=10**15)]
"""A whole number that may be 0."""


def _listed(value: object) -> object:
    """``--set`` knows no lists."""
    if not isinstance(value, str):
        return value
    return () if value == "none" else tuple(part.strip() for part in value.split(","))


class Defaults(Block):
    """Transforms a device applies to a workload unless the user says otherwise."""

    quantize: str | None = None
    """Bits of weights, activations and KV cache: ``w4a8kv8``."""
    sparsity: dict[str, Fraction] = {}
    """Share of weights kept, by pattern of module path."""
    fuse: Annotated[tuple[Literal["gelu", "epilogue"], ...], BeforeValidator(_listed)] = ()
    """Chains of operators that the device runs as one (:mod:`simulator.trace.fusion`); in a
    ``--set``, names with commas between them, or ``none``."""


@dataclass(frozen=True, slots=True)
class Peak:
    """A derived upper limit of a device, for people and for bounds."""

    name: str
    value: float
    unit: str
