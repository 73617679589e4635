"""A calibration as a description that extends the one it started from, and as a table.

The file is an ordinary description: ``extends``, then the fitted values, each with source and
quality ``fitted``.  Its head is the record: data, version, rows, errors before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import simulator
from simulator.validate.calibrate import Calibration, Fitted, Scores, Unfinished
from simulator.validate.metrics import Errors

STRONG = 0.7
"""Correlations above this are told: such parameters stand in for each other."""


def overlay(result: Calibration, data: Path, today: date) -> str:
    """The text of the YAML file."""
    tree = _tree(
        (path, _value(one, path, text))
        for one in result.fitted
        for path, text in one.parameter.assigned(result.spec, one.after)
    )
    lines = [
        f"# {line}".rstrip()
        for line in (
            *_record(result, data, today),
            "",
            *(f"{a} and {b} stand in for each other ({c:+.2f})" for a, b, c in strong(result)),
        )
    ]
    source = (
        f"fitted to {result.rows} rows of {', '.join(result.operators)} on {result.gpu}, "
        f"{today.isoformat()}"
    )
    lines += [f"extends: {result.hardware}", f"title: {result.title}, calibrated"]
    lines += [f"source: {source}", "quality: fitted", ""]
    lines += list(_yaml(tree, 0))
    return "\n".join(lines) + "\n"


def checkpoint(best: Unfinished) -> str:
    """The text of a YAML file with the best values so far of a fit that goes on."""
    lines = [
        f"# A fit of {best.hardware} that has not finished: {best.progress}.",
        "# accsim calibrate --from THIS_FILE goes on from here.",
        "",
        f"extends: {best.hardware}",
        f"title: {best.title}, fit not finished",
        "source: a fit that has not finished",
        "quality: fitted",
        "",
        *_yaml(_tree(best.values), 0),
    ]
    return "\n".join(lines) + "\n"


def summary(result: Calibration) -> str:
    """What was fitted and how well, for people."""
    width = max(len(one.parameter.path) for one in result.fitted)
    lines = [
        f"{one.parameter.path:<{width}}  {one.parameter.text(one.before):>12} -> "
        f"{one.parameter.text(one.after):>12}  +-{100 * one.uncertainty:.0f} %"
        for one in result.fitted
    ]
    lines += [f"{a} and {b} are correlated, {c:+.2f}" for a, b, c in strong(result)]
    return "\n".join([*lines, *_errors(result)])


def strong(result: Calibration) -> list[tuple[str, str, float]]:
    """Pairs of parameters whose fitted values depend on each other."""
    paths = [one.parameter.path for one in result.fitted]
    first, second = np.nonzero(np.triu(np.abs(result.correlation) > STRONG, 1))
    return [
        (paths[a], paths[b], float(result.correlation[a, b]))
        for a, b in zip(first, second, strict=True)
    ]


def _record(result: Calibration, data: Path, today: date) -> list[str]:
    return [
        f"{result.hardware}, fitted to measurements by accsim {simulator.__version__} on "
        f"{today.isoformat()}.",
        f"Data: folder '{data.name}', {', '.join(result.operators)} on {result.gpu}; fitted to one "
        "half of the shape",
        "families, scored on the other. Errors are of the time a row's method reports, and of the "
        "energy of a call where watts are known.",
        *_errors(result),
    ]


def _errors(result: Calibration) -> list[str]:
    named = (
        ("fitted families, before", result.fit_before),
        ("fitted families, after", result.fit_after),
        ("other families, before", result.score_before),
        ("other families, after", result.score_after),
    )
    return [line for name, scores in named for line in _lines(name, scores)]


def _lines(name: str, scores: Scores) -> Iterator[str]:
    for errors, what in ((scores.time, ""), (scores.energy, "  energy")):
        if errors is not None:
            yield _line(what or name, errors)


def _line(name: str, errors: Errors) -> str:
    return (
        f"{name:<24} n {errors.n:>4}  mean {100 * errors.mape:5.1f} %  median "
        f"{100 * errors.median:5.1f} %  p90 {100 * errors.p90:5.1f} %  bias "
        f"{100 * errors.bias:+6.1f} %"
    )


def _tree(values: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Dotted paths as nested blocks."""
    tree: dict[str, Any] = {}
    for path, value in values:
        *blocks, key = path.split(".")
        place = tree
        for block in blocks:
            place = place.setdefault(block, {})
        place[key] = value
    return tree


def _value(one: Fitted, path: str, text: str) -> str:
    note = f"+-{100 * one.uncertainty:.0f} %; was {one.parameter.text(one.before)}"
    if path != one.parameter.path:
        note = f"keeps its ratio to {one.parameter.path.rpartition('.')[2]}"
    return f'{{value: {text}, note: "{note}"}}'


def _yaml(tree: dict[str, Any], depth: int) -> list[str]:
    lines = []
    for key, value in tree.items():
        if isinstance(value, dict):
            lines += [f"{'  ' * depth}{key}:", *_yaml(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {value}")
    return lines
