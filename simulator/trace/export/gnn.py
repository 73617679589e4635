"""Graph neural networks: the real torch_geometric code on a graph with real edges.

Models are torch_geometric's own ``GCN``, ``GraphSAGE``, ``GAT`` and ``GIN``,
full-batch, in float32, without dropout.  The adjacency decides what they run: an
edge list makes a message per edge (gather, scatter), compressed rows make one
sparse product and no message.  Edges, and all integers derived from them, are
real; features have shapes only (:mod:`.mixed`).

- *forward*: one pass over the whole graph;
- *train*: forward, cross-entropy over all nodes, backward, one AdamW step.

Left out: neighbour sampling, heterogeneous graphs, edge features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from simulator.errors import OptionError, suggest
from simulator.trace.export.indexed import indexed_capture
from simulator.trace.export.recorder import Recorder
from simulator.trace.export.requirements import require
from simulator.trace.export.sparse import declare_adjacency, quiet
from simulator.trace.export.training import update
from simulator.trace.graphs import Graph
from simulator.trace.graphs.recipes import recipes_for
from simulator.trace.schema import Trace

PHASES = ("forward", "train")
ADJACENCIES = ("edges", "csr")
HIDDEN, LAYERS, HEADS = 128, 2, 8
LARGEST_WIDTH = 1 << 16
MOST_LAYERS = 1024


@dataclass(frozen=True, slots=True)
class GraphModel:
    """One model of torch_geometric."""

    class_name: str
    source: str
    attention: bool = False


GRAPH_MODELS: Mapping[str, GraphModel] = MappingProxyType(
    {
        "gcn": GraphModel("GCN", "Kipf and Welling 2017, arXiv 1609.02907"),
        "graphsage": GraphModel("GraphSAGE", "Hamilton et al. 2017, arXiv 1706.02216"),
        "gat": GraphModel("GAT", "Velickovic et al. 2018, arXiv 1710.10903", attention=True),
        "gin": GraphModel("GIN", "Xu et al. 2019, arXiv 1810.00826"),
    }
)


def export_gnn(
    model: str,
    graph: Graph,
    *,
    hidden: int = HIDDEN,
    layers: int = LAYERS,
    heads: int = HEADS,
    phase: str = "forward",
    adjacency: str = "edges",
) -> Trace:
    """Run a graph model over a whole graph and return its trace.

    ``hidden`` is the width of a layer's output, all ``heads`` of GAT together.
    """
    entry = check_options(
        model, hidden=hidden, layers=layers, heads=heads, phase=phase, adjacency=adjacency
    )
    require("gnn", "torch", "torch_geometric")
    import torch
    import torch_geometric

    recorder = Recorder(phase="forward")
    network = _network(entry, graph, hidden, layers, heads).train(phase == "train")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        recorder.declare(tensor, "weight", name)
    features = torch.empty((graph.nodes, graph.features), device="meta")
    recorder.declare(features, "input", "features")
    labels = _labels(recorder, graph)
    with quiet():
        edges = _adjacency(recorder, graph, adjacency)
    train = phase == "train"
    with torch.set_grad_enabled(train), indexed_capture(recorder, network, backward=train):
        scores = network(features, edges)
        if train:
            loss: Any = torch.nn.functional.cross_entropy(scores, labels)
            recorder.phase = "backward"
            loss.backward()
            parameters = {name: p for name, p in network.named_parameters() if p.grad is not None}
            update(recorder, parameters)
    sizes = {"nodes": graph.nodes, "edges": graph.edges, "features": graph.features}
    sizes |= {"classes": graph.classes, "hidden": hidden, "layers": layers}
    trace = recorder.finish(
        trace_name(model, graph.name, adjacency),
        model,
        phase,
        sizes | ({"heads": heads} if entry.attention else {}),
        {
            "torch": torch.__version__,
            "torch_geometric": torch_geometric.__version__,
            "configuration": entry.source,
            "precision": "float32",
            "adjacency": adjacency,
            **_origin(graph),
        },
    )
    trace.recipes = dict(recipes_for(graph, set(trace.arrays)))
    return trace


def trace_name(model: str, graph: str, adjacency: str = "edges") -> str:
    """``gcn:synthetic-cora``, or ``gcn-csr:synthetic-cora`` on compressed rows."""
    return f"{model}{'' if adjacency == 'edges' else f'-{adjacency}'}:{graph}"


def check_options(
    model: str,
    *,
    hidden: int = HIDDEN,
    layers: int = LAYERS,
    heads: int = HEADS,
    phase: str = "forward",
    adjacency: str = "edges",
) -> GraphModel:
    """The model's entry, or one line about the first option that cannot be."""

    def choose(option: str, word: str, choices: tuple[str, ...]) -> None:
        if word not in choices:
            raise OptionError(
                f"unknown {option} '{word}'", where=option, remedy=suggest(word, choices)
            )

    choose("model", model, tuple(GRAPH_MODELS))
    entry = GRAPH_MODELS[model]
    choose("phase", phase, PHASES)
    choose("adjacency", adjacency, ADJACENCIES)
    limits = {"hidden": (hidden, LARGEST_WIDTH), "layers": (layers, MOST_LAYERS)}
    if entry.attention:
        limits["heads"] = (heads, LARGEST_WIDTH)
    for option, (value, most) in limits.items():
        if not 1 <= value <= most:
            raise OptionError(f"{value} is out of range", where=option, remedy=f"use 1 to {most}")
    if entry.attention and hidden % heads:
        raise OptionError(
            f"{hidden} is not a multiple of {heads} heads",
            where="hidden",
            remedy=f"use {max(1, hidden // heads) * heads}",
        )
    return entry


def _network(entry: GraphModel, graph: Graph, hidden: int, layers: int, heads: int) -> Any:
    import torch
    import torch_geometric.nn.models as library

    options = {"heads": heads} if entry.attention else {}
    with torch.device("meta"):
        return getattr(library, entry.class_name)(
            graph.features, hidden, layers, out_channels=graph.classes, **options
        )


def _adjacency(recorder: Recorder, graph: Graph, adjacency: str) -> Any:
    """The graph as torch_geometric takes it, declared as the run's index input."""
    import torch

    sources = torch.from_numpy(graph.indices).long()
    if adjacency == "edges":
        edges = torch.stack([sources, torch.from_numpy(graph.targets).long()])
        recorder.declare(edges, "index", "edge_index")
        return edges
    # Message passing reduces into destinations: they are the rows.
    matrix = torch.sparse_csr_tensor(
        torch.from_numpy(graph.indptr),
        sources,
        torch.zeros(graph.edges),
        (graph.nodes, graph.nodes),
    )
    return declare_adjacency(recorder, matrix, "adjacency")


def _labels(recorder: Recorder, graph: Graph) -> Any:
    import torch

    labels = torch.empty((graph.nodes,), dtype=torch.int64, device="meta")
    recorder.declare(labels, "input", "labels")
    return labels


def _origin(graph: Graph) -> dict[str, str]:
    if graph.recipe is None:
        return {"graph": f"{graph.name}, from a file"}
    recipe = graph.recipe
    text = f"{graph.name}, synthetic, seed {recipe.seed}, exponent {recipe.exponent}, "
    text += f"{recipe.communities} communities, mixing {recipe.mixing}"
    steps = ", ".join(map(str, recipe.permutations))
    return {"graph": text + (f", nodes renumbered with seed {steps}" if steps else "")}
