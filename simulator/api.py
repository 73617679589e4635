"""The simulator in three calls: load a device, load a trace, simulate.

>>> from simulator import load_hardware, load_trace, simulate        # doctest: +SKIP
>>> result = simulate(load_trace("gpt2", phase="decode"), load_hardware("a100-sxm-80gb"))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import cast

import simulator
from simulator.engine.platform import Platform
from simulator.errors import OptionError, suggest
from simulator.results.result import Result
from simulator.system.plan import plan
from simulator.system.records import (
    RECORD_SCHEMA,
    Component,
    Provenance,
    RunRecord,
)
from simulator.system.run import FIDELITIES, LAUNCHES, execute
from simulator.system.specs import Hardware, load_hardware
from simulator.trace.schema import Trace
from simulator.trace.store import load_trace
from simulator.trace.transforms import quantize, sparsify

__all__ = ["load_hardware", "load_trace", "platform", "simulate"]


def platform(hardware: Hardware) -> Platform:
    """The device behind a description: ``simulator/<kind>/platform.py``."""
    module = import_module(f"simulator.{hardware.kind}.platform")
    return cast(Platform, module.PLATFORM(hardware.spec))


def simulate(
    trace: Trace,
    hardware: Hardware,
    *,
    launch: str = "graph",
    fidelity: str = "fast",
    quantization: str | None = None,
    sparsity: Sequence[str] = (),
    approximate_unmapped: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Replay a concrete trace on a device.

    ``launch`` is ``eager`` (a host cost per operator) or ``graph`` (one launch), ``fidelity``
    is ``fast`` or ``exact``.  ``quantization`` (``w4a8kv8``) and ``sparsity``
    (``PATTERN=DENSITY``) transform the workload first; a device may declare defaults for
    both, which they replace.  Raises a subclass of AccsimError for what cannot be run.
    """
    _check(launch, LAUNCHES, "launch")
    _check(fidelity, FIDELITIES, "fidelity")
    device = platform(hardware)
    warnings: list[str] = []
    bits = quantization or device.defaults.quantize
    densities = tuple(sparsity) or tuple(
        f"{pattern}={density}" for pattern, density in sorted(device.defaults.sparsity.items())
    )
    if bits and not quantization:
        warnings.append(f"the device's default quantization {bits} is applied")
    if densities and not sparsity:
        warnings.append(f"the device's default sparsity is applied: {', '.join(densities)}")
    if bits and bits != "none":
        trace = quantize(trace, bits)
    for density in densities:
        trace = sparsify(trace, density)
    prepared = plan(trace, device, approximate_unmapped)
    outcome = execute(prepared, device, launch, fidelity, progress)
    record = RunRecord(
        schema=RECORD_SCHEMA,
        workload=trace.header.name,
        phase=trace.header.phase,
        sizes=dict(trace.header.sizes),
        hardware=hardware.name,
        hardware_digest=hardware.description.digest,
        trace_digest=digest(trace),
        options={
            "launch": launch,
            "fidelity": fidelity,
            "quantize": bits or "none",
            "sparsity": list(densities),
            "approximate_unmapped": approximate_unmapped,
        },
        kernels=outcome.kernels,
        host=outcome.host,
        latency_fs=outcome.latency_fs,
        bound_fs=outcome.bound_fs,
        bound_by=outcome.bound_by,
        energy_j=outcome.energy_j,
        components=[
            Component(part.name, part.instances, part.peak, part.unit) for part in device.parts()
        ],
        tokens=_tokens(trace),
        graphs=int(trace.header.sizes.get("graphs", 1 if "nodes" in trace.header.sizes else 0)),
        capacity_bytes=device.capacity_bytes,
        footprint_bytes=prepared.footprint_bytes,
        guesses=prepared.guesses,
        warnings=(*warnings, *prepared.warnings),
        quality=", ".join(
            f"{count} {quality}" for quality, count in hardware.description.qualities.items()
        ),
        version=simulator.__version__,
        provenance=_provenance(hardware),
    )
    return Result(record)


def digest(trace: Trace) -> str:
    """SHA-256 of a trace's content."""
    import hashlib

    from simulator.trace.store import trace_text

    return hashlib.sha256(trace_text(trace).encode()).hexdigest()


def _check(value: str, choices: Sequence[str], option: str) -> None:
    if value not in choices:
        raise OptionError(
            f"unknown {option} '{value}'", where=f"--{option}", remedy=suggest(value, choices)
        )


def _tokens(trace: Trace) -> int:
    sizes = trace.header.sizes
    batch = sizes.get("batch", 1)
    if trace.header.phase == "decode":
        return batch
    return batch * sizes.get("prompt", 0)


def _provenance(hardware: Hardware) -> tuple[Provenance, ...]:
    counts: dict[tuple[str, str], int] = {}
    description = hardware.description
    for path in description.numbers:
        mark = description.provenance[path]
        key = (mark.quality or "unmarked", mark.source or "no source")
        counts[key] = counts.get(key, 0) + 1
    return tuple(
        Provenance(quality, source, count) for (quality, source), count in sorted(counts.items())
    )
