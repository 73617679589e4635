"""What a sweep asks of a GPU: the interface between what is measured and what measures it.

:mod:`simulator.validate.live.pytorch` implements it with PyTorch; tests do with the simulator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

Cell = str | int | float


class Unmeasurable(Exception):
    """Why this GPU or its software cannot run a point; the sweep counts points by this text."""


@dataclass(frozen=True, slots=True, eq=False)
class Point:
    """One thing to measure."""

    file: str
    columns: Mapping[str, Cell]
    """The cells of the CSV row that say what is measured; they tell points apart."""
    run: str
    """What the timer runs: one of :data:`RUNS`."""
    dtype: str
    sizes: Mapping[str, int]
    """Extents of what is run."""
    calls: int = 1
    """Calls in the loop that is repeated; in one CUDA graph, if it is captured."""
    copies: int = 1
    """Weight buffers the calls rotate over; activations keep theirs."""
    captured: bool = True
    """Otherwise calls are launched one by one, with the host ahead of the device."""
    watched: bool = False
    """Whether watts are wanted, over seconds, instead of a short time."""
    graph: str = ""
    """Name of the graph whose edges are followed, if any."""
    seconds: float = 0.3
    """What measuring it takes, roughly, data included."""


RUNS = (
    *("gemm", "attention", "copy", "add", "gelu", "layernorm", "softmax"),
    *("scale", "triad", "init", "chase", "gather", "scatter", "spmm"),
)


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of a call, once per sample."""

    samples: tuple[float, ...]
    kernel: str = ""
    """Which implementation ran, where the software has several."""
    clock_mhz: float | None = None


@dataclass(frozen=True, slots=True)
class Watching:
    """Mean watts while a call repeats, and its mean seconds then."""

    watts: float
    seconds: float
    method: str
    """How power was read: ``nvml_energy_counter``, ``nvml_power`` or ``nvidia_smi``."""
    clock_mhz: float | None = None


@dataclass(frozen=True, slots=True)
class GpuAtHand:
    """The device that is measured."""

    name: str
    """As its driver calls it."""
    sms: int
    memory_bytes: int
    dtype: str
    """The 16-bit type its matrix pipes take: bf16, or fp16 before Ampere."""
    power_limit_w: float | None = None
    software: Mapping[str, str] = field(default_factory=dict)


class Timer(Protocol):
    """A GPU that can be measured. Both methods raise :class:`Unmeasurable`."""

    @property
    def device(self) -> GpuAtHand: ...

    def time(self, point: Point) -> Timing:
        """Repeat a point briefly, after a warm-up."""
        ...

    def watch(self, point: Point) -> Watching:
        """Repeat a point for seconds, so that the power limiter settles."""
        ...
