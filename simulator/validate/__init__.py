"""Comparison with measurements: see the README beside this file."""
