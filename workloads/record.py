"""Record the parametric traces in ``workloads/traces`` (needs the ``torch`` extra).

Each trace is exported at every combination of two values of each of its sizes,
fitted, and verified on one more export; see ``simulator.trace.parametric``.

    python workloads/record.py                    # all
    python workloads/record.py gpt2 llama2-7b     # some models
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from simulator.trace.export import MODELS, checked_sizes, export_model
from simulator.trace.parametric import fit
from simulator.trace.schema import Trace
from simulator.trace.store import save_trace

FOLDER = Path(__file__).parent / "traces"

POINTS = {"batch": (3, 5), "prompt": (37, 53), "context": (41, 59)}
"""Odd numbers that no model's own dimensions are multiples of, so that nothing
coincides by accident."""

VERIFY = {"batch": 7, "prompt": 101, "context": 103}

TRAINED = ("gpt2", "llama2-7b", "bert-base", "vit-b16")


def recorded_phases(name: str) -> Iterator[str]:
    for phase in MODELS[name].phases:
        if phase != "train" or name in TRAINED:
            yield phase


def record(name: str, phase: str) -> Trace:
    """The parametric trace of one model in one phase, with default sizes to run at."""
    sizes = checked_sizes(MODELS[name], phase)
    corners = product(*(POINTS[size] for size in sizes))
    exports = [export_model(name, phase, **dict(zip(sizes, c, strict=True))) for c in corners]
    check = export_model(name, phase, **{size: VERIFY[size] for size in sizes})
    return fit(exports, check, sizes)


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in names or list(MODELS):
        for phase in recorded_phases(name):
            file = save_trace(record(name, phase), FOLDER / f"{name}.{phase}.jsonl.gz")
            print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
