"""What is simulated: eight models on four systems, and sweeps of the largest.

Every point is one decode step of one model at one context on one system.  PIM-GPT's controller
plays its own command programs, so no host takes part; the T4 runs PyTorch eagerly or as a captured
graph, in float16, because it has no units for bfloat16; the Xeon runs eagerly.  A T4 as a roofline
is the sum of its kernels' bounds: bytes over pins or operations over peaks, no launches.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

from cases.pim_gpt.quadrature import Rule, gauss, midpoints
from simulator.api import load_hardware, load_trace, simulate
from simulator.trace.schema import Trace
from simulator.trace.transforms import recast

Document = dict[str, Any]
Progress = Callable[[int, int, str], None]

TOKENS = 1024
NODES, COARSE = 5, 3
CHECK_PARTS = 32
MODELS: Mapping[str, str] = {
    "gpt2": "GPT2-small",
    "gpt2-medium": "GPT2-medium",
    "gpt2-large": "GPT2-large",
    "gpt2-xl": "GPT2-XL",
    "gpt3-125m": "GPT3-small",
    "gpt3-350m": "GPT3-medium",
    "gpt3-760m": "GPT3-large",
    "gpt3-1.3b": "GPT3-XL",
}
CHECKED = "gpt2"
"""The model whose integration error is checked against many contexts."""
SWEPT = "gpt3-1.3b"
SWEPT_CONTEXT = 512


@dataclass(frozen=True)
class System:
    """A device and how it is driven."""

    hardware: str
    launch: str
    dtype: str = "bfloat16"


SYSTEMS: Mapping[str, System] = {
    "pim": System("pim-gpt", "queued"),
    "eager": System("t4", "eager", "float16"),
    "graph": System("t4", "graph", "float16"),
    "cpu": System("xeon-6154", "eager"),
}
PRODUCTS = frozenset({"gemm", "groupedgemm", "attention"})


@dataclass(frozen=True)
class Point:
    """One decode step."""

    model: str
    system: System
    context: int
    settings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """What one decode step took."""

    latency_s: float
    energy_j: float
    roofline_s: float
    """Sum of the kernels' bounds."""
    other_s: float
    """Outside products and attention."""
    accesses: float
    row_hits: float
    pin_bytes: float
    """Over the memory's data pins."""
    operators: int
    """That run kernels."""

    def __add__(self, other: Step) -> Step:
        mine, theirs = asdict(self), asdict(other)
        return Step(**{key: mine[key] + theirs[key] for key in mine})

    def times(self, weight: float) -> Step:
        """This step, so many times."""
        return Step(**{key: weight * value for key, value in asdict(self).items()})


@lru_cache(maxsize=4)
def _trace(model: str, context: int, dtype: str) -> Trace:
    trace = load_trace(model, {"context": context}, phase="decode")
    return trace if dtype == "bfloat16" else recast(trace, dtype)


def measure(point: Point) -> Step:
    """Simulate one point."""
    hardware = load_hardware(point.system.hardware, point.settings)
    trace = _trace(point.model, point.context, point.system.dtype)
    result = simulate(trace, hardware, launch=point.system.launch)
    document = result.to_json()
    counters, kinds = document["counters"], document["kinds"]
    products = math.fsum(row["latency_s"] for row in kinds if row["kind"] in PRODUCTS)
    pins = result.utilization["dram"] * hardware.spec.memory.peak_bytes_per_s
    return Step(
        latency_s=result.latency_s,
        energy_j=result.energy_j,
        roofline_s=math.fsum(row["bound_s"] for row in kinds),
        other_s=result.latency_s - products,
        accesses=counters["row_hits"] + counters["row_misses"],
        row_hits=counters["row_hits"],
        pin_bytes=pins * result.latency_s,
        operators=len({kernel.index for kernel in result.record.kernels}),
    )


def measured(
    points: Iterable[Point], jobs: int = 1, progress: Progress | None = None
) -> dict[Point, Step]:
    """All points, each once; with several jobs in as many processes."""
    wanted = list(dict.fromkeys(points))
    found: dict[Point, Step] = {}

    def note(point: Point, step: Step) -> None:
        found[point] = step
        if progress is not None:
            progress(len(found), len(wanted), f"{point.model} on {point.system.hardware}")

    if jobs == 1:
        for point in wanted:
            note(point, measure(point))
        return found
    context = multiprocessing.get_context("spawn")
    # The first point runs alone, so that compiled code is there for all.
    note(wanted[0], measure(wanted[0]))
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        rest = wanted[1:]
        for point, step in zip(rest, pool.map(measure, rest, chunksize=4), strict=True):
            note(point, step)
    return {point: found[point] for point in wanted}


