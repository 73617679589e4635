"""Published figures: what was measured or claimed, by whom, and how to simulate the same.

``validation/published/*.yaml`` hold groups of points; a point inherits its group's fields
(``with``, ``set`` and ``conditions`` are joined).  Every point becomes a :class:`Figure`.  A
value is one number or the two ends of a range that several sources span; ``relation: floor``
marks what a result may exceed but not undercut.  ``validation/README.md`` describes the fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from simulator.errors import AccsimError
from simulator.paths import published_figures
from simulator.units import DIMENSIONS, Hertz
from simulator.validate.gpus import gpu_of

FOLDER = published_figures()
Kind = Literal["board", "microbenchmark", "paper", "simulator"]

_UNITS: dict[str, tuple[str, float]] = {
    unit: (dimension.si, float(factor))
    for dimension in DIMENSIONS
    for unit, factor in dimension.units.items()
} | {"TFLOP/s": ("op/s", 1e12), "%": ("1", 1e-2)}


class FigureError(AccsimError):
    """A file of published figures is malformed."""


class Figure(BaseModel):
    """One published number and the measurement that simulates it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: str = Field(pattern=r"[a-z0-9-]+(\.[a-z0-9-]+)+")
    what: str = Field(min_length=1)
    value: tuple[float, float]
    """Lower and upper end; equal for a single number."""
    unit: str
    clock: Hertz = 0.0
    """Of the cycles, where the unit is clk; else zero."""
    kind: Kind
    source: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    """The source in full."""
    hardware: str = ""
    """Description of the board, or of its nearest relative; none if nothing resembles it."""
    board: str = ""
    """The board that was measured, where no description of that name was at hand."""
    set: tuple[str, ...] = ()
    """Overrides that make the relative resemble the board."""
    conditions: tuple[str, ...] = ()
    """Overrides that hold on the board's own description too, such as the clock of the run."""
    probe: str
    arguments: dict[str, str | int | bool] = Field(default={}, alias="with")
    relation: Literal["equal", "floor"] = "equal"
    used_in_description: bool = False
    """The description was derived from this figure or its source: agreement proves little."""
    note: str = ""

    @field_validator("value", mode="before")
    @classmethod
    def _ends(cls, value: object) -> object:
        return (value, value) if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _consistent(self) -> Figure:
        low, high = self.value
        if not (0 < low <= high and math.isfinite(high)):
            raise ValueError(f"value {low:g} to {high:g} is not positive and ascending")
        if self.unit != "clk" and self.unit not in _UNITS:
            raise ValueError(f"unknown unit '{self.unit}'; use clk, TFLOP/s, %, or an SI unit")
        if not self.hardware and not self.board:
            raise ValueError("neither hardware nor board is named")
        if (self.unit == "clk") != bool(self.clock):
            raise ValueError("the unit clk needs a clock, and no other unit has one")
        return self

    def is_of(self, description: str) -> bool:
        """Whether this was measured on the board that is described: every part of the board's
        name is in the description's (``h200`` in ``h200-sxm``)."""
        parts = (self.board or self.hardware).casefold().split("-")
        return set(parts) <= set(gpu_of(description).casefold().split("-"))

    def setting(self, description: str) -> tuple[str, ...]:
        """Overrides under which ``description`` simulates the figure."""
        own = self.board and self.is_of(description)
        return self.conditions if own else (*self.set, *self.conditions)

    @property
    def si(self) -> str:
        """The SI unit a probe must return."""
        return "s" if self.unit == "clk" else _UNITS[self.unit][0]

    def in_unit(self, si_value: float) -> float:
        """A probe's answer in the unit of the publication."""
        return si_value * self.clock if self.clock else si_value / _UNITS[self.unit][1]

    def ratio(self, simulated: float) -> float:
        """Simulated over published; 1 inside a range, else over its nearer end."""
        low, high = self.value
        return simulated / min(max(simulated, low), high)


def load(folder: Path = FOLDER) -> tuple[Figure, ...]:
    """All figures, in the order of files and of points. Raises :class:`FigureError`."""
    figures = tuple(figure for file in sorted(folder.glob("*.yaml")) for figure in _read(file))
    seen: set[str] = set()
    for figure in figures:
        if figure.name in seen:
            raise FigureError("two figures have this name", where=figure.name, remedy="rename one")
        seen.add(figure.name)
    return figures


def description_of(figure: Figure, described: Sequence[str]) -> str | None:
    """Which of the descriptions simulates a figure: the board's own, or its relative's, or none."""
    own = sorted(name for name in described if figure.is_of(name))
    if own:
        return own[0]
    return figure.hardware if figure.hardware in described else None


def _read(file: Path) -> Iterator[Figure]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        sources, groups = document["sources"], document["groups"]
        points = [(group, point) for group in groups for point in group["points"]]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise FigureError(
            f"not a file of figures ({type(error).__name__}: {error})",
            where=file,
            remedy="give 'sources' and 'groups' of 'points'",
        ) from None
    for group, point in points:
        fields = _join(group, point)
        place = f"{file.name}: {fields.get('name')}"
        if fields.get("source") not in sources:
            raise FigureError(
                f"source '{fields.get('source')}' is not among the file's sources",
                where=place,
                remedy=f"choose one of {', '.join(sources)}",
            )
        try:
            yield Figure(citation=sources[fields["source"]], **fields)
        except (ValidationError, TypeError) as error:
            raise FigureError(
                _reason(error), where=place, remedy="see validation/README.md"
            ) from None


def _reason(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    return f"{key}: {first['msg']}".lstrip(": ")


def _join(group: dict[str, Any], point: dict[str, Any]) -> dict[str, Any]:
    joined = {**group, **point}
    joined.pop("points")
    joined["name"] = f"{group['name']}.{point['name']}" if "name" in point else group["name"]
    joined["with"] = {**group.get("with", {}), **point.get("with", {})}
    for key in ("set", "conditions"):
        joined[key] = (*group.get(key, ()), *point.get(key, ()))
    return joined
