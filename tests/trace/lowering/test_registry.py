from __future__ import annotations

from dataclasses import replace

import pytest

from simulator.errors import TraceError
from simulator.trace.lowering import lower, lower_all, lowers, mapped_names, summary, unmapped
from simulator.trace.lowering.registry import _MAPPINGS
from simulator.trace.work import Elementwise, Unmapped, View


def test_an_unknown_operator_keeps_its_name_and_traffic(build):
    x, y = build.tensor(4, 8), build.tensor(4, 8)
    work = build.lower("mylib.spectral_mix.default", x, out=y)
    assert isinstance(work, Unmapped)
    assert work.name == "mylib.spectral_mix.default"
    assert (work.bytes_read, work.bytes_written) == (128, 128)
    assert unmapped([work, work]) == ["mylib.spectral_mix.default"]


def test_adding_an_operator_is_one_function(build):
    @lowers("spectral_mix")
    def spectral_mix(call):
        return Elementwise(call.all_reads(), call.writes(), 32, 5, 1)

    try:
        x, y = build.tensor(4, 8), build.tensor(4, 8)
        work = build.lower("mylib.spectral_mix.default", x, out=y)
        assert work.operations == {"vector": 160, "special": 32}
        assert "spectral_mix" in mapped_names()
    finally:
        del _MAPPINGS["spectral_mix"]


def test_two_functions_for_one_operator_are_refused():
    with pytest.raises(ValueError, match="two mapping functions for operator 'mm'"):
        lowers("mm")(lambda call: View((), ()))


def test_a_parametric_trace_must_be_bound_first(build):
    operator = build.operator("aten.neg.default", build.tensor(2), out=build.tensor(2))
    build.trace.header = replace(build.trace.header, parametric=True)
    with pytest.raises(TraceError, match="bind it first"):
        lower(operator, build.trace)


def test_a_missing_tensor_argument_names_the_operator(build):
    x = build.tensor(2, 2)
    with pytest.raises(TraceError, match=r"operator 0.*argument 1 of aten\.mm\.default"):
        build.lower("aten.mm.default", x, 3, out=build.tensor(2, 2))


def test_overload_and_namespace_do_not_matter(build):
    x, y, z = build.tensor(8), build.tensor(8), build.tensor(8)
    works = [
        build.lower("aten.add.Tensor", x, y, out=z),
        build.lower("aten.add.Scalar", x, 1.0, out=z),
        build.lower("aten.add", x, y, out=z),
        build.lower("aten.add_.Tensor", x, y, out=x),
        build.lower("aten._foreach_add.List", [x], [y], out=[z]),
    ]
    assert all(work.operations == {"vector": 8, "special": 0} for work in works)


def test_an_unknown_operator_that_returns_its_input_is_no_view(build):
    x = build.tensor(8)
    assert build.lower("mylib.mutate.default", x, out=x).kind == "unmapped"


def test_an_unknown_operator_that_returns_a_window_is_a_view(build):
    x = build.tensor(8)
    window = build.tensor(4, storage=x.storage)
    assert build.lower("mylib.head.default", x, out=window).kind == "view"


def test_an_operator_without_argument_list_uses_its_inputs(build):
    a, b, c = build.tensor(2, 3), build.tensor(3, 5), build.tensor(2, 5)
    operator = replace(build.operator("aten.mm.default", a, b, out=c), args=())
    assert lower(operator, build.trace).operations == {"matrix": 2 * 2 * 3 * 5}


def test_out_variants_write_to_out(build):
    x, y, z = build.tensor(8), build.tensor(8), build.tensor(8)
    work = build.lower("aten.add.out", x, y, out=z)
    assert [w.storage for w in work.writes] == [z.storage]


def test_summary_adds_up(build):
    a, b, c = build.tensor(4, 4), build.tensor(4, 4), build.tensor(4, 4)
    build.operator("aten.mm.default", a, b, out=c)
    build.operator("aten.mm.default", b, a, out=c)
    build.operator("aten.add.Tensor", a, b, out=c)
    build.operator("aten.t.default", a, out=build.tensor(4, 4, storage=a.storage, strides=(1, 4)))
    lines = {line.kind: line for line in summary(build.trace)}
    assert [lines[kind].count for kind in ("gemm", "elementwise", "view")] == [2, 1, 1]
    assert lines["gemm"].operations == {"matrix": 2 * 2 * 64}
    works = lower_all(build.trace)
    assert sum(line.bytes_read for line in lines.values()) == sum(w.bytes_read for w in works)
    assert sum(line.bytes_written for line in lines.values()) == 3 * 64
