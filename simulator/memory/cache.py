"""Tags of a sectored, set-associative, write-back cache with least-recently-used
replacement.

A set is a row of words kept in order of use, most recent first.  A word packs the
line number, the *place* of the line's data and its valid and dirty sectors (at most
four of each).  Each place knows when its data is there: ``ready`` holds the time, or,
while it is on its way, ``-1 - request``, so that later accesses join the same fill.
Sets are indexed modulo any number, with the upper address bits folded in, so that
strides of a power of two do not camp on few sets.

Most of the cost of a look-up is reaching the set in the host's own caches, hence one
compact array for everything a search needs.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.compiled import Int, hot, inlined

MAX_SECTORS = 4
VALID = 0xF
DIRTY_SHIFT = 4
PLACE_SHIFT = 8
PLACE_MASK = 0xFF
LINE_SHIFT = 16
EMPTY_LINE = -1


class Cache(NamedTuple):
    """Lines of all caches of a machine; a cache is (first line, sets, ways)."""

    word: np.ndarray  # (lines,) line << 16 | place << 8 | dirty << 4 | valid
    ready: np.ndarray  # (lines,) femtoseconds, or -1 - request


def empty(lines: int, ways: int) -> np.ndarray:
    """Words of ``lines`` empty lines in sets of ``ways``."""
    places = np.arange(lines, dtype=np.int64) % ways
    return (np.int64(EMPTY_LINE) << LINE_SHIFT) | (places << PLACE_SHIFT)


@inlined
def set_of(line: Int, sets: Int) -> Int:
    upper = line // sets
    return (line + (upper ^ (upper >> 5)) * 97) % sets


@inlined
def find(cache: Cache, base: Int, ways: Int, line: Int) -> Int:
    """Bring ``line`` to the front of its set; returns how many lines of the set had been used
    since it was, or -1 if it is not there."""
    for age in range(ways):
        position = base + age
        word = cache.word[position]
        if word >> LINE_SHIFT == line:
            while position > base:
                cache.word[position] = cache.word[position - 1]
                position -= 1
            cache.word[base] = word
            return np.int64(age)
    return np.int64(-1)


@inlined
def replace(cache: Cache, base: Int, ways: Int, line: Int) -> Int:
    """Put ``line``, without valid sectors, to the front of its set in place of the least
    recently used line whose data is not on its way. Returns the word that was there,
    or -1 if the whole set is on its way."""
    position = base + ways - 1
    while position >= base:
        word = cache.word[position]
        if cache.ready[base + ((word >> PLACE_SHIFT) & PLACE_MASK)] >= 0:
            break
        position -= 1
    if position < base:
        return np.int64(-1)
    old = cache.word[position]
    while position > base:
        cache.word[position] = cache.word[position - 1]
        position -= 1
    place = (old >> PLACE_SHIFT) & PLACE_MASK
    cache.word[base] = (line << LINE_SHIFT) | (place << PLACE_SHIFT)
    cache.ready[base + place] = 0
    return old


@hot
def install(
    cache: Cache, first: Int, sets: Int, ways: Int, line: Int, stop: Int, dirty: bool
) -> None:
    """Place whole lines ``line`` to before ``stop`` without traffic: restores the state
    that work which was reused instead of simulated would have left."""
    while line < stop:
        base = first + set_of(line, sets) * ways
        present = find(cache, base, ways, line) >= 0
        if not present:
            present = replace(cache, base, ways, line) != -1
        if present:
            cache.word[base] |= VALID | (VALID << DIRTY_SHIFT if dirty else 0)
        line += 1
