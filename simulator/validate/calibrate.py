"""Fit a GPU's physical scalars to measured times and watts, on one half of the shape families.

The simulator itself is fitted, not a formula beside it: every trial is a description, and every
row is simulated with it as it was timed.  At most twelve scalars may move, within bounds, and a
prior on its logarithm holds each near its value in the description (data sheet, microbenchmark or
guess).  The loss is robust (soft absolute), so that rows for which the library chose another
kernel do not decide.  Rows of the other half are not simulated while fitting; they score the
result.  Fitting takes mostly rows that cost milliseconds (:data:`SMALL`) and some larger ones
(:data:`LARGER`); the score takes all sizes.

Time and power are fitted together: a row whose watts are known has two residuals.  Without watts
long products tell the energy of the matrix pipes, by the clock that the power cap leaves them; what
decides energies is fitted to rows up to :data:`LONG`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import cast

import numpy as np

from simulator.errors import MeasurementError, OptionError
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import load_hardware
from simulator.validate.metrics import Errors, errors
from simulator.validate.parameters import Parameter
from simulator.validate.rows import Row
from simulator.validate.run import Job, Prepared
from simulator.validate.sampling import sample
from simulator.validate.trials import Trials

FIT_HALF = 0
FEWEST_ROWS = 12
SMALL = (16e6, 30e9)
"""Bytes of a small row's operands and its matrix operations, at most ..."""
LARGER = (64e6, 150e9)
"""... and those of a larger one that is fitted to."""
STREAMED = 640e6
"""... and the bytes of one without products, which costs less."""
LONG = (3e9, 1.5e12)
"""... and those of a row that tells energies."""
LONG_FROM_S = 50e-6
"""Products without watts tell energies from this measured time on."""
SMALL_SHARE = 0.7
LONG_SHARE = 0.3
"""Of the rows, where energies are fitted beside other things."""
TOLERANCE = 0.08
"""Relative error from which the loss grows like the error, not like its square."""
STEP = 0.15
"""Of a logarithm, for slopes: a smaller one would see which tile is chosen, not what it costs."""
SPREAD = 0.4
"""Standard deviation of the starts after the first, in widths of the priors."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A parameter's value before and after, in its unit, and its standard error as a share."""

    parameter: Parameter
    before: float
    after: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Errors of times, and of energies where watts are known: joules of a call, watts where its
    time is not known."""

    time: Errors | None
    energy: Errors | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A finished fit."""

    hardware: str
    title: str
    spec: GpuSpec
    """Before the fit."""
    gpu: str
    rows: int
    fitted: tuple[Fitted, ...]
    correlation: np.ndarray
    """(parameter, parameter), of the fitted logarithms."""
    fit_before: Scores
    fit_after: Scores
    score_before: Scores
    score_after: Scores
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The best values so far of a fit that goes on."""

    hardware: str
    title: str
    values: tuple[tuple[str, str], ...]
    """Paths and what a description states there."""
    progress: str
    """How well they do."""


@dataclass(frozen=True, slots=True)
class _End:
    """Where a descent ended."""

    values: np.ndarray
    """Logarithms."""
    slopes: np.ndarray
    """(residual, parameter), weighted as the loss weights them."""
    loss: float


def gpu_spec(name: str) -> GpuSpec:
    """A GPU's specification by name or file."""
    hardware = load_hardware(name)
    if not isinstance(hardware.spec, GpuSpec):
        raise OptionError(
            f"'{hardware.name}' is not a GPU", where="--from", remedy="name a fitted description"
        )
    return hardware.spec


