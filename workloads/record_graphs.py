"""Record the graph network traces in ``workloads/traces`` (needs the ``gnn`` extra).

Whole-graph passes over synthetic graphs.  The index arrays are stored as recipes
and made again when a trace is loaded, so a file is a few kB whatever the graph.
``synthetic-cora`` fits in any L2; the features of ``synthetic-arxiv`` (87 MB) in
none.  The permuted graphs have the same edges under random node numbers.

    python workloads/record_graphs.py
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from simulator.trace.export.gnn import GRAPH_MODELS, export_gnn
from simulator.trace.graphs import Graph, generate, permute
from simulator.trace.schema import Trace
from simulator.trace.store import save_trace

FOLDER = Path(__file__).parent / "traces"
GRAPHS = ("synthetic-cora", "synthetic-arxiv")
PERMUTED = "gcn"
PERMUTATION_SEED = 1


def traces(graph: Graph) -> Iterator[Trace]:
    for model in GRAPH_MODELS:
        yield export_gnn(model, graph)
        yield export_gnn(model, graph, adjacency="csr")
        yield export_gnn(model, graph, phase="train")
    shuffled = permute(graph, PERMUTATION_SEED)
    yield export_gnn(PERMUTED, shuffled)
    yield export_gnn(PERMUTED, shuffled, adjacency="csr")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name in GRAPHS:
        for trace in traces(generate(name)):
            stem = trace.header.name.replace(":", ".")  # a colon is no file name everywhere
            file = save_trace(trace, FOLDER / f"{stem}.{trace.header.phase}.jsonl.gz")
            print(f"{file.name}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    main()
