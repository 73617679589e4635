"""``accsim op``: one operator on a device, without a trace."""

from __future__ import annotations

from typing import Annotated

import typer

from simulator.commands._options import (
    AsJson,
    Clock,
    Device,
    Fidelity,
    Launch,
    Overrides,
    progress,
)

app = typer.Typer(help="One operator on a device: kernel, time, energy, bound.")


@app.command()
def op(
    operator: Annotated[
        str,
        typer.Argument(
            help="gemm, attention, elementwise, softmax, norm, reduce, copy, gather, scatter, spmm."
        ),
    ],
    hw: Device,
    extents: Annotated[
        list[str] | None, typer.Argument(help="KEY=VALUE, e.g. m=128 n=4096 k=4096 dtype=bfloat16.")
    ] = None,
    set_: Overrides = None,
    launch: Launch = "queued",
    fidelity: Fidelity = "fast",
    clock: Clock = "sustained",
    explain: Annotated[
        bool, typer.Option(help="Show kernels, tasks, programs and time by component.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run one operator on a device whose caches are empty."""
    import json

    from simulator import api
    from simulator.results import console
    from simulator.system.explain import explain_work
    from simulator.system.single import single_work

    work, name = single_work(operator, extents or ())
    hardware = api.load_hardware(hw, set_ or ())
    with progress(name) as update:
        result = api.simulate_work(
            [work],
            hardware,
            name,
            launch=launch,
            fidelity=fidelity,
            clock=clock,
            progress=update,
        )
    explanation = explain_work(work, api.platform(hardware)) if explain else None
    if as_json:
        document = console.operation_document(result)
        if explanation is not None:
            document["explanation"] = explanation
        print(json.dumps(document, sort_keys=True, indent=1, allow_nan=False))
        return
    console.print_operation(result, explanation=explanation)
