"""What a validation says: a document for programs, tables as CSV. Pure functions of the result.

Rows are groups of GPU, operator and type, and the same by range of measured time.  Shares and
errors are fractions, times are seconds.  The same result gives the same bytes.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import simulator
from simulator.results.document import dumps
from simulator.validate.metrics import errors, within_spread
from simulator.validate.rows import SIZE_RANGES, UNTIMED
from simulator.validate.run import Compared, Validation

Document = dict[str, Any]

SCHEMA = 1
WORST_OF_A_GROUP = 3
_ALL_SIZES = "all"
_ENERGY = ("n", "mape", "median", "p90", "bias", "of")
_ORDER = [*(name for name, _ in SIZE_RANGES), UNTIMED]


def document(result: Validation) -> Document:
    """The whole report."""
    rows = result.compared
    return {
        "schema": SCHEMA,
        "version": simulator.__version__,
        "hardware": [
            {"name": one.name, "digest": one.description.digest} for one in result.hardware
        ],
        "sample": result.sample,
        "seed": result.seed,
        "rows_read": result.read,
        "rows_outside_sample": result.outside_sample,
        "rows_compared": len(rows),
        "calls_simulated": result.simulated,
        "rows": [_scores(group) for group in _groups(rows, _kind)],
        "by_size": [
            {**_scores(group), "size": group[0].row.size_range}
            for group in _groups(rows, lambda one: (*_kind(one), _size_rank(one)))
        ],
        "worst": [
            _single(one)
            for group in _groups(rows, _kind)
            for one in sorted(group, key=lambda one: -_worst_error(one))[:WORST_OF_A_GROUP]
        ],
        "skipped": [asdict(one) for one in result.skipped],
    }


def text(result: Validation) -> str:
    """The document as canonical JSON."""
    return dumps(document(result))


def table(report: Mapping[str, Any]) -> str:
    """Groups and their sizes as CSV."""
    rows = [{**row, "size": _ALL_SIZES} for row in report["rows"]] + list(report["by_size"])
    keys = ("gpu", "hardware", "op", "dtype")
    rows.sort(key=lambda row: [str(row[key]) for key in keys])
    return _csv([{"size": row["size"], **_flat(row)} for row in rows], (*keys, "size"))


def _flat(row: Mapping[str, Any]) -> Document:
    """Energy's errors as columns of their own."""
    energy = row["energy"] or {}
    flat = {key: value for key, value in row.items() if key != "energy"}
    return flat | {f"energy_{key}": energy.get(key) for key in _ENERGY}


def singles(result: Validation) -> str:
    """Every compared row as CSV."""
    return _csv([_single(one) for one in result.compared], ("gpu", "hardware", "op", "dtype"))


def _csv(rows: Sequence[Mapping[str, Any]], first: Iterable[str]) -> str:
    columns = [*first, *(key for key in rows[0] if key not in set(first))]
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _kind(one: Compared) -> tuple[Any, ...]:
    return (one.row.gpu, one.hardware, one.row.op, one.row.dtype)


def _size_rank(one: Compared) -> int:
    return _ORDER.index(one.row.size_range)


def _groups(
    rows: Iterable[Compared], key: Callable[[Compared], tuple[Any, ...]]
) -> list[list[Compared]]:
    groups: dict[tuple[Any, ...], list[Compared]] = defaultdict(list)
    for one in rows:
        groups[key(one)].append(one)
    return [groups[name] for name in sorted(groups)]


def _scores(group: Sequence[Compared]) -> Document:
    """One line of the report; ``group`` is not empty."""
    gpu, hardware, op, dtype = _kind(group[0])
    timed = [one for one in group if one.row.timed]
    measured = [one.row.seconds for one in timed]
    simulated = [one.call.seconds for one in timed]
    own = errors(simulated, measured)
    spread, inside = within_spread(
        simulated, [one.row.lowest for one in timed], [one.row.highest for one in timed]
    )
    roofline = errors([one.roofline for one in timed], measured)
    known = [one for one in timed if one.fitted_roofline is not None]
    fitted = errors(
        [one.fitted_roofline for one in known if one.fitted_roofline is not None],
        [one.row.seconds for one in known],
    )
    energies = [one.energy for one in group if one.energy is not None]
    energy = errors([pair[0] for pair in energies], [pair[1] for pair in energies])
    return {
        "gpu": gpu,
        "hardware": hardware,
        "op": op,
        "dtype": dtype,
        **(asdict(own) if own else {"n": 0, **dict.fromkeys(("mape", "median", "p90", "bias"))}),
        "within_spread": inside,
        "n_spread": spread,
        "roofline_mape": roofline.mape if roofline else None,
        "fitted_roofline_mape": fitted.mape if fitted else None,
        "fitted_roofline_n": fitted.n if fitted else 0,
        "energy": {**asdict(energy), "of": "joules" if timed else "watts"} if energy else None,
    }


def _worst_error(one: Compared) -> float:
    return abs(next(error for error in (one.error, one.energy_error) if error is not None))


def _single(one: Compared) -> Document:
    row = one.row
    return {
        "gpu": row.gpu,
        "hardware": one.hardware,
        "op": row.op,
        "dtype": row.dtype,
        "shape": row.shape,
        "source": row.source,
        "timing_method": row.timing_method,
        "file": row.file,
        "line": row.line,
        "measured_s": row.seconds if row.timed else None,
        "measured_min_s": row.lowest,
        "measured_max_s": row.highest,
        "simulated_s": one.call.seconds,
        "error": one.error,
        "measured_w": row.watts,
        "simulated_w": one.call.watts,
        "energy_error": one.energy_error,
        "clock": one.call.clock,
        "kernel_s": one.call.kernel_seconds,
        "kernels": ", ".join(one.call.kernels),
        "simulated_share": one.call.simulated_share,
        "error_estimate": one.call.error_estimate,
        "roofline_s": one.roofline,
        "fitted_roofline_s": one.fitted_roofline,
        "half": row.half,
    }
