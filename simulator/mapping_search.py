"""Which of a device's mapping choices suits a workload: ``accsim run --mapping best``.

A device kind names its choices (``Platform.choices``).  Starting from the description's own, one
choice after another takes each of its values while the rest stay, the whole workload is simulated,
and the fastest value is kept; rounds repeat until none changes.  Choices that concern different
kinds of work do not interact, so this finds the best of all combinations where that holds.  Values
that a description does not admit together are passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

from simulator.api import load_hardware, platform, simulate
from simulator.errors import HardwareError, OptionError
from simulator.results.result import Result
from simulator.trace.schema import Trace
from simulator.units import human

MAPPINGS = ("own", "best")
Settings = dict[str, str]
Note = Callable[[int, str], None]
"""Called with (combinations tried, what is tried)."""


@dataclass(frozen=True)
class Search:
    """What was found."""

    result: Result
    """Of the best combination; it says what was chosen."""
    chosen: Settings
    """Choices that differ from the description's own."""
    tried: int
    own_latency_s: float


def best_mapping(
    trace: Trace,
    name: str | Path,
    overrides: Sequence[str] = (),
    note: Note | None = None,
    **options: Any,
) -> Search:
    """The fastest mapping of a trace on a device; ``options`` are those of ``simulate``. Raises
    OptionError for a device without choices."""
    hardware = load_hardware(name, overrides)
    choices = platform(hardware).choices
    if not choices:
        raise OptionError(
            f"{hardware.name} has no mapping choices to search",
            where="--mapping",
            remedy="leave the option out, or choose a PIM device",
        )
    usual = {path: _text(reduce(getattr, path.split("."), hardware.spec)) for path in choices}
    known: dict[tuple[tuple[str, str], ...], Result | None] = {}

    def run(settings: Settings) -> Result | None:
        key = tuple(sorted(settings.items()))
        if key not in known:
            text = [f"{path}={value}" for path, value in key]
            if note is not None:
                note(len(known) + 1, ", ".join(text) or "the description's own")
            try:
                device = load_hardware(name, [*overrides, *text])
            except HardwareError:
                known[key] = None
            else:
                known[key] = simulate(trace, device, **options)
        return known[key]

    own = simulate(trace, hardware, **options)
    best, chosen = own, Settings()
    known[()] = own
    changed = True
    while changed:
        changed = False
        for path, values in choices.items():
            for value in values:
                if value == chosen.get(path, usual[path]):
                    continue
                settings = {**chosen, path: value}
                settings = {key: one for key, one in settings.items() if one != usual[key]}
                result = run(settings)
                if result is not None and result.latency_s < best.latency_s:
                    best, chosen, changed = result, settings, True
    tried = sum(1 for result in known.values() if result is not None)
    return Search(_told(best, own, chosen, tried), chosen, tried, own.latency_s)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _told(best: Result, own: Result, chosen: Settings, tried: int) -> Result:
    """The result with what was chosen among its options and remarks."""
    said = ", ".join(f"{path}={value}" for path, value in sorted(chosen.items()))
    gain = 1 - best.latency_s / own.latency_s if own.latency_s else 0.0
    remark = (
        f"best of {tried} mappings: {said}, {100 * gain:.1f} % faster than the description's own "
        f"({human(own.latency_s, 's')})"
        if chosen
        else f"best of {tried} mappings: the description's own"
    )
    record = best.record
    options = {**record.options, "mapping": dict(sorted(chosen.items()))}
    return Result(replace(record, options=options, warnings=(remark, *record.warnings)))
