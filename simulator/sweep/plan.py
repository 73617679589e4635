"""From a sweep to its points: the product or a sample, filtered, checked, with content keys.

Everything a user can get wrong in a sweep file is said here, before anything runs: an axis no
device has, a value of the wrong kind, a product that is empty.  What only a combination gets
wrong (a capacity, a division that leaves a rest) is a failed point.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from simulator.errors import AccsimError, HardwareError, OptionError, SweepError, suggest
from simulator.hardware.catalogue import looks_like_path
from simulator.power.clock import CLOCKS
from simulator.sweep.axes import Axis, Value
from simulator.sweep.content import Task, code_digest, key, trace_file
from simulator.sweep.spec import OPTIONS, SIZES, Sweep, Workload
from simulator.system.specs import load_hardware
from simulator.trace import parametric
from simulator.trace.load import is_path

MOST_POINTS = 1_000_000
"""A sweep of more must be meant."""

Levels = dict[str, Value]
"""Axis -> value, of one point."""


@dataclass(frozen=True)
class Point:
    """A task, where it stands in the sweep, and the key its result is kept under."""

    levels: Levels
    task: Task
    key: str


@dataclass(frozen=True)
class Plan:
    """The points of a sweep, in the order of its table."""

    points: list[Point]
    left_out: int = 0
    """Combinations that a filter refused, or that a sample drew twice."""

    @property
    def code(self) -> str:
        """Digest of the code that plays the points."""
        return code_digest()


def plan(sweep: Sweep, many: bool = False) -> Plan:
    """All points of a sweep; more than a million only if ``many`` says so."""
    choices = _choices(sweep)
    count = sweep.sample.points if sweep.sample else math.prod(len(group) for group in choices)
    if count > MOST_POINTS and not many:
        raise SweepError(
            f"{count:,} points are more than {MOST_POINTS:,}",
            remedy="sample the axes, or say --yes if you mean it",
        )
    _check_axes(sweep)
    drawn = _sampled(sweep, choices) if sweep.sample else _product(choices)
    points: dict[str, Point] = {}
    left_out = 0
    for levels in drawn:
        place = json.dumps(levels)
        if place in points or not all(condition(levels) for condition in sweep.where):
            left_out += 1
            continue
        task = _task(sweep, levels)
        points[place] = Point(levels, task, key(task))
    if not points:
        raise SweepError("no point passes the filters", where="where", remedy="relax a filter")
    return Plan(list(points.values()), left_out)


Group = Sequence[Levels] | tuple[str, Axis]
"""Axes that move together, as their joint values; or one continuous axis."""


def _choices(sweep: Sweep) -> list[Any]:
    groups: list[Any] = [
        [{"workload": label} for label in sweep.workloads],
        [{"device": label} for label in sweep.devices],
    ]
    for name, axis in sweep.axes.items():
        whole = [{name: value} for value in axis.values]
        groups.append((name, axis) if axis.continuous else whole)
    for zipped in sweep.zip.values():
        rows = zip(*(axis.values for axis in zipped.values()), strict=True)
        groups.append([dict(zip(zipped, row, strict=True)) for row in rows])
    return groups


def _product(groups: Sequence[Sequence[Levels]]) -> Iterator[Levels]:
    for parts in itertools.product(*groups):
        yield {name: value for part in parts for name, value in part.items()}


def _sampled(sweep: Sweep, groups: Sequence[Any]) -> Iterator[Levels]:
    """Random places on every axis; a Latin hypercube takes one from each of ``points`` slices."""
    sample = sweep.sample
    assert sample is not None
    # Only random() of Python's generator is the same in every version.
    draw = random.Random(sample.seed).random
    columns = []
    for _ in groups:
        places = [draw() for _ in range(sample.points)]
        if sample.method == "latin_hypercube":
            order = sorted(range(sample.points), key=lambda _: draw())
            places = [(slot + place) / sample.points for slot, place in zip(order, places)]  # noqa: B905
        columns.append(places)
    for row in zip(*columns, strict=True):
        levels: Levels = {}
        for group, place in zip(groups, row, strict=True):
            if isinstance(group, tuple):
                levels[group[0]] = group[1].at(place)
            else:
                levels |= group[int(place * len(group))]
        yield levels


def _task(sweep: Sweep, levels: Levels) -> Task:
    workload = sweep.workloads[str(levels["workload"])]
    device = sweep.devices[str(levels["device"])]
    sizes: dict[str, Any] = dict(workload.sizes)
    options = sweep.options.model_dump()
    assigned = dict(device.set)
    for name, value in levels.items():
        if name in SIZES:
            sizes[name] = value
        elif name in OPTIONS:
            options[name] = (value,) if name == "sparsity" else value
        elif name not in ("workload", "device"):
            assigned[_description_key(name)] = value
    return Task(
        _trace_path(sweep, workload),
        workload.phase,
        tuple(sorted(sizes.items())),
        _hardware_path(sweep, device.hw),
        tuple(f"{name}={_text(value)}" for name, value in assigned.items()),
        tuple(sorted(options.items())),
    )


def _description_key(axis: str) -> str:
    """``hw.clock`` is the description's ``clock``, where an option has that name."""
    return axis.removeprefix("hw.")


