from __future__ import annotations

import pytest

from simulator.trace.work import RowWise


def test_softmax_along_any_dimension(build):
    x, y = build.tensor(4, 6, 10), build.tensor(4, 6, 10)
    for dim, columns in ((-1, 10), (1, 6), (0, 4)):
        work = build.lower("aten._softmax.default", x, dim, False, out=y)
        assert isinstance(work, RowWise)
        assert (work.rows * work.columns, work.columns) == (240, columns)
        assert work.passes == 3
        assert work.operations["special"] == 240 + 240 // columns


def test_softmax_backward_reads_two_tensors(build):
    g, y, out = (build.tensor(4, 10) for _ in range(3))
    work = build.lower("aten._softmax_backward_data.default", g, y, -1, "float32", out=out)
    log = build.lower("aten._log_softmax_backward_data.default", g, y, -1, "float32", out=out)
    assert (work.rows, work.columns, work.bytes_read) == (4, 10, 320)
    assert (work.operations["special"], log.operations["special"]) == (0, 40)


def test_layer_norm_writes_its_statistics(build):
    x, w, b = build.tensor(2, 5, 16, dtype="bfloat16"), build.tensor(16), build.tensor(16)
    y = build.tensor(2, 5, 16, dtype="bfloat16")
    outs = [y, build.tensor(2, 5, 1), build.tensor(2, 5, 1)]
    work = build.lower("aten.native_layer_norm.default", x, [16], w, b, 1e-5, out=outs)
    assert (work.rows, work.columns, work.passes) == (10, 16, 2)
    assert work.bytes_written == 320 + 2 * 40
    assert work.operations["special"] == 10


def test_layer_norm_backward_rows_are_tokens(build):
    g, x, y = (build.tensor(10, 16) for _ in range(3))
    mean, rstd, w = build.tensor(10, 1), build.tensor(10, 1), build.tensor(16)
    work = build.lower(
        "aten.native_layer_norm_backward.default",
        *(g, x, [16], mean, rstd, w, w, [True, True, True]),
        out=[y, build.tensor(16), build.tensor(16)],
    )
    assert (work.rows, work.columns, work.passes) == (10, 16, 3)


@pytest.mark.parametrize(
    ("args", "out", "rows"),
    [(([1],), (4, 10), 40), (([0, 1],), (10,), 10), ((), (), 1)],
)
def test_reductions_have_a_row_per_result(build, args, out, rows):
    x = build.tensor(4, 6, 10)
    work = build.lower("aten.sum.dim_IntList", x, *args, out=build.tensor(*out))
    assert (work.rows, work.rows * work.columns) == (rows, 240)
    assert work.operations["vector"] == 240


def test_a_scan_keeps_its_shape(build):
    x, y = build.tensor(4, 10), build.tensor(4, 10)
    work = build.lower("aten.cumsum.default", x, 1, out=y)
    assert (work.rows, work.columns) == (4, 10)


def test_maximum_of_two_tensors_is_elementwise(build):
    x, y, z = build.tensor(4), build.tensor(4), build.tensor(4)
    assert build.lower("aten.max.other", x, y, out=z).kind == "elementwise"


def test_sorting_short_rows_is_cheaper_per_key_than_long_ones(build):
    def cost(columns):
        x, y = build.tensor(3, columns), build.tensor(3, columns)
        index = build.tensor(3, columns, dtype="int64")
        return build.lower("aten.sort.default", x, -1, out=[y, index])

    assert cost(8).vector_per_element == 6
    assert cost(4096).vector_per_element == cost(1 << 20).vector_per_element
    assert cost(8).passes == 4


def test_topk_of_experts(build):
    x = build.tensor(128, 8)
    outs = [build.tensor(128, 2), build.tensor(128, 2, dtype="int64")]
    work = build.lower("aten.topk.default", x, 2, out=outs)
    assert (work.rows, work.columns) == (128, 8)
    assert work.bytes_written == 128 * 2 * (4 + 8)


def test_nll_loss_reads_one_score_per_target(build):
    scores, target = build.tensor(128, 32000), build.tensor(128, dtype="int64")
    outs = [build.tensor(), build.tensor()]
    work = build.lower("aten.nll_loss_forward.default", scores, target, None, 1, -100, out=outs)
    assert work.bytes_read == 128 * 4 + 128 * 8
    grad = build.tensor(128, 32000)
    back = build.lower(
        "aten.nll_loss_backward.default",
        *(build.tensor(), scores, target, None, 1, -100, build.tensor()),
        out=grad,
    )
    assert back.bytes_written == 128 * 32000 * 4
    assert back.bytes_read == 128 * 8 + 8


def test_an_empty_tensor_has_no_work(build):
    x, y = build.tensor(0, 10), build.tensor(0, 10)
    work = build.lower("aten._softmax.default", x, -1, False, out=y)
    assert work.operations == {"vector": 0, "special": 0}


def test_segments_are_reduced_in_order(build):
    x, out = build.tensor(600, 4), build.tensor(100, 4)
    offsets = build.tensor(101, dtype="int64")
    work = build.lower("aten.segment_reduce.default", x, "sum", offsets=offsets, out=out)
    assert work.rows == 400
    assert work.operations["vector"] == 2400
