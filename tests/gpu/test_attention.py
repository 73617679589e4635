"""Fused attention: grouped queries, causal tiles, split decode, batches."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.gpu.mapping.attention_operands import even_steps
from simulator.gpu.mapping.attention_split import parts, prompt_parts
from simulator.gpu.mapping.attention_tiles import tiling

FLASH2 = "chip.sm.attention_instruction=mma.sync"


def test_grouped_queries_load_keys_once(lab: SimpleNamespace) -> None:
    """Eight query heads on one key-value head read what one head reads."""
    many = lab.play(lab.attention(32, 2048, kv_heads=32, dim=128))
    few = lab.play(lab.attention(32, 2048, kv_heads=4, dim=128))
    queries = 2 * 32 * 128
    assert many.dram_read == 2 * 2 * 32 * 2048 * 128 + queries
    assert few.dram_read == 2 * 2 * 4 * 2048 * 128 + queries
    assert few.seconds < many.seconds


def test_decode_loads_each_key_through_one_port(lab: SimpleNamespace) -> None:
    work = lab.attention(16, 4096, kv_heads=4, dim=128)
    played = lab.play(work)
    partial = played.stored - work.bytes_written  # read again by the kernel that joins
    assert played.loaded <= work.bytes_read + partial + 64 * work.reads[0].bytes


def test_decode_splits_a_long_context(lab: SimpleNamespace) -> None:
    """A single head would keep one SM of 108 busy."""
    short = lab.play(lab.attention(1, 64))
    long = lab.play(lab.attention(1, 64 * 64))
    assert len(short.kernels) == 1
    assert long.kernels[1] == "attention join"
    assert long.seconds < 5 * short.seconds


def test_parts_are_those_of_the_libraries(lab: SimpleNamespace) -> None:
    """FlashAttention-2 on 108 SMs fills 216 blocks: 48 heads take 4 parts (0.89 of a wave; one
    part more would be 0.56 of two), 173 none. FlashAttention-3 leaves four tiles alone."""
    ampere, hopper = lab.a100.spec, lab.platform("h100-sxm").spec
    assert parts(ampere, 48, 4096, 128) == 4
    assert parts(ampere, 173, 4096, 128) == 1
    assert parts(ampere, 1, 256, 128) == 2
    assert parts(hopper, 1, 512, 128) == 1
    assert parts(hopper, 1, 1024, 128) == 8
    assert parts(hopper, 66, 131072, 128) == 2
    assert prompt_parts(hopper, 32, 16) == 4
    assert prompt_parts(hopper, 106, 16) == prompt_parts(ampere, 32, 16) == 1


@pytest.mark.parametrize("causal", [False, True])
def test_a_split_prompt_computes_the_same(lab: SimpleNamespace, causal: bool) -> None:
    """Parts load the keys of the whole once, queries once each, and store sums that are joined."""
    work = lab.attention(4, 1024, q_len=1024, dim=128, causal=causal)
    on = lab.platform("h100-sxm")
    split = lab.play(work, on=on)
    count = prompt_parts(on.spec, 32, 8 if causal else 6)
    assert [name.partition(" ")[0] for name in split.kernels] == ["attention"] * 2
    sums = 4 * count * 4 * 1024 * 128
    assert split.stored == sums + work.bytes_written
    assert split.dram_read <= work.bytes_read + 1
    alone = lab.play(work, on=lab.platform("h100-sxm", FLASH2))
    assert split.seconds < alone.seconds


def test_a_joining_block_of_flash_2_waits_for_each_part(lab: SimpleNamespace) -> None:
    """More parts take longer to join, a latency of the L2 each."""
    chip = lab.a100.spec.chip
    work = lab.attention(1, 64 * 128, dim=128)
    assert lab.a100.kernels(work, lab.address)[1].name == "attention join"
    few, many = (lab.play(lab.attention(1, 128 * tiles, dim=128)).seconds for tiles in (16, 64))
    hit = lab.a100.spec.l2.hit_latency_cycles / chip.clock
    assert many - few > (64 - 16) * hit


def test_flash_2_copies_grouped_queries(lab: SimpleNamespace) -> None:
    """Where prompts and key-value heads are several: q and the result, each read and written."""
    count = {
        (batch, kv_heads): len(
            lab.a100.kernels(lab.attention(8, 64, kv_heads=kv_heads, batch=batch), lab.address)
        )
        for batch in (1, 2)
        for kv_heads in (1, 2, 8)
    }
    assert count == {(1, 1): 1, (1, 2): 1, (1, 8): 1, (2, 1): 1, (2, 2): 3, (2, 8): 1}


def test_causal_blocks_begin_anew(lab: SimpleNamespace) -> None:
    """A period of blocks does the same as the next one: heads of FlashAttention-2, prompts of
    later kernels."""
    work = lab.attention(4, 512, q_len=512, dim=128, batch=3, causal=True)
    for name, period in (("a100-sxm-80gb", 8), ("h100-sxm", 16), ("b200", 16)):
        kernel = lab.platform(name).kernels(work, lab.address)[0]
        steps = kernel.tasks[:, 4]
        assert kernel.period == period
        assert (steps.reshape(-1, period) == steps[:period]).all()
        assert np.ptp(steps[:period]) > 0


def test_more_queries_per_key_are_no_cliff(lab: SimpleNamespace) -> None:
    """From fragments of 16 rows to a whole tile of them: the same keys, more products."""
    seconds = [lab.play(lab.attention(2 * rows, 4096, kv_heads=2, dim=128)).seconds
               for rows in (8, 16, 32, 64, 128)]  # fmt: skip
    assert seconds == sorted(seconds)
    assert all(b < 1.8 * a for a, b in pairwise(seconds))


def test_a_wide_decode_block_fits_its_sm(lab: SimpleNamespace) -> None:
    """128 rows with values of 512 elements, as latent attention has."""
    sm = lab.a100.spec.chip.sm
    for dim in (64, 128, 512):
        needs = lab.a100.kernels(lab.attention(128, 4096, kv_heads=1, dim=dim), lab.address)[
            0
        ].needs
        assert needs["registers"] <= sm.registers
        assert needs["shared"] <= sm.shared_memory


def test_causal_is_cheaper_than_full(lab: SimpleNamespace) -> None:
    """Half of the key tiles of a square are skipped; the same DRAM bytes are needed."""
    full = lab.play(lab.attention(64, 2048, q_len=2048))
    causal = lab.play(lab.attention(64, 2048, q_len=2048, causal=True))
    assert 0.45 * full.seconds < causal.seconds < 0.7 * full.seconds
    assert causal.dram_read == pytest.approx(full.dram_read, rel=0.02)
    assert causal.loaded < 0.7 * full.loaded


def test_causal_with_a_cache_skips_only_the_square(lab: SimpleNamespace) -> None:
    """32 new tokens after 4064 old ones: nearly all keys are visible."""
    full = lab.play(lab.attention(16, 4096, q_len=32))
    causal = lab.play(lab.attention(16, 4096, q_len=32, causal=True))
    assert causal.seconds == pytest.approx(full.seconds, rel=0.02)


@pytest.mark.parametrize("q_len", [1, 256])
def test_monotone_in_batch_and_context(lab: SimpleNamespace, q_len: int) -> None:
    base = lab.play(lab.attention(16, 512, q_len=q_len, batch=4)).seconds
    assert lab.play(lab.attention(16, 512, q_len=q_len, batch=16)).seconds > base
    assert lab.play(lab.attention(16, 2048, q_len=q_len, batch=4)).seconds > base


def test_backward_costs_more_than_forward(lab: SimpleNamespace) -> None:
    forward = lab.play(lab.attention(32, 1024, q_len=1024, dim=128))
    backward = lab.play(lab.attention(32, 1024, q_len=1024, dim=128, backward=True))
    assert 1.5 < backward.seconds / forward.seconds < 5


def test_exponentials_can_bind(lab: SimpleNamespace) -> None:
    """With small heads the special-function pipe is the limit, not the products."""
    chain = "chip.sm.softmax_cycles=20"
    fast, slow = (
        lab.platform("a100-sxm-80gb", chain, f"chip.sm.special_lanes={lanes}") for lanes in (16, 4)
    )
    work = lab.attention(64, 1024, q_len=1024, dim=64)
    assert lab.play(work, on=slow).seconds > 1.5 * lab.play(work, on=fast).seconds


@given(length=st.integers(1, 5000), tile=st.integers(1, 200))
def test_steps_cover_the_keys_and_little_more(length: int, tile: int) -> None:
    steps, rows = even_steps(length, tile)
    assert rows <= tile
    assert length <= steps * rows < length + steps


@pytest.mark.parametrize("dim", [64, 128])
@pytest.mark.parametrize("causal", [False, True])
def test_newer_instructions_are_faster(lab: SimpleNamespace, dim: int, causal: bool) -> None:
    """FlashAttention-3 beats FlashAttention-2, which stays below what mma.sync reaches."""
    work = lab.attention(64, 1024, q_len=1024, dim=dim, causal=causal)
    third, second = lab.platform("h100-sxm"), lab.platform("h100-sxm", FLASH2)
    seconds = lab.play(work, on=second).seconds
    assert lab.play(work, on=third).seconds < seconds
    peak = second.spec.matrix_peak("bfloat16") * second.spec.chip.sm.mma_sync
    assert seconds > work.operations["matrix"] / peak


@pytest.mark.parametrize("name", ["a100-sxm-80gb", "h100-sxm", "b200"])
def test_a_causal_square_pays_for_its_diagonal(lab: SimpleNamespace, name: str) -> None:
    """Half of the pairs count, more of the tiles are walked, all of them where there is one."""
    on = lab.platform(name)

    def penalty(length: int) -> float:
        full, causal = (
            lab.play(
                lab.attention(32, length, q_len=length, dim=128, batch=8, causal=masked), on=on
            ).seconds
            for masked in (False, True)
        )
        return float(2 * causal / full)

    short, long = penalty(256), penalty(768)
    assert 1 < long < short <= 2


def test_softmax_that_nothing_hides_takes_longer(lab: SimpleNamespace) -> None:
    work = lab.attention(32, 1024, q_len=1024, dim=128)
    seconds = [
        lab.play(work, on=lab.platform("h100-sxm", f"chip.sm.softmax_exposed={share}")).seconds
        for share in (0.2, 0.6, 1.0)
    ]
    assert seconds[0] < seconds[1] < seconds[2]


def test_hopper_packs_the_heads_of_a_group(lab: SimpleNamespace) -> None:
    """16 queries of 16 heads fill two tiles of 128 rows; elsewhere each head takes its own."""
    work = lab.attention(64, 256, kv_heads=4, q_len=16, dim=128, batch=8)
    keys = work.reads[1].bytes + work.reads[2].bytes
    packed, apart = (lab.play(work, on=lab.platform("h100-sxm", *rest)) for rest in ((), (FLASH2,)))
    assert packed.loaded == 2 * keys + work.reads[0].bytes
    assert apart.loaded == 16 * keys + work.reads[0].bytes


def test_tiles_shrink_to_the_shared_memory(lab: SimpleNamespace) -> None:
    for name in ("t4", "l40s", "a100-sxm-80gb", "h100-sxm", "b200"):
        spec = lab.platform(name).spec
        for dim in (32, 64, 128, 256, 576):
            tile = tiling(spec, lab.attention(32, 1024, q_len=1024, dim=dim))
            taken = 2 * dim * (tile.queries + 2 * tile.stages * tile.keys)
            assert taken <= spec.chip.sm.shared_memory, (name, dim)


def test_decode_blocks_come_in_waves(lab: SimpleNamespace) -> None:
    """On Hopper blocks of grouped heads have an SM to themselves; each pays the look-ups."""
    on = lab.platform("h100-sxm")
    chip = on.spec.chip
    one, four = (
        lab.play(
            lab.attention(4 * waves, 16, kv_heads=waves, dim=128, batch=chip.sms), on=on
        ).seconds
        for waves in (1, 4)
    )
    looked_up = chip.sm.decode_cycles / chip.clock
    assert four - one > 3 * looked_up


def test_backward_adds_the_gradient_of_queries_atomically(lab: SimpleNamespace) -> None:
    """Each tile of keys adds its part in float32, which is cleared before and read after."""
    work = lab.attention(4, 1024, q_len=1024, dim=64, backward=True)
    played = lab.play(work)
    sums = 4 * 4 * 1024 * 64
    tiles = 1024 // 128
    assert played.stored == sums + tiles * sums + work.bytes_written
    assert len(played.kernels) == 3
