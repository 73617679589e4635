"""Tick-exact DRAM controller: compiled, event-skipping; see README.md."""
