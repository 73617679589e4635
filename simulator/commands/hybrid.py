"""``accsim hybrid``: a workload on a GPU and a PIM device that share it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from simulator.commands._options import AsJson, Batch, Context, Overrides, Phase, Prompt, sizes
from simulator.units import human

app = typer.Typer(help="A GPU and a PIM device that share a workload.")


@app.command()
def hybrid(
    workload: Annotated[str, typer.Argument(help="Recorded trace by name, or a trace file.")],
    hw: Annotated[str, typer.Option("--hw", help="Hybrid system, e.g. a100-attacc.")],
    phase: Phase = None,
    batch: Batch = None,
    prompt: Prompt = None,
    context: Context = None,
    set_: Overrides = None,
    as_json: AsJson = False,
) -> None:
    """Place operators on two devices and say what each takes, and the link between them."""
    from simulator import api
    from simulator.hybrid import load_hybrid, run_trace

    system = load_hybrid(hw, set_ or ())
    trace = api.load_trace(workload, sizes(batch, prompt, context), phase=phase)
    result = run_trace(trace, system)
    if as_json:
        print(json.dumps(result.to_json(), indent=1, sort_keys=True))
        return
    typer.echo(f"{result.name} on {result.hardware}, one node")
    typer.echo(f"  latency  {human(result.latency_s, 's')}")
    typer.echo(f"  energy   {human(result.energy_j, 'J')}")
    for part, seconds in result.seconds.items():
        share = 100 * seconds / result.latency_s
        typer.echo(f"  {part:<10} {human(seconds, 's'):>10}  {share:5.1f} %")
    passed = result.crossings
    typer.echo(f"  {passed.count} transfers of {human(passed.bytes, 'B')} pass the link")
