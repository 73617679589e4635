"""``accsim validate``: measured operators beside simulated ones."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from simulator.commands._options import AsJson, progress
from simulator.errors import OptionError

app = typer.Typer(help="Measured operators beside simulated ones: errors by GPU and operator.")


@app.command()
def validate(
    data: Annotated[Path, typer.Option(help="Folder of CSV files with measured times.")],
    hw: Annotated[
        list[str] | None,
        typer.Option("--hw", help="GPU by catalogue name or YAML file; repeat it, or use commas."),
    ] = None,
    op: Annotated[
        list[str] | None,
        typer.Option("--op", help="Operator or file, e.g. gemm, memory_bound; repeat, or commas."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(help="Compare so many rows, of every operator and size.", min=1)
    ] = None,
    half: Annotated[
        int | None,
        typer.Option(
            help="Only one half of the shape families: 0, which calibrate fits to, or 1, which "
            "it scores.",
            min=0,
            max=1,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Which sample.", min=0)] = 0,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for validation.json, errors.csv, rows.csv and the figure agreement.svg."
        ),
    ] = None,
) -> None:
    """Simulate measured rows as they were timed and report how far they are off."""
    from simulator.validate import report
    from simulator.validate.run import compare, prepare

    start = time.process_time()
    prepared = prepare(data, _names(hw, "--hw"), _names(op, "--op"))
    with progress("measured rows") as update:
        result = compare(prepared, sample, seed, update, half)
    if out is not None:
        from simulator.results.files import write_folder
        from simulator.validate.files import files_of

        write_folder(out, files_of(result))
    cpu = time.process_time() - start
    if as_json:
        print(report.text(result), end="")
    else:
        from simulator.validate.console import print_report

        print_report(report.document(result))
    print(
        f"accsim: {len(result.compared)} rows ({result.simulated} distinct) in {cpu:.0f} s of CPU, "
        f"{60 * len(result.compared) / cpu:.0f} rows a minute",
        file=sys.stderr,
    )


def _names(given: list[str] | None, option: str) -> list[str]:
    names = [name.strip() for text in given or () for name in text.split(",")]
    if not all(names):
        raise OptionError("an empty name", where=option, remedy="write NAME or NAME,NAME")
    if len(set(names)) < len(names):
        raise OptionError("a name is given twice", where=option, remedy="name each once")
    return names
