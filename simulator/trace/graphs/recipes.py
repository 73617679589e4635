"""Index arrays of synthetic graphs, stored as recipes instead of values.

A trace of a graph network holds the index tensors its gathers and scatters use.
Those of a synthetic graph are all functions of the graph, and the graph of a
few numbers, so a trace stores ``{"generator": ..., "array": ...}`` beside the
SHA-256 of the values; loading makes them again and verifies the digest.

Left out: arrays outside :data:`DERIVED`, which a trace stores by value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TraceError, suggest
from simulator.trace.arrays import array_digest
from simulator.trace.graphs.generator import generate
from simulator.trace.graphs.graph import Graph, Recipe, from_edges

GENERATOR = "communities-1"
"""Names the algorithm of :mod:`.generator`; a change of its output changes this name."""

Derived = NDArray[np.int32] | NDArray[np.int64]


def compact(values: NDArray[Any]) -> Derived:
    """The narrowest of int32 and int64 that holds the values."""
    if values.size and max(values.max(), -values.min()) >= 2**31:
        return np.ascontiguousarray(values, dtype=np.int64)
    return np.ascontiguousarray(values, dtype=np.int32)


def _nodes(graph: Graph) -> NDArray[np.int32]:
    return np.arange(graph.nodes, dtype=np.int32)


def _with_loops(graph: Graph) -> Graph:
    """The graph with one self-loop at each node, in compressed rows."""
    return from_edges(
        graph.name,
        np.concatenate([graph.indices, _nodes(graph)]),
        np.concatenate([graph.targets, _nodes(graph)]),
        nodes=graph.nodes,
        features=graph.features,
        classes=graph.classes,
    )


def _order_of_loops(graph: Graph) -> NDArray[np.int64]:
    """Where each edge of :func:`_with_loops` stands among the edges then the self-loops."""
    target = np.concatenate([graph.targets, _nodes(graph)]).astype(np.int64)
    return np.argsort(
        target * graph.nodes + np.concatenate([graph.indices, _nodes(graph)]), kind="stable"
    )


DERIVED: Mapping[str, Callable[[Graph], NDArray[Any]]] = {
    "source": lambda graph: graph.indices,
    "target": lambda graph: graph.targets,
    "source_then_nodes": lambda graph: np.concatenate([graph.indices, _nodes(graph)]),
    "target_then_nodes": lambda graph: np.concatenate([graph.targets, _nodes(graph)]),
    "indptr": lambda graph: graph.indptr,
    "indptr_with_loops": lambda graph: _with_loops(graph).indptr,
    "source_with_loops": lambda graph: _with_loops(graph).indices,
    "target_with_loops": lambda graph: _with_loops(graph).targets,
    "order_with_loops": _order_of_loops,
    "nodes": _nodes,
}
"""Arrays that models make of a graph's edges; ``then_nodes`` appends the self-loops."""


def recipes_for(graph: Graph, digests: set[str]) -> dict[str, dict[str, Any]]:
    """Recipes of those digests that are arrays of this synthetic graph."""
    if graph.recipe is None:
        return {}
    found: dict[str, dict[str, Any]] = {}
    for name, derive in DERIVED.items():
        if len(found) == len(digests):
            break
        digest = array_digest(compact(derive(graph)))
        if digest in digests and digest not in found:
            found[digest] = {"generator": GENERATOR, **asdict(graph.recipe), "array": name}
    return found


def rebuild(recipes: Mapping[str, Mapping[str, Any]]) -> dict[str, Derived]:
    """The arrays that recipes describe, each verified against its digest."""
    graphs: dict[Recipe, Graph] = {}
    arrays: dict[str, Derived] = {}
    for digest, entry in recipes.items():
        recipe, array = _parse(entry)
        if recipe not in graphs:
            graphs[recipe] = generate(recipe)
        arrays[digest] = compact(DERIVED[array](graphs[recipe]))
        if array_digest(arrays[digest]) != digest:
            raise TraceError(
                f"the recipe of array {digest[:12]} gives other values",
                where=f"graph '{recipe.name}'",
                remedy="the trace is damaged or from another version; export it again",
            )
    return arrays


_CHECKS: Mapping[str, type | tuple[type, ...]] = {"str": str, "int": int, "float": (int, float)}


def _parse(entry: Mapping[str, Any]) -> tuple[Recipe, str]:
    """A recipe and the name of its array, from a trace file's untrusted JSON."""
    if entry.get("generator") != GENERATOR:
        raise TraceError(
            f"array recipe of unknown generator {entry.get('generator')!r:.60}",
            remedy=f"this version knows '{GENERATOR}'; export the trace again",
        )
    array = entry.get("array")
    if not isinstance(array, str) or array not in DERIVED:
        raise TraceError(
            f"array recipe names no known array but {array!r:.60}",
            remedy=suggest(str(array), DERIVED),
        )
    values: dict[str, Any] = {}
    for item in fields(Recipe):
        value = entry.get(item.name)
        if item.name == "permutations":
            valid = isinstance(value, list | tuple) and all(type(seed) is int for seed in value)
            value = tuple(value) if valid and value is not None else ()
        else:
            valid = isinstance(value, _CHECKS[str(item.type)]) and not isinstance(value, bool)
        if not valid:
            raise TraceError(
                f"array recipe has no valid '{item.name}'", remedy="export the trace again"
            )
        values[item.name] = value
    return Recipe(**values), array
