"""Fit a GPU's physical scalars to measured times, on one half of the shape families.

The simulator itself is fitted, not a formula beside it: every trial is a description, and every
row is simulated with it as it was timed.  At most twelve scalars may move, within bounds, and a
prior on its logarithm holds each near its value in the description (data sheet, microbenchmark or
guess).  The loss is robust (soft absolute), so that rows for which the library chose another
kernel do not decide.  Rows of the other half are not simulated while fitting; they score the
result.  Fitting takes mostly rows that cost milliseconds (:data:`SMALL`) and some larger ones
(:data:`LARGER`); the score takes all sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from simulator.engine.platform import Platform
from simulator.errors import CapacityError, MeasurementError, OptionError, suggest
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import load_hardware
from simulator.validate.methods import Method, method_of
from simulator.validate.metrics import Errors, errors
from simulator.validate.replay import play
from simulator.validate.rows import Row
from simulator.validate.run import Job, Prepared
from simulator.validate.sampling import sample
from simulator.validate.works import works_of

FIT_HALF = 0
MOST_PARAMETERS = 12
FEWEST_ROWS = 12
SMALL = (16e6, 30e9)
"""Bytes of a small row's operands and its matrix operations, at most ..."""
LARGER = (64e6, 150e9)
"""... and those of a larger one that is fitted to."""
SMALL_SHARE = 0.7
TOLERANCE = 0.08
"""Relative error from which the loss grows like the error, not like its square."""
STEP = 0.15
"""Of a logarithm, for slopes: a smaller one would see which tile is chosen, not what it costs."""
SPREAD = 0.4
"""Standard deviation of the starts after the first, in widths of the priors."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A scalar of a description that may be fitted."""

    path: str
    low: float
    """Bounds, in ``unit``."""
    high: float
    unit: str = ""
    scale: float = 1.0
    """SI value of one ``unit``."""
    whole: bool = False
    width: float = 0.5
    """Standard deviation of the prior, of the natural logarithm."""

    def text(self, value: float) -> str:
        """``value`` (in ``unit``) as a description states it."""
        number = str(round(value)) if self.whole else f"{value:.4g}"
        return f"{number} {self.unit}".strip()

    def of(self, spec: GpuSpec) -> float:
        """Its value in a description, in ``unit``."""
        place: object = spec
        for key in self.path.split("."):
            place = getattr(place, key)
        return float(cast(float, place)) / self.scale


PARAMETERS: tuple[Parameter, ...] = (
    Parameter("launch.graph_gap", 0.05, 4, "us", 1e-6),
    Parameter("launch.product_ramp", 0.02, 4, "us", 1e-6),
    Parameter("launch.attention_ramp", 0.02, 10, "us", 1e-6),
    Parameter("chip.sm.block_start", 0.02, 2, "us", 1e-6),
    Parameter("chip.sm.barrier_cycles", 5, 300, whole=True),
    Parameter("chip.sm.softmax_cycles", 20, 12000, whole=True, width=0.7),
    Parameter("chip.sm.softmax_exposed", 0.05, 1.0, width=0.3),
    Parameter("chip.sm.decode_cycles", 20, 12000, whole=True, width=0.7),
    Parameter("chip.sm.matrix_issue", 0.5, 1.0, width=0.05),
    Parameter("chip.sm.load_bytes_per_clk", 16, 256, whole=True, width=0.3),
    Parameter("chip.sm.store_bytes_per_clk", 4, 128, whole=True),
    Parameter("l2.slice_bytes_per_clk", 8, 256, whole=True, width=0.2),
    Parameter("l2.miss_latency", 20, 1500, "ns", 1e-9, width=0.3),
    Parameter("l2.bytes_in_flight", 128, 16384, "KiB", 1024, whole=True, width=1.0),
    Parameter("l2.usable", 0.25, 1.0, width=0.2),
)
"""What is fitted unless somebody chooses."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A parameter's value before and after, in its unit, and its standard error as a share."""

    parameter: Parameter
    before: float
    after: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """A finished fit."""

    hardware: str
    title: str
    gpu: str
    fitted: tuple[Fitted, ...]
    correlation: np.ndarray
    """(parameter, parameter), of the fitted logarithms."""
    fit_before: Errors
    fit_after: Errors
    score_before: Errors
    score_after: Errors
    operators: tuple[str, ...]


