from __future__ import annotations

import pytest

from simulator.trace.lowering.costs import ELEMENTWISE, FILLS
from simulator.trace.work import Elementwise


@pytest.mark.parametrize("name", sorted(ELEMENTWISE))
def test_every_formula_costs_something_and_traffic_is_the_tensors(build, name):
    x, y, z = build.tensor(4, 8), build.tensor(4, 8), build.tensor(4, 8)
    work = build.lower(f"aten.{name}.default", x, y, out=z)
    assert isinstance(work, Elementwise)
    assert work.elements == 32
    assert work.vector_per_element + work.special_per_element > 0
    assert (work.bytes_read, work.bytes_written) == (256, 128)


@pytest.mark.parametrize("name", sorted(FILLS))
def test_fills_only_write(build, name):
    like, out = build.tensor(4, 8), build.tensor(4, 8)
    work = build.lower(f"aten.{name}.default", like, out=out)
    assert work.reads == ()
    assert work.bytes_written == 128


def test_broadcast_inputs_count_their_own_bytes(build):
    x, scale, out = build.tensor(64, 32), build.tensor(64, 1), build.tensor(64, 32)
    work = build.lower("aten.mul.Tensor", x, scale, out=out)
    assert work.bytes_read == 4 * (64 * 32 + 64)
    assert work.operations["vector"] == 64 * 32


def test_one_tensor_twice_is_read_once(build):
    x = build.tensor(16)
    assert build.lower("aten.mul.Tensor", x, x, out=build.tensor(16)).bytes_read == 64


def test_in_place_writes_the_first_input(build):
    x, y = build.tensor(16), build.tensor(16)
    work = build.lower("aten.add_.Tensor", x, y, out=x)
    assert [w.storage for w in work.writes] == [x.storage]
    assert {r.storage for r in work.reads} == {x.storage, y.storage}


@pytest.mark.parametrize(
    ("exponent", "operations"),
    [(2, (1, 0)), (3.0, (2, 0)), (0.5, (1, 1)), (-0.5, (0, 1)), (-1, (0, 1)), (1.7, (1, 2))],
)
def test_powers_are_recognised(build, exponent, operations):
    x, y = build.tensor(10), build.tensor(10)
    work = build.lower("aten.pow.Tensor_Scalar", x, exponent, out=y)
    assert (work.vector_per_element, work.special_per_element) == operations


@pytest.mark.parametrize("name", ["gelu", "gelu_backward"])
def test_the_tanh_form_of_gelu_is_another_formula(build, name):
    x, y, z = build.tensor(10), build.tensor(10), build.tensor(10)
    args = (x,) if name == "gelu" else (x, y)
    exact = build.lower(f"aten.{name}.default", *args, out=z)
    tanh = build.lower(f"aten.{name}.default", *args, out=z, approximate="tanh")
    assert exact.operations != tanh.operations


def test_foreach_is_one_work_over_all_tensors(build):
    params = [build.tensor(10), build.tensor(4, 5)]
    grads = [build.tensor(10), build.tensor(4, 5)]
    work = build.lower("aten._foreach_addcdiv_.ScalarList", params, grads, grads, [0.1, 0.2])
    assert work.elements == 30
    assert work.operations == {"vector": 90, "special": 30}
    assert (work.bytes_read, work.bytes_written) == (2 * 120, 120)


def test_foreach_zero_reads_nothing(build):
    grads = [build.tensor(10), build.tensor(20)]
    work = build.lower("aten._foreach_zero_.default", grads, out=grads)
    assert (work.bytes_read, work.bytes_written) == (0, 120)


def test_fused_adam_touches_four_tensors_per_parameter(build):
    lists = [[build.tensor(100)] for _ in range(4)]
    steps = [build.tensor()]
    work = build.lower("aten._fused_adamw_.default", *lists, [], steps, lr=1e-3)
    assert work.elements == 100
    assert work.bytes_read == 4 * 400 + 4
    assert work.bytes_written == 3 * 400 + 4


def test_a_pool_combines_its_window(build):
    x, y = build.tensor(2, 8, 16, 16), build.tensor(2, 8, 8, 8)
    by_kernel = build.lower("aten.max_pool2d.default", x, [2, 2], out=y)
    adaptive = build.lower("aten._adaptive_avg_pool2d.default", x, [8, 8], out=y)
    assert by_kernel.operations == adaptive.operations == {"vector": 2 * 8 * 64 * 4, "special": 0}
