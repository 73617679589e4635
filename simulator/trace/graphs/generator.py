"""Synthetic graphs with power-law degrees and communities, drawn from a seed.

A degree-corrected block model (Karrer and Newman 2011) drawn like the LFR
benchmark (Lancichinetti et al. 2008): power-law expected degrees, communities,
and a share ``mixing`` of edges that ignores them.  The nodes of a community are
numbered consecutively, so that the generated order has locality.

The presets have the node, edge, feature and class counts of well-known data
sets (Cora as in Planetoid, Reddit as in GraphSAGE, ogbn-arxiv, made undirected,
and ogbn-products as in the Open Graph Benchmark).  Their exponent, communities
and mixing are plausible choices, not fits, which is why every name says
``synthetic``.

The same recipe gives the same graph on every machine: raw generator output
becomes fractions and integers by exact arithmetic only.  Left out: triangles
beyond those that communities bring, correlation of degree and community.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TraceError, suggest
from simulator.trace.graphs.graph import (
    MAX_EDGES,
    MAX_NODES,
    Graph,
    Recipe,
    from_edges,
    permute,
    raw_numbers,
)

CHUNK = 1 << 22
"""Random draws made at once; bounds the temporary memory."""

PRESETS: Mapping[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe("synthetic-cora", 2_708, 10_556, 1_433, 7, 28, 2.9, 0.2),
        Recipe("synthetic-arxiv", 169_343, 2_315_598, 128, 40, 400, 2.5, 0.3),
        Recipe("synthetic-reddit", 232_965, 114_615_892, 602, 41, 50, 2.3, 0.25),
        Recipe("synthetic-products", 2_449_029, 123_718_280, 100, 47, 2_000, 2.5, 0.2),
    )
}
_SCALED = re.compile(r"(?P<base>.+)-(?P<percent>\d{1,2})pct")


def preset(name: str, seed: int = 0) -> Recipe:
    """The recipe called ``name``; ``NAME-5pct`` has 5 % of its nodes, edges and communities."""
    if name in PRESETS:
        return replace(PRESETS[name], seed=seed)
    scaled = _SCALED.fullmatch(name)
    if scaled is None or scaled["base"] not in PRESETS or int(scaled["percent"]) == 0:
        base = scaled["base"] if scaled else name
        raise TraceError(
            f"no graph is called '{name}'",
            remedy=f"{suggest(base, PRESETS)} (a suffix such as -5pct scales it), or give a file",
        )
    whole, percent = PRESETS[scaled["base"]], int(scaled["percent"])
    return replace(
        whole,
        name=name,
        nodes=max(1, whole.nodes * percent // 100),
        edges=max(2, whole.edges * percent // 100 // 2 * 2),
        communities=max(1, whole.communities * percent // 100),
        seed=seed,
    )


def generate(recipe: Recipe | str) -> Graph:
    """The graph a recipe (or preset name) describes: simple, undirected, no self-loops."""
    if isinstance(recipe, str):
        recipe = preset(recipe)
    _check(recipe)
    base = replace(recipe, permutations=())
    pairs = _draw_edges(base)
    low, high = pairs // base.nodes, pairs % base.nodes
    del pairs
    graph = from_edges(
        base.name,
        np.concatenate([low, high]),
        np.concatenate([high, low]),
        nodes=base.nodes,
        features=base.features,
        classes=base.classes,
    )
    graph = replace(graph, recipe=base)
    for seed in recipe.permutations:
        graph = permute(graph, seed)
    return graph


def community_bounds(recipe: Recipe) -> NDArray[np.int64]:
    """First node of each community, and the node count at the end (before permutation).

    Sizes vary threefold around the mean.
    """
    share = 0.5 + _fractions(raw_numbers(recipe.seed, recipe.communities, stream=1))
    ends = np.floor(np.cumsum(share) / np.sum(share) * recipe.nodes).astype(np.int64)
    ends[-1] = recipe.nodes
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])


def _check(recipe: Recipe) -> None:
    def refuse(problem: str, remedy: str) -> TraceError:
        return TraceError(problem, where=f"graph '{recipe.name}'", remedy=remedy)

    if not 2 <= recipe.nodes <= MAX_NODES:
        raise refuse(f"nodes = {recipe.nodes} is impossible", f"choose 2 to {MAX_NODES}")
    pairs = recipe.nodes * (recipe.nodes - 1) // 2
    most = min(pairs // 2 * 2, MAX_EDGES)  # half of all pairs
    if not 2 <= recipe.edges <= most or recipe.edges % 2:
        raise refuse(
            f"edges = {recipe.edges} directed edges cannot be drawn among {recipe.nodes} nodes",
            f"choose an even number from 2 to {most}",
        )
    if not 1 <= recipe.communities <= max(1, recipe.nodes // 4):
        raise refuse(
            f"communities = {recipe.communities} is impossible",
            f"choose 1 to {max(1, recipe.nodes // 4)}, so that each has a few nodes",
        )
    if not 2.0 < recipe.exponent <= 10.0:
        raise refuse(
            f"exponent = {recipe.exponent} gives no finite mean degree or no tail",
            "choose above 2 and at most 10",
        )
    if not 0.0 <= recipe.mixing <= 1.0:
        raise refuse(f"mixing = {recipe.mixing} is not a share", "choose 0 to 1")
    if not 0 <= recipe.seed < 2**63 or recipe.features < 1 or recipe.classes < 1:
        raise refuse("seed, features or classes is out of range", "use positive integers")


def _draw_edges(recipe: Recipe) -> NDArray[np.int64]:
    """``edges / 2`` distinct undirected pairs as ascending numbers low * nodes + high.

    Drawing with replacement repeats pairs between hubs; rounds of fresh draws
    replace the repeats until the count is met.
    """
    wanted = recipe.edges // 2
    ends = np.cumsum(_weights(recipe))
    bounds = community_bounds(recipe)
    stream = np.random.PCG64([recipe.seed, 3])
    pairs = _draw_round(recipe, ends, bounds, wanted, stream)
    for _ in range(64):
        missing = wanted - len(pairs)
        if missing == 0:
            return pairs
        fresh = _draw_round(recipe, ends, bounds, missing + missing // 4 + 16, stream)
        place = np.searchsorted(pairs, fresh)
        known = np.zeros(len(fresh), dtype=bool)
        inside = place < len(pairs)
        known[inside] = pairs[place[inside]] == fresh[inside]
        fresh = fresh[~known]
        if len(fresh) > missing:
            fresh = fresh[np.arange(missing) * len(fresh) // missing]
        pairs = np.concatenate([pairs, fresh])
        pairs.sort(kind="stable")  # two sorted runs: one merge
    raise TraceError(
        f"its communities are too dense for {recipe.edges} distinct edges",
        where=f"graph '{recipe.name}'",
        remedy="use fewer edges, fewer communities or more mixing",
    )


def _weights(recipe: Recipe) -> NDArray[np.int64]:
    """Relative expected degrees, Pareto with the wanted tail, as integers.

    Cut where the expected degree exceeds sqrt(edges), the structural cutoff
    beyond which a simple graph cannot stay uncorrelated (Catanzaro et al. 2005).
    Integers keep the sums below exact, whatever the last bit of a power.
    """
    uniform = 1.0 - _fractions(raw_numbers(recipe.seed, recipe.nodes, stream=2))
    pareto = uniform ** (-1.0 / (recipe.exponent - 1.0))
    largest = np.sum(pareto) / np.sqrt(recipe.edges)
    return np.floor(np.clip(64.0 * pareto, 64.0, max(64.0, 64.0 * largest))).astype(np.int64)


def _draw_round(
    recipe: Recipe,
    ends: NDArray[np.int64],
    bounds: NDArray[np.int64],
    count: int,
    stream: np.random.PCG64,
) -> NDArray[np.int64]:
    """Distinct pairs among about ``count`` draws.

    The near ends are spread over the nodes in proportion to their weight with a
    random start; each far end is drawn by weight from the near end's community,
    or with probability ``mixing`` from the whole graph.
    """
    total, mixing = int(ends[-1]), recipe.mixing
    start = float(_fractions(stream.random_raw(1))[0])
    floors = np.concatenate([np.zeros(1, dtype=np.int64), ends])
    low_weight, high_weight = floors[bounds[:-1]], floors[bounds[1:]]
    found = []
    for first in range(0, count, CHUNK):
        size = min(CHUNK, count - first)
        position = (np.arange(first, first + size) + start) * (total / count)
        near = _node_at(ends, position)
        community = np.searchsorted(bounds, near, side="right") - 1
        uniform = _fractions(stream.random_raw(size))
        anywhere = uniform < mixing
        least = np.where(anywhere, 0, low_weight[community])
        most = np.where(anywhere, total, high_weight[community])
        span = (most - least).astype(np.float64)
        # Within each of the two cases the rest of the draw is uniform again.
        start_of, length = np.where(anywhere, 0.0, mixing), np.where(anywhere, mixing, 1 - mixing)
        far = _node_at(ends, least + (uniform - start_of) / length * span)
        distinct = near != far
        near, far = near[distinct], far[distinct]
        found.append(np.minimum(near, far) * recipe.nodes + np.maximum(near, far))
    return _distinct(np.concatenate(found))


def _distinct(pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Ascending without repeats; several times faster than np.unique on large arrays."""
    pairs.sort()
    first = np.ones(len(pairs), dtype=bool)
    np.not_equal(pairs[1:], pairs[:-1], out=first[1:])
    return pairs[first]


def _node_at(ends: NDArray[np.int64], position: NDArray[np.floating]) -> NDArray[np.int64]:
    """The node whose stretch of cumulative weight covers each position."""
    weight = np.minimum(position.astype(np.int64), ends[-1] - 1)
    nodes: NDArray[np.int64] = np.searchsorted(ends, weight, side="right")
    return nodes


def _fractions(raw: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Uniform on [0, 1) with 53 bits."""
    return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53
