"""Probes: simulated counterparts of published measurements, by name.

A probe takes a hardware description and named arguments and answers one number in an SI unit.
``PROBES`` names them all: those of :mod:`simulator.validate.microbench`, and what a script
enters beside them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.system.specs import Hardware

Measure = Callable[..., float]


@dataclass(frozen=True)
class Probe:
    """A measurement on a described device."""

    measure: Measure
    si: str
    """Unit of the answer: s, B/s, op/s, W, 1."""

    def accepts(self, arguments: Mapping[str, Any]) -> bool:
        """Whether these are its arguments."""
        try:
            inspect.signature(self.measure).bind(None, **arguments)
        except TypeError:
            return False
        return True

    def __call__(self, hardware: Hardware, arguments: Mapping[str, Any]) -> float:
        key = (self.measure.__name__, hardware.description.digest, *sorted(arguments.items()))
        if key not in _answers:
            _answers[key] = self.measure(hardware, **arguments)
        return _answers[key]


_answers: dict[Hashable, float] = {}
"""Two publications may report one measurement, and a curve may pass through it."""
PROBES: dict[str, Probe] = {}


def probe(si: str) -> Callable[[Measure], Measure]:
    """Enter a function into the table under its own name."""

    def enter(measure: Measure) -> Measure:
        PROBES[measure.__name__] = Probe(measure, si)
        return measure

    return enter
