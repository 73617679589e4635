"""Graphs for graph neural networks: read from a file, generated, relabelled."""

from simulator.trace.graphs.files import load_graph, read_edges
from simulator.trace.graphs.generator import PRESETS, community_bounds, generate, preset
from simulator.trace.graphs.graph import Graph, Recipe, from_edges, permute

__all__ = [
    "PRESETS",
    "Graph",
    "Recipe",
    "community_bounds",
    "from_edges",
    "generate",
    "load_graph",
    "permute",
    "preset",
    "read_edges",
]
