"""Measured rows through the simulator: choose, map, simulate, compare.

Every row that was read ends in the report: compared, outside the sample, or skipped with a reason.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from simulator.engine.platform import Platform
from simulator.errors import (
    AccsimError,
    BoundError,
    CapacityError,
    MeasurementError,
    OptionError,
    UnmappedOperatorError,
    suggest,
)
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.hardware import catalogue
from simulator.system.run import likeness
from simulator.system.specs import Hardware, load_hardware
from simulator.validate.gpus import description_of, gpu_of
from simulator.validate.known_bad import why_bad
from simulator.validate.methods import Method, method_of
from simulator.validate.replay import Call, play
from simulator.validate.rooflines import Roof, crossed, roof_of
from simulator.validate.rows import UNREAD, Row, read_folder
from simulator.validate.sampling import sample
from simulator.validate.works import Unsupported, Works, works_of

Progress = Callable[[int, int], None]
Kind = tuple[str, str, str, str]
"""File, GPU, operator and the reason why rows were not compared."""
Group = tuple[str, str, str, str]
"""Description, GPU, operator and type: what is reported, and fitted, together."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, what the simulator makes of it, and what rooflines do. Times are seconds; errors are
    None where nothing was measured."""

    row: Row
    hardware: str
    call: Call
    roofline: float
    fitted_roofline: float | None

    @property
    def error(self) -> float | None:
        return self.call.seconds / self.row.seconds - 1 if self.row.timed else None

    @property
    def energy(self) -> tuple[float, float] | None:
        """Simulated and measured: joules of a call, watts where its time is not known."""
        if self.row.watts is None:
            return None
        if not self.row.timed:
            return self.call.watts, self.row.watts
        return self.call.watts * self.call.seconds, self.row.watts * self.row.seconds

    @property
    def energy_error(self) -> float | None:
        return None if self.energy is None else self.energy[0] / self.energy[1] - 1


@dataclass(frozen=True, slots=True)
class Skipped:
    """Rows of one kind that were not compared."""

    file: str
    gpu: str
    op: str
    reason: str
    rows: int


@dataclass(frozen=True, slots=True)
class Validation:
    """Everything a report needs."""

    hardware: tuple[Hardware, ...]
    compared: tuple[Compared, ...]
    skipped: tuple[Skipped, ...]
    read: int
    outside_sample: int
    sample: int | None
    seed: int
    simulated: int
    """Distinct calls that were simulated; rows that are alike share one."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU to simulate on."""

    hardware: Hardware
    platform: Platform


@dataclass(frozen=True, slots=True)
class Job:
    """A row that can be simulated."""

    row: Row
    device: Device
    method: Method
    works: Works
    roof: Roof


@dataclass(frozen=True, slots=True)
class Prepared:
    """Rows to simulate, and how many rows of each kind are not."""

    hardware: tuple[Hardware, ...]
    jobs: tuple[Job, ...]
    skipped: Counter[Kind]


def validate(
    folder: Path,
    hardware: Sequence[str] = (),
    operators: Sequence[str] = (),
    sample_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Validation:
    """Compare the measurements in ``folder`` with the simulator.

    ``hardware`` names descriptions (all of the catalogue's GPUs, if none is named), ``operators``
    what to compare, by operator or by file (``gemm``, ``memory_bound``).
    """
    return compare(prepare(folder, hardware, operators), sample_size, seed, progress)


def prepare(folder: Path, hardware: Sequence[str] = (), operators: Sequence[str] = ()) -> Prepared:
    """Read and map all rows; simulates nothing. Raises a subclass of AccsimError for files or
    names that are wrong, and if no row is left."""
    devices = [_device(name) for name in hardware or _shipped()]
    _refuse_rivals(devices)
    measurements = read_folder(folder)
    asked = _operators(operators, measurements.rows)
    skipped: Counter[Kind] = Counter()
    jobs: list[Job] = []
    matched = _match(measurements.rows, devices)
    for row in measurements.rows:
        try:
            jobs.append(_job(row, matched[row.gpu], asked, bool(hardware)))
        except Unsupported as reason:
            skipped[(row.file, row.gpu, row.op, str(reason))] += 1
    for name, count in measurements.unread.items():
        skipped[(name, "", "", UNREAD[name])] += count
    if not jobs:
        raise MeasurementError(
            "no row can be simulated",
            where=folder,
            remedy=_most_frequent(skipped) or "give files with rows",
        )
    return Prepared(tuple(device.hardware for device in devices), tuple(jobs), skipped)


def of_type(prepared: Prepared, dtypes: Sequence[str]) -> Prepared:
    """Rows of some operand types only; all, if none is named."""
    if not dtypes:
        return prepared
    known = {job.row.dtype for job in prepared.jobs}
    for dtype in dtypes:
        if dtype not in known:
            raise OptionError(
                f"no measurements of type '{dtype}'", where="--dtype", remedy=suggest(dtype, known)
            )
    jobs = tuple(job for job in prepared.jobs if job.row.dtype in dtypes)
    return replace(prepared, jobs=jobs)


def compare(
    prepared: Prepared,
    sample_size: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    half: int | None = None,
) -> Validation:
    """Simulate the prepared rows, or a sample of them, each distinct call once. With ``half``,
    rows of that half of the shape families only; raises MeasurementError if there is none."""
    jobs = {job.row: job for job in prepared.jobs}
    rows = [row for row in jobs if half is None or row.half == half]
    if not rows:
        raise MeasurementError(
            f"no row belongs to half {half} of the shape families",
            where="--half",
            remedy="leave it out",
        )
    chosen = rows if sample_size is None else sample(rows, sample_size, seed)
    fitted = _fitted(prepared.jobs)
    skipped = prepared.skipped.copy()
    calls: dict[Hashable, Call | AccsimError] = {}
    compared: list[Compared] = []
    for done, row in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen))
        job = jobs[row]
        name = job.device.hardware.name
        key = (name, job.method, tuple(likeness(one) for one in job.works))
        if key not in calls:
            calls[key] = _call(job)
        call = calls[key]
        if isinstance(call, AccsimError):
            skipped[(row.file, row.gpu, row.op, _cause(call))] += 1
            continue
        other = fitted[_group(job)](job.roof, row.half) if _group(job) in fitted else None
        compared.append(Compared(row, name, call, job.roof.seconds, other))
    if progress is not None:
        progress(len(chosen), len(chosen))
    return Validation(
        hardware=prepared.hardware,
        compared=tuple(compared),
        skipped=tuple(Skipped(*what, rows) for what, rows in sorted(skipped.items())),
        read=len(jobs) + sum(prepared.skipped.values()),
        outside_sample=len(jobs) - len(chosen),
        sample=sample_size,
        seed=seed,
        simulated=len(calls),
    )


