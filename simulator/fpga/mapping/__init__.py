"""From work to kernels of an overlay: one function for each kind of work."""

from simulator.fpga.mapping.dispatch import kernels

__all__ = ["kernels"]
