"""Laws of every mapping: bytes are conserved, no roof is broken, DRAM sees each first touch."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.trace.work import GroupedGemm, SparseDense, Work

FEW = settings(max_examples=25, deadline=None)
small = st.integers(1, 300)


def check(lab: SimpleNamespace, work: Work) -> SimpleNamespace:
    """Play a work on a cold machine and hold it to what every work must obey."""
    played = lab.play(work)
    reads = sum(operand.bytes for operand in work.reads)
    assert played.loaded >= reads
    assert played.dram_read >= reads
    # Each operand's first and last sector may be shared with bytes it does not own.
    assert played.hits + played.misses >= math.ceil(reads / lab.SECTOR)
    for limit in lab.a100.limits(work, reads):
        assert played.seconds >= limit.seconds, limit
    # What DRAM has got was stored before; the rest is still in the cache.
    assert played.dram_written <= played.stored + lab.SECTOR * 2 * len(work.writes)
    return played


class TestBytes:
    """A port passes exactly the bytes of the operands that it must pass."""

    @given(m=small, n=small, k=st.integers(1, 600), batch=st.integers(1, 3))
    @FEW
    def test_gemm(self, lab: SimpleNamespace, m: int, n: int, k: int, batch: int) -> None:
        work = lab.gemm(m, n, k, batch)
        played = check(lab, work)
        if "split" not in played.kernels[0]:
            assert played.stored == work.bytes_written
        # Only sectors at the ends of operands have bytes that nobody needs.
        assert played.dram_read <= work.bytes_read + 4 * lab.SECTOR

    @given(rows=st.lists(st.integers(0, 90), min_size=1, max_size=5), n=small, k=small)
    @FEW
    def test_grouped_gemm(self, lab: SimpleNamespace, rows: list[int], n: int, k: int) -> None:
        if not sum(rows):
            assert not lab.a100.kernels(lab.grouped(tuple(rows), n, k), lab.address)
            return
        work = lab.grouped(tuple(rows), n, k)
        played = check(lab, work)
        assert played.stored == work.bytes_written
        # Rows of weights come in fours, and may reach into the next expert's.
        spare = (4 + 2 * len(rows)) * lab.SECTOR + 3 * 2 * k * sum(map(bool, rows))
        assert played.dram_read <= work.bytes_read + spare

    @given(
        kv_heads=st.integers(1, 4),
        group=st.sampled_from([1, 2, 4]),
        q_len=st.sampled_from([1, 3, 40, 200]),
        kv_len=st.integers(1, 600),
        causal=st.booleans(),
    )
    @FEW
    def test_attention(
        self, lab: SimpleNamespace, kv_heads: int, group: int, q_len: int, kv_len: int, causal: bool
    ) -> None:
        kv_len = max(kv_len, q_len)
        work = lab.attention(
            kv_heads * group, kv_len, kv_heads=kv_heads, q_len=q_len, causal=causal
        )
        played = check(lab, work)
        assert played.dram_read <= work.bytes_read + 4 * lab.SECTOR
        if len(played.kernels) == 1:
            assert played.stored == work.bytes_written

    @given(
        m=small, n=small, k=st.sampled_from([16, 70, 9000]), batch=st.integers(1, 3),
        extra=st.sampled_from(["bias", "one c", "c", "two"]),
    )  # fmt: skip
    @FEW
    def test_what_a_product_adds(
        self, lab: SimpleNamespace, m: int, n: int, k: int, batch: int, extra: str
    ) -> None:
        """A bias row, a C for all products or for each, in float32; split-K or not."""
        rows = {"bias": 1, "one c": m, "c": m * batch, "two": m * batch}[extra]
        more = [lab.operand(8, 4 * rows * n, 32), lab.operand(9, 2 * n)]
        work = lab.gemm(m, n, k, batch)
        check(lab, replace(work, reads=(*work.reads, *more[: 1 + (extra == "two")])))

    @given(rows=st.lists(st.integers(1, 90), min_size=1, max_size=4), n=small)
    @FEW
    def test_bias_of_experts(self, lab: SimpleNamespace, rows: list[int], n: int) -> None:
        work = lab.grouped(tuple(rows), n, 64)
        check(lab, replace(work, reads=(*work.reads, lab.operand(8, 2 * len(rows) * n))))

    @given(
        heads=st.sampled_from([1, 4, 12]),
        q_len=st.sampled_from([1, 3, 40, 200]),
        kv_len=st.integers(1, 600),
        mask_of=st.sampled_from(["keys", "head", "heads"]),
        causal=st.booleans(),
    )
    @FEW
    def test_masks(
        self, lab: SimpleNamespace, heads: int, q_len: int, kv_len: int, mask_of: str, causal: bool
    ) -> None:
        kv_len = max(kv_len, q_len)
        work = lab.attention(heads, kv_len, kv_heads=1, q_len=q_len, causal=causal)
        rows = {"keys": 1, "head": q_len, "heads": heads * q_len}[mask_of]
        check(lab, replace(work, reads=(*work.reads, lab.operand(8, 2 * rows * kv_len))))

    @given(heads=st.integers(1, 5), q_len=st.integers(1, 300), masked=st.booleans())
    @FEW
    def test_backward(self, lab: SimpleNamespace, heads: int, q_len: int, masked: bool) -> None:
        """dO and O, sums padded to 32 rows, a seed, perhaps a mask."""
        work = lab.attention(heads, q_len, q_len=q_len, backward=True)
        sizes = [*2 * (work.reads[0].bytes,), 4 * heads * -(-q_len // 32) * 32, 8]
        sizes += [2 * heads * q_len * q_len] * masked
        more = [lab.operand(8 + i, size, 32 if i == 2 else 16) for i, size in enumerate(sizes)]
        check(lab, replace(work, reads=(*work.reads, *more)))

    @given(elements=st.integers(1, 200_000), inputs=st.integers(1, 3), outputs=st.integers(1, 2))
    @FEW
    def test_elementwise(
        self, lab: SimpleNamespace, elements: int, inputs: int, outputs: int
    ) -> None:
        work = lab.elementwise(elements, inputs, outputs)
        played = check(lab, work)
        assert (played.loaded, played.stored) == (work.bytes_read, work.bytes_written)

    @given(sizes=st.lists(st.integers(1, 30_000), min_size=9, max_size=14))
    @FEW
    def test_multi_tensor(self, lab: SimpleNamespace, sizes: list[int]) -> None:
        """Tails of tensors take whole sectors."""
        reads = tuple(lab.operand(1 + i, size) for i, size in enumerate(sizes))
        work = lab.elementwise(1).__class__(reads, reads[:3], sum(sizes) // 2)
        played = check(lab, work)
        sectors = [lab.SECTOR * math.ceil(size / lab.SECTOR) for size in sizes]
        assert (played.loaded, played.stored) == (sum(sectors), sum(sectors[:3]))

    @given(rows=st.integers(1, 400), columns=st.integers(1, 3000))
    @FEW
    def test_rows_on_chip(self, lab: SimpleNamespace, rows: int, columns: int) -> None:
        work = lab.rowwise(rows, columns)
        played = check(lab, work)
        assert (played.loaded, played.stored) == (work.bytes_read, work.bytes_written)

    @given(seed=st.integers(0, 999), rows=small, row_bytes=st.sampled_from([4, 64, 100, 512]))
    @FEW
    def test_gather_and_scatter(
        self, lab: SimpleNamespace, seed: int, rows: int, row_bytes: int
    ) -> None:
        """Every row once through the port, repeated ones from the cache."""
        index = np.random.default_rng(seed).integers(0, 150, rows)
        fetched = check(lab, lab.gather(index, row_bytes, 150))
        assert fetched.loaded == rows * (row_bytes + 8)
        assert fetched.stored == rows * row_bytes
        for atomic in (True, False):
            played = check(lab, lab.scatter(index, row_bytes, 150, atomic))
            assert played.loaded == rows * (row_bytes + 8)
            assert played.stored == rows * row_bytes

    @given(seed=st.integers(0, 999), rows=small, nonzeros=st.integers(1, 900))
    @FEW
    def test_sparse_dense(self, lab: SimpleNamespace, seed: int, rows: int, nonzeros: int) -> None:
        generator = np.random.default_rng(seed)
        cuts = np.sort(generator.integers(0, nonzeros + 1, rows - 1))
        indptr = np.concatenate([[0], cuts, [nonzeros]])
        work = lab.sparse(indptr, generator.integers(0, rows, nonzeros), rows, 16)
        # The last pointer is not read: a row's end is the next row's beginning.
        lean = SparseDense((work.reads[0], *work.reads[2:]), work.writes)
        played = lab.play(work)
        assert played.stored == work.bytes_written
        assert played.loaded >= nonzeros * (work.row_bytes + 8)
        assert played.dram_read >= lean.bytes_read
        for limit in lab.a100.limits(work, lean.bytes_read):
            assert played.seconds >= limit.seconds


class TestChecksCanFail:
    """A machine that is faster than its data sheet breaks the laws above."""

    def test_faster_memory_breaks_the_dram_roof(self, lab: SimpleNamespace) -> None:
        fast = lab.Bench(lab.platform("a100-sxm-80gb", "memory.organization.stacks=10"))
        work = lab.elementwise(1 << 25, outputs=0)
        limits = lab.a100.limits(work, work.bytes_read)
        assert fast.play(work).seconds < max(limit.seconds for limit in limits)

    def test_overlapping_experts_would_read_too_little(self, lab: SimpleNamespace) -> None:
        """Operands that claim half of their bytes leave compulsory bytes unread."""
        work = lab.grouped((40, 0, 40), 64, 64)
        a, b = work.reads
        squeezed = GroupedGemm(
            (a, lab.operand(2, b.bytes // 2)), work.writes, work.rows, work.n, work.k
        )
        assert lab.play(squeezed).dram_read < work.bytes_read


def test_second_use_comes_from_the_cache(lab: SimpleNamespace) -> None:
    bench, work = lab.Bench(lab.a100), lab.elementwise(1 << 20)
    cold, warm = bench.play(work), bench.play(work)
    assert warm.seconds < cold.seconds
    assert warm.dram_read == 0
    assert cold.dram_read == work.bytes_read


def test_cache_keeps_no_more_than_its_usable_part(lab: SimpleNamespace) -> None:
    bench = lab.Bench(lab.a100)
    work = lab.elementwise(lab.a100.cache_bytes // 2 * 2, outputs=0)  # twice the cache
    bench.play(work)
    assert bench.play(work).dram_read > work.bytes_read - lab.a100.cache_bytes


def test_a_whole_mask_and_a_whole_c_are_on_the_clock(lab: SimpleNamespace) -> None:
    """Operands beside the three and two usual ones, larger than all of those."""
    scores = lab.attention(8, 4096, q_len=1024)
    masked = replace(scores, reads=(*scores.reads, lab.operand(8, 2 * 8 * 1024 * 4096)))
    assert check(lab, masked).seconds > lab.play(scores).seconds
    outer = lab.gemm(4096, 4096, 16)
    added = replace(outer, reads=(*outer.reads, lab.operand(8, 4 * 4096 * 4096, 32)))
    played = check(lab, added)
    assert played.loaded - lab.play(outer).loaded == added.reads[2].bytes


@pytest.mark.parametrize("kind", ["elementwise", "rowwise"])
def test_long_rows_are_read_once_per_pass(lab: SimpleNamespace, kind: str) -> None:
    if kind == "rowwise":
        work = lab.rowwise(4, 1 << 17, passes=3)
        played = lab.play(work)
        assert played.loaded == 3 * work.bytes_read
        assert played.stored == work.bytes_written
        assert len(played.kernels) == 3
    else:
        work = lab.elementwise(1 << 19)
        assert lab.play(work).loaded == work.bytes_read


def test_a_pass_over_long_rows_begins_after_the_one_before(lab: SimpleNamespace) -> None:
    """Rows larger than the cache come from DRAM in each pass: no block has a row's sum
    while other parts of the row are still to be read."""
    small = lab.platform("a100-sxm-80gb", "l2.capacity=5 MiB")
    work = lab.rowwise(2, 1 << 22, passes=2)
    assert lab.play(work, on=small).dram_read >= 1.5 * work.bytes_read


def test_few_long_rows_are_reduced_in_parts(lab: SimpleNamespace) -> None:
    """One row on one SM would take as long as 108 of them on 108."""
    one = lab.play(lab.reduction(1, 1 << 22))
    assert len(one.kernels) == 2
    assert one.seconds < 3 * lab.play(lab.elementwise(1 << 22, outputs=0)).seconds


def test_sectors_at_hand_are_not_fetched_again(lab: SimpleNamespace) -> None:
    """Rows of 130 bytes begin and end inside sectors that neighbours share."""
    work = lab.gemm(64, 16, 65)
    assert lab.play(work).dram_read <= work.bytes_read + 4 * lab.SECTOR
