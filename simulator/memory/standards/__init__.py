"""DRAM standards as data: constraint tables and their evaluation for one memory."""

from simulator.memory.standards.compiled import Device, Lockstep, Rule, compile_device
from simulator.memory.standards.table import COMMANDS, Constraint, Standard, load_standard

__all__ = [
    "COMMANDS",
    "Constraint",
    "Device",
    "Lockstep",
    "Rule",
    "Standard",
    "compile_device",
    "load_standard",
]
