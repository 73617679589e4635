"""Graph networks: real torch_geometric operators, real indices, shapes of features only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("torch_geometric")

import torch
import torch_geometric
from torch.utils._python_dispatch import TorchDispatchMode

from simulator.errors import AccsimError, TraceError
from simulator.trace.export import export_module
from simulator.trace.export.capture import capture
from simulator.trace.export.gnn import ADJACENCIES, GRAPH_MODELS, PHASES, export_gnn
from simulator.trace.export.mixed import MixedExecution, on_device, row_values
from simulator.trace.export.recorder import Recorder
from simulator.trace.graphs import Graph, Recipe, from_edges, generate, permute
from simulator.trace.lowering import lower_all
from simulator.trace.schema import Operator, Tensor, Trace
from simulator.trace.store import read_trace, save_trace, trace_text
from simulator.trace.work import Gather, Gemm, Scatter, SparseDense, Unmapped

MODELS = tuple(GRAPH_MODELS)
HIDDEN, LAYERS, HEADS = 16, 2, 4
ALL = [
    (model, phase, adjacency) for model in MODELS for phase in PHASES for adjacency in ADJACENCIES
]


@cache
def small_graph() -> Graph:
    return generate(Recipe("synthetic-small", 200, 1_600, 24, 5, 6, 2.5, 0.3, seed=1))


@cache
def exported(model: str, phase: str = "forward", adjacency: str = "edges") -> Trace:
    return export_gnn(
        model,
        small_graph(),
        hidden=HIDDEN,
        layers=LAYERS,
        heads=HEADS,
        phase=phase,
        adjacency=adjacency,
    )


def index_of(trace: Trace, operator: Operator, position: int) -> tuple[Tensor, np.ndarray]:
    tensor = trace.tensors[operator.args[position].id]
    assert tensor.data is not None
    return tensor, trace.arrays[tensor.data]


def named(trace: Trace, name: str) -> list[Operator]:
    return [operator for operator in trace.operators if operator.name == name]


class TestRealCode:
    """What is recorded is what torch_geometric dispatches when it computes for real."""

    @pytest.mark.parametrize(("model", "phase", "adjacency"), ALL)
    def test_the_operators_are_those_of_a_real_run(
        self, model: str, phase: str, adjacency: str
    ) -> None:
        trace = exported(model, phase, adjacency)
        recorded = [
            (operator.name, [trace.tensors[id].shape for id in operator.outputs])
            for operator in trace.operators
            if operator.phase != "optimizer"
        ]
        dispatched = real_run(model, phase, adjacency)
        assert [name for name, _ in recorded] == [name for name, _ in dispatched]
        # An operator that changes its argument lists it; a real run returns it once.
        assert [set(shapes) for _, shapes in recorded] == [set(s) for _, s in dispatched]

    @pytest.mark.parametrize(
        ("model", "operators"), [("gcn", 69), ("gat", 95), ("graphsage", 39), ("gin", 31)]
    )
    def test_two_layers_dispatch_a_known_number_of_operators(
        self, model: str, operators: int
    ) -> None:
        # Counted independently of this exporter with this version; others may differ.
        if not torch_geometric.__version__.startswith("2.8."):
            pytest.skip("counted with torch_geometric 2.8")
        assert len(exported(model).operators) == operators

    @pytest.mark.parametrize(("model", "phase", "adjacency"), ALL)
    def test_every_operator_is_lowered_and_every_index_known(
        self, model: str, phase: str, adjacency: str
    ) -> None:
        for work in lower_all(exported(model, phase, adjacency)):
            assert not isinstance(work, Unmapped)
            if isinstance(work, Gather | Scatter):
                assert work.index is not None and len(work.index) == work.rows
                assert work.index.min() >= 0 and work.index.max() < work.table_rows
            if isinstance(work, SparseDense):
                assert work.indptr is not None and work.indices is not None
                assert work.indptr[-1] == work.nonzeros == len(work.indices)

    def test_a_training_step_has_its_phases_and_roles(self) -> None:
        trace = exported("gat", "train")
        assert [*dict.fromkeys(o.phase for o in trace.operators)] == [
            "forward",
            "backward",
            "optimizer",
        ]
        roles = Counter(tensor.role for tensor in trace.tensors.values())
        assert {"weight", "gradient", "optimizer_state", "index", "input"} <= set(roles)
        backward = [o for o in trace.operators if o.phase == "backward"]
        assert {o.module.split(".")[0] for o in backward} >= {"convs"}

    def test_nothing_is_guessed(self) -> None:
        assert all(exported(*case).header.guesses == () for case in ALL)

    def test_the_header_says_what_ran(self) -> None:
        header = exported("gat", "train", "csr").header
        assert header.name == "gat-csr:synthetic-small" and header.phase == "train"
        assert header.sizes == {
            "nodes": 200,
            "edges": 1600,
            "features": 24,
            "classes": 5,
            "hidden": HIDDEN,
            "layers": LAYERS,
            "heads": HEADS,
        }
        assert header.source["adjacency"] == "csr"
        assert "synthetic" in header.source["graph"] and "seed 1" in header.source["graph"]
        assert header.source["torch_geometric"]


class TestIndices:
    def test_gathers_read_sources_and_scatters_write_targets(self) -> None:
        graph, trace = small_graph(), exported("gin")
        gathers, scatters = (
            named(trace, "aten.index_select.default"),
            named(trace, "aten.scatter_add_.default"),
        )
        assert len(gathers) == len(scatters) == LAYERS
        for operator in gathers:
            tensor, values = index_of(trace, operator, 2)
            assert np.array_equal(values, graph.indices)
            assert tensor.role == "index" and tensor.name == "edge_index"
        for operator in scatters:
            tensor, values = index_of(trace, operator, 2)
            assert tensor.strides[1] == 0 and tensor.shape[0] == graph.edges
            assert np.array_equal(values, graph.targets)

    @pytest.mark.parametrize("model", ["gcn", "gat"])
    def test_self_loops_are_appended_to_the_edges(self, model: str) -> None:
        graph, trace = small_graph(), exported(model)
        loops = np.arange(graph.nodes)
        for operator in named(trace, "aten.scatter_add_.default"):
            _, values = index_of(trace, operator, 2)
            assert np.array_equal(values, np.concatenate([graph.targets, loops]))

    def test_compressed_rows_are_the_graph(self) -> None:
        graph, trace = small_graph(), exported("graphsage", "forward", "csr")
        [product, _] = [w for w in lower_all(trace) if isinstance(w, SparseDense)]
        assert product.indptr is not None and np.array_equal(product.indptr, graph.indptr)
        assert product.indices is not None and np.array_equal(product.indices, graph.indices)

    @pytest.mark.parametrize("adjacency", ADJACENCIES)
    @pytest.mark.parametrize(("model", "loops"), [("gcn", 1), ("graphsage", 0), ("gin", 0)])
    def test_each_layer_moves_one_row_per_edge(
        self, model: str, loops: int, adjacency: str
    ) -> None:
        graph, works = small_graph(), lower_all(exported(model, "forward", adjacency))
        edges = graph.edges + loops * graph.nodes
        widths = {"gcn": [HIDDEN, graph.classes]}.get(model, [graph.features, HIDDEN])
        if adjacency == "csr":
            products = [w for w in works if isinstance(w, SparseDense)]
            assert [(w.nonzeros, w.width) for w in products] == [(edges, w) for w in widths]
            return
        for kind in (Gather, Scatter):
            messages = [
                w
                for w in works
                if isinstance(w, kind)
                and w.row_bytes in [4 * width for width in widths]
                and w.table_rows == graph.nodes
            ]
            assert [(w.rows, w.row_bytes) for w in messages] == [(edges, 4 * w) for w in widths]

    def test_a_file_with_self_loops_keeps_its_values(self, tmp_path: Path) -> None:
        source, target = np.array([0, 1, 2, 2, 3]), np.array([1, 0, 2, 3, 3])
        graph = from_edges("mine", source, target, nodes=4, features=3, classes=2)
        trace = export_gnn("gcn", graph, hidden=4)
        assert trace.recipes == {} and "file" in trace.header.source["graph"]
        # torch_geometric drops the two loops and appends one for each node.
        _, values = index_of(trace, named(trace, "aten.index_select.default")[0], 2)
        assert values.tolist() == [1, 0, 2, 0, 1, 2, 3]
        read = read_trace(save_trace(trace, tmp_path / "mine.trace"))
        assert all(np.array_equal(read.arrays[key], array) for key, array in trace.arrays.items())
        with pytest.raises(AccsimError, match=r"\.trace"):
            save_trace(trace, tmp_path / "mine.jsonl.gz")

    def test_a_permuted_graph_changes_indices_and_nothing_else(self) -> None:
        graph = small_graph()
        plain, shuffled = (
            exported("gcn"),
            export_gnn("gcn", permute(graph, 3), hidden=HIDDEN, layers=LAYERS),
        )
        assert shuffled.header.name == "gcn:synthetic-small-permuted"
        assert plain.operators == shuffled.operators
        assert set(plain.arrays).isdisjoint(shuffled.arrays)
        for one, other in zip(lower_all(plain), lower_all(shuffled), strict=True):
            if isinstance(one, Scatter):
                assert isinstance(other, Scatter)
                assert one.index is not None and other.index is not None
                counts = [np.sort(np.bincount(w.index)) for w in (one, other)]
                assert np.array_equal(*counts)


class TestOperations:
    """Matrix products against closed forms; N nodes, F features, H hidden, C classes."""

    @pytest.mark.parametrize("adjacency", ADJACENCIES)
    @pytest.mark.parametrize("phase", PHASES)
    @pytest.mark.parametrize("model", MODELS)
    def test_matrix_operations(self, model: str, phase: str, adjacency: str) -> None:
        graph = small_graph()
        n, f, c, h = graph.nodes, graph.features, graph.classes, HIDDEN
        layers: dict[str, list[list[int]]] = {
            "gcn": [[f * h], [h * c]],
            "graphsage": [[f * h, f * h], [h * c, h * c]],
            "gat": [[f * h], [h * HEADS * c]],
            "gin": [[f * h, h * h], [h * c, c * c]],
        }
        forward = sum(map(sum, layers[model]))
        # Backward: a product towards each weight, one towards each input but the features.
        towards_features = sum(layers[model][0][: 1 if model == "gin" else None])
        total = forward if phase == "forward" else 3 * forward - towards_features
        works = [w for w in lower_all(exported(model, phase, adjacency)) if isinstance(w, Gemm)]
        assert sum(w.operations["matrix"] for w in works) == 2 * n * total

    def test_features_are_never_allocated(self) -> None:
        # 1.2 million features of 5000 nodes: 24 GB if they had values.
        source = np.arange(5_000)
        graph = from_edges("wide", source, source[::-1], nodes=5_000, features=1 << 20, classes=4)
        trace = export_gnn("graphsage", graph, phase="train")
        assert max(np.prod(t.shape) for t in trace.tensors.values()) >= 5_000 << 20


class TestStorage:
    @pytest.mark.parametrize(("model", "phase", "adjacency"), ALL)
    def test_a_synthetic_graph_costs_a_few_kilobytes(
        self, tmp_path: Path, model: str, phase: str, adjacency: str
    ) -> None:
        trace = exported(model, phase, adjacency)
        assert set(trace.recipes) == set(trace.arrays)
        file = save_trace(trace, tmp_path / "trace.jsonl.gz")
        assert file.stat().st_size < 10_000
        read = read_trace(file)
        assert read.operators == trace.operators and read.tensors == trace.tensors
        for key, array in trace.arrays.items():
            assert np.array_equal(read.arrays[key], array)

    def test_exports_are_identical(self) -> None:
        for model, phase, adjacency in (("gat", "train", "csr"), ("gcn", "forward", "edges")):
            again = export_gnn(
                model,
                small_graph(),
                hidden=HIDDEN,
                layers=LAYERS,
                heads=HEADS,
                phase=phase,
                adjacency=adjacency,
            )
            assert trace_text(again) == trace_text(exported(model, phase, adjacency))


class TestErrors:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"model": "graphsgae"}, "did you mean 'graphsage'"),
            ({"phase": "training"}, "did you mean 'train'"),
            ({"phase": "decode"}, "forward, train"),
            ({"adjacency": "crs"}, "did you mean 'csr'"),
            ({"hidden": 0}, "hidden: 0 is out of range"),
            ({"hidden": 1 << 40}, "out of range"),
            ({"layers": -1}, "layers: -1 is out of range"),
            ({"model": "gat", "heads": 0}, "heads: 0 is out of range"),
            ({"model": "gat", "hidden": 20, "heads": 8}, "multiple of 8 heads; use 16"),
        ],
    )
    def test_a_wrong_option_is_one_line(self, change: dict[str, Any], message: str) -> None:
        options = {"model": "gcn", "graph": small_graph(), **change}
        with pytest.raises(AccsimError, match=message) as error:
            export_gnn(options.pop("model"), options.pop("graph"), **options)
        assert "\n" not in str(error.value)


class TestUserModules:
    """A module of one's own keeps its indices too."""

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch_geometric.nn.SAGEConv(6, 4)
            self.second = torch_geometric.nn.GATv2Conv(4, 2, heads=2)

        def forward(self, features: Any, edges: Any) -> Any:
            return self.second(self.first(features, edges).relu(), edges)

    @pytest.mark.parametrize("backward", [False, True])
    def test_edges_keep_their_values(self, backward: bool) -> None:
        graph = small_graph()
        edges = torch.stack(
            [torch.from_numpy(array).long() for array in (graph.indices, graph.targets)]
        )
        before = edges.clone()
        trace = export_module(
            self.Network(), (torch.zeros(graph.nodes, 6), edges), backward=backward
        )
        assert torch.equal(edges, before) and trace.header.guesses == ()
        works = [w for w in lower_all(trace) if isinstance(w, Gather | Scatter)]
        assert works and all(w.index is not None for w in works)
        gather = named(trace, "aten.index_select.default")[0]
        assert np.array_equal(index_of(trace, gather, 2)[1], graph.indices)

    def test_a_sparse_adjacency_is_a_product(self) -> None:
        graph = small_graph()
        matrix = torch.sparse_csr_tensor(
            torch.from_numpy(graph.indptr),
            torch.from_numpy(graph.indices).long(),
            torch.ones(graph.edges),
            (graph.nodes, graph.nodes),
        )
        layer = torch_geometric.nn.GINConv(torch.nn.Linear(6, 4))
        trace = export_module(layer, (torch.zeros(graph.nodes, 6), matrix))
        [product] = [w for w in lower_all(trace) if isinstance(w, SparseDense)]
        assert product.indices is not None and np.array_equal(product.indices, graph.indices)
        names = {tensor.name for tensor in trace.tensors.values()}
        assert {"input.1.crow_indices", "input.1.col_indices"} <= names

    def test_without_integer_inputs_no_values_are_kept(self) -> None:
        class Positions(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.table = torch.nn.Embedding(50, 4)

            def forward(self, features: Any) -> Any:
                return features + self.table(torch.arange(len(features)))

        trace = export_module(Positions(), torch.zeros(7, 4))
        assert trace.arrays == {} and named(trace, "aten.embedding.default")


class TestMixedExecution:
    def run(self, function: Callable[[], object]) -> Trace:
        recorder = Recorder(phase="forward")
        module = torch.nn.Module()
        with capture(recorder, module, execute=MixedExecution(recorder), on_device=on_device):
            function()
        return recorder.finish("t", "t", "forward", {}, {})

    def test_integers_are_computed_and_fractions_are_not(self) -> None:
        index = torch.tensor([3, 1, 2])
        results: dict[str, Any] = {}

        def work() -> None:
            results["order"] = index.sort()[1]
            results["ones"] = torch.ones(3)
            results["rows"] = torch.empty(5, 7, device="meta")[index + 1]

        trace = self.run(work)
        assert results["order"].tolist() == [1, 2, 0]
        assert results["ones"].is_meta and results["rows"].shape == (3, 7)
        [gather] = [w for w in lower_all(trace) if isinstance(w, Gather)]
        assert gather.index is not None and gather.index.tolist() == [4, 2, 3]

    def test_masks_of_real_integers_have_real_lengths(self) -> None:
        index = torch.tensor([3, 1, 2, 1])
        kept: list[Any] = []
        trace = self.run(lambda: kept.append(index[index == 1]))
        assert kept[0].tolist() == [1, 1]
        [gather] = [w for w in lower_all(trace) if isinstance(w, Gather)]
        assert gather.rows == 2 and not trace.header.guesses

    def test_an_index_that_would_depend_on_features_is_refused(self) -> None:
        index = torch.tensor([0, 0])

        def work() -> None:
            index[:1] = torch.empty(4, device="meta").argmax()

        with pytest.raises(TraceError, match="not known into a tensor"):
            self.run(work)

    def test_broadcast_indices_keep_one_value_per_row(self) -> None:
        index = torch.tensor([5, 3])
        for window in (index, index.view(-1, 1).expand(2, 9), index.view(2, 1, 1).expand(2, 1, 4)):
            assert row_values(window).tolist() == [5, 3]
        assert row_values(torch.tensor([[1, 2], [3, 4]])).tolist() == [[1, 2], [3, 4]]
        assert row_values(torch.tensor(7)).tolist() == [7]
        assert row_values(index).dtype == np.int32
        assert row_values(torch.tensor([1 << 40])).dtype == np.int64


def real_run(model: str, phase: str, adjacency: str) -> list[tuple[str, list[tuple[int, ...]]]]:
    """Names and output shapes that torch_geometric dispatches with real features."""
    graph = small_graph()
    entry = GRAPH_MODELS[model]
    options = {"heads": HEADS} if entry.attention else {}
    network = getattr(torch_geometric.nn.models, entry.class_name)(
        graph.features, HIDDEN, LAYERS, out_channels=graph.classes, **options
    ).train(phase == "train")
    features, labels = torch.randn(graph.nodes, graph.features), torch.arange(graph.nodes) % 5
    sources, targets = (torch.from_numpy(a).long() for a in (graph.indices, graph.targets))
    edges = torch.stack([sources, targets])
    if adjacency == "csr":
        edges = torch.sparse_csr_tensor(
            torch.from_numpy(graph.indptr), sources, torch.ones(graph.edges), (graph.nodes,) * 2
        )
    log: list[tuple[str, list[tuple[int, ...]]]] = []

    class Log(TorchDispatchMode):
        def __torch_dispatch__(
            self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            results = operator(*args, **(kwargs or {}))
            name = recorded_name(str(operator), args, kwargs or {})
            if name is not None:
                outputs = results if isinstance(results, tuple | list) else (results,)
                tensors = [o for o in outputs if isinstance(o, torch.Tensor)]
                log.append((name, [tuple(t.shape) for t in tensors if t.numel()]))
            return results

    with torch.set_grad_enabled(phase == "train"), Log():
        scores = network(features, edges)
        if phase == "train":
            torch.nn.functional.cross_entropy(scores, labels).backward()
    return log


def recorded_name(name: str, args: Any, kwargs: Any) -> str | None:
    """The name an operator is recorded under; None where it costs the device nothing.

    Scalars that Python wraps in a tensor stay on the host and are not recorded.
    """
    if name == "aten.scalar_tensor.default":
        return None
    strided = all(t.layout == torch.strided for t in args if isinstance(t, torch.Tensor))
    if strided and "sparse" not in str(kwargs.get("layout")):
        return name
    base = name.split(".")[1]
    if base in ("_sparse_addmm", "mm"):
        return "aten._sparse_mm.default"
    return name if base.startswith("_sparse_mm_reduce") else None
