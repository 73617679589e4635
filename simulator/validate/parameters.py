"""Scalars of a description that may be fitted: where they stand, bounds, priors, who needs them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from simulator.errors import OptionError, suggest
from simulator.gpu.spec import GpuSpec

MOST_PARAMETERS = 12


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

    @property
    def electrical(self) -> bool:
        """Whether it changes energies and the clock under the cap, and nothing that happens at
        the highest clock."""
        return self.path.startswith(("energy.", "power."))

    def text(self, value: float) -> str:
        """``value`` (in ``unit``) as a description states it."""
        number = str(round(value)) if self.whole else f"{value:.4g}"
        return f"{number} {self.unit}".strip()

    def of(self, spec: GpuSpec) -> float:
        """Its value in a description, in ``unit``."""
        *blocks, key = self.path.split(".")
        return _at(spec, blocks)[key] / self.scale

    def assigned(self, spec: GpuSpec, value: float) -> Iterator[tuple[str, str]]:
        """Paths and texts that set it to ``value``: its own, and of a mapping (energies by operand
        type) the others, which keep their ratio to it."""
        *blocks, key = self.path.split(".")
        place = _at(spec, blocks)
        yield self.path, self.text(value)
        for other in place:
            if other != key and self.path in RATIOS:
                ratio = place[other] / place[key]
                yield ".".join((*blocks, other)), self.text(value * ratio)


def _at(spec: GpuSpec, blocks: Sequence[str]) -> Mapping[str, float]:
    place: object = spec
    for key in blocks:
        place = getattr(place, key)
    return cast(Mapping[str, float], place if isinstance(place, Mapping) else vars(place))


RATIOS = ("energy.matrix.float16",)
"""Parameters that stand for all entries of their mapping."""

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("launch.graph_gap", 0.05, 4, "us", 1e-6),
    Parameter("launch.product_ramp", 0.02, 4, "us", 1e-6),
    Parameter("launch.reduction_ramp", 0.02, 4, "us", 1e-6),
    Parameter("launch.attention_ramp", 0.02, 10, "us", 1e-6),
    Parameter("launch.expert_ramp", 0.02, 20, "us", 1e-6, width=1.0),
    Parameter("host.operator_cost", 0.5, 20, "us", 1e-6),
    Parameter("memory.controller.queue", 16, 256, whole=True, width=0.3),
    Parameter("chip.sm.block_start", 0.02, 2, "us", 1e-6),
    Parameter("chip.sm.barrier_cycles", 5, 300, whole=True),
    Parameter("chip.sm.mma_sync", 0.2, 1.0, width=0.15),
    Parameter("chip.sm.softmax_cycles", 20, 12000, whole=True, width=0.7),
    Parameter("chip.sm.softmax_exposed", 0.05, 1.0, width=0.3),
    Parameter("chip.sm.decode_cycles", 20, 12000, whole=True, width=0.7),
    Parameter("chip.sm.matrix_issue", 0.5, 1.0, width=0.05),
    Parameter("chip.sm.load_bytes_per_clk", 16, 256, whole=True, width=0.3),
    Parameter("chip.sm.store_bytes_per_clk", 4, 128, whole=True),
    Parameter("l2.slice_bytes_per_clk", 8, 256, whole=True, width=0.2),
    Parameter("l2.miss_latency", 20, 1500, "ns", 1e-9, width=0.3),
    Parameter("l2.bytes_in_flight", 128, 65536, "KiB", 1024, whole=True, width=0.3),
    Parameter("l2.write_cost", 1, 8),
    Parameter("l2.usable", 0.25, 1.0, width=0.2),
    Parameter("energy.matrix.float16", 0.1, 3, "pJ/flop", 1e-12, width=0.4),
    Parameter("energy.l2", 0.5, 15, "pJ/bit", 1e-12, width=0.3),
    Parameter("energy.dram_path", 0.5, 20, "pJ/bit", 1e-12, width=0.3),
    Parameter("energy.static", 20, 500, "W", width=0.3),
    Parameter("power.voltage_floor", 0.02, 0.9, width=0.3),
    Parameter("power.excursion", 1, 3, width=0.2),
    Parameter("power.limiter_time", 1, 500, "ms", 1e-3, width=0.7),
)
"""What can be fitted."""

_POWER = "+power"
MEMORY_BOUND = (
    *("add", "mul", "div", "pow", "relu", "gelu", "tanh", "copy"),
    *("layernorm", "softmax", "norm", "act_mul", "amax"),
)
"""Beginnings of the names of operators that memory bounds."""
_ONLY_OF: Mapping[str, tuple[str, ...]] = {
    "launch.product_ramp": ("gemm", "bmm", "moe"),
    "launch.reduction_ramp": ("gemm", "bmm"),
    "launch.expert_ramp": ("moe",),
    "host.operator_cost": MEMORY_BOUND,
    "memory.controller.queue": MEMORY_BOUND,
    "launch.attention_ramp": ("attention",),
    "chip.sm.mma_sync": ("attention",),
    "chip.sm.softmax_cycles": ("attention",),
    "chip.sm.softmax_exposed": ("attention_prefill",),
    "chip.sm.decode_cycles": ("attention_decode",),
}
"""Parameters that only operators whose names begin so depend on."""
_IDLE_IN: Mapping[str, tuple[str, ...]] = {
    "launch.graph_gap": ("gemm", "bmm", "moe", "attention"),
    "chip.sm.barrier_cycles": ("attention_decode", *MEMORY_BOUND),
    "chip.sm.matrix_issue": MEMORY_BOUND,
    "l2.usable": ("attention_prefill",),
    "l2.write_cost": ("attention",),
}
"""Parameters on which operators whose names begin so hardly depend, or that others of theirs stand
in for: microbenchmarks tell the gap, and kernels with ramps need no other; a decode block has few
steps and longer latencies, a prompt's operands pass once, attention writes little."""


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


def that_matter(parameters: Sequence[Parameter], operators: Sequence[str]) -> tuple[Parameter, ...]:
    """Parameters on which the operators can depend; at most :data:`MOST_PARAMETERS`. Of all, those
    that decide energies for operators with watts, and those that decide times for others."""
    if tuple(parameters) == PARAMETERS:
        powered = {name.endswith(_POWER) for name in operators}
        parameters = [one for one in parameters if one.electrical in powered]
    kept = tuple(
        one
        for one in parameters
        if any(
            name.startswith(_ONLY_OF.get(one.path, ("",)))
            and not name.startswith(_IDLE_IN.get(one.path, ()))
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


def assignments(
    parameters: Sequence[Parameter], values: Sequence[float] | np.ndarray, spec: GpuSpec
) -> list[str]:
    """``KEY=VALUE`` overrides of a description ``spec``."""
    return [
        f"{path}={text}"
        for one, value in zip(parameters, values, strict=True)
        for path, text in one.assigned(spec, float(value))
    ]
