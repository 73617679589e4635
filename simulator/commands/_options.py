"""Options and habits the simulating commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

Device = Annotated[str, typer.Option("--hw", help="Catalogue name or YAML file of the device.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="KEY=VALUE in the description, e.g. chip.sms=120."),
]
Launch = Annotated[
    str,
    typer.Option(
        help="graph: one launch; eager: the host pays for every operator; queued: device only."
    ),
]
Fidelity = Annotated[
    str, typer.Option(help="fast: reuse and extrapolate; exact: every task and burst.")
]
Clock = Annotated[
    str,
    typer.Option(
        help="sustained: what the board's power cap leaves; burst: before its limiter acts."
    ),
]
Mapping = Annotated[
    str,
    typer.Option(help="own: as described; best: search the device's choices, say which."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON only.")]
Phase = Annotated[
    str | None, typer.Option(help="prefill, decode or train; graph networks: forward or train.")
]
Batch = Annotated[int | None, typer.Option(help="Sequences (or images) at once.")]
Prompt = Annotated[int | None, typer.Option(help="Tokens of a sequence in prefill and train.")]
Context = Annotated[int | None, typer.Option(help="Tokens already in the cache in decode.")]
Quantize = Annotated[
    str | None,
    typer.Option(help="Bits of weights, activations, KV cache: w4a8kv8; none: no default."),
]
Sparsity = Annotated[
    list[str] | None, typer.Option(help="PATTERN=DENSITY of weights, by module path.")
]
Approximate = Annotated[
    bool,
    typer.Option(
        "--approximate-unmapped",
        help="Count operators nobody can map as memory traffic, and say so.",
    ),
]


def sizes(batch: int | None, prompt: int | None, context: int | None) -> dict[str, int]:
    """The sizes the user gave."""
    given = {"batch": batch, "prompt": prompt, "context": context}
    return {name: value for name, value in given.items() if value is not None}


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr while a simulation runs; nothing where nobody looks. The first run
    after installation compiles the event core, which is said in a line of its own."""
    from simulator.compiled import is_warm

    if not is_warm():
        print("accsim: compiling the event core, once (about 40 s)", file=sys.stderr)
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn(what), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True
    ) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
