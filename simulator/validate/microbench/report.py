"""What a microbenchmark run says: a document with stable keys, and its text."""

from __future__ import annotations

from typing import Any

import simulator
from simulator.results.document import dumps
from simulator.validate.microbench.curves import BENCHMARKS, Curve
from simulator.validate.microbench.run import WITHIN, Comparison, Report

Document = dict[str, Any]
SCHEMA = 1


def document(report: Report) -> Document:
    """The whole report."""
    return {
        "schema": SCHEMA,
        "version": simulator.__version__,
        "hardware": {
            "name": report.hardware.name,
            "digest": report.hardware.description.digest,
        },
        "curves": [_curve(one) for one in report.curves],
        "comparisons": [_comparison(one) for one in report.comparisons],
        "tolerance": WITHIN,
        "within_tolerance": sum(one.within for one in report.comparisons),
    }


def text(report: Report) -> str:
    """The document as canonical JSON."""
    return dumps(document(report))


def _curve(curve: Curve) -> Document:
    entry = BENCHMARKS[curve.benchmark]
    return {
        "benchmark": curve.benchmark,
        "title": entry.title,
        "x": {"label": entry.x.label, "unit": entry.x.unit},
        "y": {"label": entry.y.label, "unit": entry.y.unit},
        "series": [
            {"name": one.name, "points": [list(point) for point in one.points]}
            for one in curve.series
        ],
        "plateaus": [
            {"quantity": one.quantity, "value": one.value, "unit": one.unit}
            for one in curve.plateaus
        ],
    }


def _comparison(one: Comparison) -> Document:
    figure = one.figure
    return {
        "benchmark": one.benchmark,
        "name": figure.name,
        "quantity": figure.what,
        "board": figure.board or figure.hardware,
        "stand_in": one.stand_in,
        "overrides": list(one.overrides),
        "unit": figure.unit,
        "simulated": one.simulated,
        "published": list(figure.value),
        "ratio": one.ratio,
        "source": figure.source,
        "citation": figure.citation,
        "used_in_description": figure.used_in_description,
        "note": figure.note,
    }
