"""The controller: lanes, the SRAM that decides what travels, and rows by number."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.trace.work import Elementwise, Gather, RowWise, Scatter, SparseDense


@settings(max_examples=20, deadline=None)
@given(
    elements=st.integers(1, 300_000),
    vector=st.integers(0, 20),
    special=st.integers(0, 3),
    role=st.sampled_from(["activation", "weight"]),
)
def test_elementwise_obeys_its_roofs_and_moves_each_byte_once(
    lab, pim, elements, vector, special, role
):
    work = lab.elementwise(elements, role=role, vector=vector, special=special)
    played = lab.bounded(pim, work)
    if role == "activation" and 4 * elements <= pim.spec.controller.sram:
        assert played.reads == played.writes == 0
    else:
        # Runs are cut where the bank changes; a cut burst counts twice at most.
        assert 2 * elements <= 32 * played.reads <= 2 * elements + 64 * (2 + elements // 8192)
        assert played.writes == played.reads


def test_functions_cost_their_steps(lab, pim):
    functions = pim.spec.controller.functions
    plain = lab.play(pim, lab.elementwise(4096)).lanes
    single = lab.play(pim, lab.elementwise(4096, special=1)).lanes
    pair = lab.play(pim, lab.elementwise(4096, special=2)).lanes
    assert single - plain == 4096 * max(functions.exp, functions.divide, functions.rsqrt)
    assert pair - plain == 4096 * (functions.exp + functions.divide)


@pytest.mark.parametrize(
    ("name", "steps"), [("tanh", 7 + 6 + 4), ("sigmoid", 2 + 6 + 4), ("polynomial", 9)]
)
def test_a_named_approximation_costs_its_own_steps(lab, name, steps):
    on = lab.platform(f"controller.functions.gelu={name}")
    work = replace(lab.elementwise(4096, vector=12, special=2), function="gelu")
    assert lab.bounded(on, work).lanes == 4096 * steps
    other = replace(work, function="tanh")
    assert lab.play(on, other).lanes == 4096 * (12 + 6 + 4)


def test_softmax_by_powers_of_two_is_cheaper(lab):
    work = lab.attention(8, 512)
    exact, base2 = (
        lab.bounded(lab.platform(f"controller.functions.softmax={name}"), work).lanes
        for name in ("exact", "base2")
    )
    assert exact - base2 == 8 * 512 * (6 - 2)


def test_what_follows_a_product_is_done_as_its_outputs_come(lab):
    """The same lane clocks as after it, but most of them beside the banks' columns."""
    on = lab.platform("controller.vector_lanes=16")
    plain = lab.gemm(1, 8192, 2048)
    after = replace(
        lab.elementwise(8192, vector=12, special=2), reads=(), writes=(), function="gelu"
    )
    apart = lab.play(on, replace(lab.elementwise(8192, vector=12, special=2), function="gelu"))
    alone, fused = lab.play(on, plain), lab.bounded(on, replace(plain, epilogue=after))
    assert fused.lanes == alone.lanes + apart.lanes
    assert fused.columns == alone.columns
    assert alone.seconds < fused.seconds < alone.seconds + 0.7 * apart.seconds


def test_twice_the_lanes_halve_the_arithmetic(lab):
    work = lab.elementwise(16384, vector=50)
    times = [
        lab.play(lab.platform(f"controller.vector_lanes={lanes}"), work).seconds
        for lanes in (64, 128)
    ]
    assert times[0] == pytest.approx(2 * times[1], rel=1e-3)


def test_streams_reach_most_of_the_pins(lab, pim):
    work = lab.elementwise(4 << 20, role="weight", vector=0)
    on = lab.platform("controller.vector_lanes=4096")
    moved = work.bytes_read + work.bytes_written
    rate = moved / lab.play(on, work).seconds
    assert 0.5 < rate / on.spec.memory.peak_bytes_per_s <= 1


def test_rows_longer_than_a_block_are_walked_again(lab, pim):
    def rows(columns: int) -> RowWise:
        size = 2 * 4 * columns
        io = (lab.operand(1, size, "weight"),), (lab.operand(2, size, "weight"),)
        return RowWise(*io, 4, columns, 3, 5, 1, 1)

    short, long = lab.play(pim, rows(8192)), lab.play(pim, rows(65536))
    assert short.reads * 32 == 2 * 4 * 8192
    assert long.reads * 32 == 3 * 2 * 4 * 65536
    lab.assert_bounded(pim, [rows(8192), rows(65536)])


def test_traffic_of_an_unknown_operator_is_moved(lab, pim):
    work = Elementwise(
        (lab.operand(1, 1 << 20, "weight"),), (lab.operand(2, 1 << 20, "weight"),), elements=0
    )
    played = lab.play(pim, work)
    assert played.reads * 32 == played.writes * 32 == 1 << 20


def gather(lab, index, row_bytes=256, table_rows=100_000):
    reads = (lab.operand(1, table_rows * row_bytes, "weight"), lab.operand(2, 0, "index"))
    out = (lab.operand(3, len(index) * row_bytes),)
    return Gather(reads, out, len(index), row_bytes, table_rows, np.asarray(index))


def test_neighbouring_rows_are_cheaper_than_scattered_ones(lab, pim):
    near = lab.play(pim, gather(lab, np.arange(20_000), row_bytes=32))
    shuffled = np.random.default_rng(1).permutation(100_000)[:20_000]
    far = lab.play(pim, gather(lab, shuffled, row_bytes=32))
    assert far.reads == near.reads == 20_000
    assert far.rows_opened > 2 * near.rows_opened
    assert far.seconds > 1.5 * near.seconds


def test_unrecorded_rows_are_drawn_the_same_each_time(lab, pim):
    work = gather(lab, np.zeros(3000, dtype=np.int64))
    blank = Gather(work.reads, work.writes, 3000, 256, 100_000, None)
    first, again = lab.play(pim, blank), lab.play(pim, blank)
    assert first == again
    assert first.rows_opened > lab.play(pim, work).rows_opened


def test_scatters_that_add_read_what_they_write(lab, pim):
    index = np.random.default_rng(2).integers(0, 5000, 4000)
    reads = (lab.operand(1, 4000 * 512), lab.operand(2, 0, "index"))

    def scatter(atomic: bool, whole: bool = False) -> Scatter:
        size = (8000 if whole else 4000) * 512
        return Scatter(reads, (lab.operand(3, size),), 4000, 512, 8000, atomic, index)

    plain, adding = lab.play(pim, scatter(False)), lab.play(pim, scatter(True))
    rows = 4000 * 512 // 32
    assert plain.writes == adding.writes == rows
    assert adding.reads - plain.reads == rows
    assert lab.play(pim, scatter(False, whole=True)).writes == 3 * rows
    lab.assert_bounded(pim, [scatter(True), scatter(False), scatter(False, whole=True)])


def test_sparse_products_gather_a_row_per_nonzero(lab, pim):
    rows, nonzeros, width = 1000, 6000, 128
    columns = np.random.default_rng(3).integers(0, rows, nonzeros)
    work = SparseDense(
        (lab.operand(1, rows * 2 * width), lab.operand(2, 8 * rows, "index")),
        (lab.operand(3, rows * 2 * width),),
        rows,
        rows,
        nonzeros,
        2 * width,
        width,
        np.linspace(0, nonzeros, rows + 1).astype(np.int64),
        columns,
    )
    played = lab.play(pim, work)
    assert played.reads * 32 >= nonzeros * 2 * width
    assert played.writes * 32 >= rows * 2 * width
    assert played.lanes >= 2 * nonzeros * width
    lab.assert_bounded(pim, [work])
