"""What a worker does: replay points, keep each result, hand them back.

Traces and descriptions repeat from point to point; each is read once per worker.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from simulator.errors import AccsimError, OutputError
from simulator.sweep.content import Task, describe
from simulator.sweep.plan import Point
from simulator.sweep.store import Record, Store
from simulator.trace.schema import Trace

_LEFT_OUT = frozenset(
    {"components", "kernels", "operators", "provenance", "utilization_over_time", "kinds"}
)
"""Of a result document: lists that would make a million points a terabyte."""

Batch = tuple[list[Record], list[tuple[str, str]]]
"""Records, and what went wrong on this machine rather than in the point: key and reason."""


def run_points(points: Sequence[Point], store: Path | None) -> Batch:
    """Replay points one after another; a point another worker has kept is not replayed."""
    records: list[Record] = []
    troubles: list[tuple[str, str]] = []
    kept = Store(store) if store is not None else None
    for point in points:
        record = kept.get(point.key) if kept is not None else None
        if record is None:
            try:
                record = run_point(point)
            except (MemoryError, OSError) as error:
                troubles.append((point.key, _reason(error)))
                continue
            if kept is not None:
                try:
                    kept.put(record)
                except OutputError:
                    # The one who asked keeps it too, and says so if that fails.
                    kept = None
        records.append(record)
    return records, troubles


def run_point(point: Point) -> Record:
    """The record of one point. An error is a result as well: the same point fails again."""
    record: Record = {"key": point.key, "task": describe(point.task)}
    try:
        return {**record, "status": "done", "result": _simulated(point.task)}
    except (MemoryError, OSError):
        raise
    except AccsimError as error:
        return {**record, "status": "failed", "error": str(error)}
    except Exception as error:
        return {**record, "status": "failed", "error": f"defect: {_reason(error)}"}


def _reason(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _simulated(task: Task) -> dict[str, Any]:
    from simulator import api

    options = dict(task.options)
    result = api.simulate(
        _trace(task.trace, task.phase, task.sizes),
        api.load_hardware(task.hardware, task.overrides),
        launch=options["launch"],
        fidelity=options["fidelity"],
        clock=options["clock"],
        quantization=options["quantize"],
        sparsity=options["sparsity"],
        approximate_unmapped=options["approximate_unmapped"],
    )
    return {key: value for key, value in result.to_json().items() if key not in _LEFT_OUT}


@lru_cache(maxsize=16)
def _trace(name: str, phase: str | None, sizes: tuple[tuple[str, int], ...]) -> Trace:
    from simulator.trace.load import load_trace

    return load_trace(name, dict(sizes), phase=phase)
