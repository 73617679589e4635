"""Record the parametric traces in ``workloads/traces`` (needs the ``torch`` extra).

Each trace is exported at every combination of two values of each of its sizes,
fitted, and verified on one more export; see ``simulator.trace.parametric``.

    python workloads/record.py                    # all
    python workloads/record.py gpt2 llama2-7b     # some models
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from simulator.trace.export import MODELS, checked_sizes, export_model
from simulator.trace.parametric import fit_exports
from simulator.trace.schema import Trace
from simulator.trace.store import save_trace

FOLDER = Path(__file__).parent / "traces"

POINTS = {"batch": (3, 5), "prompt": (37, 53), "context": (41, 59)}
"""Odd numbers that no model's own dimensions are multiples of, so that nothing
coincides by accident."""

VERIFY = {"batch": 7, "prompt": 101, "context": 103}

TRAINED = ("gpt2", "llama2-7b", "bert-base", "vit-b16")

LARGEST_BATCH = 65536


def recorded_phases(name: str) -> Iterator[str]:
    for phase in MODELS[name].phases:
        if phase != "train" or name in TRAINED:
            yield phase


def record(name: str, phase: str, fixed: Mapping[str, int], smallest_batch: int = 1) -> Trace:
    """The parametric trace of one model in one phase, some sizes perhaps fixed."""
    defaults = {**checked_sizes(MODELS[name], phase, fixed)}
    defaults["batch"] = max(defaults["batch"], smallest_batch)
    values = {size: (fixed[size],) if size in fixed else POINTS[size] for size in defaults}
    verify = {size: VERIFY[size] for size in defaults} | dict(fixed)
    ranges = {"batch": (smallest_batch, LARGEST_BATCH)}
    export = partial(export_model, name, phase)
    return fit_exports(export, values, verify, defaults, ranges)


def variants(name: str, phase: str) -> Iterator[tuple[str, Trace]]:
    """Traces by the end of their file names.

    With one sequence the backward pass has fewer operators: nothing is summed
    over the batch.
    """
    if phase == "train":
        yield ".batch1", record(name, phase, {"batch": 1})
        yield "", record(name, phase, {}, smallest_batch=2)
    else:
        yield "", record(name, phase, {})


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or list(MODELS):
        for phase in recorded_phases(name):
            for ending, trace in variants(name, phase):
                file = save_trace(trace, FOLDER / f"{name}.{phase}{ending}.jsonl.gz")
                print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
