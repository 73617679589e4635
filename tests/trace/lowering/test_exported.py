"""Fresh exports of graph networks and training steps (with the exporters' extras installed)."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.trace.lowering import lower_all, unmapped

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def graph():
    from simulator.trace.graphs import generate

    return generate("synthetic-cora")


@pytest.mark.parametrize("phase", ["forward", "train"])
@pytest.mark.parametrize("adjacency", ["edges", "csr"])
@pytest.mark.parametrize("model", ["gcn", "graphsage", "gat", "gin"])
def test_graph_networks_lower_with_every_row_number_known(graph, model, adjacency, phase):
    pytest.importorskip("torch_geometric")
    from simulator.trace.export.gnn import export_gnn

    trace = export_gnn(model, graph, phase=phase, adjacency=adjacency)
    works = lower_all(trace)
    assert unmapped(works) == []
    indexed = [work for work in works if work.kind in ("gather", "scatter")]
    assert all(work.index is not None and work.index.size == work.rows for work in indexed)
    assert all(0 <= work.index.min() <= work.index.max() < work.table_rows for work in indexed)
    products = [work for work in works if work.kind == "sparsedense"]
    assert all(work.indices.size == work.nonzeros == work.indptr[-1] for work in products)
    assert bool(products) == (adjacency == "csr" and model != "gat")


def test_messages_follow_the_edges(graph):
    pytest.importorskip("torch_geometric")
    from simulator.trace.export.gnn import export_gnn

    works = lower_all(export_gnn("graphsage", graph, hidden=64))
    gathers = [work for work in works if work.kind == "gather"]
    assert [work.row_bytes for work in gathers] == [graph.features * 4, 64 * 4]
    for work in gathers:
        assert np.array_equal(np.sort(work.index), np.sort(graph.indices))
    sums = [work for work in works if work.kind == "scatter" and work.row_bytes > 4]
    for work in sums:
        assert np.array_equal(np.bincount(work.index, minlength=graph.nodes), np.diff(graph.indptr))


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gpt2", "mixtral-8x7b", "llama3-8b", "vit-b16", "bert-large"])
def test_training_steps_lower_completely(model):
    pytest.importorskip("transformers")
    from simulator.trace.export import export_model

    assert unmapped(lower_all(export_model(model, "train"))) == []
