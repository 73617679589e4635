"""Elementwise and row-wise work on the special-function lanes."""

import pytest
from fpga_bench import Bench, operand

from simulator.trace.work import Elementwise, RowWise

CYCLE = 1 / 225e6


def elementwise(elements: int, *, vector: int = 1, special: int = 0, role: str = "activation"):
    return Elementwise(
        (operand(0, elements, 8, role),),
        (operand(1, elements, 8, role),),
        elements,
        vector,
        special,
    )


def rows(count: int, columns: int, *, passes: int = 2, special_per_row: int = 1) -> RowWise:
    return RowWise(
        (operand(0, count * columns),),
        (operand(1, count * columns),),
        count,
        columns,
        passes,
        4,
        0,
        special_per_row,
    )


def test_what_fits_on_chip_moves_nothing_but_instructions():
    run = Bench().run(elementwise(4096))
    assert run.written == 0
    assert run.read < 256


def test_an_elementwise_operator_takes_its_elements_over_all_lanes():
    run = Bench().run(elementwise(96_000))
    assert run.seconds == pytest.approx(96_000 / 48 * CYCLE, rel=0.05)
    assert run.seconds >= run.bound


def test_large_operands_stream_through_memory():
    run = Bench().run(elementwise(1 << 20))
    assert run.read == pytest.approx(1 << 20, rel=0.01)
    assert run.written == pytest.approx(1 << 20, rel=0.01)
    assert run.seconds >= run.bound


def test_long_arithmetic_takes_more_passes():
    one, three = (Bench().run(elementwise(120_000, vector=v)).seconds for v in (8, 24))
    assert three == pytest.approx(3 * one, rel=0.05)


def test_a_copy_in_memory_bypasses_the_lanes():
    copy = Bench().run(elementwise(8 << 20, vector=0, role="weight"))
    add = Bench().run(elementwise(8 << 20, vector=1, role="weight"))
    assert copy.seconds < 0.5 * add.seconds
    assert copy.seconds >= copy.bound


def test_many_operands_stream_as_one_and_keep_their_bytes():
    sizes = [100_000 + i for i in range(9)]
    work = Elementwise(
        tuple(operand(i, size, 8, "weight") for i, size in enumerate(sizes)),
        (operand(20, 1000),),
        sum(sizes),
    )
    assert Bench().run(work).read == pytest.approx(sum(sizes), rel=0.01)


def test_a_shared_row_ends_in_a_barrier_and_many_rows_do_not():
    one = Bench().run(rows(1, 4096)).seconds
    faster = Bench("sync_cycles=1").run(rows(1, 4096)).seconds
    assert one - faster == pytest.approx(199 * CYCLE, rel=0.02)
    many = [Bench(f"sync_cycles={cycles}").run(rows(30, 4096)).seconds for cycles in (1, 1000)]
    assert many[0] == many[1]


def test_the_design_says_how_often_a_norm_walks_a_row():
    two, four = (
        Bench(f"core.passes.norm={passes}").run(rows(300, 4096)).seconds for passes in (2, 4)
    )
    assert four == pytest.approx(2 * two, rel=0.05)


def test_rows_too_long_for_the_buffer_are_read_once_a_pass():
    short, long = Bench().run(rows(6, 200_000)), Bench().run(rows(6, 800_000))
    assert short.read == pytest.approx(6 * 200_000, rel=0.01)
    assert long.read == pytest.approx(2 * 6 * 800_000, rel=0.01)


def test_nothing_to_do_is_no_kernel():
    assert Bench().kernels(elementwise(0)) == []
    assert Bench().kernels(rows(0, 16)) == []
