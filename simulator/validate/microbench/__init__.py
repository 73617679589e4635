"""Microbenchmarks of GPUs on the simulated machine: see README.md."""
