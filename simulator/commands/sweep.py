"""``accsim sweep``: every point of a sweep file, kept by content, one table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Run every point of a sweep file; one table at the end.")

SOME_FAILED = 3
"""Exit code of a sweep with points that have no result."""


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="Sweep file: workloads, devices, axes.")],
    out: Annotated[Path, typer.Option(help="Folder for results.csv and sweep.yaml.")],
    jobs: Annotated[
        int | None, typer.Option(help="Processes, or batches in flight elsewhere.", min=1)
    ] = None,
    executor: Annotated[str, typer.Option(help="local, dask or slurm.")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Dask scheduler, e.g. tcp://HOST:8786.")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE of submitit; batch=16 points a job, cluster=local runs here."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="Where points are kept; your cache by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run more than a million points.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the points only.")] = False,
) -> None:
    """Run what is not kept yet and write the table. Interrupted, the same command goes on. Exit
    code 3: the sweep is finished, but some points have no result; the table says why."""
    from simulator.sweep.console import print_sweep, watch
    from simulator.sweep.executors import opener, parse_parameters
    from simulator.sweep.plan import plan
    from simulator.sweep.results import SweepResults
    from simulator.sweep.run import execute
    from simulator.sweep.spec import load_sweep
    from simulator.sweep.store import Store, default_store
    from simulator.sweep.table import files_of, frame_of, rows_of

    spec = load_sweep(file)
    text = file.read_text(encoding="utf-8")
    parameters = parse_parameters(slurm or ())
    open_place = opener(executor, jobs, address, parameters, out.with_name(f"{out.name}.jobs"))
    planned = plan(spec, many=yes)
    kept = Store((store or default_store()).absolute())
    if dry_run:
        done = sum(kept.get(point.key) is not None for point in planned.points)
        typer.echo(f"{len(planned.points)} points, {done} kept, {planned.left_out} left out")
        return
    try:
        with watch() as tell:
            progress = execute(planned, kept, open_place, tell)
    except KeyboardInterrupt:
        print("accsim: finished points are kept; the same command goes on", file=sys.stderr)
        raise
    rows = rows_of(spec, planned, kept, progress.troubles)
    from simulator.results.files import write_folder

    write_folder(out, files_of(rows, text))
    print_sweep(SweepResults(spec, frame_of(rows)), progress, planned.left_out, out)
    if any(row["status"] != "done" for row in rows):
        raise typer.Exit(SOME_FAILED)
