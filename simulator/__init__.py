"""accsim: cycle-level simulation of GPU, PIM and FPGA accelerators for PyTorch workloads."""

__version__ = "0.1.0"
