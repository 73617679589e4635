"""Whole steps of models: recorded operator traces, replayed.

Time is that of the device: no host stands in front of it.
"""

from __future__ import annotations

from probes.works import kernel_seconds
from simulator.api import load_trace, simulate
from simulator.results.result import Result
from simulator.system.specs import Hardware
from simulator.validate.probe import probe

_runs: dict[tuple[str, str, str, int], Result] = {}
"""Several figures may ask about one run."""


def _step(hardware: Hardware, model: str, phase: str, length: int) -> Result:
    key = (hardware.description.digest, model, phase, length)
    if key not in _runs:
        sizes = {"context" if phase == "decode" else "prompt": length}
        trace = load_trace(model, sizes, phase=phase)
        _runs[key] = simulate(trace, hardware, launch="queued")
    return _runs[key]


@probe("s")
def step(hardware: Hardware, model: str, phase: str, length: int) -> float:
    """Latency of a step: ``length`` is the prompt, or the context of a decode step."""
    return _step(hardware, model, phase, length).latency_s


@probe("s")
def step_kernels(hardware: Hardware, model: str, phase: str, length: int) -> float:
    """The kernels of a step alone."""
    return kernel_seconds(_step(hardware, model, phase, length).record.kernels)


@probe("W")
def step_power(hardware: Hardware, model: str, phase: str, length: int) -> float:
    """Mean power over a step."""
    result = _step(hardware, model, phase, length)
    return result.energy_j / result.latency_s


@probe("1")
def matrix_utilization(hardware: Hardware, model: str, phase: str, length: int) -> float:
    """Multiply-adds over what the matrix array could have done meanwhile."""
    result = _step(hardware, model, phase, length)
    products = sum(kernel.operations.get("matrix", 0) for kernel in result.record.kernels)
    return products / result.latency_s / hardware.spec.gemm_peak


@probe("1")
def row_hits(hardware: Hardware, model: str, phase: str, length: int) -> float:
    """Share of column accesses that find their row open."""
    kernels = _step(hardware, model, phase, length).record.kernels
    hits, misses = (
        sum(kernel.counters[name] for kernel in kernels) for name in ("row_hits", "row_misses")
    )
    return hits / (hits + misses)
