"""``accsim microbench``: latency, bandwidth, launch and matrix curves beside published ones."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands._options import AsJson, Device, progress

app = typer.Typer(help="Microbenchmarks of a GPU on the simulated machine, beside published ones.")


@app.command()
def microbench(
    hw: Device,
    only: Annotated[
        str | None,
        typer.Option(help="Benchmarks by name: chase, l2, stream, occupancy, flight, ..."),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for microbench.json and the figure (.svg and .png)."),
    ] = None,
) -> None:
    """Chase pointers, stream, launch, multiply on a described GPU, beside what was published."""
    from simulator.validate.microbench import report
    from simulator.validate.microbench.run import microbench as run

    start = time.process_time()
    names = [name.strip() for name in only.split(",")] if only is not None else []
    with progress("microbenchmarks") as update:
        result = run(hw, names, update)
    if out is not None:
        from simulator.results.files import write_folder
        from simulator.validate.microbench.files import files_of

        write_folder(out, files_of(result))
    if as_json:
        print(report.text(result), end="")
    else:
        from simulator.validate.microbench.console import print_report

        print_report(report.document(result))
    cpu = time.process_time() - start
    print(f"accsim: {len(result.curves)} curves in {cpu:.1f} s of CPU", file=sys.stderr)
