from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import TraceError
from simulator.trace.work import Gemm, GroupedGemm


def gemm(work):
    assert isinstance(work, Gemm)
    return work.batch, work.m, work.n, work.k


def test_mm(build):
    a, b, c = build.tensor(5, 7), build.tensor(7, 3), build.tensor(5, 3)
    work = build.lower("aten.mm.default", a, b, out=c)
    assert gemm(work) == (1, 5, 3, 7)
    assert work.operations == {"matrix": 2 * 5 * 7 * 3}
    assert (work.bytes_read, work.bytes_written) == (4 * (35 + 21), 4 * 15)


def test_addmm_reads_its_bias_once(build):
    bias, a, b, c = (build.tensor(*s) for s in ((3,), (5, 7), (7, 3), (5, 3)))
    work = build.lower("aten.addmm.default", bias, a, b, out=c)
    assert [r.storage for r in work.reads] == [a.storage, b.storage, bias.storage]
    assert work.bytes_read == 4 * (3 + 35 + 21)
    without = build.lower("aten.addmm.default", bias, a, b, out=c, beta=0)
    assert without.bytes_read == 4 * (35 + 21)


def test_bmm_with_a_broadcast_matrix_shares_it(build):
    a, out = build.tensor(4, 5, 7), build.tensor(4, 5, 3)
    own = build.lower("aten.bmm.default", a, build.tensor(4, 7, 3), out=out)
    shared = build.lower("aten.bmm.default", a, build.tensor(4, 7, 3, strides=(0, 3, 1)), out=out)
    assert gemm(own) == gemm(shared) == (4, 5, 3, 7)
    assert (own.b_shared, shared.b_shared) == (False, True)
    assert own.reads[1].bytes == 4 * shared.reads[1].bytes


def test_baddbmm(build):
    c, a, b = build.tensor(4, 5, 3), build.tensor(4, 5, 7), build.tensor(4, 7, 3)
    work = build.lower("aten.baddbmm.default", c, a, b, out=build.tensor(4, 5, 3))
    assert gemm(work) == (4, 5, 3, 7)
    assert len(work.reads) == 3


@pytest.mark.parametrize(
    ("a", "b", "out", "expected"),
    [
        ((5, 7), (7, 3), (5, 3), (1, 5, 3, 7)),
        ((2, 5, 7), (7, 3), (2, 5, 3), (1, 10, 3, 7)),
        ((2, 5, 7), (2, 7, 3), (2, 5, 3), (2, 5, 3, 7)),
        ((5, 7), (2, 7, 3), (2, 5, 3), (2, 5, 3, 7)),
        ((7,), (7, 3), (3,), (1, 1, 3, 7)),
        ((2, 5, 7), (7,), (2, 5), (1, 10, 1, 7)),
        ((7,), (2, 7, 3), (2, 3), (2, 1, 3, 7)),
    ],
)
def test_matmul_broadcasting(build, a, b, out, expected):
    tensors = [build.tensor(*shape) for shape in (a, b)]
    work = build.lower("aten.matmul.default", *tensors, out=build.tensor(*out))
    assert gemm(work) == expected
    assert work.operations["matrix"] == 2 * int(np.prod(out)) * a[-1]


def test_linear_folds_leading_dimensions(build):
    x, w, bias = build.tensor(2, 5, 7), build.tensor(3, 7), build.tensor(3)
    work = build.lower("aten.linear.default", x, w, bias, out=build.tensor(2, 5, 3))
    assert gemm(work) == (1, 10, 3, 7)
    assert work.reads[2].storage == bias.storage


def test_mv_streams_the_matrix_as_b(build):
    matrix, vector = build.tensor(6, 4), build.tensor(4)
    work = build.lower("aten.mv.default", matrix, vector, out=build.tensor(6))
    assert gemm(work) == (1, 1, 6, 4)
    assert work.reads[1].storage == matrix.storage


