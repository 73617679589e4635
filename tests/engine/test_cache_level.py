"""The cache between ports and DRAM: replacement, sectors, write-back, fills on their way."""

import itertools
from dataclasses import dataclass, field

import pytest
from engine_bench import LINE, SECTOR, Bench, kernel, read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.program import Access, Delay, Loop, Pattern
from simulator.memory.cache import set_of
from simulator.memory.controller.layout import RD, WR

KIB = 1 << 10
WAYS, SETS = 2, 4
SECTORS = LINE // SECTOR
laws = settings(max_examples=40, deadline=None, derandomize=True)


@dataclass
class Line:
    valid: set[int] = field(default_factory=set)
    dirty: set[int] = field(default_factory=set)


class Model:
    """A write-back cache of sectors, written the slow way."""

    def __init__(self) -> None:
        self.sets: list[dict[int, Line]] = [{} for _ in range(SETS)]
        self.hits = self.misses = self.read = self.written = 0

    def access(self, sector: int, is_write: bool) -> None:
        number, place = divmod(sector, SECTORS)
        lines = self.sets[int(set_of(number, SETS))]
        line = lines.pop(number, None)
        if line is None:
            line = Line()
            if len(lines) == WAYS:
                self._evict(lines.pop(next(iter(lines))))
        lines[number] = line
        if is_write or place in line.valid:
            self.hits += 1
        else:
            self.misses += 1
            self.read += SECTOR
        line.valid.add(place)
        if is_write:
            line.dirty.add(place)

    def _evict(self, line: Line) -> None:
        if line.dirty:
            # One run from the first to the last dirty sector.
            self.written += SECTOR * (max(line.dirty) - min(line.dirty) + 1)

    @property
    def dirty_bytes(self) -> int:
        return sum(SECTOR * len(line.dirty) for lines in self.sets for line in lines.values())


accesses = st.lists(st.tuples(st.integers(0, 16 * SECTORS), st.booleans()), max_size=60)


def small(**changes) -> Bench:
    return Bench(capacity=SETS * WAYS * LINE, ways=WAYS, **changes)


@laws
@given(accesses)
def test_hits_misses_fills_and_write_backs_are_those_of_the_model(sequence):
    bench, model = small(), Model()
    steps = [Delay(1)]
    for sector, is_write in sequence:
        model.access(sector, is_write)
        steps.append(Access((write if is_write else read)(SECTOR, sector * SECTOR)))
    played = bench.play(kernel(tuple(steps)))
    bench.settle()
    assert (played.hits, played.misses) == (model.hits, model.misses)
    assert bench.issued(RD) * 32 == model.read
    assert bench.issued(WR) * 32 == model.written


@laws
@given(accesses)
def test_what_is_written_is_in_dram_or_dirty(sequence):
    bench, model = small(), Model()
    for sector, is_write in sequence:
        model.access(sector, is_write)
    bench.play(
        kernel(
            (
                Delay(1),
                *(Access((write if w else read)(SECTOR, s * SECTOR)) for s, w in sequence),
            )
        )
    )
    bench.settle()
    distinct = len({sector for sector, is_write in sequence if is_write}) * SECTOR
    assert bench.issued(WR) * 32 + model.dirty_bytes >= distinct


