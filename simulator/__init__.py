"""accsim: cycle-level simulation of GPU, PIM and FPGA accelerators for PyTorch workloads.

>>> from simulator import load_hardware, load_trace, simulate
>>> trace = load_trace("gpt2", {"context": 128}, phase="decode")
>>> result = simulate(trace, load_hardware("a100-sxm-80gb"))
>>> result.latency_s > result.bound_latency_s
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from simulator.api import load_hardware, load_trace, simulate
    from simulator.results.result import Result

__all__ = ["Result", "load_hardware", "load_trace", "simulate"]


def __getattr__(name: str) -> Any:
    """The public API, loaded when it is first used: the command line starts without it."""
    if name not in __all__:
        raise AttributeError(f"module 'simulator' has no attribute '{name}'")
    if name == "Result":
        from simulator.results.result import Result

        return Result
    from simulator import api

    return getattr(api, name)
