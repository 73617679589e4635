"""Hardware descriptions: YAML with sources, composed, overridden, validated."""

from simulator.hardware.catalogue import DEVICE_KINDS, KINDS, Entry, catalogue
from simulator.hardware.description import Description, resolve
from simulator.hardware.leaf import QUALITIES, Provenance
from simulator.hardware.spec import Block, Defaults, Peak
from simulator.hardware.validate import validate

__all__ = [
    "DEVICE_KINDS",
    "KINDS",
    "QUALITIES",
    "Block",
    "Defaults",
    "Description",
    "Entry",
    "Peak",
    "Provenance",
    "catalogue",
    "resolve",
    "validate",
]