def rows_to_fit(
    jobs: Sequence[Job], count: int, seed: int, parameters: Sequence[Parameter] = ()
) -> list[Row]:
    """Rows of the fitted half that tell ``parameters``: small and some larger ones, long ones for
    energies."""
    own = [job for job in jobs if job.row.half == FIT_HALF]
    electrical = [one.electrical for one in parameters]
    long = [job.row for job in own if any(electrical) and _tells_energy(job)]
    small = [job.row for job in own if _within(job, SMALL) and not job.row.watts]
    larger = [
        job.row
        for job in own
        if _within(job, LARGER) and not _within(job, SMALL) and not job.row.watts
    ]
    if long and (all(electrical) or not small):
        small = larger = []
    found = len(long) + len(small) + len(larger)
    if found < FEWEST_ROWS:
        raise MeasurementError(
            f"{found} rows of the fitted half of the shape families tell the parameters, and are "
            "small enough",
            where="--data",
            remedy=f"give {FEWEST_ROWS} or more rows below {LARGER[0] / 1e6:.0f} MB of operands; "
            f"for energies, with watts, or products above {LONG_FROM_S * 1e6:.0f} us",
        )
    of_long = round(count * LONG_SHARE) if small or larger else count
    of_long = min(len(long), of_long)
    rest = count - of_long
    few = min(len(larger), max(round((1 - SMALL_SHARE) * rest), rest - len(small)))
    return sample(small, rest - few, seed) + sample(larger, few, seed) + sample(long, of_long, seed)


def _tells_energy(job: Job) -> bool:
    """Whether watts are known, or products are long enough to meet the power cap."""
    bound_by_products = sum(job.roof.compute) > sum(job.roof.memory)
    long = bound_by_products and job.row.seconds >= LONG_FROM_S
    return _within(job, LONG) and (job.row.watts is not None or long)


def _within(job: Job, limits: tuple[float, float]) -> bool:
    size = sum(work.bytes_read + work.bytes_written for work in job.works)
    products = sum(w.operations.get("matrix", 0) for w in job.works)
    most = STREAMED if limits == LARGER and not products else limits[0]
    return size <= most and products <= limits[1]


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
    keep: Callable[[Unfinished], None] = lambda best: None,
) -> Calibration:
    """Fit ``parameters`` of the one GPU that is prepared, from the values of ``begin`` if there
    is one. The start with the least loss on the fitted rows counts. ``keep`` is told of values
    that are better than all before."""
    if len(prepared.hardware) != 1:
        raise OptionError("more than one GPU", where="--hw", remedy="calibrate one at a time")
    hardware = prepared.hardware[0]
    spec = cast(GpuSpec, hardware.spec)
    name = str(hardware.description.files[0])
    rows = rows_to_fit(prepared.jobs, fit_rows, seed, parameters)
    trials = Trials(name, parameters, rows, executor, 4 * workers)
    centre = np.log([one.of(spec) for one in parameters])
    first = centre if begin is None else np.log([one.of(begin) for one in parameters])
    random = np.random.default_rng(seed)
    ends: list[_End] = []
    least = np.inf

    def seen(values: np.ndarray, loss: float, told: str) -> None:
        nonlocal least
        progress(told)
        if loss < least:
            least = loss
            pairs = tuple(
                pair
                for one, value in zip(parameters, np.exp(values).tolist(), strict=True)
                for pair in one.assigned(spec, value)
            )
            keep(Unfinished(hardware.name, spec.title or hardware.name, pairs, told))

    for number in range(starts):
        widths = np.array([one.width for one in parameters])
        start = first + (SPREAD * widths * random.standard_normal(len(centre)) if number else 0)
        ends.append(_descend(trials, centre, start, iterations, seen))
        progress(f"start {number + 1}: loss {ends[-1].loss:.3f}")
    best = min(ends, key=lambda end: end.loss)
    covariance = _covariance(best.slopes)
    deviation = np.sqrt(np.diag(covariance))
    scored = rows_to_score(prepared.jobs, score_rows, seed)
    progress(f"scoring {len(scored)} rows of other families")
    scores = Trials(name, parameters, scored, executor, 4 * workers)
    scores.start(centre)
    scores.start(best.values)
    return Calibration(
        hardware=hardware.name,
        title=spec.title or hardware.name,
        spec=spec,
        gpu=prepared.jobs[0].row.gpu,
        rows=len(rows),
        fitted=tuple(
            Fitted(one, float(np.exp(a)), float(np.exp(b)), float(c))
            for one, a, b, c in zip(parameters, centre, best.values, deviation, strict=True)
        ),
        correlation=covariance / np.outer(deviation, deviation),
        fit_before=_errors(trials, centre),
        fit_after=_errors(trials, best.values),
        score_before=_errors(scores, centre),
        score_after=_errors(scores, best.values),
        operators=tuple(sorted({job.row.op for job in prepared.jobs})),
    )


