"""Kernels of libraries that walk rows: what passes the ports, and what L1 and L2 keep of it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.gpu.mapping.rows import VECTOR_BYTES, softmax_threads, stretches

WALKS = {"norm": 2, "serving": 2, "softmax": 3}


@given(row=st.integers(1, 9000), vectors=st.sampled_from([512, 4096]), singles=st.booleans())
@settings(max_examples=60, deadline=None)
def test_steps_cover_a_row_once(row: int, vectors: int, singles: bool) -> None:
    found = stretches(row, vectors, vectors // 4 if singles else 0)
    places = [one.begin + one.step * i for one in found for i in range(one.count)]
    ends = [one.begin + one.step * (i + 1) for one in found for i in range(one.count)]
    assert [0, *ends[:-1]] == places
    assert ends[-1] == row
    assert all(one.step <= vectors for one in found)


def test_rows_that_are_not_aligned_take_more_steps() -> None:
    def steps(row: int) -> int:
        return sum(one.count for one in stretches(row, 256 * VECTOR_BYTES, 1024))

    assert steps(8192) == 2
    assert steps(8192 + 4) > steps(8192)


@pytest.mark.parametrize(("columns", "threads"), [(1280, 256), (2048, 256), (3072, 512), (64, 32)])
def test_threads_of_softmax(columns: int, threads: int) -> None:
    assert softmax_threads(4, columns) == threads


@pytest.mark.parametrize("library", WALKS)
def test_a_row_passes_the_port_at_most_once_per_walk(lab: SimpleNamespace, library: str) -> None:
    work = replace(lab.rowwise(300, 3000, WALKS[library]), library=library)
    played = lab.play(work)
    assert played.stored == work.bytes_written
    # Parts of sectors at the ends of steps pass more than once.
    assert work.bytes_read <= played.loaded <= 1.2 * WALKS[library] * work.bytes_read
    assert played.dram_read <= work.bytes_read + 2 * lab.SECTOR


def test_l1_saves_later_walks(lab: SimpleNamespace) -> None:
    work = replace(lab.rowwise(2000, 2048), library="norm")
    large = lab.platform("a100-sxm-80gb", "chip.sm.l1=4 MiB")
    small = lab.platform("a100-sxm-80gb", "chip.sm.l1=16 KiB")
    assert lab.play(work, on=large).loaded < lab.play(work, on=small).loaded
    assert lab.play(work, on=small).loaded == 2 * work.bytes_read


def test_what_l2_has_lost_comes_from_memory_again(lab: SimpleNamespace) -> None:
    """16 rows of 16 KiB on each of 108 SMs outgrow a small cache between two walks."""
    work = replace(lab.rowwise(4000, 8192), library="norm")
    small = lab.platform("a100-sxm-80gb", "l2.capacity=5 MiB", "chip.sm.l1=16 KiB")
    assert lab.play(work, on=small).dram_read > 1.5 * work.bytes_read


def test_a_gated_activation_reads_both_halves_of_each_row(lab: SimpleNamespace) -> None:
    elements = 40 * 1792
    work = lab.elementwise(elements)
    work = replace(work, reads=(lab.operand(1, 4 * elements),), rows=40)
    played = lab.play(work)
    assert (played.loaded, played.stored) == (work.bytes_read, work.bytes_written)
