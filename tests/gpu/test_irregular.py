"""Gather, scatter and sparse products: locality is that of the recorded numbers."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

ROWS = 1 << 17
ROW_BYTES = 512
"""A table of 64 MiB, well beyond the L2."""


def random(rows: int, count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, rows, count)


def test_the_same_rows_in_another_order_cost_what_the_order_is_worth(
    lab: SimpleNamespace,
) -> None:
    """Each row eight times: in a run, each is fetched once; shuffled, they miss."""
    runs = np.repeat(np.arange(ROWS // 2), 2)
    shuffled = np.random.default_rng(2).permutation(runs)
    near, far = (lab.play(lab.gather(index, ROW_BYTES, ROWS)) for index in (runs, shuffled))
    assert far.dram_read > 1.3 * near.dram_read
    assert far.seconds > near.seconds
    assert far.loaded == near.loaded


def test_a_table_in_the_cache_does_not_care(lab: SimpleNamespace) -> None:
    runs = np.repeat(np.arange(2048), 8)
    shuffled = np.random.default_rng(2).permutation(runs)
    near, far = (lab.play(lab.gather(index, ROW_BYTES, 2048)) for index in (runs, shuffled))
    assert far.dram_read == near.dram_read


def test_missing_numbers_are_seeded_uniform_ones(lab: SimpleNamespace) -> None:
    work = lab.gather(random(ROWS, 5000), ROW_BYTES, ROWS)
    unknown = replace(work, index=None)
    first, second = lab.play(unknown), lab.play(unknown)
    assert first == second
    assert first.dram_read == pytest.approx(lab.play(work).dram_read, rel=0.03)


def test_atomics_read_what_they_add_to(lab: SimpleNamespace) -> None:
    index = random(ROWS, 20_000)
    added = lab.play(lab.scatter(index, ROW_BYTES, ROWS))
    written = lab.play(lab.scatter(index, ROW_BYTES, ROWS, atomic=False))
    table = len(np.unique(index)) * ROW_BYTES
    assert added.dram_read - written.dram_read == pytest.approx(table, rel=0.02)
    assert added.seconds > written.seconds


def test_atomics_on_one_row_serialize(lab: SimpleNamespace) -> None:
    spread = lab.play(lab.scatter(np.arange(20_000), 64, 20_000))
    single = lab.play(lab.scatter(np.zeros(20_000, dtype=np.int64), 64, 20_000))
    assert single.seconds > 2 * spread.seconds


def test_recorded_numbers_are_never_extrapolated(lab: SimpleNamespace) -> None:
    """Half of this index stays on one row: neither half stands for the other."""
    index = np.concatenate([np.zeros(ROWS, dtype=np.int64), random(ROWS, ROWS)])
    work = lab.gather(index, ROW_BYTES, ROWS)
    assert lab.play(work, exact=False).simulated_share == 1.0


def test_sparse_product_visits_every_neighbour(lab: SimpleNamespace) -> None:
    """A hub with half of all edges, and rows without any."""
    rows, nonzeros, width = 1000, 20_000, 32
    degree = np.zeros(rows, dtype=np.int64)
    degree[7] = nonzeros // 2
    degree[500:] = nonzeros // 2 // 500
    indptr = np.concatenate([[0], np.cumsum(degree)])
    work = lab.sparse(indptr, random(rows, nonzeros), rows, width)
    played = lab.play(work)
    assert played.stored == work.bytes_written
    gathered = nonzeros * 4 * width
    assert gathered < played.loaded < gathered + 3 * (work.reads[1].bytes + work.reads[2].bytes)


def test_a_hub_delays_its_block(lab: SimpleNamespace) -> None:
    """One block per row of neighbours: a row with all edges is one long block."""
    rows, nonzeros = 1000, 50_000
    indices = random(rows, nonzeros)
    even = np.arange(rows + 1) * (nonzeros // rows)
    hub = np.where(np.arange(rows + 1) == 0, 0, nonzeros)
    assert (
        lab.play(lab.sparse(hub, indices, rows, 32)).seconds
        > 3 * lab.play(lab.sparse(even, indices, rows, 32)).seconds
    )
