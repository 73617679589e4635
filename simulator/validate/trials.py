"""Rows simulated with changing descriptions: what a fit asks for, each thing once.

Energies and the cap change nothing of what happens at the highest clock, so rows are simulated for
each choice of the other parameters, in the workers of an executor; time and power under the cap
follow from what happened there, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from typing import cast

import numpy as np

from simulator.engine.platform import Platform
from simulator.errors import CapacityError
from simulator.gpu.platform import GpuPlatform
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import load_hardware
from simulator.validate.methods import Method, method_of
from simulator.validate.parameters import Parameter, assignments
from simulator.validate.replay import Played, at_highest_clock, settle
from simulator.validate.rows import Row
from simulator.validate.works import works_of

Key = tuple[str, ...]


def platform(hardware: str, overrides: Sequence[str]) -> Platform:
    """A GPU by description and overrides."""
    spec = load_hardware(hardware, overrides).spec
    return cast(Platform, GpuPlatform(cast(GpuSpec, spec)))


def played(hardware: str, overrides: Sequence[str], rows: Sequence[Row]) -> list[Played | None]:
    """The rows at the highest clock, None for one that does not fit the device."""
    device = platform(hardware, overrides)
    found: list[Played | None] = []
    for row in rows:
        method = cast(Method, method_of(row))
        try:
            found.append(at_highest_clock(device, works_of(row, method), method))
        except CapacityError:
            found.append(None)
    return found


def settled(
    device: Platform, rows: Sequence[Row], calls: Sequence[Played | None]
) -> tuple[np.ndarray, np.ndarray]:
    """(row), (row): seconds and watts of calls under the cap, NaN where there is none."""
    both = np.full((2, len(rows)), np.nan)
    for place, (row, call) in enumerate(zip(rows, calls, strict=True)):
        if call is not None:
            method = cast(Method, method_of(row))
            whole = settle(device, works_of(row, method), method, call)
            both[:, place] = whole.seconds, whole.watts
    return both[0], both[1]


def times(hardware: str, overrides: Sequence[str], rows: Sequence[Row]) -> list[float]:
    """Simulated seconds of the rows, NaN for one that does not fit the device."""
    seconds, _ = settled(platform(hardware, overrides), rows, played(hardware, overrides, rows))
    return [float(value) for value in seconds]


class Trials:
    """Simulated times and powers of rows for any values of the parameters. What happens at the
    highest clock is simulated once for each choice of the parameters that it depends on."""

    def __init__(
        self,
        hardware: str,
        parameters: Sequence[Parameter],
        rows: Sequence[Row],
        executor: Executor,
        parts: int,
    ) -> None:
        self.hardware, self.parameters = hardware, tuple(parameters)
        self.rows, self.executor, self.parts = tuple(rows), executor, parts
        self.spec = cast(GpuSpec, load_hardware(hardware).spec)
        self._played: dict[Key, list[Future[list[Played | None]]]] = {}

    def start(self, values: np.ndarray) -> tuple[Key, Key]:
        """Begin to simulate with logarithms of values, if that was not done; returns the
        overrides on which it depends, and the others."""
        pairs = list(zip(self.parameters, np.exp(values), strict=True))
        acting, electrical = (
            tuple(
                text
                for one, value in pairs
                if one.electrical == kind
                for text in assignments([one], [value], self.spec)
            )
            for kind in (False, True)
        )
        if acting not in self._played:
            self._played[acting] = [
                self.executor.submit(played, self.hardware, acting, self.rows[part :: self.parts])
                for part in range(self.parts)
            ]
        return acting, electrical

    def calls(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row), (row): simulated seconds and watts; NaN where a row cannot be simulated."""
        acting, electrical = self.start(values)
        found: list[Played | None] = [None] * len(self.rows)
        for part, future in enumerate(self._played[acting]):
            found[part :: self.parts] = future.result()
        return settled(platform(self.hardware, (*acting, *electrical)), self.rows, found)
