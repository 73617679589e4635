"""The simulator in three calls: load a device, load a trace, simulate.

``simulate`` replays a trace; ``simulate_work`` runs single pieces of work that come from
no trace (the ``accsim op`` command).  The command line is a thin layer over this module.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, cast

import simulator
from simulator.engine.platform import Platform
from simulator.errors import OptionError, suggest
from simulator.power.clock import CLOCKS
from simulator.results.result import Result
from simulator.system.plan import Plan, plan, plan_work
from simulator.system.records import RECORD_SCHEMA, Component, Provenance, RunRecord
from simulator.system.run import FIDELITIES, LAUNCHES, Outcome, Progress, execute, likeness
from simulator.system.specs import Hardware, load_hardware
from simulator.trace.fusion import fuse
from simulator.trace.load import load_trace
from simulator.trace.schema import Trace
from simulator.trace.store import trace_text
from simulator.trace.transforms import quantize, sparsify
from simulator.trace.work import Work
from simulator.units import human

__all__ = ["load_hardware", "load_trace", "platform", "simulate", "simulate_work"]

NO_QUANTIZATION = "none"


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
    clock: str = "sustained",
    quantization: str | None = None,
    sparsity: Sequence[str] = (),
    approximate_unmapped: bool = False,
    progress: Progress | None = None,
) -> Result:
    """Replay a concrete trace on a device.

    ``launch`` is ``eager`` (a host cost per operator), ``graph`` (one launch) or ``queued`` (no
    host), ``fidelity`` is ``fast`` or ``exact``, ``clock`` is ``sustained`` (what the board's power
    cap leaves) or ``burst`` (before it acts).  ``quantization`` (``w4a8kv8``, or ``none``) and
    ``sparsity`` (``PATTERN=DENSITY``) transform the workload first; a device may declare defaults
    for both, which they replace.  Raises a subclass of AccsimError for what cannot be run.
    """
    _check(launch, fidelity, clock)
    device = platform(hardware)
    trace, applied, warnings = _transformed(trace, device, quantization, sparsity)
    prepared = plan(trace, device, approximate_unmapped)
    options = {
        "launch": launch,
        "fidelity": fidelity,
        "clock": clock,
        **applied,
        "approximate_unmapped": approximate_unmapped,
    }
    return _run(
        prepared,
        hardware,
        device,
        options,
        progress,
        phase=trace.header.phase,
        sizes=dict(trace.header.sizes),
        trace_digest=hashlib.sha256(trace_text(trace).encode()).hexdigest(),
        tokens=_tokens(trace),
        graphs=1 if "nodes" in trace.header.sizes else 0,
        warnings=warnings,
    )


def simulate_work(
    works: Sequence[Work],
    hardware: Hardware,
    name: str,
    *,
    launch: str = "queued",
    fidelity: str = "fast",
    clock: str = "sustained",
    progress: Progress | None = None,
) -> Result:
    """Run works one after another on a device whose caches are empty at first."""
    _check(launch, fidelity, clock)
    device = platform(hardware)
    options = {"launch": launch, "fidelity": fidelity, "clock": clock}
    return _run(
        plan_work(works, device, name),
        hardware,
        device,
        options,
        progress,
        phase="forward",
        sizes={},
        trace_digest=hashlib.sha256(repr([likeness(work) for work in works]).encode()).hexdigest(),
        tokens=0,
        graphs=0,
        warnings=(),
    )


def _run(
    prepared: Plan,
    hardware: Hardware,
    device: Platform,
    options: dict[str, Any],
    progress: Progress | None,
    *,
    warnings: Sequence[str],
    **about: Any,
) -> Result:
    outcome = execute(
        prepared, device, options["launch"], options["fidelity"], progress, options["clock"]
    )
    description = hardware.description
    warnings = (*warnings, *_doubts(prepared, device, options["launch"], options["clock"], outcome))
    record = RunRecord(
        schema=RECORD_SCHEMA,
        workload=prepared.name,
        hardware=hardware.name,
        hardware_digest=description.digest,
        options=options,
        kernels=outcome.kernels,
        host=outcome.host,
        latency_fs=outcome.latency_fs,
        bound_fs=outcome.bound_fs,
        bound_by=outcome.bound_by,
        energy_j=outcome.energy_j,
        components=[
            Component(part.name, part.instances, part.peak, part.unit) for part in device.parts()
        ],
        capacity_bytes=device.capacity_bytes,
        footprint_bytes=prepared.footprint_bytes,
        guesses=prepared.guesses,
        warnings=(*warnings, *prepared.warnings),
        quality=", ".join(f"{count} {mark}" for mark, count in description.qualities.items()),
        version=simulator.__version__,
        provenance=_provenance(hardware),
        **about,
    )
    return Result(record)


def _doubts(
    prepared: Plan, device: Platform, launch: str, clock: str, outcome: Outcome
) -> Iterator[str]:
    """What a reader of the result must know about what was left out."""
    waits = sum(item.needs_host for item in prepared.items)
    if waits and launch == "graph":
        yield f"{waits} operators read data on the host; a captured graph cannot wait for them"
    cap = device.energy_rates(None).power_cap_w
    if outcome.latency_fs:
        mean_w = sum(outcome.energy_j.values()) / (outcome.latency_fs * 1e-15)
        if mean_w > cap:
            why = (
                "burst clocks last until the board's limiter acts"
                if clock == "burst"
                else "kernels of several streams at once run at the highest clock"
            )
            yield (
                f"mean power of {human(mean_w, 'W')} is above the cap of {human(cap, 'W')}: {why}"
            )


def _check(launch: str, fidelity: str, clock: str) -> None:
    for option, value, choices in (
        ("launch", launch, LAUNCHES),
        ("fidelity", fidelity, FIDELITIES),
        ("clock", clock, CLOCKS),
    ):
        if value not in choices:
            raise OptionError(
                f"unknown {option} '{value}'",
                where=f"--{option}",
                remedy=suggest(value, choices),
            )


def _transformed(
    trace: Trace, device: Platform, quantization: str | None, sparsity: Sequence[str]
) -> tuple[Trace, dict[str, Any], tuple[str, ...]]:
    """The trace after the user's transforms, or the device's where the user has none."""
    warnings: list[str] = []
    defaults = device.defaults
    fused = fuse(trace, defaults.fuse)
    if fused.operators != trace.operators:
        warnings.append(f"the device's default fusion of {', '.join(defaults.fuse)} is applied")
    trace = fused
    bits = quantization
    densities: Mapping[str, float] = {}
    trains = any(operator.phase in ("backward", "optimizer") for operator in trace.operators)
    if bits is None and defaults.quantize and not trains:
        bits = defaults.quantize
        warnings.append(f"the device's default quantization {bits} is applied")
    if not sparsity and not trains:
        densities = defaults.sparsity
    if bits is not None and bits != NO_QUANTIZATION:
        trace = quantize(trace, bits)
    for option in sparsity:
        trace = sparsify(trace, option)
    for pattern, density in sorted(densities.items()):
        # A device names the layers of the models it was made for; others have none.
        sparser = sparsify(trace, f"{pattern}={density}", strict=False)
        if sparser.operators != trace.operators:
            warnings.append(f"the device's default sparsity {pattern}={density} is applied")
        trace = sparser
    applied = {
        "quantize": bits or NO_QUANTIZATION,
        "fuse": list(defaults.fuse),
        "sparsity": [*sparsity, *(f"{p}={d}" for p, d in sorted(densities.items()))],
    }
    return trace, applied, tuple(warnings)


def _tokens(trace: Trace) -> int:
    """Tokens a run makes (decode) or reads (prefill, training); images have none."""
    sizes = trace.header.sizes
    batch = sizes.get("batch", 1)
    return batch if trace.header.phase == "decode" else batch * sizes.get("prompt", 0)


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
