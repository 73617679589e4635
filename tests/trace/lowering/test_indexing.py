"""Row numbers are checked by using them: gathering or scattering rows of a numpy table by
the lowered index must give what numpy's own indexing gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace.work import Gather, Scatter

SEED = 7
fixture_ok = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def rng():
    return np.random.default_rng(SEED)


def take_rows(work: Gather, table: np.ndarray) -> np.ndarray:
    """What the lowered gather would move."""
    assert isinstance(work, Gather)
    rows = table.reshape(work.table_rows, -1)
    assert rows.shape[1] * table.itemsize == work.row_bytes
    assert work.index is not None and work.index.size == work.rows
    return rows[work.index]


def add_rows(work: Scatter, table: np.ndarray, values: np.ndarray) -> np.ndarray:
    """What the lowered scatter would leave."""
    assert isinstance(work, Scatter)
    result = table.copy().reshape(work.table_rows, -1)
    assert result.shape[1] * table.itemsize == work.row_bytes
    assert work.index is not None and work.index.size == work.rows
    np.add.at(result, work.index, values.reshape(work.rows, -1))
    return result.reshape(table.shape)


@fixture_ok
@given(dim=st.integers(-3, 2), rows=st.lists(st.integers(0, 3), max_size=9))
def test_index_select(build, dim, rows):
    table = rng().normal(size=(4, 4, 4)).astype(np.float32)
    expected = np.take(table, np.asarray(rows, int), axis=dim)
    out = build.tensor(*expected.shape)
    x = build.tensor(*table.shape)
    work = build.lower("aten.index_select.default", x, dim, build.index(rows), out=out)
    assert np.array_equal(take_rows(work, table).ravel(), expected.ravel())


def test_embedding(build):
    table = rng().normal(size=(50, 8)).astype(np.float32)
    ids = rng().integers(0, 50, (3, 5))
    out = build.tensor(3, 5, 8)
    work = build.lower("aten.embedding.default", build.tensor(50, 8), build.index(ids), out=out)
    assert np.array_equal(take_rows(work, table).reshape(3, 5, 8), table[ids])
    assert work.reads[0].bytes == np.unique(ids).size * 32


@pytest.mark.parametrize(
    ("shape", "dim", "index_shape"),
    [((6, 5), 1, (6, 2)), ((6, 5), 0, (4, 5)), ((3, 4, 5), 1, (3, 2, 5)), ((9,), 0, (4,))],
)
def test_gather_of_elements(build, shape, dim, index_shape):
    table = rng().normal(size=shape).astype(np.float32)
    index = rng().integers(0, shape[dim], index_shape)
    expected = np.take_along_axis(table, index, axis=dim)
    x, out = build.tensor(*shape), build.tensor(*index_shape)
    work = build.lower("aten.gather.default", x, dim, build.index(index), out=out)
    assert np.array_equal(take_rows(work, table).ravel(), expected.ravel())


@pytest.mark.parametrize("stored", ["list", "expanded"])
def test_an_expanded_index_gathers_whole_rows(build, stored):
    """As PyTorch Geometric expands edges over features."""
    table = rng().normal(size=(10, 6)).astype(np.float32)
    edges = rng().integers(0, 10, 25)
    data = edges if stored == "list" else np.repeat(edges[:, None], 6, axis=1)
    index = build.tensor(25, 6, dtype="int64", strides=(1, 0), data=data)
    out = build.tensor(25, 6)
    work = build.lower("aten.gather.default", build.tensor(10, 6), 0, index, out=out)
    assert (work.rows, work.row_bytes, work.table_rows) == (25, 24, 10)
    assert np.array_equal(take_rows(work, table), table[edges])
    assert work.reads[1].bytes == 25 * 8, "a broadcast index is read once"


@pytest.mark.parametrize("name", ["scatter_add_.default", "scatter_reduce_.two"])
def test_messages_are_added_to_their_nodes(build, name):
    edges = rng().integers(0, 10, 25)
    messages = rng().normal(size=(25, 6)).astype(np.float32)
    index = build.tensor(25, 6, dtype="int64", strides=(1, 0), data=edges)
    nodes, source = build.tensor(10, 6), build.tensor(25, 6)
    work = build.lower(f"aten.{name}", nodes, 0, index, source, "sum", out=nodes)
    expected = np.zeros((10, 6), np.float32)
    np.add.at(expected, edges, messages)
    assert np.array_equal(add_rows(work, np.zeros((10, 6), np.float32), messages), expected)
    assert work.atomic
    assert work.operations == {"vector": 25 * 6}
    assert work.bytes_written == np.unique(edges).size * 24
    assert [r.storage for r in work.reads] == [source.storage, index.storage]


def test_a_scatter_out_of_place_copies_its_table(build):
    index = build.index([1, 2, 2])
    x, source, out = build.tensor(10), build.tensor(3), build.tensor(10)
    work = build.lower("aten.scatter_add.default", x, 0, index, source, out=out)
    assert [r.storage for r in work.reads] == [source.storage, index.storage, x.storage]
    assert work.bytes_written == 40


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_index_add(build, dim):
    table = rng().normal(size=(5, 5, 3)).astype(np.float32)
    rows = rng().integers(0, table.shape[dim], 7)
    shape = list(table.shape)
    shape[dim] = 7
    values = rng().normal(size=shape).astype(np.float32)
    expected = table.copy()
    np.add.at(np.moveaxis(expected, dim, 0), rows, np.moveaxis(values, dim, 0))
    x, source = build.tensor(*table.shape), build.tensor(*shape)
    work = build.lower("aten.index_add_.default", x, dim, build.index(rows), source, out=x)
    assert np.allclose(add_rows(work, table, values), expected)


def test_appending_to_a_cache_writes_only_the_new_tokens(build):
    cache = build.tensor(2, 8, 4096, 128, dtype="bfloat16", role="kv_cache")
    new = build.tensor(2, 8, 1, 128, dtype="bfloat16")
    position = build.tensor(1, dtype="int64")
    work = build.lower("aten.index_copy_.default", cache, 2, position, new, out=cache)
    assert (work.rows, work.row_bytes, work.atomic) == (16, 256, False)
    assert work.bytes_written == 2 * 8 * 128 * 2
    assert work.writes[0].span == 2 * 8 * 4096 * 128 * 2
    assert work.bytes_read == 2 * 8 * 128 * 2 + 8


@pytest.mark.parametrize(
    ("places", "numpy_index"),
    [
        ((0,), lambda i, j: (i,)),
        ((1,), lambda i, j: (slice(None), i)),
        ((0, 1), lambda i, j: (i, j)),
        ((1, 2), lambda i, j: (slice(None), i, j)),
    ],
)
def test_advanced_indexing(build, places, numpy_index):
    table = rng().normal(size=(6, 6, 6)).astype(np.float32)
    first, second = rng().integers(0, 6, (4, 1)), rng().integers(0, 6, (5,))
    arrays = [first, second][: len(places)]
    listed = [None] * (places[-1] + 1)
    for place, array in zip(places, arrays, strict=True):
        listed[place] = build.index(array)
    expected = table[numpy_index(first, second)]
    out = build.tensor(*expected.shape)
    work = build.lower("aten.index.Tensor", build.tensor(6, 6, 6), listed, out=out)
    assert np.array_equal(take_rows(work, table).ravel(), expected.ravel())


def test_index_put_accumulates(build):
    table = rng().normal(size=(6, 3)).astype(np.float32)
    rows, values = rng().integers(0, 6, 9), rng().normal(size=(9, 3)).astype(np.float32)
    x, source = build.tensor(6, 3), build.tensor(9, 3)
    work = build.lower("aten.index_put_.default", x, [build.index(rows)], source, True, out=x)
    expected = table.copy()
    np.add.at(expected, rows, values)
    assert work.atomic
    assert np.array_equal(add_rows(work, table, values), expected)
    plain = build.lower("aten.index_put_.default", x, [build.index(rows)], source, out=x)
    assert not plain.atomic


@pytest.mark.parametrize("kept", [0, 60, 100])
def test_a_mask_keeps_order(build, kept):
    x, mask, out = build.tensor(100, 8), build.tensor(100, dtype="bool"), build.tensor(kept, 8)
    work = build.lower("aten.index.Tensor", x, [mask], out=out)
    assert (work.rows, work.row_bytes, work.table_rows) == (kept, 32, 100)
    assert work.index.size == np.unique(work.index).size == kept
    assert np.all(np.diff(work.index) > 0)
    assert np.all(work.index < 100)
    assert work.reads[0].bytes == kept * 32


def test_negative_row_numbers_count_from_the_end(build):
    table = rng().normal(size=(6, 3)).astype(np.float32)
    out = build.tensor(2, 3)
    x = build.tensor(6, 3)
    work = build.lower("aten.index_select.default", x, 0, build.index([-1, -6]), out=out)
    assert np.array_equal(take_rows(work, table), table[[-1, -6]])


@pytest.mark.parametrize("row", [6, -7])
def test_a_row_outside_the_table_is_an_error(build, row):
    x, out = build.tensor(6, 3), build.tensor(2, 3)
    with pytest.raises(TraceError, match=rf"row number {row} in a table of 6 rows"):
        build.lower("aten.index_select.default", x, 0, build.index([0, row]), out=out)


def test_recorded_values_must_match_their_tensor(build):
    index = build.tensor(25, dtype="int64", data=np.arange(7))
    x, out = build.tensor(30, 3), build.tensor(25, 3)
    with pytest.raises(TraceError, match="7 recorded values"):
        build.lower("aten.index_select.default", x, 0, index, out=out)


@fixture_ok
@given(rows=st.integers(0, 400), table_rows=st.integers(1, 200))
def test_unknown_rows_touch_what_uniform_ones_would(build, rows, table_rows):
    x = build.tensor(table_rows, 4)
    index, out = build.tensor(rows, dtype="int64"), build.tensor(rows, 4)
    work = build.lower("aten.index_select.default", x, 0, index, out=out)
    assert work.index is None
    touched = work.reads[0].bytes / 16
    assert touched <= min(rows, table_rows)
    assert abs(touched - table_rows * (1 - (1 - 1 / table_rows) ** rows)) <= 1


def test_embedding_gradient_fills_its_table(build):
    ids = rng().integers(0, 50, (3, 5))
    grad, out = build.tensor(3, 5, 8), build.tensor(50, 8)
    args = (grad, build.index(ids), 50, -1, False)
    work = build.lower("aten.embedding_dense_backward.default", *args, out=out)
    values = rng().normal(size=(15, 8)).astype(np.float32)
    expected = np.zeros((50, 8), np.float32)
    np.add.at(expected, ids.ravel(), values)
    assert np.array_equal(add_rows(work, np.zeros((50, 8), np.float32), values), expected)
    assert work.bytes_written == 50 * 8 * 4


def test_counting_experts(build):
    ids = rng().integers(0, 8, 256)
    x, bins = build.index(ids), build.tensor(8, dtype="int64")
    work = build.lower("aten.bincount.default", x, None, 8, out=bins)
    counts = add_rows(work, np.zeros(8, np.int64), np.ones(256, np.int64))
    assert np.array_equal(counts, np.bincount(ids, minlength=8))


def test_one_hot(build):
    ids = rng().integers(0, 8, 20)
    work = build.lower(
        "aten.one_hot.default", build.index(ids), 8, out=build.tensor(20, 8, dtype="int64")
    )
    made = add_rows(work, np.zeros((20, 8), np.int64), np.ones(20, np.int64))
    assert np.array_equal(made, np.eye(8, dtype=np.int64)[ids])
    assert work.bytes_written == 20 * 8 * 8