def _most_frequent(skipped: Mapping[Kind, int]) -> str:
    reasons: Counter[str] = Counter()
    for (*_, reason), count in skipped.items():
        reasons[reason] += count
    return "; ".join(f"{count} rows: {reason}" for reason, count in reasons.most_common(2))


def _shipped() -> list[str]:
    """The catalogue's GPUs as their makers describe them; a fit is asked for by name."""
    return [entry.name for entry in catalogue("gpu") if "." not in entry.name]


def _device(name: str) -> Device:
    hardware = load_hardware(name)
    if not isinstance(hardware.spec, GpuSpec):
        raise OptionError(
            f"'{hardware.name}' is not a GPU",
            where="--hw",
            remedy=suggest(name, [entry.name for entry in catalogue("gpu")]),
        )
    return Device(hardware, cast(Platform, GpuPlatform(hardware.spec)))


def _refuse_rivals(devices: Sequence[Device]) -> None:
    """A GPU's rows go to one description."""
    names: dict[str, str] = {}
    for device in devices:
        name = device.hardware.name
        other = names.setdefault(gpu_of(name), name)
        if other != name:
            raise OptionError(
                f"'{other}' and '{name}' describe one GPU",
                where="--hw",
                remedy="compare them in two runs",
            )


def _match(rows: Iterable[Row], devices: Sequence[Device]) -> dict[str, Device | None]:
    """The device for each GPU that the rows name."""
    by_name = {device.hardware.name: device for device in devices}
    matched: dict[str, Device | None] = {}
    for gpu in {row.gpu for row in rows}:
        name = description_of(gpu, by_name)
        matched[gpu] = by_name[name] if name is not None else None
    return matched


def _operators(asked: Sequence[str], rows: Sequence[Row]) -> frozenset[tuple[str, str]] | None:
    """(file, operator) pairs to compare; None for all."""
    if not asked:
        return None
    present = {(row.file, row.op) for row in rows}
    known = {op for _, op in present}
    files = {file.removesuffix(".csv") for file, _ in present}
    chosen: set[tuple[str, str]] = set()
    for name in asked:
        found = {pair for pair in present if pair[1] == name}
        if name not in known:
            found = {pair for pair in present if pair[0] == f"{name}.csv"}
        if not found:
            raise OptionError(
                f"no measurements of operator '{name}'",
                where="--op",
                remedy=suggest(name, known | files),
            )
        chosen |= found
    return frozenset(chosen)


def _job(
    row: Row,
    device: Device | None,
    operators: frozenset[tuple[str, str]] | None,
    named: bool,
) -> Job:
    """The row ready to be simulated. Raises Unsupported with the reason if it cannot be."""
    if device is None:
        raise Unsupported("not a GPU of --hw" if named else "no description of this GPU")
    if operators is not None and (row.file, row.op) not in operators:
        raise Unsupported("not an operator of --op")
    reason = why_bad(row)
    if reason is not None:
        raise Unsupported(f"known bad: {reason}")
    method = method_of(row)
    if method is None:
        raise Unsupported(f"timing method '{row.timing_method}' is unknown")
    works = works_of(row, method)
    roof = roof_of(device.platform, works)
    if (row.seconds if row.timed else roof.seconds) < method.trusted_from_s:
        raise Unsupported(
            f"below {method.trusted_from_s * 1e6:.0f} us{'' if row.timed else ' by its roofline'}, "
            f"the floor of timing method '{row.timing_method}'"
        )
    return Job(row, device, method, works, roof)


def _call(job: Job) -> Call | AccsimError:
    try:
        return play(job.device.platform, job.works, job.method)
    except (BoundError, CapacityError, UnmappedOperatorError) as error:
        return error


def _cause(error: AccsimError) -> str:
    """One reason for all rows that fail alike."""
    if isinstance(error, CapacityError):
        return "does not fit the device's memory"
    if isinstance(error, BoundError):
        return "DEFECT: simulated faster than a physical bound"
    return str(error)


def _group(job: Job) -> Group:
    return (job.device.hardware.name, job.row.gpu, job.row.op, job.row.dtype)


def _fitted(
    jobs: Sequence[Job],
) -> dict[Group, Callable[[Roof, int], float | None]]:
    """Fitted rooflines by group, from all rows, sampled or not."""
    groups: dict[Group, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.row.timed:
            groups[_group(job)].append(job)
    return {
        group: crossed(
            [job.roof for job in members],
            [job.row.seconds for job in members],
            [job.row.half for job in members],
        )
        for group, members in groups.items()
    }