def scan(size: int, kind: str, base: int = 0) -> tuple:
    pattern = Pattern(kind, "load" if kind == "read" else "store", 512, base,
                      inner=size // 512, inner_stride=512)  # fmt: skip
    return (Access(pattern),)


def test_a_forced_eviction_writes_every_dirty_byte_once():
    capacity = 64 * KIB
    bench = Bench(capacity=capacity)
    bench.time(*scan(32 * KIB, "write"))
    bench.settle()
    assert bench.issued(WR) == 0, "what fits stays"
    bench.time(*scan(4 * capacity, "read", base=1 << 24))
    bench.settle()
    assert bench.issued(WR) * 32 == 32 * KIB
    bench.time(*scan(4 * capacity, "read", base=1 << 26))
    bench.settle()
    assert bench.issued(WR) * 32 == 32 * KIB, "and not a second time"


def test_a_stream_of_writes_leaves_no_more_than_the_cache_behind():
    capacity, size = 16 * KIB, 256 * KIB
    bench = Bench(capacity=capacity)
    bench.time(*scan(size, "write"))
    bench.settle()
    written = bench.issued(WR) * 32
    assert size - capacity <= written <= size
    assert bench.issued(RD) == 0, "whole sectors need no fill"


def test_what_fits_is_read_once_and_what_does_not_is_read_again():
    fits, does_not = Bench(capacity=64 * KIB), Bench(capacity=64 * KIB)
    for _ in range(3):
        fits.time(*scan(32 * KIB, "read"))
        does_not.time(*scan(256 * KIB, "read"))
    assert fits.issued(RD) * 32 == 32 * KIB
    assert does_not.issued(RD) * 32 > 2.9 * 256 * KIB


def test_readers_of_a_line_on_its_way_share_the_fill():
    work = kernel((Access(read(512)),))
    alone = Bench().play(work)
    bench = Bench()
    first, second = bench.together(work, work, at=(0, 10))
    assert bench.dram_bytes == first.dram_read == 512
    assert (first.misses, second.hits) == (16, 16)
    assert first.ns == alone.ns
    # The second waits for the data the first has asked for, and for no more.
    assert alone.ns <= 10 + second.ns < alone.ns + 512 / 32 + 1


def test_only_missing_sectors_are_fetched():
    bench = Bench()
    bench.time(Access(read(SECTOR)))
    assert bench.dram_bytes == SECTOR
    bench.time(Access(read(SECTOR, base=SECTOR)))
    assert bench.dram_bytes == 2 * SECTOR


@pytest.mark.parametrize("tasks", [1, 4, 16])
def test_atomics_to_one_sector_pass_its_slice_one_by_one(tasks):
    bench = Bench(cores=4)
    steps = (Loop(10, (Access(Pattern("atomic", "store", 32)),)),)
    bench.time(*steps)
    assert bench.play(kernel(steps, tasks=tasks)).ns >= tasks * 10 * (1 + 32 / 32)


def test_an_atomic_fetches_what_it_changes_and_leaves_it_dirty():
    bench = small()
    bench.time(Access(Pattern("atomic", "store", 32)))
    assert bench.issued(RD) == 1
    bench.time(*(Access(read(SECTOR, base=LINE * i)) for i in range(1, 4 * SETS * WAYS)))
    bench.settle()
    assert bench.issued(WR) == 1


def test_installed_ranges_hit_and_are_written_back_if_dirty():
    for dirty in (False, True):
        bench = Bench(capacity=64 * KIB)
        bench.device.install("cache", 0, 16 * KIB, dirty)
        assert bench.play(kernel(scan(16 * KIB, "read"))).misses == 0
        bench.time(*scan(256 * KIB, "read", base=1 << 24))
        bench.settle()
        assert bench.issued(WR) * 32 == (16 * KIB if dirty else 0)


def test_a_larger_cache_never_reads_more():
    reads = []
    for ways in (1, 2, 4, 8):
        bench = Bench(capacity=SETS * ways * LINE, ways=ways)
        places = [7 * i % 23 for i in range(200)]
        bench.time(*(Access(read(SECTOR, base=LINE * place)) for place in places))
        reads.append(bench.issued(RD))
    assert all(more >= less for more, less in itertools.pairwise(reads)), reads
    assert reads[0] > reads[-1] == 23


@laws
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_lines_used_long_ago_are_far(sequence):
    """In one set of six: reads of all but the two last used take longer, by just the far latency;
    none goes to DRAM, and which lines are kept is as without a far side."""
    ways, near, far = 6, 2, 70
    bench = Bench(capacity=ways * LINE, ways=ways, near_ways=near, far=far)
    for line in range(ways):
        bench.time(Access(read(SECTOR, base=LINE * line)))
    before = bench.issued(RD)
    hit = bench.time(Access(read(SECTOR, base=LINE * (ways - 1))))
    used = list(range(ways))[::-1]
    for line in sequence:
        place = used.index(line)
        took = bench.time(Access(read(SECTOR, base=LINE * line)))
        assert took == pytest.approx(hit + (far if place >= near else 0))
        used.insert(0, used.pop(place))
    assert bench.issued(RD) == before


def test_far_reads_hold_their_slice_half_as_long_again():
    def busy(near: int) -> int:
        bench = Bench(capacity=8 * LINE, ways=8, near_ways=near, slices=1)
        stream = read(8 * LINE)
        bench.time(Access(stream))
        earlier = bench.device.snapshot()
        bench.time(Access(stream))
        return int(bench.device.snapshot().since(earlier).busy.max())

    # Of a walk through all eight lines every read finds its line the oldest.
    assert busy(near=4) == pytest.approx(1.5 * busy(near=0), rel=0.01)