def _descend(
    trials: Trials,
    centre: np.ndarray,
    start: np.ndarray,
    iterations: int,
    seen: Callable[[np.ndarray, float, str], None],
) -> _End:
    """Robust least squares of log errors of times, of watts, and prior, from one start. ``seen`` is
    told values (logarithms), loss and mean errors of every evaluation.

    SciPy's first step is as long as the start is far from zero, so it is given distances from the
    start in widths of the priors: then its first step is about one width long.
    """
    from scipy.optimize import least_squares

    parameters = trials.parameters
    seconds = np.array([row.seconds for row in trials.rows])
    watts = np.array([row.watts or np.nan for row in trials.rows])
    low, high = (np.log([getattr(one, end) for one in parameters]) for end in ("low", "high"))
    widths = np.array([one.width for one in parameters])
    start = np.clip(start, low + 1e-6, high - 1e-6)

    def residuals(values: np.ndarray) -> np.ndarray:
        took, drew = trials.calls(values)
        logs = np.concatenate([np.log(took / seconds), np.log(drew / watts)])
        return np.concatenate([np.nan_to_num(logs), TOLERANCE * (values - centre) / widths])

    def evaluate(steps: np.ndarray) -> np.ndarray:
        values = start + steps * widths
        found = residuals(values)
        count = len(seconds)
        told = [
            f"mean error of the fitted rows' {name} {100 * np.abs(np.expm1(known)).mean():.1f} %"
            for name, logs in (("times", found[:count]), ("watts", found[count : 2 * count]))
            if len(known := logs[logs != 0])
        ]
        seen(values, _loss(found), ", ".join(told))
        return found

    def slopes(at: np.ndarray) -> np.ndarray:
        values = start + at * widths
        steps = np.where(values + STEP < high, STEP, -STEP)
        moved = values + np.diag(steps)
        for one in moved:
            trials.start(one)
        here = residuals(values)
        columns = [(residuals(one) - here) / step for one, step in zip(moved, steps, strict=True)]
        return np.asarray(np.column_stack(columns) * widths)

    end = least_squares(
        evaluate,
        np.zeros(len(start)),
        jac=slopes,
        bounds=((low - start) / widths, (high - start) / widths),
        loss="soft_l1",
        f_scale=TOLERANCE,
        max_nfev=iterations,
    )
    return _End(start + end.x * widths, end.jac / widths, float(end.cost))


def _loss(residuals: np.ndarray) -> float:
    """What SciPy's ``soft_l1`` makes of residuals."""
    return float(TOLERANCE**2 * np.sum(np.sqrt(1 + (residuals / TOLERANCE) ** 2) - 1))


def _covariance(slopes: np.ndarray) -> np.ndarray:
    """Of the fitted logarithms, were the errors of rows independent and as large as tolerated."""
    return TOLERANCE**2 * np.linalg.pinv(slopes.T @ slopes)


def _errors(trials: Trials, values: np.ndarray) -> Scores:
    seconds, watts = trials.calls(values)
    rows = list(zip(trials.rows, seconds.tolist(), watts.tolist(), strict=True))
    times = [(took, row.seconds) for row, took, _ in rows if row.timed and took > 0]
    energies = [
        (drew * took, row.watts * row.seconds) if row.timed else (drew, row.watts)
        for row, took, drew in rows
        if row.watts is not None and took > 0
    ]
    return Scores(
        *(
            errors(*map(list, zip(*pairs, strict=True))) if pairs else None
            for pairs in (times, energies)
        )
    )
