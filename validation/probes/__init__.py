"""Probes: simulated counterparts of published measurements.

A probe takes a hardware description and named arguments and answers one number in an SI
unit.  ``PROBES`` names them all, those of ``simulator/validate/microbench`` among them; a figure
chooses one by name.
"""

from __future__ import annotations

from probes import accesses, traces, works
from simulator.validate.microbench import accesses as gpu_accesses
from simulator.validate.microbench import kernels as gpu_kernels
from simulator.validate.probe import PROBES, Probe

__all__ = ["PROBES", "Probe", "accesses", "gpu_accesses", "gpu_kernels", "traces", "works"]
