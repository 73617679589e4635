"""The host that feeds a device: what the CPU pays to dispatch an operator.

Eager execution pays per operator and per kernel launch; a captured graph pays once.
Left out: host power, contention of host threads, allocator and Python garbage costs.
"""

from __future__ import annotations

from typing import Literal

from simulator.hardware.spec import Block
from simulator.units import Seconds


class HostSpec(Block):
    """``hwconfigs/system``: CPU-side costs of one framework."""

    kind: Literal["system"]
    name: str
    title: str = ""
    operator_cost: Seconds
    """Framework time to dispatch an operator that runs kernels, launches not included."""
    view_cost: Seconds
    """Framework time of an operator that only makes another view."""
    launch_cost: Seconds
    """Driver time to launch one kernel."""
    graph_launch: Seconds
    """Driver time to launch a whole captured graph."""