def test_patch_embedding_is_a_product(build):
    x, w, b = build.tensor(8, 3, 224, 224), build.tensor(768, 3, 16, 16), build.tensor(768)
    geometry = ([16, 16], [0, 0], [1, 1], False, [0, 0], 1)
    out = build.tensor(8, 768, 14, 14)
    work = build.lower("aten.convolution.default", x, w, b, *geometry, out=out)
    assert gemm(work) == (1, 8 * 14 * 14, 768, 3 * 16 * 16)
    assert work.bytes_read == 4 * (8 * 3 * 224 * 224 + 768 * 768 + 768)


def test_depthwise_convolution_has_one_product_per_group(build):
    x, w = build.tensor(1, 32, 10, 10), build.tensor(32, 1, 3, 3)
    geometry = ([1, 1], [1, 1], [1, 1], False, [0, 0], 32)
    out = build.tensor(1, 32, 10, 10)
    work = build.lower("aten.convolution.default", x, w, None, *geometry, out=out)
    assert work.operations["matrix"] == 2 * 100 * 32 * 9


@pytest.mark.parametrize(("mask", "products"), [((1, 1, 1), 2), ((0, 1, 1), 1), ((1, 0, 0), 1)])
def test_convolution_backward_counts_each_wanted_gradient(build, mask, products):
    grad, x, w = build.tensor(2, 8, 6, 6), build.tensor(2, 4, 8, 8), build.tensor(8, 4, 3, 3)
    geometry = ([1, 1], [0, 0], [1, 1], False, [0, 0], 1)
    work = build.lower(
        "aten.convolution_backward.default",
        *(grad, x, w, [8], *geometry, [bool(m) for m in mask]),
        out=[build.tensor(*w.shape)],
    )
    assert work.operations["matrix"] == products * 2 * (2 * 6 * 6) * 8 * (4 * 9)


def test_density_scales_weights_and_operations(build):
    a, b, c = build.tensor(5, 8), build.tensor(8, 4), build.tensor(5, 4)
    work = build.lower("aten.mm.default", a, b, out=c, density=0.5)
    assert work.density == 0.5
    assert work.reads[1].bytes == 8 * 4 * 4 // 2
    assert work.operations["matrix"] == 5 * 8 * 4


def experts(build, offsets=None, **kwargs):
    a, b = build.tensor(10, 6), build.tensor(4, 6, 3)
    offs = offsets if offsets is not None else build.tensor(4, dtype="int32")
    out = build.tensor(10, 3)
    return build.lower("aten._grouped_mm.default", a, b, offs, out=out, **kwargs)


def test_grouped_product_takes_recorded_offsets(build):
    offsets = build.tensor(4, dtype="int32", data=np.array([7, 7, 9, 10], np.int32))
    work = experts(build, offsets)
    assert isinstance(work, GroupedGemm)
    assert work.rows == (7, 0, 2, 1)
    assert work.operations == {"matrix": 2 * 10 * 6 * 3}
    assert work.reads[1].bytes == 3 * 6 * 3 * 4, "an expert without rows is not read"


def test_grouped_product_takes_stated_rows(build):
    assert experts(build, rows_per_expert=[1, 2, 3, 4]).rows == (1, 2, 3, 4)


def test_unknown_routing_is_even(build):
    assert experts(build).rows == (3, 3, 2, 2)


@pytest.mark.parametrize("rows", [[5, 5, 5, 5], [5, 5], [11, -1, 0, 0]])
def test_rows_that_do_not_fit_are_refused(build, rows):
    with pytest.raises(TraceError, match="expert row counts"):
        experts(build, rows_per_expert=rows)


def test_gradient_of_grouped_weights_keeps_the_operation_count(build):
    a, b = build.tensor(6, 10, strides=(1, 6)), build.tensor(10, 3)
    offs = build.tensor(4, dtype="int32")
    work = build.lower("aten._grouped_mm.default", a, b, offs, out=build.tensor(4, 6, 3))
    assert work.operations == {"matrix": 2 * 10 * 6 * 3}
    assert len(work.rows) == 4


def test_density_reaches_experts(build):
    work = experts(build, density=0.5)
    assert work.operations == {"matrix": 10 * 6 * 3}
    assert work.reads[1].bytes == 4 * 6 * 3 * 4 // 2
