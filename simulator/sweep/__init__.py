"""Sweeps: many variants of a run, kept by content, and what their table says.

>>> from simulator.sweep import load_sweep, sweep
>>> results = sweep(load_sweep("sweep.yaml"), jobs=2)  # doctest: +SKIP
>>> results.frame, results.pareto(), results.sensitivity("latency_s")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.sweep.results import SweepResults, open_results
    from simulator.sweep.run import sweep
    from simulator.sweep.spec import Sweep, load_sweep

_HOMES = {
    "Sweep": "spec",
    "SweepResults": "results",
    "load_sweep": "spec",
    "open_results": "results",
    "sweep": "run",
}
__all__ = ["Sweep", "SweepResults", "load_sweep", "open_results", "sweep"]


def __getattr__(name: str) -> Any:
    """The public API, loaded when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator.sweep' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"simulator.sweep.{_HOMES[name]}"), name)
