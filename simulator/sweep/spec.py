"""The sweep file: what it may say, checked, with one clear line for what is wrong.

Read as strictly as a hardware description (:mod:`simulator.hardware.yaml_file`); the keys
and the forms of an axis are in this package's README.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    ValidationError,
    model_validator,
)

from simulator.errors import HardwareError, SweepError, suggest
from simulator.hardware.leaf import Located
from simulator.hardware.validate import words
from simulator.hardware.yaml_file import parse_yaml
from simulator.sweep import axes, formula
from simulator.sweep.axes import Axis
from simulator.sweep.formula import Formula

SIZES = ("batch", "prompt", "context")
OPTIONS = ("launch", "fidelity", "clock", "quantize", "sparsity", "approximate_unmapped")
METRICS = (
    *("latency_s", "bound_latency_s", "bound_ratio", "idle_s", "tokens", "tokens_per_s"),
    *("graphs", "graphs_per_s", "energy_j", "energy_per_token_j", "mean_power_w"),
    *("footprint_bytes", "capacity_bytes", "simulated_share", "reused_share"),
    *("extrapolated_share", "error_estimate"),
)
"""Columns every point has; besides them, ``PREFIXES`` begin those a device names."""
PREFIXES = ("utilization_", "energy_", "counters_")

Value = int | float | str | bool


def _reraised(parse: Any) -> BeforeValidator:
    """A parser of this package as a validator: pydantic notes the key, we keep the words."""

    def validate(given: Any) -> Any:
        try:
            return parse(given)
        except SweepError as error:
            raise ValueError(
                f"{error.message}; {error.remedy}" if error.remedy else error.message
            ) from None

    return BeforeValidator(validate)


def _parsed_formula(given: Any) -> Formula:
    if not isinstance(given, str):
        raise SweepError(f"expected a formula, got {given!r:.60}", remedy="write it as text")
    return formula.parse(given)


AxisField = Annotated[Axis, _reraised(axes.parse)]
FormulaField = Annotated[Formula, _reraised(_parsed_formula)]


class Block(BaseModel):
    """A frozen block of a sweep file."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Workload(Block):
    """A trace by name or file, and sizes that no axis gives."""

    trace: str
    phase: str | None = None
    batch: PositiveInt | None = None
    prompt: PositiveInt | None = None
    context: PositiveInt | None = None

    @property
    def sizes(self) -> dict[str, int]:
        given = {name: getattr(self, name) for name in SIZES}
        return {name: value for name, value in given.items() if value is not None}


class Device(Block):
    """A description by name or file, and values of it that hold for all its points."""

    hw: str
    set: dict[str, Value] = Field(default_factory=dict)


class Options(Block):
    """Options of ``accsim run`` that no axis gives."""

    launch: str = "graph"
    fidelity: str = "fast"
    clock: str = "sustained"
    quantize: str | None = None
    sparsity: tuple[str, ...] = ()
    approximate_unmapped: bool = False


class Objective(Block):
    """A column, or a formula of columns and axes, to make small or large."""

    goal: Literal["min", "max"]
    formula: FormulaField


class Sample(Block):
    """Points drawn instead of the whole product."""

    method: Literal["random", "latin_hypercube"] = "latin_hypercube"
    points: Annotated[int, Field(ge=1, le=10_000_000)]
    seed: Annotated[int, Field(ge=0)] = 0


def _by_name(key: str) -> BeforeValidator:
    """``[a, b]`` and ``{label: a}`` as ``{label: {key: a}}``."""

    def validate(given: Any) -> Any:
        if isinstance(given, str):
            given = [given]
        if isinstance(given, list):
            for name in given:
                if not isinstance(name, str):
                    raise ValueError(f"expected a name, got {name!r:.40}; write names in the list")
                if given.count(name) > 1:
                    raise ValueError(f"'{name}' stands twice; leave one out")
            given = {name: name for name in given}
        if not isinstance(given, dict) or not given:
            raise ValueError("expected at least one name; write a list of names or named blocks")
        return {
            label: {key: block} if isinstance(block, str) else block
            for label, block in given.items()
        }

    return BeforeValidator(validate)


def _objectives(given: Any) -> Any:
    """``{energy_j: min}`` is ``{energy_j: {formula: energy_j, goal: min}}``."""
    if not isinstance(given, dict) or not given:
        raise ValueError("expected objectives by name; write objectives: {latency_s: min}")
    return {
        name: {"formula": name, "goal": goal} if isinstance(goal, str) else goal
        for name, goal in given.items()
    }


