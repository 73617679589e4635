"""``accsim trace export`` of graph networks: options, files written, mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator import cli
from simulator.trace.store import read_trace


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["trace", "export", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_synthetic_graph_needs_one_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch_geometric")
    file = tmp_path / "gat.jsonl.gz"
    options = "--graph synthetic-cora --features 50 --heads 2 --hidden 8 --layers 3 --permute 5"
    code, out, err = run(capsys, "gat", *options.split(), "-o", str(file))
    assert (code, err) == (0, "")
    assert "nodes 2708" in out and "hidden 8" in out
    trace = read_trace(file)
    assert trace.header.name == "gat:synthetic-cora-permuted"
    assert trace.header.sizes["features"] == 50 and trace.header.sizes["layers"] == 3
    assert all(recipe["permutations"] == [5] for recipe in trace.recipes.values())


def test_a_file_of_edges_becomes_a_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip("torch_geometric")
    edges = tmp_path / "ring.txt"
    edges.write_text("".join(f"{node} {(node + 1) % 9}\n" for node in range(9)))
    target = tmp_path / "ring.trace"
    options = ("--graph", str(edges), "--adjacency", "csr", "--classes", "3", "--phase", "train")
    code, out, _ = run(capsys, "graphsage", *options, "-o", str(target))
    assert code == 0 and "classes 3" in out
    trace = read_trace(target)
    assert trace.header.name == "graphsage-csr:ring" and trace.header.phase == "train"
    assert sorted(len(array) for array in trace.arrays.values()) == [9, 10]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("gcn", "'gcn' needs a graph"),
        ("gcn --graph synthetic-coar", "did you mean 'synthetic-cora'"),
        ("gcn --graph missing.txt", "No such file"),
        ("graphsgae --graph synthetic-cora", "did you mean 'graphsage'"),
        ("gcn --graph synthetic-cora --context 5", "--context: 'gcn' on a graph"),
        ("gcn --graph synthetic-cora --phase decode", "choose one of forward, train"),
        ("gcn --graph synthetic-cora --adjacency coo", "choose one of csr, edges"),
        ("gcn --graph synthetic-cora --permute -1", "permutation seed -1"),
        ("gcn --graph synthetic-cora --features 0", "features = 0"),
        ("gat --graph synthetic-cora --hidden 100", "not a multiple of 8 heads; use 96"),
        ("gpt2 --graph synthetic-cora", "--graph: 'gpt2' is no graph network"),
        ("gpt2 --permute 1", "--permute: 'gpt2' is no graph network"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: str, says: str
) -> None:
    target = tmp_path / "out.trace"
    code, out, err = run(capsys, *arguments.split(), "-o", str(target))
    assert code == 2 and out == ""
    assert says in err and err.startswith("accsim: error: ") and err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
