"""Probes: simulated counterparts of published measurements.

A probe takes a hardware description and named arguments and answers one number in an SI
unit.  ``PROBES`` names them all; a figure chooses one by name.
"""

from __future__ import annotations

from probes import accesses, traces, works
from probes.registry import PROBES, Probe

__all__ = ["PROBES", "Probe", "accesses", "traces", "works"]
