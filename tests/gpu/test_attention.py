"""Fused attention: grouped queries, causal tiles, split decode, batches."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest


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
    assert long.kernels[1] == "elementwise"
    assert long.seconds < 5 * short.seconds


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