def integrated(steps: Mapping[int, Step], rule: Rule) -> Step:
    """A generation from the steps at the rule's contexts."""
    first, *others = (steps[context].times(weight) for context, weight in rule)
    for other in others:
        first = first + other
    return first


@dataclass(frozen=True)
class Plan:
    """How much is simulated."""

    models: Sequence[str] = tuple(MODELS)
    tokens: int = TOKENS
    nodes: int = NODES
    coarse: int = COARSE
    check_parts: int = CHECK_PARTS
    """Contexts of the check of the integration; 0: no check."""
    sweeps: bool = True

    def contexts(self, model: str) -> tuple[int, ...]:
        """Every context of a model that some rule needs."""
        rules = [gauss(self.nodes, self.tokens), gauss(self.coarse, self.tokens)]
        if model == CHECKED and self.check_parts:
            rules.append(midpoints(self.check_parts, self.tokens))
        return tuple(sorted({context for rule in rules for context, _ in rule}))


CHANNELS = (8, 16, 32, 64)
CLOCKS = ("1 GHz", "500 MHz", "250 MHz", "100 MHz")
LANES = (128, 256, 340)
"""What area and power admit: see ``hwconfigs/pim/pim-gpt.yaml``."""
PRECISIONS = ("float16", "bfloat16", "float32")
OPERATOR_COSTS = ("5 us", "20 us", "40 us", "80 us")
CHANNELS_PER_DEVICE = 2


def sweep_points(models: Sequence[str]) -> dict[str, dict[Any, Point]]:
    """Sweep -> value -> point."""
    pim, eager = SYSTEMS["pim"], SYSTEMS["eager"]

    def at(system: System, *settings: str, model: str = SWEPT) -> Point:
        return Point(model, system, SWEPT_CONTEXT, settings)

    return {
        "channels": {
            count: at(pim, f"memory.organization.stacks={count // CHANNELS_PER_DEVICE}")
            for count in CHANNELS
        },
        "clock": {
            (lanes, clock): at(pim, f"controller.vector_lanes={lanes}", f"controller.clock={clock}")
            for lanes in LANES
            for clock in CLOCKS
        },
        "precision": {dtype: at(replace(eager, dtype=dtype)) for dtype in PRECISIONS},
        "operator_cost": {
            (model, cost): at(eager, f"host.operator_cost={cost}", model=model)
            for model in models
            for cost in OPERATOR_COSTS
        },
    }


def study(plan: Plan, jobs: int = 1, progress: Progress | None = None) -> Document:
    """Everything, as plain data."""
    points = [
        Point(model, system, context)
        for model in plan.models
        for system in SYSTEMS.values()
        for context in plan.contexts(model)
    ]
    ends = (CHECKED, SWEPT)
    sweeps = sweep_points(ends) if plan.sweeps else {}
    reference = [Point(model, SYSTEMS["pim"], SWEPT_CONTEXT) for model in ends if plan.sweeps]
    swept = [point for one in sweeps.values() for point in one.values()]
    steps = measured([*points, *reference, *swept], jobs, progress)
    fine, coarse = gauss(plan.nodes, plan.tokens), gauss(plan.coarse, plan.tokens)
    models: Document = {}
    checks: Document = {}
    for model in plan.models:
        rows: Document = {}
        for name, system in SYSTEMS.items():
            known = {
                context: steps[Point(model, system, context)] for context in plan.contexts(model)
            }
            whole, rough = integrated(known, fine), integrated(known, coarse)
            rows[name] = {**asdict(whole), "error": abs(rough.latency_s / whole.latency_s - 1)}
            if model == CHECKED and plan.check_parts:
                dense = integrated(known, midpoints(plan.check_parts, plan.tokens))
                checks[name] = whole.latency_s / dense.latency_s - 1
        models[model] = rows
    return {
        "schema": 1,
        "tokens": plan.tokens,
        "contexts": [context for context, _ in fine],
        "models": models,
        "integration_check": {"model": CHECKED, "parts": plan.check_parts, "errors": checks},
        "sweeps": {
            name: [
                {
                    "value": list(value) if isinstance(value, tuple) else value,
                    "model": point.model,
                    **asdict(steps[point]),
                }
                for value, point in one.items()
            ]
            for name, one in sweeps.items()
        },
        "reference": {point.model: asdict(steps[point]) for point in reference},
        "peaks": {
            "pim_bytes_per_s": load_hardware("pim-gpt").spec.internal_bytes_per_s,  # type: ignore[union-attr]
            "t4_bytes_per_s": load_hardware("t4").spec.memory.peak_bytes_per_s,
        },
    }
