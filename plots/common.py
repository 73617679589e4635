"""What every figure script does: read results, draw in the one style, write SVG, PDF and PNG.

The figures themselves are functions of :mod:`simulator.results.figures`, shared with the
HTML report; the style is ``simulator/results/accsim.mplstyle``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Container, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import AccsimError
from simulator.results import style
from simulator.results.document import load
from simulator.results.files import write_folder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw = Callable[[Mapping[str, Any]], "Figure"]


def plot_each(name: str, description: str, draw: Draw) -> None:
    """One figure per result: ``NAME-WORKLOAD-PHASE-HARDWARE``."""

    def figures(documents: list[dict[str, Any]]) -> dict[str, Callable[[], Figure]]:
        named = {}
        for document in documents:
            stem = "-".join(str(document[key]) for key in ("workload", "phase", "hardware"))
            file_name = _unused(_file_name(f"{name}-{stem}"), named)
            named[file_name] = lambda document=document: draw(document)
        return named

    _main(description, figures)


def plot_together(name: str, description: str, draw: Callable[[list[Any]], Figure]) -> None:
    """One figure of all results together: ``NAME``."""
    _main(description, lambda documents: {name: lambda: draw(documents)})


def plot_sweep(
    name: str, description: str, options: Mapping[str, str], draw: Callable[..., Figure]
) -> None:
    """One figure of a sweep; ``options`` (name -> help) go to ``draw``, None if left out."""
    from simulator.sweep.results import open_results

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("sweep", type=Path, help="folder that accsim sweep --out wrote")
    for option, words in options.items():
        parser.add_argument(f"--{option}", help=words)
    parser.add_argument("-o", "--out", type=Path, default=Path("figures"), help="where to write")
    arguments = vars(parser.parse_args())
    chosen = {option: arguments[option] for option in options}
    _write(
        arguments["out"],
        lambda: {name: lambda: draw(open_results(arguments["sweep"]), **chosen)},
    )


def _main(
    description: str, figures: Callable[[list[dict[str, Any]]], dict[str, Callable[[], Figure]]]
) -> None:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("results", nargs="+", type=Path, help="result.json, or its folder")
    parser.add_argument("-o", "--out", type=Path, default=Path("figures"), help="where to write")
    arguments = parser.parse_args()
    _write(arguments.out, lambda: figures([load(path) for path in arguments.results]))


def _write(out: Path, figures: Callable[[], dict[str, Callable[[], Figure]]]) -> None:
    """Every figure as SVG, PDF and PNG, or one line about what is wrong."""
    try:
        files: dict[str, str | bytes] = {}
        for name, draw in figures().items():
            files |= {
                f"{name}.svg": style.svg(draw),
                f"{name}.pdf": style.pdf(draw),
                f"{name}.png": style.png(draw),
            }
        write_folder(out, files)
    except AccsimError as error:
        print(f"{Path(sys.argv[0]).name}: error: {error}", file=sys.stderr)
        sys.exit(2)
    for name in files:
        print(out / name)


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in text)


def _unused(name: str, taken: Container[str]) -> str:
    """``name``, numbered if another result of the same run has it."""
    candidates = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(candidate for candidate in candidates if candidate not in taken)
