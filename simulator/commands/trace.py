"""``accsim trace``: export operator traces, list the recorded ones, look into one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simulator.errors import OptionError
from simulator.units import human

if TYPE_CHECKING:
    from simulator.trace.describe import Description
    from simulator.trace.schema import Trace

app = typer.Typer(
    help="Operator traces: export from PyTorch, list the recorded ones, show one.",
    no_args_is_help=True,
)

Phase = Annotated[
    str | None, typer.Option(help="prefill, decode or train; graph networks: forward or train.")
]
Batch = Annotated[int | None, typer.Option(help="Sequences (or images) at once.")]
Prompt = Annotated[int | None, typer.Option(help="Tokens of a sequence in prefill and train.")]
Context = Annotated[int | None, typer.Option(help="Tokens already in the cache in decode.")]
GRAPHS = "Graph networks"
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("export")
def export(
    model: Annotated[str, typer.Argument(help="Name of a model, e.g. llama2-7b or gcn.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write: NAME.jsonl.gz or NAME.trace.")
    ],
    phase: Phase = None,
    batch: Batch = None,
    prompt: Prompt = None,
    context: Context = None,
    routing: Annotated[
        str | None, typer.Option(help="Tokens per expert of mixtures: uniform or zipf:SKEW.")
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(
            help="For gcn, graphsage, gat, gin: a synthetic graph (synthetic-cora, -arxiv, "
            "-reddit, -products, each also as NAME-5pct) or a file of edges.",
            rich_help_panel=GRAPHS,
        ),
    ] = None,
    adjacency: Annotated[
        str | None,
        typer.Option(
            help="edges: a message per edge; csr: sparse products.", rich_help_panel=GRAPHS
        ),
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(help="Width of a layer (128).", rich_help_panel=GRAPHS)
    ] = None,
    layers: Annotated[int | None, typer.Option(help="Layers (2).", rich_help_panel=GRAPHS)] = None,
    heads: Annotated[
        int | None, typer.Option(help="Attention heads of gat (8).", rich_help_panel=GRAPHS)
    ] = None,
    features: Annotated[
        int | None,
        typer.Option(help="Features of a node (the graph's, or 128).", rich_help_panel=GRAPHS),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(help="Classes of a node (the graph's, or 16).", rich_help_panel=GRAPHS),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of a synthetic graph (0).", rich_help_panel=GRAPHS)
    ] = None,
    permute: Annotated[
        int | None,
        typer.Option(help="Renumber the nodes at random, with this seed.", rich_help_panel=GRAPHS),
    ] = None,
) -> None:
    """Run a model's real code without weights and record its operators."""
    from simulator.trace.store import check_target, save_trace

    check_target(output)
    of_sequences = {"batch": batch, "prompt": prompt, "context": context, "routing": routing}
    of_network = {"adjacency": adjacency, "hidden": hidden, "layers": layers, "heads": heads}
    of_graph = {"features": features, "classes": classes, "seed": seed, "permutation": permute}
    if _is_graph_model(model, graph):
        _refuse(of_sequences, f"'{model}' on a graph has no sequences")
        trace = _export_graph_model(model, graph, {"phase": phase, **of_network}, of_graph)
    else:
        _refuse({"graph": graph, **of_network, **of_graph}, f"'{model}' is no graph network")
        trace = _export_model(model, phase, of_sequences)
    written = save_trace(trace, output)
    sizes = ", ".join(f"{name} {value}" for name, value in trace.header.sizes.items())
    typer.echo(f"{written}: {model} {trace.header.phase}, {sizes}")
    typer.echo(f"{len(trace.operators)} operators, {len(trace.tensors)} tensors")
    for guess in trace.header.guesses:
        typer.echo(f"guess: {guess}")


def _is_graph_model(model: str, graph: str | None) -> bool:
    from simulator.trace.export import MODELS
    from simulator.trace.export.gnn import GRAPH_MODELS

    return model in GRAPH_MODELS or (graph is not None and model not in MODELS)


def _export_model(model: str, phase: str | None, options: Mapping[str, Any]) -> Trace:
    from simulator.trace.export import export_model

    return export_model(model, phase or "decode", **_given(options))


