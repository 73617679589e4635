"""A graph as message passing sees it: compressed in-edges, and relabelling.

A :class:`Graph` is a directed graph in compressed sparse row form, grouped by
destination, because message passing reduces over the edges that enter a node.
:func:`permute` gives the nodes random numbers: the same graph, hence the same
work, without the locality that neighbouring numbers bring.

Left out: edge weights, feature values, temporal and heterogeneous graphs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MAX_NODES = 1 << 27
MAX_EDGES = 1 << 28

Integers = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything needed to make a synthetic graph again, bit by bit."""

    name: str
    nodes: int
    edges: int
    """Directed edges: each undirected one counts twice."""
    features: int
    classes: int
    communities: int
    exponent: float
    """Of the degree distribution's tail, p(d) ~ d^-exponent."""
    mixing: float
    """Share of edges whose far end is drawn from the whole graph."""
    seed: int = 0
    permutations: tuple[int, ...] = ()
    """Seeds of the relabellings applied afterwards, in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """A directed graph: node ``v`` has the in-edges ``indices[indptr[v]:indptr[v + 1]]``."""

    name: str
    nodes: int
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    """Source of each edge, ascending within one destination."""
    features: int
    classes: int
    recipe: Recipe | None = None
    """How it was generated; None for a graph that came from a file."""

    @property
    def edges(self) -> int:
        return len(self.indices)

    @property
    def synthetic(self) -> bool:
        return self.recipe is not None

    @property
    def seed(self) -> int | None:
        return self.recipe.seed if self.recipe else None

    @property
    def in_degrees(self) -> NDArray[np.int64]:
        return np.diff(self.indptr)

    @property
    def targets(self) -> NDArray[np.int32]:
        """Destination of each edge; pairs with ``indices``."""
        return np.repeat(np.arange(self.nodes, dtype=np.int32), self.in_degrees)


def permute(graph: Graph, seed: int) -> Graph:
    """The same graph under seeded random node numbers: equal degrees, no locality."""
    order = np.argsort(raw_numbers(seed, graph.nodes), kind="stable").astype(np.int32)
    relabelled = from_edges(
        f"{graph.name.removesuffix('-permuted')}-permuted",
        order[graph.indices],
        order[graph.targets],
        nodes=graph.nodes,
        features=graph.features,
        classes=graph.classes,
    )
    if graph.recipe is None:
        return relabelled
    steps = (*graph.recipe.permutations, seed)
    return replace(relabelled, recipe=replace(graph.recipe, permutations=steps))


def from_edges(
    name: str, source: Integers, target: Integers, *, nodes: int, features: int, classes: int
) -> Graph:
    """A graph of the given edges; repeated edges and self-loops stay."""
    indptr = np.zeros(nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(target, minlength=nodes), out=indptr[1:])
    # One sort of (target, source) as a single number; values, not positions, are
    # wanted, so equal keys cannot make the result depend on the sort.
    keys = target.astype(np.int64)
    keys *= nodes
    keys += source
    keys.sort()
    keys %= max(nodes, 1)
    return Graph(name, nodes, indptr, keys.astype(np.int32), features, classes)


def raw_numbers(seed: int, count: int, stream: int = 0) -> NDArray[np.uint64]:
    """Raw PCG64 output: unlike its distributions, numpy keeps it the same across versions."""
    raw: NDArray[np.uint64] = np.random.PCG64([seed, stream]).random_raw(count)
    return raw
