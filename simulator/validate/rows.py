"""Measured rows from CSV files: what was run on which GPU, how it was timed, what it took.

Each file has its own size columns (:data:`TABLES`); ``power.csv`` holds operators of all kinds,
each with sizes of its own (:data:`POWERED`), watts, and times where they are known.  Columns nobody
asks for are ignored, a file may be absent, a required column may not.  Files whose operators this
package cannot simulate are counted, so that a report says what it left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
UNTIMED = "no time"
"""Range of rows of which only watts are known."""


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
    op: str = ""
    """What the operator is called here, where the file calls it otherwise."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Columns whose sum is a size, where no column has its name."""


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

POWER = "power.csv"
POWERED: Mapping[str, Table] = {
    "gemm": replace(TABLES["gemm.csv"], op="gemm+power"),
    "context_attention": replace(
        TABLES["attention_prefill.csv"],
        op="attention_prefill+power",
        columns={"q_len": ("isl",), "kv_len": ("isl", "step")},
    ),
    "generation_attention": replace(
        TABLES["attention_decode.csv"],
        op="attention_decode+power",
        columns={"q_len": ("isl",), "kv_len": ("isl", "step")},
    ),
    "context_attention_sdpa": replace(
        TABLES["attention_prefill.csv"],
        op="attention_prefill_sdpa+power",
        columns={"q_len": ("isl",), "kv_len": ("isl", "step")},
    ),
    "generation_attention_sdpa": replace(
        TABLES["attention_decode.csv"],
        op="attention_decode_sdpa+power",
        columns={"q_len": ("isl",), "kv_len": ("isl", "step")},
    ),
    "moe": replace(TABLES["moe.csv"], op="moe_ffn+power"),
    "computescale": Table(
        "memory_bound",
        ("rows", "cols"),
        ("cols",),
        {},
        op="amax_scale+power",
        columns={"rows": ("m",), "cols": ("k",)},
    ),
}
"""How the operators of ``power.csv`` are laid out. Their names tell them from timed ones: they are
repeated for a second, at sustained clocks."""

UNREAD: Mapping[str, str] = {
    "collectives.csv": "several GPUs exchange data; one device is simulated here",
    "sparse.csv": "the file gives sizes, not which elements of the matrices are nonzero",
    "microbench.csv": "bandwidths and latencies, not operators",
    "e2e.csv": "whole models, not operators",
    "kernelbench.csv": "the file names problems, not their shapes",
    "accelwattch_volta_power.csv": "watts of whole applications' kernels, not of operators",
    "accelwattch_volta_counters.csv": "hardware counters, not times",
}
"""Files that are documented beside the others, and why their rows are not simulated."""

_MAY_BE_0 = ("causal", "step")
"""Sizes that may be 0."""
_WORDS = ("gpu", "op", "dtype", "timing_method")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One measured operator. Times are seconds, NaN where only watts are known. Rows are told apart
    by place, not content."""

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
    watts: float | None = None
    """Mean board power while the operator is repeated."""

    @property
    def operator(self) -> str:
        """What it is, whatever was measured of it."""
        return self.op.removesuffix("+power")

    @property
    def timed(self) -> bool:
        """Whether its time is known."""
        return not math.isnan(self.seconds)

    @property
    def size_range(self) -> str:
        """Name of the range of :data:`SIZE_RANGES` the measured time is in."""
        return next((name for name, end in SIZE_RANGES if self.seconds < end), UNTIMED)

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
    known = (*TABLES, POWER)
    present = [name for name in known if (folder / name).is_file()]
    if not present:
        raise MeasurementError(
            "none of the known files is here",
            where=folder,
            remedy=f"give a folder with one of {', '.join(known)}",
        )
    rows = [row for name in present for row in read_file(folder / name)]
    unread = {name: _count(folder / name) for name in UNREAD if (folder / name).is_file()}
    return Measurements(tuple(rows), unread)


def _count(path: Path) -> int:
    return max(0, len(_read(path)))


def read_file(path: Path) -> Iterator[Row]:
    """Rows of one file. Raises MeasurementError, which names the line, for a value that no
    measurement can have."""
    frame = _read(path)
    if path.name != POWER:
        yield from _rows(path, TABLES[path.name], frame)
        return
    _require(path, frame, ("op", "power_w"))
    for name, table in POWERED.items():
        own = frame[frame["op"] == name]
        if len(own):
            yield from _rows(path, table, own)


def _require(path: Path, frame: pd.DataFrame, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise MeasurementError(
            f"column '{missing[0]}' is missing",
            where=path,
            remedy=f"required are {', '.join(names)}",
        )


def _rows(path: Path, table: Table, frame: pd.DataFrame) -> Iterator[Row]:
    """Rows of one layout; ``frame`` keeps the places that they have in the file."""
    powered = path.name == POWER
    sources = {name: table.columns.get(name, (name,)) for name in table.sizes}
    columns = dict.fromkeys(column for names in sources.values() for column in names)
    _require(path, frame, (*_WORDS, *table.words, *columns, *(() if powered else ("time_us",))))
    times, lowest, highest, watts = (
        _numbers(frame, name, path, may_be_empty=name != measured)
        if name in frame.columns
        else [math.nan] * len(frame)
        for measured in ("power_w" if powered else "time_us",)
        for name in ("time_us", "time_us_min", "time_us_max", "power_w")
    )
    parts = {
        name: _whole(frame, name, path, least=0 if name in _MAY_BE_0 else 1) for name in columns
    }
    sizes = {
        name: [sum(values) for values in zip(*(parts[one] for one in names), strict=True)]
        for name, names in sources.items()
    }
    sizes |= {
        name: _whole(frame, name, path, least=0 if name in _MAY_BE_0 else 1)
        if name in frame.columns and (frame[name] != "").any()
        else [value] * len(frame)
        for name, value in table.defaults.items()
    }
    kept = (*table.words, *(("impl",) if powered else ()))
    words = {
        name: frame[name].tolist() if name in frame.columns else [""] * len(frame)
        for name in (*_WORDS, *kept, "source")
    }
    for place, line in enumerate(frame.index):
        own = {name: values[place] for name, values in sizes.items()}
        yield Row(
            file=path.name,
            line=line + 2,
            kind=table.kind,
            gpu=words["gpu"][place],
            op=table.op or words["op"][place],
            dtype=words["dtype"][place],
            source=words["source"][place],
            timing_method=words["timing_method"][place],
            seconds=times[place] / MICROSECONDS,
            lowest=_known(lowest[place]),
            highest=_known(highest[place]),
            sizes=own,
            words={name: words[name][place] for name in kept},
            family=" ".join(f"{name}={own[name]}" for name in table.family),
            watts=watts[place] if powered else None,
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
            where=f"{path}:{frame.index[place] + 2}",
            remedy="correct or remove the row",
        )
