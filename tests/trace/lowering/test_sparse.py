from __future__ import annotations

import numpy as np
import pytest

from simulator.trace.work import SparseDense


def adjacency(build, nodes=100, edges=600):
    rng = np.random.default_rng(3)
    degrees = rng.multinomial(edges, np.full(nodes, 1 / nodes))
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    indices = rng.integers(0, nodes // 2, edges)
    return build.index(indptr), build.index(indices), build.tensor(edges)


def product(build, name, *args, out, **kwargs):
    work = build.lower(f"aten.{name}.default", *args, out=out, **kwargs)
    assert isinstance(work, SparseDense)
    return work


def test_product_with_compressed_rows(build):
    members = adjacency(build)
    dense, out = build.tensor(100, 32), build.tensor(100, 32)
    work = product(build, "_sparse_mm", list(members), dense, out=out)
    assert (work.rows, work.columns, work.nonzeros) == (100, 100, 600)
    assert (work.row_bytes, work.width) == (128, 32)
    assert work.operations == {"vector": 2 * 600 * 32}
    assert work.indptr[-1] == work.indices.size == 600
    assert [r.storage for r in work.reads] == [t.storage for t in (dense, *members)]


def test_only_neighbours_rows_are_read(build):
    members = adjacency(build)
    work = product(
        build, "_sparse_mm", list(members), build.tensor(100, 32), out=build.tensor(100, 32)
    )
    assert work.reads[0].bytes == np.unique(work.indices).size * 128 < 100 * 128


@pytest.mark.parametrize("name", ["_sparse_mm_reduce_impl", "_sparse_addmm", "reduce_backward"])
def test_the_dense_operand_follows_the_adjacency(build, name):
    members = adjacency(build)
    dense, out = build.tensor(100, 16), build.tensor(100, 16)
    other = build.tensor(100, 16)
    if name == "_sparse_addmm":
        work = product(build, name, other, list(members), dense, out=out)
    elif name == "reduce_backward":
        args = (list(members), dense, other, "sum")
        work = product(build, "_sparse_mm_reduce_impl_backward", *args, out=out)
    else:
        work = product(build, name, list(members), dense, "mean", out=out)
    assert work.reads[0].storage == dense.storage


def test_without_an_adjacency_it_is_unmapped(build):
    x, y = build.tensor(4, 4), build.tensor(4, 4)
    assert build.lower("aten._sparse_mm.default", x, y, out=build.tensor(4, 4)).kind == "unmapped"
