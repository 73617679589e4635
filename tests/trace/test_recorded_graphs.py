"""The shipped graph networks: small, complete, local where they should be, free of torch."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from simulator.errors import TraceError
from simulator.trace import catalogue
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all
from simulator.trace.schema import Trace
from simulator.trace.store import read_trace
from simulator.trace.work import Gather, SparseDense

ENTRIES = [entry for entry in catalogue.recorded() if ":" in entry.name]
MODELS = ("gcn", "graphsage", "gat", "gin")


@cache
def loaded(name: str, phase: str = "forward") -> Trace:
    return load_trace(name, phase=phase)


def neighbours(trace: Trace) -> np.ndarray:
    """The widest gather's (or sparse product's) rows, in the order they are read."""
    works = [w for w in lower_all(trace) if isinstance(w, Gather | SparseDense)]
    widest = max(works, key=lambda work: work.row_bytes)
    rows = widest.index if isinstance(widest, Gather) else widest.indices
    assert rows is not None
    return rows


def test_every_model_runs_on_a_small_and_a_middling_graph() -> None:
    recorded = {(entry.name, entry.phase) for entry in ENTRIES}
    for graph in ("synthetic-cora", "synthetic-arxiv"):
        for model in MODELS:
            assert {(f"{model}:{graph}", "forward"), (f"{model}:{graph}", "train")} <= recorded
            assert (f"{model}-csr:{graph}", "forward") in recorded
        assert (f"gcn:{graph}-permuted", "forward") in recorded


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: f"{entry.name}-{entry.phase}")
def test_it_is_small_and_needs_no_arrays(entry: catalogue.Entry) -> None:
    assert entry.file.stat().st_size < 10_000
    trace = read_trace(entry.file, arrays=False)
    recorded = {t.data for t in trace.tensors.values() if t.data is not None}
    assert recorded and recorded == set(trace.recipes)
    assert "synthetic" in trace.header.source["graph"]


@pytest.mark.parametrize("adjacency", ["", "-csr"])
def test_random_node_numbers_destroy_locality(adjacency: str) -> None:
    # Distinct rows among 4096 reads in a row: few where neighbours are numbered close.
    distinct = []
    for graph in ("synthetic-arxiv", "synthetic-arxiv-permuted"):
        rows = neighbours(loaded(f"gcn{adjacency}:{graph}"))
        windows = rows[: len(rows) // 4096 * 4096].reshape(-1, 4096)
        distinct.append(np.mean([len(np.unique(window)) for window in windows[::20]]))
    assert distinct[0] < 0.75 * distinct[1]


def test_a_permuted_graph_asks_for_the_same_work() -> None:
    plain, shuffled = loaded("gcn:synthetic-cora"), loaded("gcn:synthetic-cora-permuted")
    assert plain.operators == shuffled.operators
    totals = [
        [(type(work), sorted(work.operations.items()), work.bytes_written) for work in works]
        for works in (lower_all(plain), lower_all(shuffled))
    ]
    assert totals[0] == totals[1]


def test_loading_needs_no_torch() -> None:
    script = (
        "import sys; sys.modules['torch'] = sys.modules['torch_geometric'] = None\n"
        "from simulator.trace.load import load_trace\n"
        "trace = load_trace('gat:synthetic-cora', phase='train')\n"
        "assert len(trace.arrays) == 2\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_an_unrecorded_graph_network_says_how_to_export_it() -> None:
    with pytest.raises(TraceError) as error:
        load_trace("gcn-csr:synthetic-reddit")
    text = str(error.value)
    assert "accsim[gnn]" in text and "\n" not in text
    assert "accsim trace export gcn --graph synthetic-reddit --adjacency csr" in text


def test_a_fresh_export_is_the_recorded_one() -> None:
    torch, torch_geometric = map(pytest.importorskip, ("torch", "torch_geometric"))
    from simulator.trace.export.gnn import export_gnn
    from simulator.trace.graphs import generate

    recorded = loaded("gat:synthetic-cora", "train")
    source = recorded.header.source
    versions = (torch.__version__, torch_geometric.__version__)
    if (source["torch"], source["torch_geometric"]) != versions:
        pytest.skip("recorded with other versions")
    fresh = export_gnn("gat", generate("synthetic-cora"), phase="train")
    assert fresh.operators == recorded.operators and fresh.tensors == recorded.tensors
