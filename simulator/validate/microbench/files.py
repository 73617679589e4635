"""A microbenchmark run as files: the document and the figure."""

from __future__ import annotations

from simulator.results import style
from simulator.validate.microbench import report as reports
from simulator.validate.microbench.figure import panels
from simulator.validate.microbench.run import Report


def files_of(report: Report) -> dict[str, str | bytes]:
    """File name -> content."""
    return {
        "microbench.json": reports.text(report),
        "microbench.svg": style.svg(lambda: panels(report)),
        "microbench.png": style.png(lambda: panels(report)),
    }
