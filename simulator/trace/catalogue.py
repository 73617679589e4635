"""The recorded traces that come with the simulator, by name and phase.

Each is a file of ``workloads/traces``; what it holds stands in its header.
Asking for anything else is an error that says what is recorded and how to
export the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """The entry of a recorded trace; without a phase the first that has such sizes."""
    entries = recorded()
    named = [entry for entry in entries if entry.name == name]
    if not named:
        raise TraceError(
            f"no recorded trace '{name}'", remedy=_remedy(name, {entry.name for entry in entries})
        )
    sizes = sizes or {}
    if phase is None:
        phase = next((e.phase for e in named if sizes.keys() <= e.sizes.keys()), named[0].phase)
    variants = [entry for entry in named if entry.phase == phase]
    if not variants:
        phases = ", ".join(dict.fromkeys(entry.phase for entry in named))
        raise TraceError(
            f"'{name}' is recorded for {phases}, not for '{phase}'",
            remedy=f"choose a recorded phase, or {_export_advice(name, phase)}",
        )
    return next((entry for entry in variants if _holds(entry, sizes)), variants[-1])


def _holds(entry: Entry, sizes: Mapping[str, int]) -> bool:
    """Whether a variant's ranges hold the sizes; the last variant is the widest."""
    return all(
        entry.ranges[size][0] <= value <= entry.ranges[size][1]
        for size, value in sizes.items()
        if size in entry.ranges
    )


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
    extra, file = "torch", f"{name}.jsonl.gz"
    model, colon, graph = name.partition(":")
    if colon:  # a graph network is named model:graph, or model-csr:graph
        extra, file = "gnn", f"{model}.trace"
        csr = " --adjacency csr" if model.endswith("-csr") else ""
        name = f"{model.removesuffix('-csr')} --graph {graph}{csr}"
    return (
        f"export it: pip install 'accsim[{extra}]' and accsim trace export {name}{option} -o {file}"
    )
