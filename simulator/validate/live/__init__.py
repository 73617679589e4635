"""Measuring kernels on a GPU at hand, for ``accsim calibrate --live``."""
