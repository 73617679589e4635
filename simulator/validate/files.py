"""A validation as files: the document, both tables, the figure."""

from __future__ import annotations

from simulator.results import style
from simulator.validate import report
from simulator.validate.figure import agreement
from simulator.validate.run import Validation


def files_of(result: Validation) -> dict[str, str | bytes]:
    """File name -> content."""
    return {
        "validation.json": report.text(result),
        "errors.csv": report.table(report.document(result)),
        "rows.csv": report.singles(result),
        "agreement.svg": style.svg(lambda: agreement(result.compared)),
        "agreement.png": style.png(lambda: agreement(result.compared)),
    }