class Sweep(Block):
    """A sweep file."""

    workloads: Annotated[dict[str, Workload], _by_name("trace")]
    devices: Annotated[dict[str, Device], _by_name("hw")]
    options: Options = Options()
    axes: dict[str, AxisField] = Field(default_factory=dict)
    zip: dict[str, dict[str, AxisField]] = Field(default_factory=dict)
    where: tuple[FormulaField, ...] = ()
    sample: Sample | None = None
    objectives: Annotated[dict[str, Objective], BeforeValidator(_objectives)] = Field(
        default={"latency_s": "min", "energy_j": "min"}, validate_default=True
    )
    folder: Path = Field(default=Path(), exclude=True)
    """What paths in the file are relative to."""

    @model_validator(mode="before")
    @classmethod
    def _one_filter_may_stand_alone(cls, given: Any) -> Any:
        if isinstance(given, dict) and isinstance(given.get("where"), str):
            return {**given, "where": [given["where"]]}
        return given

    @property
    def axis_names(self) -> list[str]:
        """All axes, in the order of the file; workload and device first."""
        zipped = [name for group in self.zip.values() for name in group]
        return ["workload", "device", *self.axes, *zipped]

    @model_validator(mode="after")
    def _consistent(self) -> Sweep:
        names = self.axis_names
        for name in names[2:]:
            if names.count(name) > 1:
                raise ValueError(f"the axis '{name}' stands twice; leave one out")
        for label, group in self.zip.items():
            lengths = {name: len(axis.values) for name, axis in group.items()}
            if not group or any(axis.continuous for axis in group.values()):
                raise ValueError(f"zip '{label}' needs axes with values; give points or lists")
            if len(set(lengths.values())) > 1:
                said = ", ".join(f"{name} has {count}" for name, count in lengths.items())
                raise ValueError(f"the axes of zip '{label}' differ in length: {said}")
        for name, axis in self.axes.items():
            if axis.continuous and self.sample is None:
                raise ValueError(
                    f"the axis '{name}' is continuous; give it points, or add a sample"
                )
        for condition in self.where:
            _known(condition, names, "where")
        for label, objective in self.objectives.items():
            if label in names:
                raise ValueError(f"objective '{label}' has the name of an axis; rename it")
            columns = [name for name in objective.formula.names if not name.startswith(PREFIXES)]
            _known(objective.formula, (*names, *METRICS), f"objective '{label}'", columns)
        return self


def _known(text: Formula, names: Any, where: str, mentioned: Any = None) -> None:
    for name in sorted(text.names if mentioned is None else mentioned):
        if name not in names:
            raise ValueError(f"{where}: unknown name '{name}'; {suggest(name, names)}")


def load_sweep(path: str | Path) -> Sweep:
    """A sweep file, or one SweepError with file, line, key and remedy."""
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(
            f"cannot read: {reason}", where=place, remedy="give a sweep file (YAML)"
        ) from None
    try:
        tree = parse_yaml(text, str(place))
    except HardwareError as error:
        raise SweepError(
            error.message, where=error.where, remedy="see the sweep file in simulator/sweep/README"
        ) from None
    given = {key: value for key, value in _plain(tree).items() if key != "folder"}
    if "folder" in tree.value:
        given["folder "] = None  # Set by the reader alone: an unknown key to the writer.
    try:
        return Sweep.model_validate({**given, "folder": place.absolute().parent})
    except ValidationError as error:
        raise _explained(error, tree, place) from None


def _plain(node: Located) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(child) for key, child in node.value.items()}
    return node.value


def _explained(error: ValidationError, tree: Located, place: Path) -> SweepError:
    details = min(error.errors(include_url=False), key=lambda one: one["type"] != "extra_forbidden")
    path = [str(part).strip() for part in details["loc"] if part != "[key]"]
    message, remedy = words(Sweep, details)
    line = list(_lines(tree, path))[-1]
    where = f"{place}:{line}" + (f": {'.'.join(path)}" if path else "")
    return SweepError(message, where=where, remedy=remedy)


def _lines(node: Located, path: list[str]) -> Iterator[int]:
    """Lines of the blocks on the way to a key, as far as the file has it."""
    yield node.line
    if path and isinstance(node.value, Mapping) and path[0] in node.value:
        yield from _lines(node.value[path[0]], path[1:])
