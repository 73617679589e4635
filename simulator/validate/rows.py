"""Measured rows from CSV files: what was run on which GPU, how it was timed, what it took.

Each file has its own size columns (:data:`TABLES`).  Columns nobody asks for are ignored, a
file may be absent, a required column may not.  Files whose operators this package cannot
simulate are counted, so that a report says what it left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import MeasurementError

if TYPE_CHECKING:
    import pandas as pd

MICROSECONDS = 1e6
LARGEST = 1 << 40
SIZE_RANGES: tuple[tuple[str, float], ...] = (
    ("<10 us", 10e-6),
    ("10-100 us", 100e-6),
    ("100 us-1 ms", 1e-3),
    (">1 ms", math.inf),
)
"""Ranges of measured time and where each ends."""


@dataclass(frozen=True, slots=True)
class Table:
    """The layout of one file."""

    kind: str
    """What its rows are: chooses the mapping to work."""
    sizes: tuple[str, ...]
    family: tuple[str, ...]
    """The sizes that make a shape family: what a model's layer fixes, whatever the input."""
    defaults: Mapping[str, int]
    """Sizes a file may lack."""
    words: tuple[str, ...] = ()
    """Further required columns, of text."""


TABLES: Mapping[str, Table] = {
    "gemm.csv": Table("gemm", ("m", "n", "k"), ("n", "k"), {"batch": 1}),
    "attention_prefill.csv": Table(
        "attention",
        ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len"),
        ("heads", "kv_heads", "head_dim"),
        {"causal": 1},
    ),
    "attention_decode.csv": Table(
        "attention",
        ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len"),
        ("heads", "kv_heads", "head_dim"),
        {"causal": 0},
    ),
    "moe.csv": Table(
        "moe",
        (
            *("num_tokens", "hidden_size", "inter_size", "topk", "num_experts"),
            *("moe_tp_size", "moe_ep_size"),
        ),
        ("hidden_size", "inter_size", "topk", "num_experts"),
        {},
        ("distribution",),
    ),
    "memory_bound.csv": Table("memory_bound", ("rows", "cols"), ("cols",), {}),
}

UNREAD: Mapping[str, str] = {
    "collectives.csv": "several GPUs exchange data; one device is simulated here",
    "sparse.csv": "the file gives sizes, not which elements of the matrices are nonzero",
    "power.csv": "watts are not compared yet",
    "microbench.csv": "bandwidths and latencies, not operators",
    "e2e.csv": "whole models, not operators",
    "kernelbench.csv": "the file names problems, not their shapes",
    "accelwattch_volta_power.csv": "watts are not compared yet",
    "accelwattch_volta_counters.csv": "hardware counters, not times",
}
"""Files that are documented beside the others, and why their rows are not simulated."""

_FLAGS = ("causal",)
"""Sizes that may be 0."""
_WORDS = ("gpu", "op", "dtype", "timing_method")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One measured operator. Times are seconds. Rows are told apart by place, not content."""

    file: str
    line: int
    kind: str
    gpu: str
    op: str
    dtype: str
    source: str
    timing_method: str
    seconds: float
    lowest: float | None
    highest: float | None
    sizes: Mapping[str, int]
    words: Mapping[str, str]
    family: str

    @property
    def size_range(self) -> str:
        """Name of the range of :data:`SIZE_RANGES` the measured time is in."""
        return next(name for name, end in SIZE_RANGES if self.seconds < end)

    @property
    def half(self) -> int:
        """0 or 1: the half of the shape families this row belongs to."""
        return sha256(f"{self.kind} {self.family}".encode()).digest()[0] & 1

    @property
    def shape(self) -> str:
        """Sizes in words: ``m=128 n=4096 k=4096``."""
        return " ".join(f"{name}={value}" for name, value in {**self.sizes, **self.words}.items())

    @property
    def identity(self) -> str:
        """The row's content as text, wherever it stands in its file."""
        return (
            f"{self.file} {self.gpu} {self.op} {self.dtype} {self.source} {self.timing_method} "
            f"{self.shape} {self.seconds!r}"
        )


@dataclass(frozen=True, slots=True)
class Measurements:
    """What a folder holds: rows to simulate, and rows by file that are not."""

    rows: tuple[Row, ...]
    unread: Mapping[str, int]


