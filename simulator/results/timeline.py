"""The run as a timeline: Chrome trace events that Perfetto and chrome://tracing open.

Five groups of tracks: the host's dispatching, one track per stream with its kernels, a
counter per component with its utilization, the DRAM's read and write bandwidth, and power.
The format's ``ts`` and ``dur`` are microseconds in floating point; each slice keeps its
exact femtoseconds in ``args``.  Counters are constant over a kernel: the records say how
busy a component was, not when.  The subset used is written down in
``timeline.schema.json``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from simulator.results.aggregate import component_names
from simulator.system.records import KernelRecord, RunRecord

Event = dict[str, Any]

HOST, STREAMS, UNITS, MEMORY, POWER = 1, 2, 3, 4, 5
_GROUPS = {HOST: "host", STREAMS: "streams", UNITS: "units", MEMORY: "memory", POWER: "power"}

_FS_PER_US, _FS_PER_S = 10**9, 10**15
POWER_TRACK = "power (W)"

KERNEL_COLUMNS = (
    "index",
    "name",
    "operator",
    "kind",
    "module",
    "phase",
    "stream",
    "issued_fs",
    "start_fs",
    "end_fs",
    "bound_fs",
    "bound_by",
    "bytes_compulsory",
    "dram_bytes_read",
    "dram_bytes_written",
    "simulated_share",
    "error_estimate",
    "reused",
    "approximated",
)


def kernel_row(kernel: KernelRecord) -> Event:
    """A kernel as one flat row; its mappings become prefixed columns."""
    row = {column: getattr(kernel, column) for column in KERNEL_COLUMNS}
    row["energy_j"] = math.fsum(kernel.energy_j.values())
    for prefix, mapping in (
        ("operations_", kernel.operations),
        ("busy_fs_", kernel.busy_fs),
        ("energy_j_", kernel.energy_j),
        ("", kernel.counters),
    ):
        row.update({f"{prefix}{key}": mapping[key] for key in sorted(mapping)})
    return row


def events(record: RunRecord) -> list[Event]:
    """All events: names of tracks first, then slices and counters in time order."""
    lanes = _lanes(record.kernels)
    timed = [
        *(_slice(span.name, HOST, 1, span.start_fs, span.end_fs, "host") for span in record.host),
        *(_kernel_slice(kernel, lane) for kernel, lane in lanes),
        *_counters(record),
        *_power(record),
    ]
    timed.sort(key=lambda event: (event["ts"], event["pid"], event.get("tid", 0)))
    return [*_names(record, lanes), *timed]


def dumps(record: RunRecord) -> str:
    """The timeline as JSON text, one event per line."""
    header = {
        "workload": record.workload,
        "hardware": record.hardware,
        "version": record.version,
        "latency_fs": record.latency_fs,
    }
    lines = ",\n".join(
        json.dumps(event, sort_keys=True, allow_nan=False, separators=(",", ":"))
        for event in events(record)
    )
    other = json.dumps(header, sort_keys=True)
    return f'{{"displayTimeUnit":"ns","otherData":{other},"traceEvents":[\n{lines}\n]}}\n'


Lane = tuple[int, int]
"""Stream, and which of its tracks."""


def _lanes(kernels: Iterable[KernelRecord]) -> list[tuple[KernelRecord, Lane]]:
    """A stream's kernels on its first track; one that starts early spills to a further one."""
    ends: dict[int, list[int]] = {}
    placed = []
    for kernel in sorted(kernels, key=lambda kernel: (kernel.start_fs, kernel.index)):
        tracks = ends.setdefault(kernel.stream, [])
        free = (track for track, end in enumerate(tracks) if end <= kernel.start_fs)
        track = next(free, len(tracks))
        if track == len(tracks):
            tracks.append(kernel.end_fs)
        else:
            tracks[track] = kernel.end_fs
        placed.append((kernel, (kernel.stream, track)))
    return placed


def _thread(lane: Lane) -> int:
    stream, track = lane
    return 1 + stream * 64 + track


def _names(record: RunRecord, lanes: list[tuple[KernelRecord, Lane]]) -> Iterator[Event]:
    for pid, name in _GROUPS.items():
        label = f"{name} ({record.hardware})" if pid == UNITS else name
        yield _name("process_name", pid, 0, {"name": label})
        yield _name("process_sort_index", pid, 0, {"sort_index": pid})
    yield _name("thread_name", HOST, 1, {"name": "dispatch"})
    for lane in sorted({lane for _, lane in lanes}):
        stream, track = lane
        label = f"stream {stream}" if track == 0 else f"stream {stream}, overlapping {track}"
        yield _name("thread_name", STREAMS, _thread(lane), {"name": label})
        order = {"sort_index": _thread(lane)}
        yield _name("thread_sort_index", STREAMS, _thread(lane), order)


def _name(kind: str, pid: int, tid: int, args: Event) -> Event:
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid, "args": args}


