"""What compiled code has beside numba's own operations."""

import numpy as np
import pytest

from simulator.compiled import hot, raise_eight


@hot
def raise_row(array: np.ndarray, place: int, terms: np.ndarray, row: int, base: int) -> None:
    raise_eight(array, place, terms, row, base)


@pytest.mark.parametrize("columns", [8, 11, 64])
@pytest.mark.parametrize("base", [0, 5, -3, 1 << 40])
def test_eight_places_are_raised_at_once(columns, base):
    """Those of one row, and no other place, wherever the rows begin."""
    generator = np.random.default_rng(columns)
    array = generator.integers(-(1 << 50), 1 << 50, size=(5, columns))
    terms = generator.integers(-(1 << 50), 1 << 50, size=(7, 8))
    for place in range(5):
        row = int(generator.integers(7))
        expected = array.copy()
        expected[place, :8] = np.maximum(array[place, :8], terms[row] + base)
        raise_row(array, place, terms, row, base)
        assert np.array_equal(array, expected)


def test_a_term_of_long_ago_raises_nothing():
    array = np.arange(16).reshape(2, 8)
    raise_row(array, 1, np.full((1, 8), -(1 << 40)), 0, 1 << 30)
    assert np.array_equal(array, np.arange(16).reshape(2, 8))


def test_part_of_a_larger_table_is_raised_where_it_lies():
    table = np.zeros((3, 4, 8), np.int64)
    raise_row(table[1], 2, np.arange(8)[None] * 10, 0, 1)
    assert table[1, 2].tolist() == [1, 11, 21, 31, 41, 51, 61, 71]
    assert table.sum() == table[1, 2].sum()
