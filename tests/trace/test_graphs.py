"""Graph files, synthetic graphs, relabelling, and recipes instead of arrays."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace.arrays import array_digest
from simulator.trace.graphs import (
    PRESETS,
    Graph,
    Recipe,
    community_bounds,
    from_edges,
    generate,
    load_graph,
    permute,
    preset,
    read_edges,
)
from simulator.trace.graphs.recipes import (
    DERIVED,
    compact,
    rebuild,
    recipes_for,
)

MEDIUM = Recipe("synthetic-test", 20_000, 400_000, 64, 8, 100, 2.5, 0.2, seed=3)


def edge_set(graph: Graph) -> set[tuple[int, int]]:
    return set(zip(graph.indices.tolist(), graph.targets.tolist(), strict=True))


def assert_simple(graph: Graph) -> None:
    """Undirected, without self-loops or repeated edges, sorted by destination then source."""
    edges = edge_set(graph)
    assert len(edges) == graph.edges == graph.indptr[-1]
    assert all(source != target for source, target in edges)
    assert {(target, source) for source, target in edges} == edges
    key = graph.targets.astype(np.int64) * graph.nodes + graph.indices
    assert np.all(np.diff(key) > 0)


class TestGenerator:
    @pytest.mark.parametrize("name", ["synthetic-cora", "synthetic-products-1pct"])
    def test_a_preset_has_exactly_its_counts(self, name: str) -> None:
        recipe = preset(name)
        graph = generate(name)
        assert (graph.nodes, graph.edges) == (recipe.nodes, recipe.edges)
        assert (graph.features, graph.classes) == (recipe.features, recipe.classes)
        assert graph.synthetic and graph.seed == 0 and graph.recipe == recipe

    def test_the_cora_preset_is_as_large_as_cora(self) -> None:
        graph = generate("synthetic-cora")
        assert (graph.nodes, graph.edges, graph.features, graph.classes) == (2708, 10556, 1433, 7)
        assert_simple(graph)

    def test_every_preset_says_that_it_is_synthetic(self) -> None:
        assert all(name.startswith("synthetic-") for name in PRESETS)

    def test_a_percentage_scales_nodes_and_edges_but_not_the_mean_degree(self) -> None:
        whole, part = preset("synthetic-products"), preset("synthetic-products-2pct")
        assert part.nodes == whole.nodes * 2 // 100
        assert part.edges / part.nodes == pytest.approx(whole.edges / whole.nodes, rel=1e-3)
        assert part.edges % 2 == 0

    def test_degrees_follow_the_exponent(self) -> None:
        # Above its shortest degrees the count of nodes with degree >= d falls as
        # d^(1 - exponent): the Hill estimate of the tail returns the exponent.
        for exponent in (2.5, 3.5):
            recipe = replace(MEDIUM, exponent=exponent, mixing=1.0, communities=1)
            degrees = np.sort(generate(recipe).in_degrees)[::-1].astype(float)
            tail = degrees[: len(degrees) // 20]
            estimate = 1.0 + 1.0 / np.mean(np.log(tail / tail[-1]))
            assert estimate == pytest.approx(exponent, abs=0.35)

    def test_degrees_are_far_from_equal(self) -> None:
        degrees = generate(MEDIUM).in_degrees
        assert degrees.max() > 10 * degrees.mean()
        assert degrees.mean() == MEDIUM.edges / MEDIUM.nodes

    @pytest.mark.parametrize("mixing", [0.0, 0.2, 0.6, 1.0])
    def test_mixing_is_the_share_of_edges_that_ignore_communities(self, mixing: float) -> None:
        recipe = replace(MEDIUM, mixing=mixing)
        graph = generate(recipe)
        bounds = community_bounds(recipe)
        home = np.searchsorted(bounds, np.arange(graph.nodes), side="right")
        inside = np.mean(home[graph.indices] == home[graph.targets])
        # An edge drawn from everywhere falls inside by chance one time in about 100;
        # repeats, dropped and redrawn, are more frequent inside.
        assert inside == pytest.approx(1.0 - mixing, abs=0.05)

    def test_communities_are_contiguous_and_cover_all_nodes(self) -> None:
        bounds = community_bounds(MEDIUM)
        assert bounds[0] == 0 and bounds[-1] == MEDIUM.nodes
        sizes = np.diff(bounds)
        assert len(sizes) == MEDIUM.communities
        assert sizes.min() > 0 and sizes.max() < 4 * sizes.min()

    def test_the_seed_decides(self) -> None:
        first, again, other = generate(MEDIUM), generate(MEDIUM), generate(replace(MEDIUM, seed=4))
        assert np.array_equal(first.indices, again.indices)
        assert np.array_equal(first.indptr, again.indptr)
        assert edge_set(first) != edge_set(other)

    def test_the_same_seed_gives_the_same_graph_forever(self) -> None:
        # Shipped traces store recipes: a change here invalidates every one of them
        # and needs a new generator name.
        graph = generate("synthetic-cora")
        assert array_digest(compact(graph.indices)).startswith("eb29d391457e3a4e")

    @settings(max_examples=40, deadline=None)
    @given(
        nodes=st.integers(8, 200),
        density=st.floats(0.01, 0.3),
        communities=st.integers(1, 2),
        exponent=st.floats(2.05, 6.0),
        seed=st.integers(0, 2**31),
    )
    def test_any_feasible_recipe_gives_a_simple_graph(
        self, nodes: int, density: float, communities: int, exponent: float, seed: int
    ) -> None:
        pairs = max(1, int(density * nodes * (nodes - 1) / 2))
        recipe = Recipe("t", nodes, 2 * pairs, 4, 2, communities, exponent, 0.5, seed)
        graph = generate(recipe)
        assert graph.edges == recipe.edges
        assert_simple(graph)

    @pytest.mark.parametrize(
        ("change", "word"),
        [
            ({"nodes": 1}, "nodes"),
            ({"nodes": 1 << 40}, "nodes"),
            ({"edges": 7}, "edges"),
            ({"edges": -2}, "edges"),
            ({"nodes": 10, "edges": 60, "communities": 1}, "edges"),
            ({"communities": 0}, "communities"),
            ({"communities": 19_999}, "communities"),
            ({"exponent": 2.0}, "exponent"),
            ({"exponent": float("nan")}, "exponent"),
            ({"mixing": 1.5}, "mixing"),
            ({"mixing": float("nan")}, "mixing"),
            ({"seed": -1}, "seed"),
        ],
    )
    def test_an_impossible_recipe_says_what_is_wrong(
        self, change: dict[str, object], word: str
    ) -> None:
        with pytest.raises(TraceError, match=word) as error:
            generate(replace(MEDIUM, **change))
        text = str(error.value)
        assert "\n" not in text and "; " in text

    def test_communities_too_dense_to_fill_are_an_error_not_a_hang(self) -> None:
        recipe = Recipe("dense", 400, 4_000, 4, 2, 100, 2.5, 0.0)
        with pytest.raises(TraceError, match="too dense"):
            generate(recipe)

    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("synthetic-coar", "did you mean 'synthetic-cora'"),
            ("cora", "synthetic-cora"),
            ("synthetic-cora-0pct", "synthetic-cora"),
            ("zzz", "synthetic-arxiv, synthetic-cora"),
        ],
    )
    def test_an_unknown_name_suggests_the_nearest(self, name: str, hint: str) -> None:
        with pytest.raises(TraceError, match=hint):
            preset(name)

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["synthetic-arxiv", "synthetic-reddit-20pct"])
    def test_larger_presets_keep_their_counts(self, name: str) -> None:
        recipe = preset(name)
        graph = generate(name)
        assert graph.edges == recipe.edges and graph.nodes == recipe.nodes


class TestPermute:
    def test_it_is_a_relabelling(self) -> None:
        graph = generate("synthetic-cora")
        other = permute(graph, 5)
        # The relabelling is not returned: recover it from the definition.
        order = np.argsort(np.random.PCG64([5, 0]).random_raw(graph.nodes), kind="stable")
        assert sorted(order.tolist()) == list(range(graph.nodes))
        mapped = {(int(order[s]), int(order[t])) for s, t in edge_set(graph)}
        assert edge_set(other) == mapped

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 2**40), data=st.data())
    def test_degrees_and_edges_are_those_of_the_original(
        self, seed: int, data: st.DataObject
    ) -> None:
        nodes = data.draw(st.integers(1, 30))
        ends = st.lists(st.integers(0, nodes - 1), min_size=1, max_size=60)
        source = np.array(data.draw(ends), dtype=np.int64)
        target = np.array(
            data.draw(
                st.lists(st.integers(0, nodes - 1), min_size=len(source), max_size=len(source))
            )
        )
        graph = from_edges("g", source, target, nodes=nodes, features=1, classes=1)
        other = permute(graph, seed)
        for count in (lambda g: g.in_degrees, lambda g: np.bincount(g.indices, minlength=nodes)):
            assert sorted(count(graph)) == sorted(count(other))
        loops = [np.sum(g.indices == g.targets) for g in (graph, other)]
        assert loops[0] == loops[1]

    def test_it_takes_the_locality_away(self) -> None:
        graph = generate(MEDIUM)
        distance = [
            np.mean(np.abs(g.indices.astype(np.int64) - g.targets))
            for g in (graph, permute(graph, 1))
        ]
        assert distance[0] < 0.4 * distance[1]

    def test_seeds_differ_and_repeat(self) -> None:
        graph = generate("synthetic-cora")
        one, same, two = permute(graph, 1), permute(graph, 1), permute(graph, 2)
        assert np.array_equal(one.indices, same.indices)
        assert not np.array_equal(one.indices, two.indices)

    def test_the_recipe_remembers_it(self) -> None:
        graph = permute(permute(generate("synthetic-cora"), 1), 2)
        assert graph.recipe is not None and graph.recipe.permutations == (1, 2)
        assert graph.name == "synthetic-cora-permuted"
        assert np.array_equal(generate(graph.recipe).indices, graph.indices)


class TestFiles:
    @pytest.fixture
    def write(self, tmp_path: Path):  # type: ignore[no-untyped-def]
        def write(content: str | bytes, name: str = "graph.txt") -> Path:
            path = tmp_path / name
            path.write_bytes(content.encode() if isinstance(content, str) else content)
            return path

        return write

    def test_an_edge_list_is_read(self, write) -> None:  # type: ignore[no-untyped-def]
        graph = read_edges(write("# head\n0 1\n\n2\t1  # note\n 1 0\r\n0 1\n3 3\n"), 12, 3)
        assert (graph.name, graph.nodes, graph.features, graph.classes) == ("graph", 4, 12, 3)
        assert not graph.synthetic and graph.seed is None
        assert graph.indptr.tolist() == [0, 1, 4, 4, 5]
        assert graph.indices.tolist() == [1, 0, 0, 2, 3]

    def test_bytes_in_comments_are_free(self, write) -> None:  # type: ignore[no-untyped-def]
        assert read_edges(write(b'# caf\xe9 "\n0 1\n')).edges == 1

    @settings(max_examples=25, deadline=None)
    @given(edges=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1))
    def test_both_formats_say_the_same(
        self, tmp_path_factory: pytest.TempPathFactory, edges: list[tuple[int, int]]
    ) -> None:
        folder = tmp_path_factory.mktemp("edges")
        text, npz, csr = folder / "a.txt", folder / "b.npz", folder / "c.npz"
        text.write_text("".join(f"{source} {target}\n" for source, target in edges))
        source, target = np.array(edges).T
        np.savez(npz, src=source, dst=target)
        graph = read_edges(text)
        np.savez(csr, indptr=graph.indptr, indices=graph.indices)
        for other in (read_edges(npz), read_edges(csr)):
            assert np.array_equal(graph.indptr, other.indptr)
            assert np.array_equal(graph.indices, other.indices)
        assert sorted(edges) == sorted(
            zip(graph.indices.tolist(), graph.targets.tolist(), strict=True)
        )

    @pytest.mark.parametrize(
        ("content", "line", "word"),
        [
            ("0 1\n1\n", 2, "two node numbers"),
            ("0 1 0.5\n", 1, "two node numbers"),
            ("0 1\n# c\n1 2 3\n", 3, "two node numbers"),
            ("0,1\n", 1, "two node numbers"),
            ("0 1\n1 -2\n", 2, "not two node numbers"),
            ("0 1\n1 nan\n", 2, "not two node numbers"),
            ("0 1\n1 1.5\n", 2, "not two node numbers"),
            ("0 1\n\nx y\n", 3, "not two node numbers"),
            ("0 1\n1 400000000\n", 2, "exceeds the limit"),
            ("0 1\n1 99999999999999999999999\n", 2, "exceeds the limit"),
            (b"0 1\n\x00\xff\xfe 1\n", 2, "not two node numbers"),
        ],
    )
    def test_a_bad_line_is_named(self, write, content, line: int, word: str) -> None:  # type: ignore[no-untyped-def]
        path = write(content)
        with pytest.raises(TraceError) as error:
            read_edges(path)
        text = str(error.value)
        assert text.startswith(f"{path}:{line}: ") and word in text and "\n" not in text

    @pytest.mark.parametrize("content", ["", "# nothing\n\n"])
    def test_an_empty_file_is_refused(self, write, content: str) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(TraceError, match="no edges"):
            read_edges(write(content))

    def test_a_missing_file_and_a_folder_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(TraceError, match="No such file"):
            read_edges(tmp_path / "absent.txt")
        with pytest.raises(TraceError, match="not a file"):
            read_edges(tmp_path)

    @pytest.mark.parametrize(
        ("arrays", "word"),
        [
            ({"edges": np.zeros((2, 3), int)}, "holds edges"),
            ({"src": np.zeros(3, int), "dst": np.zeros(2, int)}, "3 entries"),
            ({"src": np.zeros(2), "dst": np.zeros(2, int)}, "float64"),
            ({"src": np.array([-1]), "dst": np.array([0])}, "outside"),
            ({"src": np.array([1 << 40]), "dst": np.array([0])}, "outside"),
            ({"src": np.zeros(0, int), "dst": np.zeros(0, int)}, "0 entries"),
            ({"indptr": np.array([0, 2, 1, 3]), "indices": np.zeros(3, int)}, "does not rise"),
            ({"indptr": np.array([0, 2]), "indices": np.zeros(3, int)}, "does not rise"),
            ({"indptr": np.array([0, 2]), "indices": np.array([0, 7])}, "names node 7"),
            ({"indptr": np.array([[0, 2]]), "indices": np.array([0, 0])}, "indptr"),
        ],
    )
    def test_wrong_arrays_are_refused(
        self, tmp_path: Path, arrays: dict[str, np.ndarray], word: str
    ) -> None:
        path = tmp_path / "graph.npz"
        np.savez(path, **arrays)
        with pytest.raises(TraceError, match=word) as error:
            read_edges(path)
        assert str(path) in str(error.value) and "\n" not in str(error.value)

    def test_pickled_arrays_are_refused_unread(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.npz"
        np.savez(path, src=np.array([{}], dtype=object), dst=np.zeros(1, int))
        with pytest.raises(TraceError, match="allow_pickle"):
            read_edges(path)

    def test_a_damaged_archive_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.npz"
        np.savez_compressed(path, src=np.arange(10_000), dst=np.arange(10_000))
        content = path.read_bytes()
        for damaged in (content[: len(content) // 2], b"not a zip"):
            path.write_bytes(damaged)
            with pytest.raises(TraceError, match="archive"):
                read_edges(path)
        for start in range(60, len(content) - 100, 997):
            path.write_bytes(content[:start] + bytes(64) + content[start + 64 :])
            with pytest.raises(TraceError):
                read_edges(path)

    def test_an_array_larger_than_its_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "graph.npz"
        for length in (10**6, 10**12, 10**17, 10**30):
            header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({length},)}}"
            member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("src.npy", member)
                archive.writestr("dst.npy", member)
            with pytest.raises(TraceError) as error:
                read_edges(path)
            assert "\n" not in str(error.value)

    @pytest.mark.parametrize("sizes", [(0, 4), (4, 0), (1 << 40, 4)])
    def test_impossible_features_are_refused(self, write, sizes: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
        with pytest.raises(TraceError, match=r"features|classes"):
            read_edges(write("0 1\n"), *sizes)


class TestRecipes:
    def graph(self) -> Graph:
        return permute(generate(Recipe("t", 300, 2_000, 4, 2, 5, 2.5, 0.2, 7)), 9)

    def test_arrays_come_back_from_json(self) -> None:
        graph = self.graph()
        arrays = {name: compact(derive(graph)) for name, derive in DERIVED.items()}
        digests = {array_digest(array) for array in arrays.values()}
        recipes = recipes_for(graph, digests)
        assert set(recipes) == digests
        rebuilt = rebuild(json.loads(json.dumps(recipes)))
        for array in arrays.values():
            assert np.array_equal(rebuilt[array_digest(array)], array)

    def test_other_arrays_and_graphs_from_files_have_none(self) -> None:
        graph = self.graph()
        stranger = array_digest(np.arange(17, dtype=np.int32))
        source = array_digest(compact(graph.indices))
        assert set(recipes_for(graph, {source, stranger})) == {source}
        assert recipes_for(replace(graph, recipe=None), {source}) == {}

    def test_a_changed_recipe_fails_its_digest(self) -> None:
        graph = self.graph()
        digest = array_digest(compact(graph.indices))
        [entry] = recipes_for(graph, {digest}).values()
        with pytest.raises(TraceError, match="other values"):
            rebuild({digest: {**entry, "seed": 8}})

    @pytest.mark.parametrize(
        "change",
        [
            {"generator": "communities-9"},
            {"array": "sauce"},
            {"array": ["source"]},
            {"nodes": "300"},
            {"nodes": True},
            {"nodes": 10**12},
            {"seed": None},
            {"mixing": float("nan")},
            {"permutations": [1.5]},
            {"permutations": 3},
        ],
    )
    def test_a_damaged_recipe_is_one_line(self, change: dict[str, object]) -> None:
        graph = self.graph()
        assert graph.recipe is not None
        entry = {"generator": "communities-1", **asdict(graph.recipe), "array": "source"}
        with pytest.raises(TraceError) as error:
            rebuild({"0" * 64: {**entry, **change}})
        assert "\n" not in str(error.value)


class TestLoadGraph:
    def test_names_are_generated_and_files_read(self, tmp_path: Path) -> None:
        file = tmp_path / "edges.txt"
        file.write_text("0 1\n1 2\n")
        assert load_graph(str(file), features=3).features == 3
        cora = load_graph("synthetic-cora", seed=2, features=100)
        assert cora.recipe == replace(preset("synthetic-cora", seed=2), features=100)

    def test_a_permutation_is_applied_to_both(self, tmp_path: Path) -> None:
        file = tmp_path / "edges.txt"
        file.write_text("".join(f"{node} {node + 1}\n" for node in range(20)))
        for name in (str(file), "synthetic-cora"):
            plain, shuffled = load_graph(name), load_graph(name, permutation=1)
            assert shuffled.name == f"{plain.name}-permuted"
            assert not np.array_equal(plain.indices, shuffled.indices)

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("synthetic-core", {}, "did you mean 'synthetic-cora'"),
            ("missing.txt", {}, "No such file"),
            ("synthetic-cora", {"features": 0}, "features = 0"),
            ("synthetic-cora", {"permutation": -1}, "permutation seed -1"),
            ("synthetic-cora", {"seed": -1}, "seed"),
        ],
    )
    def test_mistakes_are_one_line(self, name: str, options: dict[str, int], message: str) -> None:
        with pytest.raises(TraceError, match=message):
            load_graph(name, **options)
