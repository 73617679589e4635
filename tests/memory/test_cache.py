"""Tags against a list kept in order of use: residence, replacement, lines on their way."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.memory.cache import (
    DIRTY_SHIFT,
    LINE_SHIFT,
    PLACE_MASK,
    PLACE_SHIFT,
    VALID,
    Cache,
    empty,
    find,
    install,
    replace,
    set_of,
)

SETS, WAYS = 3, 4
laws = settings(max_examples=100, deadline=None, derandomize=True)
lines = st.lists(st.integers(0, 40), max_size=200)


def fresh(sets: int = SETS, ways: int = WAYS) -> Cache:
    return Cache(empty(sets * ways, ways), np.zeros(sets * ways, dtype=np.int64))


def resident(cache: Cache, base: int, ways: int = WAYS) -> list[int]:
    """Line numbers of one set, most recently used first."""
    words = cache.word[base : base + ways] >> LINE_SHIFT
    return [int(line) for line in words if line >= 0]


class Tags:
    """The model: each set is a list of lines, most recently used first."""

    def __init__(self) -> None:
        self.sets: list[list[int]] = [[] for _ in range(SETS)]

    def touch(self, line: int, number: int, pinned: frozenset[int] = frozenset()) -> bool:
        ways = self.sets[number]
        hit = line in ways
        if hit:
            ways.remove(line)
        elif len(ways) == WAYS:
            victims = [old for old in reversed(ways) if old not in pinned]
            if not victims:
                return False
            ways.remove(victims[0])
        ways.insert(0, line)
        return hit


def touch(cache: Cache, line: int) -> bool:
    base = int(set_of(line, SETS)) * WAYS
    hit = find(cache, base, WAYS, line) >= 0
    if not hit:
        replace(cache, base, WAYS, line)
    return hit


@laws
@given(lines)
def test_hits_and_order_are_those_of_least_recently_used(sequence):
    cache, model = fresh(), Tags()
    for line in sequence:
        assert touch(cache, line) == model.touch(line, int(set_of(line, SETS)))
    for number in range(SETS):
        assert resident(cache, number * WAYS) == model.sets[number]


@laws
@given(lines, st.sets(st.integers(0, 40), max_size=10))
def test_a_line_on_its_way_is_never_replaced(sequence, pending):
    cache, model = fresh(), Tags()
    for line in sequence:
        number = int(set_of(line, SETS))
        expected = model.touch(line, number, frozenset(pending))
        assert touch(cache, line) == expected
        base = number * WAYS
        if line in pending and cache.word[base] >> LINE_SHIFT == line:
            place = (int(cache.word[base]) >> PLACE_SHIFT) & PLACE_MASK
            cache.ready[base + place] = -1 - 7
    for number in range(SETS):
        assert resident(cache, number * WAYS) == model.sets[number]


def test_a_set_that_is_wholly_on_its_way_takes_no_line():
    cache = fresh()
    cache.ready[:] = -1
    before = cache.word.copy()
    assert replace(cache, 0, WAYS, 5) == -1
    assert (cache.word == before).all()


@laws
@given(lines)
def test_every_way_keeps_its_own_place(sequence):
    cache = fresh()
    for line in sequence:
        touch(cache, line)
    places = (cache.word >> PLACE_SHIFT) & PLACE_MASK
    for number in range(SETS):
        base = number * WAYS
        assert sorted(places[base : base + WAYS]) == list(range(WAYS))


def test_what_is_replaced_comes_back_with_its_dirty_sectors():
    cache = fresh(1)
    install(cache, 0, 1, WAYS, 10, 11, True)
    for line in range(WAYS - 1):
        replace(cache, 0, WAYS, line)
    old = int(replace(cache, 0, WAYS, 99))
    assert old >> LINE_SHIFT == 10
    assert (old >> DIRTY_SHIFT) & VALID == VALID
    assert cache.word[0] & (VALID | VALID << DIRTY_SHIFT) == 0, "a new line has no sectors"


@pytest.mark.parametrize("dirty", [False, True])
def test_install_makes_whole_lines_resident_and_most_recent(dirty):
    cache = fresh()
    install(cache, 0, SETS, WAYS, 100, 108, dirty)
    for line in range(100, 108):
        base = int(set_of(line, SETS)) * WAYS
        assert line in resident(cache, base)
    sectors = cache.word[cache.word >> LINE_SHIFT >= 0] & (VALID | VALID << DIRTY_SHIFT)
    assert set(sectors.tolist()) == {VALID | (VALID << DIRTY_SHIFT if dirty else 0)}


@pytest.mark.parametrize("sets", [1000, 4096, 20480])
@pytest.mark.parametrize("stride", [1, 2, 64, 4096, 65536])
def test_strides_spread_over_sets(sets, stride):
    count = 4 * sets
    load = np.bincount([int(set_of(i * stride, sets)) for i in range(count)], minlength=sets)
    assert load.sum() == count
    assert load.max() <= 16, "a stride camps on few sets"
