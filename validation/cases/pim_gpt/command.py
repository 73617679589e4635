"""The command: simulate, print the claims, write page, tables and figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cases.pim_gpt import page
from cases.pim_gpt.study import MODELS, TOKENS, Plan, study
from simulator.errors import AccsimError, OptionError, suggest
from simulator.results import style
from simulator.results.files import write_folder

HERE = Path(__file__).parent
BUILD = Path("build/pim_gpt")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status of the command."""
    parser = argparse.ArgumentParser(description="PIM-GPT against a T4 and a Xeon.")
    parser.add_argument("--models", nargs="*", default=list(MODELS), metavar="NAME")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--no-sweeps", action="store_true", help="models alone")
    parser.add_argument("--out", type=Path, default=BUILD, help=f"folder, {BUILD} by default")
    parser.add_argument("--write", action="store_true", help="renew the page beside the study")
    options = parser.parse_args(arguments)
    try:
        plan = checked(options)
        with bar() as update:
            document = study(plan, options.jobs, update)
        write_folder(HERE if options.write else options.out, files(document))
    except AccsimError as error:
        print(f"pim_gpt: error: {error}", file=sys.stderr)
        return 2
    print(page.claim_table(document))
    return 0


def files(document: page.Document) -> dict[str, str]:
    """File name -> content."""
    drawn = "\n![Speed-up and energy over PIM-GPT's](speedup.svg)\n"
    return {
        "RESULTS.md": page.render(document) + drawn,
        "results.json": page.dumps(document),
        "results.csv": page.csv(document),
        "speedup.svg": style.svg(lambda: page.figure(document)),
    }


def checked(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for. Raises OptionError."""
    for name in options.models:
        if name not in MODELS:
            raise OptionError(
                f"unknown model '{name}'", where="--models", remedy=suggest(name, MODELS)
            )
    if not 8 <= options.tokens <= TOKENS:
        raise OptionError(
            f"{options.tokens} tokens are outside the models' range",
            where="--tokens",
            remedy=f"choose 8 to {TOKENS}",
        )
    if options.jobs < 1:
        raise OptionError("no process", where="--jobs", remedy="choose 1 or more")
    return Plan(tuple(options.models), options.tokens, sweeps=not options.no_sweeps)


@contextmanager
def bar() -> Iterator[Callable[[int, int, str], None]]:
    """Progress on stderr: a bar, or a line for every tenth where nobody looks."""
    if not sys.stderr.isatty():

        def line(done: int, total: int, what: str) -> None:
            if done * 10 // total != (done - 1) * 10 // total:
                print(f"pim_gpt: {done} of {total} steps, {what}", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.completed:.0f}/{task.total:.0f} {task.description}"))
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as shown:
        task = shown.add_task("", total=None)
        yield lambda done, total, what: shown.update(
            task, completed=done, total=total, description=what
        )


__all__ = ["main"]
