"""The recorded traces that come with the simulator, by name and phase.

Each is a file of ``workloads/traces``; what it holds stands in its header.
Asking for anything else is an error that says what is recorded and how to
export the rest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from simulator.errors import TraceError, nearest
from simulator.paths import recorded_traces
from simulator.trace import store
from simulator.trace.schema import Header, Trace


@dataclass(frozen=True, slots=True)
class Entry:
    """One recorded trace."""

    header: Header
    file: Path

    @property
    def name(self) -> str:
        return self.header.name

    @property
    def phase(self) -> str:
        return self.header.phase

    @property
    def sizes(self) -> Mapping[str, int]:
        """Default sizes."""
        return self.header.sizes

    @property
    def ranges(self) -> Mapping[str, tuple[int, int]]:
        return self.header.ranges


PHASE_ORDER = ("decode", "prefill", "forward", "train")


def recorded(folder: Path | None = None) -> list[Entry]:
    """All recorded traces, by name, then phase."""
    return list(_entries(folder or recorded_traces()))


def open_recorded(
    name: str, phase: str | None = None, sizes: Mapping[str, int] | None = None
) -> Trace:
    """A recorded trace as stored (parametric); ``sizes`` only select among variants."""
    return store.read_trace(find(name, phase, sizes).file)


def find(name: str, phase: str | None = None, sizes: Mapping[str, int] | None = None) -> Entry:
    """The entry of a recorded trace; the first phase recorded if none is asked for."""
    entries = recorded()
    named = [entry for entry in entries if entry.name == name]
    if not named:
        raise TraceError(
            f"no recorded trace '{name}'", remedy=_remedy(name, {entry.name for entry in entries})
        )
    matching = [entry for entry in named if phase in (None, entry.phase)]
    if not matching:
        phases = ", ".join(dict.fromkeys(entry.phase for entry in named))
        raise TraceError(
            f"'{name}' is recorded for {phases}, not for '{phase}'",
            remedy=f"choose a recorded phase, or {_export_advice(name, phase)}",
        )
    return _covering(matching, sizes or {})


def _covering(entries: Sequence[Entry], sizes: Mapping[str, int]) -> Entry:
    """The first variant whose ranges hold the sizes; the last, widest one if none does."""
    for entry in entries:
        if all(
            entry.ranges[size][0] <= value <= entry.ranges[size][1]
            for size, value in sizes.items()
            if size in entry.ranges
        ):
            return entry
    return entries[-1]


@lru_cache(maxsize=8)
def _entries(folder: Path) -> tuple[Entry, ...]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    files = [path for path in paths if path.name.endswith(store.SUFFIXES)]
    entries = [Entry(store.read_header(file), file) for file in files]
    return tuple(sorted(entries, key=lambda entry: (entry.name, _rank(entry.phase), entry.file)))


def _rank(phase: str) -> int:
    return PHASE_ORDER.index(phase) if phase in PHASE_ORDER else len(PHASE_ORDER)


def _remedy(name: str, names: set[str]) -> str:
    near = nearest(name, names)
    hint = f"did you mean '{near}'?" if near else f"recorded are {', '.join(sorted(names))}"
    return f"{hint} or {_export_advice(name, None)}"


def _export_advice(name: str, phase: str | None) -> str:
    option = f" --phase {phase}" if phase else ""
    return (
        f"export it: pip install 'accsim[torch]' and accsim trace export {name}{option}"
        f" -o {name}.jsonl.gz"
    )
