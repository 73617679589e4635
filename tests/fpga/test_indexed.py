"""Gathers, scatters and sparse products at recorded places."""

import numpy as np
import pytest
from fpga_bench import Bench, operand

from simulator.trace.work import Gather, Operand, Scatter, SparseDense

TABLE_ROWS = 200_000
ROW = 128
random = np.random.default_rng(7)


def gather(index: np.ndarray | None, rows: int = 6000, row_bytes: int = ROW) -> Gather:
    distinct = rows if index is None else len(np.unique(index))
    table = Operand(0, 0, distinct * row_bytes, 8, "int8", "input", TABLE_ROWS * row_bytes)
    return Gather(
        (table, operand(1, rows, 64, "input")),
        (operand(2, rows * row_bytes),),
        rows,
        row_bytes,
        TABLE_ROWS,
        index,
    )


def sparse(degrees: np.ndarray) -> SparseDense:
    pointers = np.concatenate(([0], np.cumsum(degrees)))
    columns = random.integers(0, TABLE_ROWS, pointers[-1])
    return SparseDense(
        (
            operand(0, TABLE_ROWS * ROW, 8, "input"),
            operand(1, len(pointers), 64, "input"),
            operand(2, len(columns), 64, "input"),
        ),
        (operand(3, len(degrees) * ROW, 8, "input"),),
        len(degrees),
        TABLE_ROWS,
        len(columns),
        ROW,
        ROW // 4,
        pointers,
        columns,
    )


def test_neighbours_in_memory_gather_faster_than_scattered_rows():
    # One channel a core: with more, the ports bind before the banks do.
    bench = Bench("channels.per_core=1")
    near = bench.run(gather(np.arange(6000), row_bytes=32))
    far = bench.run(gather(random.permutation(TABLE_ROWS)[:6000], row_bytes=32))
    assert far.seconds > 1.2 * near.seconds
    assert far.read == near.read


def test_a_gather_reads_rows_and_numbers_and_writes_the_result():
    run = Bench().run(gather(np.arange(6000)))
    assert run.read == pytest.approx(6000 * (ROW + 8), rel=0.01)
    assert run.written == pytest.approx(6000 * ROW, rel=0.01)
    assert run.seconds >= run.bound


def test_unrecorded_rows_are_the_same_every_time():
    assert Bench().run(gather(None)) == Bench().run(gather(None))


def test_every_core_follows_its_own_part_of_the_index():
    index = random.integers(0, TABLE_ROWS, 6000)
    kernel = Bench().kernels(gather(index))[0]
    assert kernel.tasks[:, 1].tolist() == [0, 2000, 4000]


def test_a_combining_scatter_reads_what_it_writes():
    def scatter(atomic: bool) -> Scatter:
        return Scatter(
            (operand(0, 6000 * ROW, 8, "input"), operand(1, 6000, 64, "input")),
            (operand(2, 6000 * ROW, 8, "input"),),
            6000,
            ROW,
            TABLE_ROWS,
            atomic,
            random.permutation(TABLE_ROWS)[:6000],
        )

    combined, plain = Bench().run(scatter(True)), Bench().run(scatter(False))
    assert combined.read - plain.read == pytest.approx(6000 * ROW, rel=0.01)
    assert combined.written == plain.written == 6000 * ROW
    assert combined.seconds > plain.seconds


def test_a_scatter_into_zeros_writes_the_whole_table():
    work = Scatter(
        (operand(0, 100 * ROW), operand(1, 100, 64, "input")),
        (operand(2, TABLE_ROWS * ROW),),
        100,
        ROW,
        TABLE_ROWS,
        True,
        np.arange(100),
    )
    run = Bench().run(work)
    assert run.written == pytest.approx(TABLE_ROWS * ROW, rel=0.01)
    assert run.seconds >= run.bound


def test_uneven_degrees_leave_cores_waiting():
    even = np.full(3000, 10)
    skewed = np.concatenate((np.full(1000, 26), np.full(2000, 2)))
    balanced, lopsided = Bench().run(sparse(even)), Bench().run(sparse(skewed))
    assert lopsided.seconds > 1.5 * balanced.seconds
    assert balanced.seconds >= balanced.bound


def test_a_sparse_product_stores_its_result_once():
    run = Bench().run(sparse(np.full(3000, 10)))
    assert run.written == pytest.approx(3000 * ROW, rel=0.02)
    assert run.read == pytest.approx(30_000 * (ROW + 8) + 3001 * 8, rel=0.02)
