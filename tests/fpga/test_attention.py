"""Attention: heads over cores, the KV cache, causal blocks, softmax on the lanes."""

import pytest
from fpga_bench import Bench, operand

from simulator.trace.work import Attention


def attention(
    q_len: int,
    kv_len: int,
    *,
    heads: int = 32,
    kv_heads: int | None = None,
    batch: int = 1,
    causal: bool = False,
    backward: bool = False,
) -> Attention:
    kv_heads = kv_heads or heads
    query, cache = batch * heads * q_len * 128, batch * kv_heads * kv_len * 128
    gradients = (operand(4, query), operand(5, cache), operand(6, cache))
    return Attention(
        (operand(0, query), operand(1, cache, 8, "kv_cache"), operand(2, cache, 8, "kv_cache")),
        gradients if backward else (operand(3, query),),
        batch,
        heads,
        kv_heads,
        q_len,
        kv_len,
        128,
        128,
        causal,
        backward,
    )


@pytest.mark.parametrize("q_len", [1, 5, 128, 300])
@pytest.mark.parametrize("kv_heads", [32, 8, 1])
def test_never_faster_than_the_roofs(q_len, kv_heads):
    run = Bench().run(attention(q_len, 640, kv_heads=kv_heads, causal=q_len > 1))
    assert run.seconds >= run.bound


@pytest.mark.parametrize(("staged", "times"), [("false", 1), ("true", 2)])
def test_decode_reads_the_cache_once_unless_the_program_copies_it_first(staged, times):
    run = Bench(f"staged_attention={staged}").run(attention(1, 1000))
    assert run.read == pytest.approx(times * 2 * 32 * 1000 * 128, rel=0.02)


def test_decode_grows_with_the_context():
    seconds = [Bench().run(attention(1, kv)).seconds for kv in (128, 512, 2048, 8192)]
    assert seconds == sorted(seconds)
    assert seconds[3] > 3 * seconds[2]


def test_shared_heads_share_the_cache_traffic():
    many, few = (Bench().run(attention(1, 2048, kv_heads=kv)) for kv in (32, 8))
    assert few.read < 0.3 * many.read


def test_heads_that_do_not_divide_leave_cores_waiting():
    thirty, thirty_one = (
        Bench("staged_attention=false").run(attention(1, 1024, heads=heads)).seconds
        for heads in (30, 31)
    )
    assert thirty_one == pytest.approx(thirty * 11 / 10, rel=0.03)


def test_a_causal_mask_skips_blocks():
    whole, masked = (Bench().run(attention(1024, 1024, heads=6, causal=c)) for c in (False, True))
    assert 0.5 < masked.seconds / whole.seconds < 0.65
    assert masked.read < 0.8 * whole.read


def test_the_backward_pass_costs_more_and_writes_three_gradients():
    forward, backward = (
        Bench().run(attention(256, 256, heads=6, backward=b)) for b in (False, True)
    )
    assert backward.seconds > forward.seconds
    assert backward.written >= 3 * forward.written


def test_softmax_binds_long_prompts_on_few_lanes():
    work = attention(512, 512, heads=6)
    few, many = (Bench(f"core.special_lanes={lanes}").run(work).seconds for lanes in (4, 64))
    assert few > 2 * many


def test_scores_beyond_the_output_buffer_are_worked_off_in_pieces():
    run = Bench().run(attention(128, 20_000, heads=3))
    assert run.seconds >= run.bound
    assert run.read >= 2 * 3 * 20_000 * 128
