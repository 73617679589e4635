"""``accsim compare``: one workload on several devices, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.commands._options import (
    Approximate,
    AsJson,
    Batch,
    Clock,
    Context,
    Fidelity,
    Launch,
    Phase,
    Prompt,
    Quantize,
    Sparsity,
    progress,
    sizes,
)
from simulator.errors import CapacityError, OptionError, UnmappedOperatorError

app = typer.Typer(help="One workload on several devices, side by side.")


@app.command()
def compare(
    workload: Annotated[str, typer.Argument(help="Recorded trace by name, or a trace file.")],
    hw: Annotated[str, typer.Option("--hw", help="Devices, separated by commas.")],
    phase: Phase = None,
    batch: Batch = None,
    prompt: Prompt = None,
    context: Context = None,
    launch: Launch = "graph",
    fidelity: Fidelity = "fast",
    clock: Clock = "sustained",
    quantize: Quantize = None,
    sparsity: Sparsity = None,
    approximate_unmapped: Approximate = False,
    as_json: AsJson = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for compare.json, .csv, .svg and .html.")
    ] = None,
) -> None:
    """Put devices side by side; the first is the reference of the speed-ups. A device the
    workload does not fit on is named and left out."""
    from simulator import api
    from simulator.results.compare import compare as put_side_by_side
    from simulator.results.document import dumps

    names = [name.strip() for name in hw.split(",") if name.strip()]
    if not names:
        raise OptionError(
            "no device given", where="--hw", remedy="write --hw a100-sxm-80gb,pim-gpt"
        )
    if len(set(names)) < len(names):
        raise OptionError("a device is named twice", where="--hw", remedy="name each once")
    devices = [api.load_hardware(name) for name in names]
    trace = api.load_trace(workload, sizes(batch, prompt, context), phase=phase)
    results, left_out = [], []
    for hardware in devices:
        with progress(f"{trace.header.name} on {hardware.name}") as update:
            try:
                result = api.simulate(
                    trace,
                    hardware,
                    launch=launch,
                    fidelity=fidelity,
                    clock=clock,
                    quantization=quantize,
                    sparsity=sparsity or (),
                    approximate_unmapped=approximate_unmapped,
                    progress=update,
                )
            except (CapacityError, UnmappedOperatorError) as error:
                left_out.append(error)
                continue
        results.append(result)
    if not results:
        raise left_out[0]
    comparison = put_side_by_side(results)
    if out is not None:
        comparison.save(out)
    if as_json:
        document = comparison.to_json()
        document["left_out"] = [str(reason) for reason in left_out]
        print(dumps(document), end="")
    else:
        from simulator.results.console import print_comparison

        print_comparison(comparison)
    for reason in left_out:
        typer.echo(f"accsim: left out: {reason}", err=True)