def _text(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _trace_path(sweep: Sweep, workload: Workload) -> str:
    name = workload.trace
    return str(sweep.folder / name) if is_path(name) else name


def _hardware_path(sweep: Sweep, name: str) -> str:
    return str(sweep.folder / name) if looks_like_path(name) else name


def _check_axes(sweep: Sweep) -> None:
    """Try every workload, device and value alone."""
    single = [(name, axis) for name, axis in sweep.axes.items()]
    zipped = [item for group in sweep.zip.values() for item in group.items()]
    for name, axis in (*single, *zipped):
        values = axis.values or (axis.at(0.0), axis.at(math.nextafter(1, 0)))
        if name in SIZES:
            _check_size(name, values)
        elif name in OPTIONS:
            _check_option(name, values)
    for label, device in sweep.devices.items():
        where = f"devices.{label}"
        fixed = tuple(f"{key}={_text(value)}" for key, value in device.set.items())
        path = _hardware_path(sweep, device.hw)
        with _at(where):
            load_hardware(path, fixed)
        for name, axis in (*single, *zipped):
            if name not in (*SIZES, *OPTIONS):
                values = axis.values or (axis.at(0.0), axis.at(math.nextafter(1, 0)))
                _check_values(path, fixed, name, values, label)
    for label, workload in sweep.workloads.items():
        with _at(f"workloads.{label}"):
            _check_workload(sweep, workload, (*single, *zipped))


def _check_size(name: str, values: Sequence[Value]) -> None:
    for value in values:
        if type(value) is not int or value < 1:
            raise SweepError(
                f"expected whole numbers, got {value!r:.40}",
                where=f"axes.{name}",
                remedy="write counts such as [1, 2, 4]",
            )


def _check_option(name: str, values: Sequence[Value]) -> None:
    # The run's own module loads the event core; its choices are two short tuples.
    from simulator.system.run import FIDELITIES, LAUNCHES

    choices: Mapping[str, Sequence[Value]] = {
        "launch": LAUNCHES,
        "fidelity": FIDELITIES,
        "clock": CLOCKS,
        "approximate_unmapped": (True, False),
    }
    for value in values:
        known = choices.get(name)
        if (known is not None and value not in known) or not isinstance(value, str | bool):
            raise SweepError(
                f"unknown {name} '{value}'",
                where=f"axes.{name}",
                remedy=f"{suggest(str(value), map(str, known or ('w8a8',)))} "
                f"(a key '{name}' of the description is the axis hw.{name})",
            )


def _check_workload(sweep: Sweep, workload: Workload, axes: Sequence[tuple[str, Axis]]) -> None:
    """Sizes of the file and of the axes lie in the ranges of the trace."""
    moving = {name: axis for name, axis in axes if name in SIZES}
    first = {name: (axis.values or (axis.at(0.0),))[0] for name, axis in moving.items()}
    base: dict[str, Any] = {**workload.sizes, **first}
    cases = [base]
    for name, axis in moving.items():
        cases += [{**base, name: value} for value in axis.values or (axis.at(0.0),)]
    for sizes in cases:
        header, _ = trace_file(
            _trace_path(sweep, workload), workload.phase, tuple(sorted(sizes.items()))
        )
        if header.parametric:
            parametric.check_sizes(header, sizes)
        elif sizes:
            raise SweepError(f"'{header.name}' has fixed sizes", remedy="give it none")


def _check_values(
    path: str, fixed: tuple[str, ...], name: str, values: Sequence[Value], label: str
) -> None:
    key = _description_key(name)
    for value in values:
        try:
            load_hardware(path, (*fixed, f"{key}={_text(value)}"))
        except (HardwareError, OptionError) as error:
            # A mistake of the key itself; one of its block may be mended by another axis.
            if error.where is not None and error.where.endswith(f": {key}"):
                known = f"an axis is a size ({', '.join(SIZES)}), an option or a key"
                raise SweepError(
                    f"device '{label}': {error.message}",
                    where=f"axes.{name}",
                    remedy=_axis_remedy(name, error, known),
                ) from None


def _axis_remedy(name: str, error: AccsimError, known: str) -> str:
    if "." not in name and error.message.startswith("unknown key"):
        near = suggest(name, (*SIZES, *OPTIONS), known)
        return near if near != known else f"{error.remedy}; {known}"
    return error.remedy or known


class _at:
    """Say which block of the sweep file an error of what it names is about."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None: ...

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, AccsimError):
            said = f"{error.where}: {error.message}" if error.where else error.message
            raise SweepError(said, where=self.where, remedy=error.remedy) from None