def _export_graph_model(
    model: str, graph: str | None, network: Mapping[str, Any], options: Mapping[str, Any]
) -> Trace:
    from simulator.trace.export.gnn import check_options, export_gnn
    from simulator.trace.graphs import PRESETS, load_graph

    check_options(model, **_given(network))
    if graph is None:
        raise OptionError(
            f"'{model}' needs a graph",
            where="--graph",
            remedy=f"add --graph FILE, or one of {', '.join(PRESETS)}",
        )
    return export_gnn(model, load_graph(graph, **_given(options)), **_given(network))


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _refuse(options: Mapping[str, Any], reason: str) -> None:
    for name in _given(options):
        option = "permute" if name == "permutation" else name
        raise OptionError(reason, where=f"--{option}", remedy="leave the option out")


@app.command("list")
def list_traces(as_json: AsJson = False) -> None:
    """List the recorded traces with their default sizes and ranges."""
    from simulator.trace.catalogue import recorded

    entries = recorded()
    if as_json:
        rows = [
            {
                "name": entry.name,
                "phase": entry.phase,
                "sizes": dict(entry.sizes),
                "ranges": {name: list(bounds) for name, bounds in entry.ranges.items()},
                "file": entry.file.name,
            }
            for entry in entries
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    rows_text = [(entry.name, entry.phase, _sizes(entry.sizes, entry.ranges)) for entry in entries]
    typer.echo(_table(("name", "phase", "sizes: default (range)"), rows_text))


@app.command("show")
def show(
    trace: Annotated[str, typer.Argument(help="Name from 'accsim trace list', or a file.")],
    phase: Phase = None,
    batch: Batch = None,
    prompt: Prompt = None,
    context: Context = None,
    quantize: Annotated[
        str | None, typer.Option(help="Bits of weights, activations, cache: w4a8kv8.")
    ] = None,
    sparsity: Annotated[
        list[str] | None, typer.Option(help="Density of weights by module: PATTERN=DENSITY.")
    ] = None,
    operators: Annotated[bool, typer.Option(help="List every operator.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a trace holds: sizes, operators, matrix operations, bytes, guesses."""
    from simulator.trace.describe import describe
    from simulator.trace.load import load_trace
    from simulator.trace.transforms import apply

    given = {"batch": batch, "prompt": prompt, "context": context}
    sizes = {name: value for name, value in given.items() if value is not None}
    loaded = apply(load_trace(trace, sizes, phase=phase), quantize, sparsity or ())
    description = describe(loaded)
    if as_json:
        typer.echo(json.dumps(description.document(), indent=2))
        return
    typer.echo(_summary(description))
    typer.echo(_operators(description) if operators else _by_name(description))


def _summary(description: Description) -> str:
    header = description.trace.header
    lines = [
        f"{header.name} {header.phase}  {_sizes(header.sizes, header.ranges)}",
        f"  operators          {len(description.trace.operators):,}",
        f"  matrix operations  {human(float(description.matrix_operations), 'op')}",
    ]
    lines += [
        f"  {role.replace('_', ' '):<17}  {human(float(size), 'B')}"
        for role, size in sorted(description.bytes_by_role.items())
    ]
    lines += [f"  {key:<17}  {text}" for key, text in sorted(header.source.items())]
    lines += [f"  guess              {guess}" for guess in header.guesses]
    return "\n".join(lines)


def _by_name(description: Description) -> str:
    rows = [
        (
            total.name,
            total.kind,
            f"{total.count:,}",
            human(float(total.matrix_operations), "op") if total.matrix_operations else "",
            human(float(total.bytes_read), "B") if total.bytes_read else "",
            human(float(total.bytes_written), "B") if total.bytes_written else "",
        )
        for total in description.totals
    ]
    return "\n" + _table(("operator", "work", "count", "matrix", "read", "written"), rows)


def _operators(description: Description) -> str:
    from simulator.trace.describe import shape_text

    tensors = description.trace.tensors
    rows = [
        (
            str(operator.id),
            operator.name,
            work.kind,
            " ".join(shape_text(tensors[id]) for id in operator.inputs),
            " ".join(shape_text(tensors[id]) for id in operator.outputs),
            operator.module,
        )
        for operator, work in zip(description.trace.operators, description.works, strict=True)
    ]
    return "\n" + _table(("id", "operator", "work", "reads", "writes", "module"), rows)


def _sizes(sizes: Mapping[str, int], ranges: Mapping[str, tuple[int, int]]) -> str:
    return "  ".join(
        f"{name} {value}" + (" ({}..{})".format(*ranges[name]) if name in ranges else "")
        for name, value in sizes.items()
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    widths[-1] = 0
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (titles, *rows)
    )
