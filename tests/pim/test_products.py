"""Matrix products: every multiply-add happens once, imbalance costs, nothing beats its roof."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.trace.work import GroupedGemm

BANKS, CHANNELS, LANES = 16, 8, 16

sizes = st.integers(1, 3000)


@settings(max_examples=25, deadline=None)
@given(m=st.integers(1, 3), n=sizes, k=sizes)
def test_products_obey_their_roofs_and_multiply_everything_once(lab, pim, m, n, k):
    work = lab.gemm(m, n, k)
    played = lab.bounded(pim, work)
    # A lockstep column is one column of one result set: outputs and depth are padded.
    assert played.columns == m * math.ceil(n / BANKS) * math.ceil(k / LANES)


@pytest.mark.parametrize("order", ["activation_stationary", "output_stationary"])
@pytest.mark.parametrize("accumulators", [1, 4, 32])
def test_order_changes_traffic_not_arithmetic(lab, order, accumulators):
    on = lab.platform(f"mapping.order={order}", f"bank.accumulators={accumulators}")
    played = lab.play(on, lab.gemm(1, 1600, 6400))
    sets, chunks = math.ceil(1600 / BANKS), math.ceil(6400 / 1024)
    assert played.columns == sets * 6400 // LANES
    deepest = math.ceil(sets / CHANNELS)
    if order == "activation_stationary":
        assert played.buffer == CHANNELS * 400 + sets * chunks
    else:
        fills = sum(
            math.ceil(math.ceil((sets - channel) / CHANNELS) / min(accumulators, deepest))
            for channel in range(CHANNELS)
        )
        assert played.buffer == fills * 400 + sets


def test_keeping_outputs_pays_with_many_accumulators_only(lab):
    """One accumulator sends every chunk again for every output; 32 send fewer results."""
    work = lab.gemm(1, 4096, 8192)

    def play(order: str, accumulators: int):
        on = lab.platform(f"mapping.order={order}", f"bank.accumulators={accumulators}")
        return lab.play(on, work)

    few, many = (play("output_stationary", accumulators) for accumulators in (1, 32))
    assert few.seconds > 1.2 * play("activation_stationary", 1).seconds
    stationary = play("activation_stationary", 32)
    assert many.buffer < stationary.buffer
    assert many.lanes < stationary.lanes
    assert many.seconds < 1.01 * stationary.seconds


def test_row_hits_of_full_rows_are_all_but_one_column(lab):
    played = lab.play(lab.platform(lab.no_refresh), lab.gemm(1, 2048, 4096))
    assert played.row_hit_rate == pytest.approx(1 - 1 / 64, abs=1e-12)
    assert played.activates == BANKS * played.rows_opened


def test_a_ragged_depth_opens_rows_it_cannot_fill(lab):
    played = lab.play(lab.platform(lab.no_refresh), lab.gemm(1, 1600, 1600))
    assert played.row_hit_rate == pytest.approx(1 - 2 / 100, abs=1e-12)


def test_one_output_more_costs_a_whole_round(lab):
    """Imbalance is simulated: 1,025 outputs take as long as 1,152, but not the energy."""
    on = lab.platform(lab.no_refresh)
    even, one_more, full = (lab.play(on, lab.gemm(1, n, 2048)) for n in (1024, 1025, 1152))
    assert one_more.seconds > 1.05 * even.seconds
    assert one_more.seconds == pytest.approx(full.seconds, rel=0.01)
    assert even.columns < one_more.columns < full.columns


def test_imbalance_costs_in_every_pass(lab):
    on = lab.platform(lab.no_refresh)
    even, one_more, full = (lab.play(on, lab.gemm(8, n, 2048)) for n in (1024, 1025, 1152))
    assert one_more.seconds == pytest.approx(full.seconds, rel=0.02)
    assert one_more.seconds > 1.05 * even.seconds
    assert one_more.columns == 8 * 65 * 128


@settings(max_examples=10, deadline=None)
@given(n=st.integers(16, 2000), k=st.integers(16, 2000))
def test_larger_products_are_never_faster(lab, n, k):
    on = lab.platform(lab.no_refresh)
    small = lab.play(on, lab.gemm(1, n, k)).seconds
    assert lab.play(on, lab.gemm(1, n + 128, k)).seconds >= small
    assert lab.play(on, lab.gemm(1, n, k + 256)).seconds >= small


def test_doubling_channels_nearly_halves_a_large_product(lab):
    work = lab.gemm(1, 8192, 4096)
    times = [
        lab.play(lab.platform(f"memory.organization.stacks={stacks}"), work).seconds
        for stacks in (2, 4, 8)
    ]
    assert 1.8 < times[0] / times[1] <= 2.05
    assert 1.7 < times[1] / times[2] <= 2.05


def test_many_rows_of_a_cost_as_many_passes(lab):
    on = lab.platform(lab.no_refresh)
    once, often = lab.play(on, lab.gemm(1, 2048, 2048)), lab.play(on, lab.gemm(6, 2048, 2048))
    assert often.seconds == pytest.approx(6 * once.seconds, rel=0.03)
    assert often.rows_opened == 6 * once.rows_opened


def test_a_larger_buffer_shares_open_rows(lab):
    small = lab.play(lab.platform(lab.no_refresh), lab.gemm(4, 2048, 2048))
    on = lab.platform("buffer.capacity=8 KiB", lab.no_refresh)
    large = lab.play(on, lab.gemm(4, 2048, 2048))
    assert large.columns == small.columns
    assert large.rows_opened == small.rows_opened // 4
    assert large.seconds < 0.85 * small.seconds


@pytest.mark.parametrize("order", ["activation_stationary", "output_stationary"])
def test_every_row_of_the_weights_is_opened_in_every_pass(lab, order):
    on = lab.platform(
        f"mapping.order={order}", "buffer.capacity=8 KiB", "bank.accumulators=32", lab.no_refresh
    )
    passes, sets, chunks = 2, 2048 // BANKS, 2
    played = lab.play(on, lab.gemm(4 * passes, 2048, 1024 * chunks))
    assert played.rows_opened == passes * sets * chunks
    assert played.columns == 4 * passes * sets * chunks * 64


def test_packing_fills_rows_with_short_vectors(lab):
    packed, loose = (
        lab.play(lab.platform(f"mapping.pack={pack}", lab.no_refresh), lab.gemm(1, 4096, 64))
        for pack in ("true", "false")
    )
    assert packed.columns == loose.columns
    assert loose.rows_opened == 16 * packed.rows_opened
    assert packed.seconds < 0.5 * loose.seconds


def test_operands_beyond_the_sram_travel(lab, pim):
    small, large = lab.play(pim, lab.gemm(1, 4096, 4096)), lab.play(pim, lab.gemm(8, 8192, 8192))
    assert small.reads == small.writes == 0
    assert large.reads * 32 >= 8 * 8192 * 2
    assert large.writes * 32 >= 8 * 8192 * 2
    biased = lab.play(pim, lab.gemm(1, 4096, 4096, bias=True))
    assert biased.reads * 32 >= 4096 * 2


def test_batches_are_products_of_their_own(lab):
    on = lab.platform(lab.no_refresh)
    one, five = lab.play(on, lab.gemm(1, 512, 512)), lab.play(on, lab.gemm(1, 512, 512, batch=5))
    assert five.columns == 5 * one.columns
    assert five.seconds > 4 * one.seconds


def test_experts_without_rows_cost_nothing(lab):
    on = lab.platform(lab.no_refresh)

    def play(*rows: int):
        reads = (lab.operand(1, 2 * sum(rows) * 1024), lab.operand(2, 8 << 20, "weight"))
        work = GroupedGemm(reads, (lab.operand(3, 2 * sum(rows) * 512),), rows, 512, 1024)
        lab.assert_bounded(on, [work])
        return lab.play(on, work)

    routed, all_of_them = play(0, 1, 0, 0, 1, 0, 0, 0), play(*[1] * 8)
    assert all_of_them.columns == 4 * routed.columns
    assert all_of_them.seconds == pytest.approx(4 * routed.seconds, rel=0.05)
    assert play(2, 0).seconds == pytest.approx(play(1, 1).seconds, rel=0.01)


def test_empty_products_are_nothing(lab, pim):
    for work in (lab.gemm(0, 16, 16), lab.gemm(1, 0, 16), lab.gemm(1, 16, 0)):
        assert pim.kernels(work, lab.address) == ()


def test_equal_runs_are_equal_to_the_bit(lab, pim):
    work = lab.gemm(3, 1000, 3000, bias=True)
    assert lab.play(pim, work) == lab.play(pim, work)


def test_a_machine_faster_than_its_description_is_caught(lab, pim):
    """Fault injection: banks that multiply twice as fast beat the roof of the real ones."""
    work = lab.gemm(1, 8192, 8192)
    faulty = lab.platform("bank.mac_interval=0.5 ns", "bank.rcd_compute=1 ns", lab.no_refresh)
    bound = max(limit.seconds for limit in pim.limits(work, 0))
    assert lab.play(faulty, work).seconds < bound <= lab.play(pim, work).seconds
