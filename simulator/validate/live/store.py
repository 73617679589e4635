"""A folder of measurements that grows: one CSV per kind, in the columns that are read.

A row is there completely or not at all, whenever the sweep is stopped; what a folder holds is not
measured again.  ``device.json`` says on what and with what the folder was measured; another
device needs another folder.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import simulator
from simulator.errors import MeasurementError, OutputError, atomic_write
from simulator.validate.live.timer import Cell, GpuAtHand, Point

DEVICE = "device.json"
SOURCE = "live"
_TIMES = ("time_us", "time_us_min", "time_us_max", "n_src", "clock_mhz")
_ORIGIN = ("source", "timing_method", "flag")
_ATTENTION = ("gpu", "op", "dtype", "batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len")
LAYOUTS: Mapping[str, tuple[str, ...]] = {
    "gemm.csv": ("gpu", "op", "dtype", "m", "n", "k", "batch", *_TIMES, "kernel", *_ORIGIN),
    "attention_prefill.csv": (*_ATTENTION, "causal", *_TIMES, "kernel", *_ORIGIN),
    "attention_decode.csv": (*_ATTENTION, "causal", *_TIMES, "kernel", *_ORIGIN),
    "memory_bound.csv": ("gpu", "op", "dtype", "rows", "cols", *_TIMES, "kernel", *_ORIGIN),
    "sparse.csv": (
        *("gpu", "op", "dtype", "impl", "matrix", "nodes", "cols", "edges", "feat"),
        *(*_TIMES, *_ORIGIN),
    ),
    "microbench.csv": (
        *("gpu", "op", "footprint_kb", "per_block_kb", "value", "unit", "clock_mhz"),
        *("threads", "occupancy_pct", *_ORIGIN),
    ),
    "power.csv": (
        *("gpu", "op", "dtype", "impl", "m", "n", "k", "batch", "isl", "heads", "kv_heads"),
        *("head_dim", "step", "power_w", "power_limit_w", "time_us", "energy_mj", "clock_mhz"),
        *_ORIGIN,
    ),
}
"""Columns by file: those that are read, and ``clock_mhz``."""
_RESULTS = {
    *(*_TIMES, *_ORIGIN, "gpu", "kernel", "impl", "value", "unit", "per_block_kb", "threads"),
    *("occupancy_pct", "power_w", "power_limit_w", "energy_mj"),
}
IDENTITY: Mapping[str, tuple[str, ...]] = {
    file: tuple(name for name in columns if name not in _RESULTS)
    for file, columns in LAYOUTS.items()
}
"""The columns that tell a file's rows apart."""


class Store:
    """The rows of a folder, and where the next ones go."""

    def __init__(self, folder: Path, gpu: str, device: GpuAtHand) -> None:
        """Open a folder, or make it. Raises MeasurementError for a folder that holds something
        else, OutputError if it cannot be written."""
        self.folder, self.gpu = folder, gpu
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the folder: {error.strerror or error}",
                where=folder,
                remedy="give --data a folder that can be written",
            ) from error
        self._rows = {name: _read(folder / name) for name in LAYOUTS if (folder / name).is_file()}
        self._claim(device)
        self._known = {_key(file, row) for file, rows in self._rows.items() for row in rows}

    def holds(self, point: Point) -> bool:
        """Whether the point was measured."""
        return _key(point.file, point.columns) in self._known

    def add(self, point: Point, results: Mapping[str, Cell | None]) -> None:
        """Write the row of a point; numbers to six digits."""
        cells = {**point.columns, **results, "gpu": self.gpu, "source": SOURCE}
        row = {name: _text(cells.pop(name, None)) for name in LAYOUTS[point.file]}
        assert not cells, f"{point.file} has no column {', '.join(cells)}"
        rows = self._rows.setdefault(point.file, [])
        rows.append(row)
        self._known.add(_key(point.file, row))
        atomic_write(self.folder / point.file, _csv(LAYOUTS[point.file], rows))

    def _claim(self, device: GpuAtHand) -> None:
        """Note the device, or refuse a folder of another one."""
        path = self.folder / DEVICE
        own = {"gpu": self.gpu, "device": device.name, "sms": device.sms}
        if path.is_file():
            known = _device(path, tuple(own))
            if known != own:
                raise MeasurementError(
                    f"was measured on {known['device']} ({known['gpu']}), this is {device.name} "
                    f"({self.gpu})",
                    where=self.folder,
                    remedy="give --data another folder",
                )
            return
        if self._rows:
            raise MeasurementError(
                f"holds {next(iter(self._rows))} but no {DEVICE}, so it was not measured here",
                where=self.folder,
                remedy="give --data a folder of its own",
            )
        record = {
            **own,
            "memory_bytes": device.memory_bytes,
            "power_limit_w": device.power_limit_w,
            "software": {"accsim": simulator.__version__, **device.software},
        }
        atomic_write(path, json.dumps(record, indent=2) + "\n")


def _device(path: Path, names: Sequence[str]) -> dict[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {name: found[name] for name in names}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MeasurementError(
            "does not say which device was measured",
            where=path,
            remedy="give --data another folder",
        ) from error


def _read(path: Path) -> list[dict[str, str]]:
    """Rows as text. Raises MeasurementError for other columns than ours."""
    columns = list(LAYOUTS[path.name])
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise MeasurementError(
            "cannot read as CSV", where=path, remedy="give --data another folder"
        ) from error
    if header != columns or any(len(row) != len(columns) for row in rows):
        raise MeasurementError(
            "has other columns than a sweep writes",
            where=path,
            remedy="give --data a folder of its own",
        )
    return [dict(zip(columns, row, strict=True)) for row in rows]


def _key(file: str, cells: Mapping[str, Cell]) -> tuple[str, ...]:
    return (file, *(_text(cells.get(name)) for name in IDENTITY[file]))


def _text(value: Cell | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _csv(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
