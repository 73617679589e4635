"""``accsim pareto``: the points of a sweep that no other beats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands._options import AsJson

app = typer.Typer(help="The points of a sweep that no other beats.")


@app.command()
def pareto(
    folder: Annotated[Path, typer.Argument(help="Folder that 'accsim sweep --out' wrote.")],
    objectives: Annotated[
        str | None,
        typer.Option(help="COLUMN:min or COLUMN:max, by commas; the sweep's by default."),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(help="Folder for pareto.csv and pareto.svg.")] = None,
) -> None:
    """Print the Pareto front of a finished sweep: no other point is better in one objective and
    at least as good in all."""
    from simulator.sweep.console import print_front
    from simulator.sweep.results import open_results, parse_goals

    results = open_results(folder)
    goals = parse_goals(objectives) or results.goals
    front = results.pareto(goals)
    if out is not None:
        from simulator.results import style
        from simulator.results.files import write_folder
        from simulator.sweep import figures

        files = {
            "pareto.csv": front.to_csv(index=False, lineterminator="\n"),
            "pareto.svg": style.svg(lambda: figures.pareto(results, goals)),
        }
        write_folder(out, files)
    if as_json:
        print(front.to_json(orient="records", indent=1))
    else:
        print_front(results, front, goals)