class Trials:
    """Simulated times of rows for any values of the parameters; each trial is simulated once,
    its rows shared among the workers of an executor."""

    def __init__(
        self,
        hardware: str,
        parameters: Sequence[Parameter],
        rows: Sequence[Row],
        executor: Executor,
        parts: int,
    ) -> None:
        self.hardware, self.parameters = hardware, tuple(parameters)
        self.rows, self.executor, self.parts = tuple(rows), executor, parts
        self._times: dict[tuple[str, ...], list[Future[list[float]]]] = {}

    def start(self, values: np.ndarray) -> tuple[str, ...]:
        """Begin to simulate with logarithms of values, if that was not done; returns the key."""
        key = tuple(assignments(self.parameters, np.exp(values)))
        if key not in self._times:
            self._times[key] = [
                self.executor.submit(times, self.hardware, key, self.rows[part :: self.parts])
                for part in range(self.parts)
            ]
        return key

    def seconds(self, values: np.ndarray) -> np.ndarray:
        """(row): simulated seconds; NaN where a row cannot be simulated."""
        found = np.empty(len(self.rows))
        for part, future in enumerate(self._times[self.start(values)]):
            found[part :: self.parts] = future.result()
        return found


def assignments(parameters: Sequence[Parameter], values: Sequence[float] | np.ndarray) -> list[str]:
    """``KEY=VALUE`` overrides."""
    return [
        f"{one.path}={one.text(float(value))}"
        for one, value in zip(parameters, values, strict=True)
    ]


def times(hardware: str, overrides: Sequence[str], rows: Sequence[Row]) -> list[float]:
    """Simulated seconds of the rows, NaN for one that does not fit the device."""
    spec = load_hardware(hardware, overrides).spec
    platform = cast(Platform, GpuPlatform(cast(GpuSpec, spec)))
    found = []
    for row in rows:
        method = cast(Method, method_of(row))
        try:
            found.append(play(platform, works_of(row, method), method).seconds)
        except CapacityError:
            found.append(float("nan"))
    return found


def gpu_spec(name: str) -> GpuSpec:
    """A GPU's specification by name or file."""
    hardware = load_hardware(name)
    if not isinstance(hardware.spec, GpuSpec):
        raise OptionError(
            f"'{hardware.name}' is not a GPU", where="--from", remedy="name a fitted description"
        )
    return hardware.spec


def choose(paths: Sequence[str]) -> tuple[Parameter, ...]:
    """Parameters by path; all of :data:`PARAMETERS` for none."""
    known = {one.path: one for one in PARAMETERS}
    for path in paths:
        if path not in known:
            raise OptionError(
                f"'{path}' is not a parameter that can be fitted",
                where="--parameter",
                remedy=suggest(path, known),
            )
    return tuple(known[path] for path in dict.fromkeys(paths)) or PARAMETERS


ONLY_OF: dict[str, tuple[str, ...]] = {
    "launch.product_ramp": ("gemm", "bmm", "moe"),
    "launch.attention_ramp": ("attention",),
    "chip.sm.softmax_cycles": ("attention",),
    "chip.sm.softmax_exposed": ("attention_prefill",),
    "chip.sm.decode_cycles": ("attention_decode",),
}
"""Parameters that only operators whose names begin so depend on."""
IDLE_IN: dict[str, tuple[str, ...]] = {"l2.usable": ("attention_prefill",)}
"""Parameters on which operators whose names begin so hardly depend: each operand passes once."""


def that_matter(parameters: Sequence[Parameter], operators: Sequence[str]) -> tuple[Parameter, ...]:
    """Parameters on which the operators can depend; at most :data:`MOST_PARAMETERS`."""
    kept = tuple(
        one
        for one in parameters
        if any(
            name.startswith(ONLY_OF.get(one.path, ("",)))
            and not name.startswith(IDLE_IN.get(one.path, ()))
            for name in operators
        )
    )
    if len(kept) > MOST_PARAMETERS:
        raise OptionError(
            f"{len(kept)} parameters at once; {MOST_PARAMETERS} can be fitted",
            where="--parameter",
            remedy="name those to fit",
        )
    return kept


def rows_to_fit(jobs: Sequence[Job], count: int, seed: int) -> list[Row]:
    """Small and some larger rows of the fitted half."""
    own = [job for job in jobs if job.row.half == FIT_HALF]
    small = [job.row for job in own if _within(job, SMALL)]
    larger = [job.row for job in own if _within(job, LARGER) and not _within(job, SMALL)]
    if len(small) + len(larger) < FEWEST_ROWS:
        raise MeasurementError(
            f"{len(small) + len(larger)} rows of the fitted half of the shape families are small "
            "enough",
            where="--data",
            remedy=f"give {FEWEST_ROWS} or more rows below {LARGER[0] / 1e6:.0f} MB of operands",
        )
    few = min(len(larger), max(round((1 - SMALL_SHARE) * count), count - len(small)))
    return sample(small, count - few, seed) + sample(larger, few, seed)


def _within(job: Job, limits: tuple[float, float]) -> bool:
    size = sum(work.bytes_read + work.bytes_written for work in job.works)
    return size <= limits[0] and sum(w.operations.get("matrix", 0) for w in job.works) <= limits[1]


