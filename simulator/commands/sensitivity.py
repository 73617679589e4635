"""``accsim sensitivity``: which axes of a sweep move an objective, and by how much."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands._options import AsJson
from simulator.errors import OptionError

app = typer.Typer(help="Which axes of a sweep move an objective, and by how much.")


@app.command()
def sensitivity(
    folder: Annotated[Path, typer.Argument(help="Folder that 'accsim sweep --out' wrote.")],
    objective: Annotated[
        str | None, typer.Option(help="Column; the sweep's first objective by default.")
    ] = None,
    base: Annotated[
        list[str] | None,
        typer.Option(help="AXIS=VALUE of the base point; middle values by default."),
    ] = None,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for sensitivity.csv and sensitivity.svg.")
    ] = None,
) -> None:
    """Rank the axes of a finished sweep: one at a time from a base point, and by the share of
    variance each explains (first and total order)."""
    from simulator.sweep.console import print_sensitivity
    from simulator.sweep.results import open_results

    results = open_results(folder)
    name = results.check_column(objective or next(iter(results.goals)))
    table = results.sensitivity(name, dict(map(_assigned, base or ())))
    if out is not None:
        from simulator.results import style
        from simulator.results.files import write_folder
        from simulator.sweep import figures

        files = {
            "sensitivity.csv": table.to_csv(index=False, lineterminator="\n"),
            "sensitivity.svg": style.svg(lambda: figures.tornado(table, name)),
        }
        write_folder(out, files)
    if as_json:
        print(table.to_json(orient="records", indent=1))
    else:
        print_sensitivity(table, name)


def _assigned(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise OptionError(
            f"expected AXIS=VALUE, got '{text:.60}'",
            where="--base",
            remedy="write it like --base batch=8",
        )
    return name, value