def read_folder(folder: Path) -> Measurements:
    """All known files of a folder, in the order of :data:`TABLES`."""
    if not folder.is_dir():
        raise MeasurementError(
            "no such folder of measurements", where=folder, remedy="give --data an existing folder"
        )
    present = [name for name in TABLES if (folder / name).is_file()]
    if not present:
        raise MeasurementError(
            "none of the known files is here",
            where=folder,
            remedy=f"give a folder with one of {', '.join(TABLES)}",
        )
    rows = [row for name in present for row in read_file(folder / name)]
    unread = {name: _count(folder / name) for name in UNREAD if (folder / name).is_file()}
    return Measurements(tuple(rows), unread)


def _count(path: Path) -> int:
    return max(0, len(_read(path)))


def read_file(path: Path) -> Iterator[Row]:
    """Rows of one file. Raises MeasurementError, which names the line, for a value that no
    measurement can have."""
    table = TABLES[path.name]
    frame = _read(path)
    missing = [
        name
        for name in (*_WORDS, *table.words, *table.sizes, "time_us")
        if name not in frame.columns
    ]
    if missing:
        raise MeasurementError(
            f"column '{missing[0]}' is missing",
            where=path,
            remedy=f"required are {', '.join((*_WORDS, *table.words, *table.sizes, 'time_us'))}",
        )
    times = _numbers(frame, "time_us", path, may_be_empty=False)
    lowest, highest = (
        _numbers(frame, name, path) if name in frame.columns else [math.nan] * len(frame)
        for name in ("time_us_min", "time_us_max")
    )
    sizes = {name: _whole(frame, name, path) for name in table.sizes}
    sizes |= {
        name: _whole(frame, name, path, least=0 if name in _FLAGS else 1)
        if name in frame.columns
        else [value] * len(frame)
        for name, value in table.defaults.items()
    }
    words = {
        name: frame[name].tolist() if name in frame.columns else [""] * len(frame)
        for name in (*_WORDS, *table.words, "source")
    }
    for place in range(len(frame)):
        own = {name: values[place] for name, values in sizes.items()}
        yield Row(
            file=path.name,
            line=place + 2,
            kind=table.kind,
            gpu=words["gpu"][place],
            op=words["op"][place],
            dtype=words["dtype"][place],
            source=words["source"][place],
            timing_method=words["timing_method"][place],
            seconds=times[place] / MICROSECONDS,
            lowest=_known(lowest[place]),
            highest=_known(highest[place]),
            sizes=own,
            words={name: words[name][place] for name in table.words},
            family=" ".join(f"{name}={own[name]}" for name in table.family),
        )


def _read(path: Path) -> pd.DataFrame:
    """The file as text cells."""
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, index_col=False)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        # pandas' parser errors are ValueErrors; some span several lines.
        reason = getattr(error, "strerror", None) or str(error)
        raise MeasurementError(
            f"cannot read as CSV: {reason}", where=path, remedy="give a CSV file with a header"
        ) from error


def _known(microseconds: float) -> float | None:
    return None if math.isnan(microseconds) else microseconds / MICROSECONDS


def _numbers(frame: pd.DataFrame, name: str, path: Path, may_be_empty: bool = True) -> list[float]:
    """A column of positive numbers; NaN where a cell is empty."""
    import numpy as np
    import pandas as pd

    values = pd.to_numeric(frame[name], errors="coerce")
    wrong = ~(np.isfinite(values) & (values > 0))
    if may_be_empty:
        wrong &= frame[name] != ""
    _refuse(frame, name, path, wrong, "a positive number")
    return values.tolist()


def _whole(frame: pd.DataFrame, name: str, path: Path, least: int = 1) -> list[int]:
    import pandas as pd

    values = pd.to_numeric(frame[name], errors="coerce")
    wrong = ~((values >= least) & (values <= LARGEST) & (values % 1 == 0))
    _refuse(frame, name, path, wrong, f"a whole number from {least} to {LARGEST}")
    return values.astype("int64").tolist()


def _refuse(frame: pd.DataFrame, name: str, path: Path, wrong: Any, wanted: str) -> None:
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        raise MeasurementError(
            f"{name} '{frame[name].iloc[place]}' is not {wanted}",
            where=f"{path}:{place + 2}",
            remedy="correct or remove the row",
        )