def rows_to_score(jobs: Sequence[Job], count: int, seed: int) -> list[Row]:
    """Rows of all sizes of the other half."""
    return sample([job.row for job in jobs if job.row.half != FIT_HALF], count, seed)


def calibrate(
    prepared: Prepared,
    parameters: Sequence[Parameter],
    executor: Executor,
    *,
    workers: int = 1,
    fit_rows: int = 150,
    score_rows: int = 150,
    starts: int = 1,
    iterations: int = 8,
    seed: int = 0,
    begin: GpuSpec | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Calibration:
    """Fit ``parameters`` of the one GPU that is prepared, from the values of ``begin`` if there
    is one. The start with the least loss on the fitted rows counts."""
    if len(prepared.hardware) != 1:
        raise OptionError("more than one GPU", where="--hw", remedy="calibrate one at a time")
    hardware = prepared.hardware[0]
    spec = cast(GpuSpec, hardware.spec)
    name = str(hardware.description.files[0])
    rows = rows_to_fit(prepared.jobs, fit_rows, seed)
    trials = Trials(name, parameters, rows, executor, 4 * workers)
    centre = np.log([one.of(spec) for one in parameters])
    first = centre if begin is None else np.log([one.of(begin) for one in parameters])
    random = np.random.default_rng(seed)
    ends = []
    for number in range(starts):
        widths = np.array([one.width for one in parameters])
        start = first + (SPREAD * widths * random.standard_normal(len(centre)) if number else 0)
        ends.append(_descend(trials, centre, start, iterations, progress))
        progress(f"start {number + 1}: loss {ends[-1].cost:.3f}")
    best = min(ends, key=lambda end: float(end.cost))
    covariance = _covariance(best.jac)
    deviation = np.sqrt(np.diag(covariance))
    scored = rows_to_score(prepared.jobs, score_rows, seed)
    progress(f"scoring {len(scored)} rows of other families")
    scores = Trials(name, parameters, scored, executor, 4 * workers)
    scores.start(centre)
    scores.start(best.x)
    return Calibration(
        hardware=hardware.name,
        title=spec.title or hardware.name,
        gpu=prepared.jobs[0].row.gpu,
        fitted=tuple(
            Fitted(one, float(np.exp(a)), float(np.exp(b)), float(c))
            for one, a, b, c in zip(parameters, centre, best.x, deviation, strict=True)
        ),
        correlation=covariance / np.outer(deviation, deviation),
        fit_before=_errors(trials, centre),
        fit_after=_errors(trials, best.x),
        score_before=_errors(scores, centre),
        score_after=_errors(scores, best.x),
        operators=tuple(sorted({job.row.op for job in prepared.jobs})),
    )


def _descend(
    trials: Trials,
    centre: np.ndarray,
    start: np.ndarray,
    iterations: int,
    progress: Callable[[str], None],
) -> Any:
    """Robust least squares of log errors and prior, from one start."""
    from scipy.optimize import least_squares

    parameters = trials.parameters
    measured = np.array([row.seconds for row in trials.rows])
    low, high = (np.log([getattr(one, end) for one in parameters]) for end in ("low", "high"))
    widths = np.array([one.width for one in parameters])

    def residuals(values: np.ndarray) -> np.ndarray:
        logs = np.log(trials.seconds(values) / measured)
        return np.concatenate([np.nan_to_num(logs), TOLERANCE * (values - centre) / widths])

    def evaluate(values: np.ndarray) -> np.ndarray:
        found = residuals(values)
        error = np.abs(np.expm1(found[: len(measured)])).mean()
        progress(f"mean error of the fitted rows {100 * error:.1f} %")
        return found

    def slopes(values: np.ndarray) -> np.ndarray:
        steps = np.where(values + STEP < high, STEP, -STEP)
        moved = values + np.diag(steps)
        for one in moved:
            trials.start(one)
        here = residuals(values)
        return np.column_stack(
            [(residuals(one) - here) / step for one, step in zip(moved, steps, strict=True)]
        )

    return least_squares(
        evaluate,
        np.clip(start, low + 1e-6, high - 1e-6),
        jac=slopes,
        bounds=(low, high),
        x_scale=widths,
        loss="soft_l1",
        f_scale=TOLERANCE,
        max_nfev=iterations,
    )


def _covariance(slopes: np.ndarray) -> np.ndarray:
    """Of the fitted logarithms, were the errors of rows independent and as large as tolerated."""
    return TOLERANCE**2 * np.linalg.pinv(slopes.T @ slopes)


def _errors(trials: Trials, values: np.ndarray) -> Errors:
    seconds = trials.seconds(values)
    known = np.isfinite(seconds)
    found = errors(
        seconds[known].tolist(),
        [row.seconds for row, here in zip(trials.rows, known, strict=True) if here],
    )
    assert found is not None
    return found
