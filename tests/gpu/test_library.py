"""Kernels of products against those that a library ran: cuBLAS 13 on an H200, by profiles of 360
products (``validation/measured/h200-sxm/kernels.csv``).

Choosing is not fitted to these: of many kernels that take the same time within a percent either
may be chosen. So what is held is what decides the time: whether K is split, how many blocks there
are, and that a kernel of the library's is never much better by our own estimate.
"""

import itertools
import math
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from simulator.gpu.mapping import tiles
from simulator.gpu.mapping.tiles import Problem
from simulator.gpu.spec import GpuSpec
from simulator.system.specs import load_hardware

MEASURED = Path(__file__).parents[2] / "validation" / "measured"
NAME = re.compile(r"nvjet_sm90_tst_(\d+)x(\d+)_")


def chosen(spec: GpuSpec, folder: str) -> pd.DataFrame:
    """Rows of (our tile and the library's: sides, parts of K, blocks) by product."""
    frame = pd.read_csv(MEASURED / folder / "kernels.csv")
    frame = frame[(frame.op == "gemm") & (frame.place == 0)]
    rows = []
    for row in frame.itertuples():
        m, n, k = int(row.m), int(row.n), int(row.k)
        columns, lines = (int(side) for side in NAME.match(row.kernel).groups())
        count = math.ceil(m / lines) * math.ceil(n / columns)
        grid = math.prod(int(extent) for extent in row.grid.split("x"))
        split = max(1, grid // count) if "splitK" in row.kernel else 1
        ours = tiles.choose(spec, Problem(1, m, n, k, 2, 2, 2, spec.matrix_peak("bfloat16")))
        blocks = math.ceil(m / ours.m) * math.ceil(n / ours.n) * ours.split
        rows.append((ours.split, split, blocks, count * split, ours.m * ours.n, lines * columns))
    names = ("split", "library_split", "blocks", "library_blocks", "area", "library_area")
    return pd.DataFrame(rows, columns=names)


@pytest.fixture(scope="module")
def choices() -> pd.DataFrame:
    return chosen(load_hardware("h200-sxm").spec, "h200-sxm")


def test_k_is_split_where_the_library_splits_it(choices: pd.DataFrame) -> None:
    same = (choices.split > 1) == (choices.library_split > 1)
    assert same.mean() > 0.85


def test_parts_of_k_are_one_wave_as_the_librarys_are(choices: pd.DataFrame) -> None:
    assert choices.library_blocks[choices.library_split > 1].max() <= 132
    assert choices.blocks[choices.split > 1].max() <= 132


def test_waves_are_the_librarys(choices: pd.DataFrame) -> None:
    ours, library = (np.ceil(choices[name] / 132) for name in ("blocks", "library_blocks"))
    assert (ours == library).mean() > 0.75


def test_tiles_are_of_the_librarys_size(choices: pd.DataFrame) -> None:
    ratio = choices.area / choices.library_area
    assert 0.8 < ratio.median() < 1.25
    assert ratio.between(0.45, 2.2).mean() > 0.9


def test_a_tile_takes_all_stages_that_no_block_beside_it_needs(lab: SimpleNamespace) -> None:
    """Up to a ring's length, and to what an SM has: 13 of 64x64 in the library, 16 of 64x16."""
    spec = lab.platform("h200-sxm").spec
    sm = spec.chip.sm
    for m, n, k in itertools.product((1, 64, 300, 1024), (512, 1024, 4096), (512, 4096)):
        tile = tiles.choose(spec, Problem(1, m, n, k, 2, 2, 2, spec.matrix_peak("bfloat16")))
        if math.ceil(m / tile.m) * math.ceil(n / tile.n) * tile.split > spec.chip.sms:
            continue
        stage = (tile.m + tile.n) * tile.k_bytes
        assert tile.stages == min(sm.shared_memory // stage, sm.ring // tile.k_bytes)
