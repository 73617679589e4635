"""``accsim calibrate``: a description whose scalars are fitted to measured times and watts."""

from __future__ import annotations

import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from simulator.errors import OptionError, atomic_write

app = typer.Typer(help="Fit a GPU's physical scalars to measured times and watts.")


@app.command()
def calibrate(
    hw: Annotated[str, typer.Option("--hw", help="GPU by catalogue name or YAML file.")],
    data: Annotated[Path, typer.Option(help="Folder of CSV files with measured times and watts.")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="The description to write, a .yaml.")
    ] = None,
    live: Annotated[
        bool,
        typer.Option(
            "--live",
            help="First measure what the folder lacks on this GPU; without -o, only that.",
        ),
    ] = False,
    budget: Annotated[
        float, typer.Option(help="Seconds of measuring at most, with --live.", min=0)
    ] = 540,
    op: Annotated[
        list[str] | None,
        typer.Option("--op", help="Operator or file to fit to; repeat it. Default: gemm."),
    ] = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Operand type to fit to; repeat it. Default: all.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="Scalar to fit, e.g. l2.usable; repeat it. Default: all of the list."),
    ] = None,
    begin: Annotated[
        str | None,
        typer.Option("--from", help="Description whose values the first start takes: an old fit."),
    ] = None,
    rows: Annotated[int, typer.Option(help="Rows to fit to.", min=1)] = 150,
    score_rows: Annotated[int, typer.Option(help="Rows of other families to score.", min=1)] = 150,
    starts: Annotated[int, typer.Option(help="Starting points.", min=1, max=16)] = 1,
    iterations: Annotated[int, typer.Option(help="Steps from each.", min=1, max=100)] = 8,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1, max=256)] = 1,
    seed: Annotated[
        int, typer.Option(help="Which rows, which starts; with --live, order and data.", min=0)
    ] = 0,
) -> None:
    """Simulate measured rows with changing scalars until they fit, and score other families."""
    from simulator.validate.calibrate import calibrate as fit
    from simulator.validate.calibrate import gpu_spec
    from simulator.validate.overlay import checkpoint, overlay, summary
    from simulator.validate.parameters import choose, that_matter
    from simulator.validate.run import of_type, prepare

    if out is not None:
        _check(out)
    elif not live:
        raise OptionError("no file to write", where="-o", remedy="name it NAME.yaml")
    chosen = choose(parameter or ())
    if live:
        from simulator.validate.live.measure import account, measure

        for line in account(measure(hw, data, budget, seed, _say)):
            _say(line)
    if out is None:
        return
    prepared = of_type(prepare(data, [hw], op or ["gemm"]), dtype or ())
    parameters = that_matter(chosen, [job.row.op for job in prepared.jobs])

    part = out.with_suffix(".part.yaml")
    # Ctrl-C ends workers in silence; what they were at is lost, the best so far is not.
    with ProcessPoolExecutor(jobs, None, signal.signal, _DEFAULT) as executor:
        try:
            result = fit(
                prepared,
                parameters,
                executor,
                workers=jobs,
                fit_rows=rows,
                score_rows=score_rows,
                starts=starts,
                iterations=iterations,
                seed=seed,
                begin=None if begin is None else gpu_spec(begin),
                progress=_say,
                keep=lambda best: atomic_write(part, checkpoint(best)),
            )
        except KeyboardInterrupt:
            executor.shutdown(wait=False, cancel_futures=True)
            if part.exists():
                _say(f"the best so far is in {part}; go on with --from {part}")
            raise
    atomic_write(out, overlay(result, data, date.today()))
    part.unlink(missing_ok=True)
    print(summary(result))


_DEFAULT = (signal.SIGINT, signal.SIG_DFL)


def _check(out: Path) -> None:
    """Refuse a file that could not be written after all the work."""
    if out.suffix != ".yaml":
        raise OptionError(f"'{out}' is not a .yaml file", where="-o", remedy="name it NAME.yaml")
    if not out.resolve().parent.is_dir():
        raise OptionError(
            f"no folder '{out.parent}'", where="-o", remedy="make it first: fitting takes minutes"
        )


def _say(text: str) -> None:
    print(f"accsim: {text}", file=sys.stderr, flush=True)
