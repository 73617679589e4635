"""The tidy table: one row per point, in the order of the sweep, the same bytes each time.

Columns: the axes (``workload`` and ``device`` first), ``status``, objectives that are formulas,
what every run has (:data:`simulator.sweep.spec.METRICS` and ``bound_by``), what the devices name
(``utilization_*``, ``energy_*_j``, ``counters_*``), provenance (versions and digests), ``error``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from simulator.errors import SweepError
from simulator.results.document import flatten, rows_to_csv
from simulator.sweep.plan import Plan, Point
from simulator.sweep.spec import METRICS, PREFIXES, Sweep
from simulator.sweep.store import Record, Store

if TYPE_CHECKING:
    import pandas as pd

Row = dict[str, Any]

_NESTED = ("utilization", "energy_by_part_j", "counters")
_PROVENANCE = ("hardware_digest", "trace_digest", "version", "code", "key")
_KEPT = frozenset({*METRICS, *_NESTED, "bound_by", *_PROVENANCE})


def rows_of(
    sweep: Sweep, planned: Plan, store: Store, troubles: Mapping[str, str] | None = None
) -> list[Row]:
    """Every point's row, whether it is done, failed or missing."""
    rows = [
        _row(sweep, planned, point, store.get(point.key), (troubles or {}).get(point.key))
        for point in planned.points
    ]
    named = sorted({name for row in rows for name in row if name.startswith(PREFIXES)})
    fixed = [*METRICS, "bound_by"]
    formulas = [name for name, goal in sweep.objectives.items() if goal.formula.text != name]
    columns = [*sweep.axis_names, "status", *formulas, *fixed]
    columns += [name for name in named if name not in columns]
    columns += [*_PROVENANCE, "error"]
    return [{name: row.get(name) for name in columns} for row in rows]


def _row(
    sweep: Sweep, planned: Plan, point: Point, record: Record | None, trouble: str | None
) -> Row:
    row: Row = {**point.levels, "key": point.key, "code": planned.code}
    if record is None:
        return {**row, "status": "missing", "error": trouble or "not run"}
    row["status"] = record["status"]
    if record["status"] == "failed":
        return {**row, "error": record["error"]}
    result = record["result"]
    flat = flatten({name: result[name] for name in result if name in _KEPT})
    wanted = {name.replace(" ", "_"): value for name, value in flat.items()}
    # An axis may have a column's name; the table says what was asked for.
    row = {**wanted, **row}
    for name, objective in sweep.objectives.items():
        try:
            row[name] = objective.formula(row)
        except SweepError:
            row[name] = None  # This device has no such column.
    return row


def frame_of(rows: Sequence[Row]) -> pd.DataFrame:
    """The table as a frame."""
    import pandas as pd

    return pd.DataFrame(rows)


def files_of(rows: Sequence[Row], text: str) -> dict[str, str | bytes]:
    """The files of a sweep's folder: table, table as Parquet if pyarrow is there, sweep file."""
    files: dict[str, str | bytes] = {"results.csv": rows_to_csv(list(rows)), "sweep.yaml": text}
    if find_spec("pyarrow") is not None:
        files["results.parquet"] = _parquet(rows)
    return files


def _parquet(rows: Sequence[Row]) -> bytes:
    """Written by way of Arrow, so that the bytes hold no version of pandas."""
    import pyarrow
    from pyarrow import parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {name: _array(pyarrow, values) for name, values in columns.items()}
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(arrays), sink)
    return bytes(sink.getvalue().to_pybytes())


def _array(pyarrow: Any, values: list[Any]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} and float in kinds:
        return pyarrow.array([None if value is None else float(value) for value in values])
    if len(kinds) > 1:  # An axis of words and numbers.
        return pyarrow.array([None if value is None else str(value) for value in values])
    return pyarrow.array(values)
