"""The result document: one run as JSON, the form every table, figure and report is made of.

SI units in the key names, keys sorted, floats as their shortest exact text, no times of
day and no paths: the same run gives the same bytes.  The document holds sums (by kind,
operator and distinct kernel) and a strip of utilization over time; single kernels are in
the timeline.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from simulator.errors import OptionError
from simulator.results import aggregate
from simulator.results.aggregate import Group, seconds
from simulator.system.records import RECORD_SCHEMA, RunRecord

Document = dict[str, Any]

STRIP_BINS = 120
"""Slices of the utilization strip: about one per 1.5 mm at a report's width."""


def ratio(numerator: float, denominator: float) -> float | None:
    """None, JSON's null, where the ratio means nothing."""
    return numerator / denominator if denominator else None


def build(record: RunRecord) -> Document:
    """The document of one run."""
    kernels = record.kernels
    latency_s = seconds(record.latency_fs)
    energy_j = math.fsum(record.energy_j.values())
    by_kind = aggregate.by_kind(kernels)
    cover = aggregate.coverage(kernels)

    def rows(groups: list[Group]) -> list[Document]:
        return [_row(group, record.latency_fs) for group in groups]

    return {
        "schema": record.schema,
        "version": record.version,
        "workload": record.workload,
        "phase": record.phase,
        "sizes": dict(record.sizes),
        "trace_digest": record.trace_digest,
        "hardware": record.hardware,
        "hardware_digest": record.hardware_digest,
        "quality": record.quality,
        "provenance": [asdict(source) for source in record.provenance],
        "options": record.options,
        "latency_s": latency_s,
        "bound_latency_s": seconds(record.bound_fs),
        "bound_ratio": ratio(record.latency_fs, record.bound_fs),
        "bound_by": record.bound_by,
        "idle_s": seconds(aggregate.idle_fs(record)),
        "tokens": record.tokens,
        "tokens_per_s": ratio(record.tokens, latency_s) if record.tokens else None,
        "graphs": record.graphs,
        "graphs_per_s": ratio(record.graphs, latency_s) if record.graphs else None,
        "energy_j": energy_j,
        "energy_by_part_j": {part: record.energy_j[part] for part in sorted(record.energy_j)},
        "energy_outside_kernels_j": _outside_kernels(record, by_kind),
        "energy_per_token_j": ratio(energy_j, record.tokens),
        "mean_power_w": ratio(energy_j, latency_s),
        "capacity_bytes": record.capacity_bytes,
        "footprint_bytes": record.footprint_bytes,
        "components": [asdict(component) for component in record.components],
        "utilization": aggregate.utilization(record),
        "utilization_over_time": {
            name: [round(share, 4) for share in strip]
            for name, strip in aggregate.utilization_over_time(record, STRIP_BINS).items()
        },
        "counters": aggregate.sum_by_key(kernel.counters for kernel in kernels),
        "simulated_share": cover.simulated,
        "reused_share": cover.reused,
        "extrapolated_share": cover.extrapolated,
        "error_estimate": cover.error_estimate,
        "approximated": sorted({kernel.operator for kernel in kernels if kernel.approximated}),
        "kinds": rows(by_kind),
        "operators": rows(aggregate.by_operator(kernels)),
        "kernels": rows(aggregate.by_kernel(kernels)),
        "guesses": list(record.guesses),
        "warnings": list(record.warnings),
    }


def _row(group: Group, run_latency_fs: int) -> Document:
    return {
        "name": group.name,
        "kind": group.kind,
        "count": group.count,
        "latency_s": seconds(group.latency_fs),
        "latency_share": ratio(group.latency_fs, run_latency_fs),
        "bound_s": seconds(group.bound_fs),
        "bound_ratio": ratio(group.latency_fs, group.bound_fs),
        "bound_by": group.bound_by,
        "energy_j": group.energy_j,
        "energy_by_part_j": dict(group.energy_by_part_j),
        "operations": dict(group.operations),
        "dram_bytes_read": group.dram_bytes_read,
        "dram_bytes_written": group.dram_bytes_written,
        "bytes_compulsory": group.bytes_compulsory,
    }


def _outside_kernels(record: RunRecord, groups: list[Group]) -> dict[str, float]:
    """Energy by part that no kernel accounts for: idle, host, background between kernels."""
    inside = aggregate.sum_by_key(group.energy_by_part_j for group in groups)
    rest = {part: record.energy_j[part] - inside.get(part, 0.0) for part in record.energy_j}
    # What rounding leaves of a part that its kernels account for fully is nothing.
    return {
        part: rest[part] if rest[part] > 1e-12 * record.energy_j[part] else 0.0
        for part in sorted(rest)
    }


def dumps(document: Mapping[str, Any]) -> str:
    """Canonical text: one line per key, and per row where a key holds rows."""

    def compact(value: Any) -> str:
        return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)

    def block(value: Any) -> str:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            return "[\n  " + ",\n  ".join(compact(row) for row in value) + "\n ]"
        return compact(value)

    lines = (f" {compact(key)}: {block(document[key])}" for key in sorted(document))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load(path: str | os.PathLike[str]) -> Document:
    """Read a saved document, or the one in a result folder."""
    place = Path(path)
    place = place / "result.json" if place.is_dir() else place
    remedy = "name a result.json, or the folder it is in, written by `accsim run --out`"
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"cannot read: {error.strerror or error}"
        raise OptionError(message, where=place, remedy=remedy) from error
    except ValueError as error:
        raise OptionError(f"not JSON: {error}", where=place, remedy=remedy) from error
    if not isinstance(document, dict) or not {"schema", "workload", "kinds"} <= document.keys():
        raise OptionError("not a result", where=place, remedy=remedy)
    if document["schema"] != RECORD_SCHEMA:
        message = f"result of schema {document['schema']!r}, expected {RECORD_SCHEMA}"
        raise OptionError(message, where=place, remedy="run the workload again")
    return document


def rows_to_csv(rows: list[Document]) -> str:
    """A table as CSV; nested mappings become columns: ``energy_dram_j``, ``operations_matrix``."""
    flat = [flatten(row) for row in rows]
    columns = list(dict.fromkeys(column for row in flat for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue()


def flatten(row: Document) -> Document:
    flat: Document = {}
    for key, value in row.items():
        if not isinstance(value, dict):
            flat[key] = value
        elif key.endswith("_by_part_j"):
            stem = key.removesuffix("_by_part_j")
            flat.update({f"{stem}_{part}_j": amount for part, amount in value.items()})
        else:
            flat.update({f"{key}_{part}": amount for part, amount in value.items()})
    return flat
