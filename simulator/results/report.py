"""The HTML report of a run and of a comparison: one file, made from the document alone.

In reading order: the key figures, what weakens them, where time and energy go, what
binds each kernel, what was busy when, the tables behind the figures, and where the
device's numbers come from.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from simulator.results import figures, page
from simulator.results.document import STRIP_BINS, Document
from simulator.results.page import Column, escape
from simulator.results.wording import describe_work, percent, rate, simulated_text, times
from simulator.units import human

_KERNEL_ROWS = 200
"""Distinct kernels listed; a training step of a graph network can have thousands."""


def render(document: Document) -> str:
    """The report of one run."""
    title = f"{document['workload']} {document['phase']} on {document['hardware']}"
    return page.page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            page.paragraph(_subtitle(document), soft=True),
            page.tiles(_key_figures(document)),
            _remarks(document),
            _breakdown(document),
            _roofline(document),
            _utilization(document),
            _operators(document),
            _provenance(document),
            _details(document),
        ],
    )


def _subtitle(document: Document) -> str:
    sizes = [f"{name} {value}" for name, value in document["sizes"].items()]
    options = document["options"]
    how = [f"{key} {options[key]}" for key in ("launch", "fidelity", "clock") if key in options]
    return " · ".join([*sizes, *how])


def _key_figures(document: Document) -> list[tuple[str, str]]:
    bound = human(document["bound_latency_s"], "s")
    tiles = [(human(document["latency_s"], "s"), "latency")]
    if document["tokens_per_s"] is not None:
        tiles.append((rate(document["tokens_per_s"]), "tokens per second"))
    if document["graphs_per_s"] is not None:
        tiles.append((rate(document["graphs_per_s"]), "graphs per second"))
    if document["bound_ratio"] is not None:
        meaning = f"the lower bound of {bound}, set by {document['bound_by']}"
        tiles.append((times(document["bound_ratio"]), meaning))
    energy = "energy"
    if document["mean_power_w"]:
        energy += f", {human(document['mean_power_w'], 'W')} on average"
    tiles.append((human(document["energy_j"], "J"), energy))
    if document["energy_per_token_j"] is not None and document["tokens"] > 1:
        tiles.append((human(document["energy_per_token_j"], "J"), "energy per token"))
    used, capacity = document["footprint_bytes"], document["capacity_bytes"]
    tiles.append((human(used, "B"), f"device memory needed, of {human(capacity, 'B')}"))
    simulated = document["simulated_share"] + document["reused_share"]
    error = percent(document["error_estimate"])
    meaning = f"of kernel time simulated or reused; estimated error {error}"
    return [*tiles, (percent(simulated), meaning)]


def _remarks(document: Document) -> str:
    warnings = list(document["warnings"])
    if document["approximated"]:
        names = ", ".join(document["approximated"])
        warnings.append(f"approximated by their memory traffic only: {names}")
    return page.remarks("Warnings", warnings) + page.remarks(
        "Guesses the trace or the mapping had to make", document["guesses"], "guesses"
    )


def _breakdown(document: Document) -> str:
    drawing = page.figure(
        lambda: figures.breakdown(document),
        "breakdown",
        "By kind of work. The bound is what the kernels need at the device's peak rates; "
        "energy outside kernels is what no kernel accounts for, such as static power.",
    )
    columns = [_KIND, _COUNT, *_MEASURES]
    return page.section("Where time and energy go", drawing, page.table(columns, document["kinds"]))


def _roofline(document: Document) -> str:
    drawing = page.figure(
        lambda: figures.roofline(document),
        "roofline",
        "Each point is a distinct kernel, its area the share of time. Kernels that the caches "
        "serve entirely stand at the right edge; kernels that only move data are not shown.",
    )
    return page.section("What binds each kernel", drawing)


def _utilization(document: Document) -> str:
    drawing = page.figure(
        lambda: figures.utilization(document),
        "utilization",
        f"Busy share of each component in {STRIP_BINS} equal slices of the run, averaged over "
        "its instances and within each kernel.",
    )
    peaks = {component["name"]: component for component in document["components"]}
    pairs = [
        (name, f"{page.bar(share)}{percent(share)}{_peak(peaks.get(name))}")
        for name, share in document["utilization"].items()
    ]
    return page.section("What was busy when", drawing, page.definitions(pairs))


def _peak(component: Mapping[str, Any] | None) -> str:
    if component is None or not component["peak"]:
        return ""
    peak = human(component["peak"], component["unit"])
    return f' <span class="soft">of {escape(peak)}, {component["instances"]} instances</span>'


def _operators(document: Document) -> str:
    operators = page.table([_OPERATOR, _KIND_OF, _COUNT, *_MEASURES], document["operators"])
    kernels = document["kernels"]
    shown = kernels[:_KERNEL_ROWS]
    title = f"{len(kernels)} distinct kernels"
    if len(shown) < len(kernels):
        title += f", the {len(shown)} that take longest"
    return page.section(
        "Operators",
        page.paragraph("Click a heading to sort.", soft=True),
        operators,
        page.folded(title, page.table([_KERNEL, _KIND_OF, _COUNT, *_MEASURES], shown)),
    )


def _provenance(document: Document) -> str:
    sources = document["provenance"]
    if not sources and not document["quality"]:
        return ""
    text = f"{document['hardware']}: {document['quality'] or 'numbers by source'}."
    columns = [
        Column("source", lambda row: row["source"]),
        Column("quality", lambda row: row["quality"]),
        Column("numbers", lambda row: str(row["count"]), lambda row: row["count"]),
    ]
    rows = sorted(sources, key=lambda row: (-row["count"], row["quality"], row["source"]))
    content = page.table(columns, rows) if rows else ""
    return page.section("Where the device's numbers come from", page.paragraph(text), content)


def _details(document: Document) -> str:
    options = json.dumps(document["options"], sort_keys=True, ensure_ascii=False)
    pairs = {
        "workload": escape(describe_work(document)),
        "how it was simulated": escape(simulated_text(document)),
        "options": f"<code>{escape(options)}</code>",
        "hardware description": f"<code>{escape(document['hardware_digest'])}</code>",
        "operator trace": f"<code>{escape(document['trace_digest'])}</code>",
        "simulator": escape(f"accsim {document['version']}"),
    }
    return page.section("This run", page.definitions(list(pairs.items())))


def render_comparison(document: Document) -> str:
    """The report of a comparison (see :mod:`simulator.results.compare`)."""
    rows = document["rows"]
    title = f"{describe_work(rows[0])}: {' · '.join(row['hardware'] for row in rows)}"
    warnings = [f"{row['hardware']}: {text}" for row in rows for text in row["warnings"]]
    return page.page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            page.paragraph(f"Relative to {rows[0]['hardware']}.", soft=True),
            page.remarks("Notes", document["notes"]),
            page.remarks("Warnings", warnings),
            page.figure(
                lambda: figures.comparison(document),
                "comparison",
                "Shorter is better in both panels. Grey rows ran other work than the first.",
            ),
            page.section("In numbers", page.table(_compared_columns(rows), rows)),
        ],
    )


def _compared_columns(rows: list[Document]) -> list[Column]:
    """The columns that say something about at least one row."""
    return [column for column in _COMPARED if any(column.text(row) for row in rows)]


def _dram_bytes(row: Document) -> int:
    return int(row["dram_bytes_read"] + row["dram_bytes_written"])


def _operations(row: Document) -> float:
    return math.fsum(row["operations"].values())


_OPERATOR = Column("operator", lambda row: row["name"])
_KERNEL = Column("kernel", lambda row: row["name"])
_KIND = Column("kind of work", lambda row: row["name"])
_KIND_OF = Column("kind", lambda row: row["kind"])
_COUNT = Column("kernels", lambda row: f"{row['count']:,}", lambda row: row["count"])

_MEASURES = [
    Column("time", lambda row: human(row["latency_s"], "s"), lambda row: row["latency_s"]),
    Column(
        "share", lambda row: percent(row["latency_share"] or 0), lambda row: row["latency_share"]
    ),
    Column("× bound", lambda row: times(row["bound_ratio"]), lambda row: row["bound_ratio"]),
    Column("bound by", lambda row: row["bound_by"]),
    Column("energy", lambda row: human(row["energy_j"], "J"), lambda row: row["energy_j"]),
    Column("DRAM traffic", lambda row: human(_dram_bytes(row), "B"), _dram_bytes),
    Column("operations", lambda row: human(_operations(row), "op"), _operations),
]

_COMPARED = [
    Column("device", lambda row: row["label"]),
    Column("latency", lambda row: human(row["latency_s"], "s"), lambda row: row["latency_s"]),
    Column("speed-up", lambda row: times(row["speedup"]), lambda row: row["speedup"]),
    Column("tokens/s", lambda row: rate(row["tokens_per_s"]), lambda row: row["tokens_per_s"]),
    Column("graphs/s", lambda row: rate(row["graphs_per_s"]), lambda row: row["graphs_per_s"]),
    Column("energy", lambda row: human(row["energy_j"], "J"), lambda row: row["energy_j"]),
    Column("energy gain", lambda row: times(row["energy_gain"]), lambda row: row["energy_gain"]),
    Column("× bound", lambda row: times(row["bound_ratio"]), lambda row: row["bound_ratio"]),
    Column("bound by", lambda row: row["bound_by"]),
    Column(
        "memory needed",
        lambda row: human(row["footprint_bytes"], "B"),
        lambda row: row["footprint_bytes"],
    ),
]
