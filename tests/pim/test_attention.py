"""Attention in the banks: layout, packing, imbalance, appends, prompts, gradients."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BANKS, CHANNELS, LANES = 16, 8, 16


@settings(max_examples=20, deadline=None)
@given(
    heads=st.integers(1, 30),
    kv_len=st.integers(1, 1500),
    dim=st.sampled_from([32, 64, 80, 128]),
    pack=st.sampled_from(["true", "false"]),
    spread=st.sampled_from(["heads", "tokens"]),
)
def test_decode_obeys_its_roofs_and_multiplies_everything(lab, heads, kv_len, dim, pack, spread):
    on = lab.platform(f"mapping.pack={pack}", f"mapping.spread={spread}")
    work = lab.attention(heads, kv_len, dim)
    played = lab.bounded(on, work)
    multiplied = 2 * played.columns * BANKS * LANES
    assert multiplied >= work.operations["matrix"]
    if spread == "heads" and heads >= CHANNELS:
        dims = math.ceil(dim / LANES)
        scores = math.ceil(kv_len / BANKS) * dims
        contexts = math.ceil(kv_len / LANES) * math.ceil(dim / BANKS)
        assert played.columns == heads * (scores + contexts)


def test_time_is_affine_in_the_context(lab):
    on = lab.platform(lab.no_refresh)
    times = [lab.play(on, lab.attention(8, kv_len, 128)).seconds for kv_len in (1024, 2048, 3072)]
    assert times[2] - times[1] == pytest.approx(times[1] - times[0], rel=0.03)


def test_unpacked_keys_waste_their_rows(lab):
    """A 128-wide head uses 8 of 64 columns of a row unless tokens share it."""
    packed, loose = (
        lab.play(lab.platform(f"mapping.pack={pack}", lab.no_refresh), lab.attention(32, 2048, 128))
        for pack in ("true", "false")
    )
    assert packed.columns == loose.columns
    assert packed.seconds < 0.5 * loose.seconds
    assert packed.row_hit_rate > loose.row_hit_rate


def test_heads_that_do_not_divide_leave_channels_idle(lab):
    on = lab.platform(lab.no_refresh)
    times = {heads: lab.play(on, lab.attention(heads, 1024)).seconds for heads in (24, 25, 31, 32)}
    assert times[25] > 1.2 * times[24]
    assert times[25] == pytest.approx(times[32], rel=0.04)
    assert times[31] == pytest.approx(times[32], rel=0.04)


def test_few_heads_are_divided_among_channels(lab):
    """One head over eight channels beats one channel; tokens of a unit are conserved."""
    on = lab.platform(lab.no_refresh)
    alone = lab.play(on, lab.attention(1, 4096, 128))
    eight = lab.play(on, lab.attention(8, 4096, 128))
    assert alone.seconds < 0.35 * eight.seconds
    assert 8 * alone.columns == eight.columns


def test_query_heads_share_the_rows_of_their_keys(lab):
    on = lab.platform(lab.no_refresh)
    grouped = lab.play(on, lab.attention(32, 2048, 128, kv_heads=8))
    separate = lab.play(on, lab.attention(32, 2048, 128))
    assert grouped.columns == separate.columns
    assert grouped.rows_opened < 0.35 * separate.rows_opened


def test_appended_values_are_scattered_over_all_banks(lab):
    on = lab.platform(lab.no_refresh)
    played = lab.play(on, lab.attention(8, 512, 128))
    assert played.writes == 8 * 128  # one burst per dimension and head
    packed, loose = (
        lab.play(lab.platform(f"mapping.pack={pack}", lab.no_refresh), lab.attention(8, 1, 128))
        for pack in ("true", "false")
    )
    assert loose.seconds > packed.seconds  # a row per dimension instead of one per bank


def test_prompts_are_passes_over_the_cache(lab):
    on = lab.platform(lab.no_refresh)
    prompt = lab.attention(8, 256, 64, q_len=64)
    causal = lab.attention(8, 256, 64, q_len=256, causal=True)
    full = lab.attention(8, 256, 64, q_len=256)
    lab.assert_bounded(on, [prompt, causal, full])
    assert lab.play(on, full).seconds == pytest.approx(4 * lab.play(on, prompt).seconds, rel=0.15)
    seen = lab.play(on, causal).columns / lab.play(on, full).columns
    pairs = causal.pairs / full.pairs
    assert pairs <= seen <= pairs + 1 / 16 + 0.02


def test_keys_without_a_cache_are_stored_first(lab, pim):
    cached = lab.play(pim, lab.attention(8, 64, 64, q_len=64))
    fresh = lab.play(pim, lab.attention(8, 64, 64, q_len=64, role="activation"))
    assert fresh.writes - cached.writes == 8 * 64 * 64 * 2 // 32


def test_gradients_are_five_products(lab, pim):
    work = lab.attention(4, 128, 64, q_len=128, role="activation", backward=True)
    lab.assert_bounded(pim, [work])
    played = lab.play(pim, work)
    assert 2 * played.columns * BANKS * LANES == work.operations["matrix"]


def test_softmax_hides_behind_the_banks_unless_the_controller_is_slow(lab):
    work = lab.attention(32, 1024)
    times = [
        lab.play(lab.platform(f"controller.clock={clock}", lab.no_refresh), work).seconds
        for clock in ("4 GHz", "1 GHz", "100 MHz")
    ]
    assert times[0] <= times[1] < 1.3 * times[0]
    roof = {
        limit.name: limit.seconds
        for limit in lab.platform("controller.clock=100 MHz").limits(work, 0)
    }
    assert times[2] >= roof["vector"]


def test_nothing_to_attend_is_nothing_to_run(lab, pim):
    assert pim.kernels(lab.attention(4, 0), lab.address) == ()


def test_long_heads_take_several_fills(lab):
    on = lab.platform("buffer.capacity=128 B")
    work = lab.attention(8, 256, 128)
    lab.assert_bounded(on, [work])
    assert lab.play(on, work).columns == 8 * 2 * 16 * 8
