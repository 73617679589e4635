"""All benchmarks of one GPU, and published figures beside simulated ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simulator.errors import OptionError, suggest
from simulator.gpu.spec import GpuSpec
from simulator.hardware import catalogue
from simulator.system.specs import Hardware, load_hardware
from simulator.validate.microbench.curves import BENCHMARKS, Benchmark, Curve
from simulator.validate.probe import PROBES
from simulator.validate.published import Figure, description_of, load

Progress = Callable[[int, int], None]
WITHIN = 0.1
"""Relative error up to which a figure counts as reproduced."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A published figure and what the machine makes of it, in the figure's unit."""

    benchmark: str
    figure: Figure
    simulated: float
    stand_in: bool
    """The description is of a relative of the board that was measured."""
    overrides: tuple[str, ...]

    @property
    def ratio(self) -> float:
        return self.figure.ratio(self.simulated)

    @property
    def within(self) -> bool:
        return abs(self.ratio - 1) <= WITHIN


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one command finds."""

    hardware: Hardware
    curves: tuple[Curve, ...]
    comparisons: tuple[Comparison, ...]


def microbench(name: str, only: Sequence[str] = (), progress: Progress | None = None) -> Report:
    """Run the benchmarks (all, or those named) on a described GPU. Raises a subclass of
    AccsimError for hardware that is no GPU and for names that are none."""
    hardware = _gpu(name)
    chosen = _chosen(only)
    figures = tuple(_figures(hardware, chosen))
    total = len(chosen) + len(figures)
    curves: list[Curve] = []
    comparisons: list[Comparison] = []
    for done, one in enumerate(chosen):
        if progress is not None:
            progress(done, total)
        curves.append(one.run(hardware))
    for done, (one, figure) in enumerate(figures):
        if progress is not None:
            progress(len(chosen) + done, total)
        comparisons.append(_compare(name, hardware, one, figure))
    if progress is not None:
        progress(total, total)
    return Report(hardware, tuple(curves), tuple(comparisons))


def _gpu(name: str) -> Hardware:
    hardware = load_hardware(name)
    if not isinstance(hardware.spec, GpuSpec):
        raise OptionError(
            f"'{hardware.name}' is not a GPU",
            where="--hw",
            remedy=suggest(name, [entry.name for entry in catalogue("gpu")]),
        )
    return hardware


def _chosen(only: Sequence[str]) -> list[Benchmark]:
    for name in only:
        if name not in BENCHMARKS:
            raise OptionError(
                f"unknown benchmark '{name}'", where="--only", remedy=suggest(name, BENCHMARKS)
            )
    return [one for name, one in BENCHMARKS.items() if not only or name in only]


def _figures(hardware: Hardware, chosen: Sequence[Benchmark]) -> Iterator[tuple[Benchmark, Figure]]:
    """What was published of this board, and of those that no description but this resembles."""
    described = [entry.name for entry in catalogue("gpu")]
    published = load()
    for one in chosen:
        for figure in published:
            if figure.probe != one.probe or figure.probe not in PROBES:
                continue
            own = figure.is_of(hardware.name)
            if own or description_of(figure, described) == hardware.name:
                yield one, figure


def _compare(name: str, hardware: Hardware, one: Benchmark, figure: Figure) -> Comparison:
    overrides = figure.setting(hardware.name)
    as_measured = load_hardware(name, overrides) if overrides else hardware
    simulated = figure.in_unit(PROBES[figure.probe](as_measured, figure.arguments))
    return Comparison(one.name, figure, simulated, not figure.is_of(hardware.name), overrides)
