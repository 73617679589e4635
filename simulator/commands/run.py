"""``accsim run``: replay a workload on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from simulator.commands._options import (
    Approximate,
    AsJson,
    Batch,
    Clock,
    Context,
    Device,
    Fidelity,
    Launch,
    Mapping,
    Overrides,
    Phase,
    Prompt,
    Quantize,
    Sparsity,
    progress,
    sizes,
)
from simulator.errors import OptionError, suggest

app = typer.Typer(help="Replay a workload on a device: time, energy, utilization.")


@app.command()
def run(
    workload: Annotated[str, typer.Argument(help="Recorded trace by name, or a trace file.")],
    hw: Device,
    phase: Phase = None,
    batch: Batch = None,
    prompt: Prompt = None,
    context: Context = None,
    set_: Overrides = None,
    launch: Launch = "graph",
    fidelity: Fidelity = "fast",
    clock: Clock = "sustained",
    mapping: Mapping = "own",
    quantize: Quantize = None,
    sparsity: Sparsity = None,
    approximate_unmapped: Approximate = False,
    as_json: AsJson = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for result.json, operators.csv, timeline.json, report.html."),
    ] = None,
) -> None:
    """Replay a workload on a device and say where time and energy go."""
    from simulator import api
    from simulator.mapping_search import MAPPINGS, best_mapping

    if mapping not in MAPPINGS:
        remedy = suggest(mapping, MAPPINGS)
        raise OptionError(f"unknown mapping '{mapping}'", where="--mapping", remedy=remedy)
    hardware = api.load_hardware(hw, set_ or ())
    trace = api.load_trace(workload, sizes(batch, prompt, context), phase=phase)
    with progress(f"{trace.header.name} on {hardware.name}") as update:
        options: dict[str, Any] = {
            "launch": launch,
            "fidelity": fidelity,
            "clock": clock,
            "quantization": quantize,
            "sparsity": sparsity or (),
            "approximate_unmapped": approximate_unmapped,
            "progress": update,
        }
        if mapping == "best":
            result = best_mapping(trace, hw, set_ or (), **options).result
        else:
            result = api.simulate(trace, hardware, **options)
    if out is not None:
        result.save(out)
    if as_json:
        print(result.dumps(), end="")
        return
    from simulator.results.console import print_summary

    print_summary(result)
    if out is not None:
        typer.echo(f"report: {out / 'report.html'}")
