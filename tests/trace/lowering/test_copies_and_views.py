from __future__ import annotations

import pytest

from simulator.trace.lowering.views import ALLOCATIONS, METADATA, VIEWS
from simulator.trace.work import Elementwise, View


@pytest.mark.parametrize("name", [*VIEWS, *ALLOCATIONS, *METADATA])
def test_views_and_metadata_cost_nothing(build, name):
    x = build.tensor(4, 8)
    out = build.tensor(8, 4, storage=x.storage, strides=(1, 8))
    work = build.lower(f"aten.{name}.default", x, out=out)
    assert isinstance(work, View)
    assert (work.reads, work.writes, work.operations) == ((), (), {})


def test_an_allocation_touches_nothing(build):
    work = build.lower("aten.empty.memory_format", [4, 8], out=build.tensor(4, 8))
    assert (work.kind, work.bytes_written) == ("view", 0)


def test_the_host_reads_an_item(build):
    work = build.lower("aten._local_scalar_dense.default", build.tensor())
    assert (work.kind, work.bytes_read) == ("view", 4)


@pytest.mark.parametrize("name", ["_to_copy", "contiguous", "expand", "reshape", "clone"])
def test_a_copy_that_is_only_a_window_is_a_view(build, name):
    x = build.tensor(4, 8)
    out = build.tensor(4, 8, storage=x.storage)
    assert build.lower(f"aten.{name}.default", x, out=out).kind == "view"


@pytest.mark.parametrize("name", ["_to_copy", "contiguous", "reshape", "clone"])
def test_a_copy_moves_its_elements(build, name):
    x, out = build.tensor(8, 4, strides=(1, 8)), build.tensor(8, 4)
    work = build.lower(f"aten.{name}.default", x, out=out)
    assert isinstance(work, Elementwise)
    assert (work.bytes_read, work.bytes_written) == (128, 128)
    assert work.operations == {"vector": 0, "special": 0}


def test_a_conversion_costs_one_operation_per_element(build):
    x, out = build.tensor(64, dtype="bfloat16"), build.tensor(64)
    work = build.lower("aten._to_copy.default", x, dtype="float32", out=out)
    assert (work.bytes_read, work.bytes_written) == (128, 256)
    assert work.operations["vector"] == 64


def test_copying_an_expanded_tensor_reads_it_once(build):
    x, out = build.tensor(8, 16, 64, strides=(0, 64, 1)), build.tensor(8, 16, 64)
    work = build.lower("aten.clone.default", x, out=out)
    assert work.bytes_read * 8 == work.bytes_written


def test_copy_overwrites_without_reading(build):
    cache = build.tensor(2, 8, 100, 16)
    window = build.tensor(2, 8, 1, 16, storage=cache.storage, strides=cache.strides, offset=99 * 16)
    new = build.tensor(2, 8, 1, 16)
    work = build.lower("aten.copy_.default", window, new, out=window)
    assert [r.storage for r in work.reads] == [new.storage]
    assert work.bytes_written == 2 * 8 * 16 * 4
    assert work.writes[0].offset == 99 * 16 * 4


def test_cat_reads_all_and_writes_one(build):
    parts = [build.tensor(2, 10), build.tensor(3, 10), build.tensor(0)]
    work = build.lower("aten.cat.default", parts, 0, out=build.tensor(5, 10))
    assert (work.bytes_read, work.bytes_written, work.elements) == (200, 200, 50)


def test_slice_scatter_keeps_the_rest(build):
    old, new, out = build.tensor(10, 4), build.tensor(3, 4), build.tensor(10, 4)
    work = build.lower("aten.slice_scatter.default", old, new, 0, 2, 5, out=out)
    assert [r.bytes for r in work.reads] == [7 * 16, 3 * 16]
    assert work.bytes_written == 160


def test_gradient_of_a_slice_is_zero_elsewhere(build):
    grad, out = build.tensor(3, 4), build.tensor(10, 4)
    work = build.lower("aten.slice_backward.default", grad, [10, 4], 0, 2, 5, 1, out=out)
    assert (work.bytes_read, work.bytes_written) == (48, 160)