def _slice(name: str, pid: int, tid: int, start_fs: int, end_fs: int, category: str) -> Event:
    return {
        "ph": "X",
        "name": name,
        "cat": category,
        "pid": pid,
        "tid": tid,
        "ts": start_fs / _FS_PER_US,
        "dur": (end_fs - start_fs) / _FS_PER_US,
        "args": {"start_fs": start_fs, "end_fs": end_fs},
    }


def _kernel_slice(kernel: KernelRecord, lane: Lane) -> Event:
    event = _slice(kernel.name, STREAMS, _thread(lane), kernel.start_fs, kernel.end_fs, kernel.kind)
    event["args"] |= {
        "operator": kernel.operator,
        "module": kernel.module,
        "phase": kernel.phase,
        "issued_fs": kernel.issued_fs,
        "bound_fs": kernel.bound_fs,
        "bound_by": kernel.bound_by,
        "dram_bytes_read": kernel.dram_bytes_read,
        "dram_bytes_written": kernel.dram_bytes_written,
        "energy_j": math.fsum(kernel.energy_j.values()),
        "simulated_share": kernel.simulated_share,
        "reused": kernel.reused,
    }
    return event


def _counters(record: RunRecord) -> Iterator[Event]:
    """Utilization and DRAM bandwidth as steps: an event where a value changes."""
    components = component_names(record)
    shown: dict[str, Mapping[str, float]] = {}
    for time_fs, active in _steps(record.kernels):
        values: dict[str, Mapping[str, float]] = {
            name: {"percent": _percent(active, name)} for name in components
        }
        values["DRAM bandwidth (GB/s)"] = {
            "read": _gigabytes_per_s((kernel.dram_bytes_read, kernel) for kernel in active),
            "written": _gigabytes_per_s((kernel.dram_bytes_written, kernel) for kernel in active),
        }
        for name, args in values.items():
            if shown.get(name) != args:
                shown[name] = args
                pid = UNITS if name in components else MEMORY
                ts = time_fs / _FS_PER_US
                yield {"ph": "C", "name": name, "pid": pid, "ts": ts, "args": dict(args)}


def _power(record: RunRecord) -> Iterator[Event]:
    """Watts as steps. What a kernel carries is even over it; of the rest of a part that kernels
    carry, they have their share, so it belongs to the times without any; a part that none carries
    lasts as long as the run. The integral is the run's energy."""
    steps = list(_steps(record.kernels))
    if not steps or steps[0][0] > 0:
        steps.insert(0, (0, []))
    ends = [time_fs for time_fs, _ in steps[1:]] + [record.latency_fs]
    empty_fs = sum(
        max(0, end - start) for (start, active), end in zip(steps, ends, strict=True) if not active
    )
    always_j = between_j = 0.0
    for part, joules in record.energy_j.items():
        carried = math.fsum(kernel.energy_j.get(part, 0.0) for kernel in record.kernels)
        if carried and empty_fs:
            between_j += joules - carried
        else:
            always_j += joules - carried
    always_w = always_j / record.latency_fs * _FS_PER_S if record.latency_fs else 0.0
    between_w = between_j / empty_fs * _FS_PER_S if empty_fs else 0.0
    shown: Mapping[str, float] = {}
    for time_fs, active in steps:
        kernels_w = math.fsum(
            math.fsum(kernel.energy_j.values()) / kernel.duration_fs * _FS_PER_S
            for kernel in active
        )
        args = {
            "kernels": round(kernels_w, 3),
            "rest": round(max(0.0, always_w + (0.0 if active else between_w)), 3),
        }
        if args != shown:
            shown = args
            ts = time_fs / _FS_PER_US
            yield {"ph": "C", "name": POWER_TRACK, "pid": POWER, "ts": ts, "args": args}


def _steps(kernels: Iterable[KernelRecord]) -> Iterator[tuple[int, list[KernelRecord]]]:
    """Each time at which kernels start or end, with those that then run."""
    lasting = [kernel for kernel in kernels if kernel.duration_fs > 0]
    changes: dict[int, list[tuple[int, KernelRecord]]] = {}
    for place, kernel in enumerate(lasting):
        changes.setdefault(kernel.start_fs, []).append((place, kernel))
        changes.setdefault(kernel.end_fs, []).append((place, kernel))
    active: dict[int, KernelRecord] = {}
    for time_fs in sorted(changes):
        for place, kernel in changes[time_fs]:
            if kernel.start_fs == time_fs:
                active[place] = kernel
            else:
                del active[place]
        yield time_fs, [active[place] for place in sorted(active)]


def _percent(active: Iterable[KernelRecord], component: str) -> float:
    shares = (kernel.busy_fs.get(component, 0) / kernel.duration_fs for kernel in active)
    return round(100 * math.fsum(shares), 3)


def _gigabytes_per_s(moved: Iterable[tuple[int, KernelRecord]]) -> float:
    # One byte per femtosecond is 1e6 GB/s.
    return round(math.fsum(bytes_ * 1e6 / kernel.duration_fs for bytes_, kernel in moved), 3)
