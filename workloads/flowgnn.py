"""Graph networks as FlowGNN runs them, recorded as traces (needs the ``torch`` extra).

GCN and GIN of five layers, 100 wide, with embedded node and edge features, mean pooling and one
output, on one graph of the mean size of a data set: ``mol`` 25 nodes and 56 edges (MolHIV),
``hep`` 49 nodes and 784 edges (16 nearest neighbours).  Edges join neighbours on a ring, so
degrees are even; FlowGNN's own graphs are not in its repository.

Source: sharc-lab/FlowGNN, ``GCN/src`` and ``GIN/src``, ``dcl.h``; the size of hep10k graphs is
from memory.

    python workloads/flowgnn.py        # writes traces/{gcn,gin}-{mol,hep}.forward.trace
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from simulator.trace.export.user import export_module
from simulator.trace.store import save_trace

FOLDER = Path(__file__).parent / "traces"
GRAPHS = {"mol": (25, 56), "hep": (49, 784)}
DIM, LAYERS = 100, 5
NODE_FEATURES, EDGE_FEATURES, VALUES = 9, 3, 173


class Encoder(nn.Module):
    """The sum of one embedding for each feature."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(VALUES, DIM) for _ in range(features))

    def forward(self, features: Tensor) -> Tensor:
        return sum(table(features[:, i]) for i, table in enumerate(self.tables))


class Layer(nn.Module):
    """Node embedding, then messages along the edges."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.edges = Encoder(EDGE_FEATURES)
        if kind == "gin":
            self.first, self.second = nn.Linear(DIM, 2 * DIM), nn.Linear(2 * DIM, DIM)
        else:
            self.first = nn.Linear(DIM, DIM)

    def forward(self, h: Tensor, messages: Tensor, edge: Tensor, features: Tensor) -> list[Tensor]:
        h = self.first(functional.relu(h + messages))
        if self.kind == "gin":
            h = self.second(functional.relu(h))
        passed = functional.relu(h.index_select(0, edge[0]) + self.edges(features))
        return [h, torch.zeros_like(h).index_add(0, edge[1], passed)]


class Pool(nn.Module):
    def forward(self, h: Tensor, graph: Tensor) -> Tensor:
        return torch.zeros_like(h[:1]).index_add(0, graph, h) / h.shape[0]


class Network(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.encoder = Encoder(NODE_FEATURES)
        self.layers = nn.ModuleList(Layer(kind) for _ in range(LAYERS))
        self.pool = Pool()
        self.head = nn.Linear(DIM, 1)

    def forward(self, nodes: Tensor, edge: Tensor, features: Tensor, graph: Tensor) -> Tensor:
        h = self.encoder(nodes)
        messages = torch.zeros_like(h)
        for layer in self.layers:
            h, messages = layer(h, messages, edge, features)
        return self.head(self.pool(h + messages, graph))


def inputs(nodes: int, edges: int) -> tuple[Tensor, ...]:
    source = torch.arange(edges) % nodes
    target = (source + 1 + torch.arange(edges) // nodes) % nodes
    places = torch.arange(nodes * NODE_FEATURES).view(nodes, NODE_FEATURES) * 7 % VALUES
    kinds = torch.arange(edges * EDGE_FEATURES).view(edges, EDGE_FEATURES) * 5 % VALUES
    return places, torch.stack([source, target]), kinds, torch.zeros(nodes, dtype=torch.int64)


def main() -> None:
    for kind in ("gcn", "gin"):
        for graph, (nodes, edges) in GRAPHS.items():
            model = Network(kind).to(torch.float16).eval()
            name = f"{kind}-{graph}"
            trace = export_module(model, inputs(nodes, edges), name=name, phase="forward")
            print(save_trace(trace, FOLDER / f"{name}.forward.trace").name)


if __name__ == "__main__":
    main()
