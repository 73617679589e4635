"""Patterns touch the bytes their formula names: compared with the formula, spelled out."""

import itertools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from engine_bench import SECTOR, Bench, kernel, read
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine.program import Access, Coordinate, Loop, Pattern, grid

laws = settings(max_examples=60, deadline=None, derandomize=True)
strides = st.integers(0, 3000)
patterns = st.builds(
    Pattern,
    kind=st.just("read"),
    path=st.just("load"),
    chunk=st.integers(1, 1500),
    base=st.integers(0, 5000),
    coordinates=st.tuples(strides, strides),
    loops=st.tuples(strides, strides),
    inner=st.integers(0, 4),
    inner_stride=strides,
    outer=st.integers(1, 3),
    outer_stride=strides,
    limit=st.one_of(st.just(0), st.integers(1, 20_000)),
)
extents = st.tuples(st.integers(1, 3), st.integers(1, 3))


def runs(pattern: Pattern, tasks: tuple[int, ...], loops: tuple[int, ...]) -> Iterator[range]:
    """Byte ranges, one chunk at a time, straight from the formula."""
    for task in itertools.product(*map(range, tasks)):
        for index in itertools.product(*map(range, loops)):
            start = (
                pattern.base
                + int(np.dot(pattern.coordinates, task))
                + int(np.dot(pattern.loops, index))
            )
            for i, j in itertools.product(range(pattern.outer), range(pattern.inner)):
                first = start + i * pattern.outer_stride + j * pattern.inner_stride
                stop = first + pattern.chunk
                yield range(first, min(stop, pattern.limit) if pattern.limit else stop)


def sectors(spans: Iterator[range]) -> set[int]:
    return {s for span in spans if span for s in range(span[0] // SECTOR, span[-1] // SECTOR + 1)}


def units(bench: Bench, name: str) -> int:
    served = bench.device.snapshot().units
    return sum(
        int(u) for owner, u in zip(bench.device.names.owners, served, strict=True) if owner == name
    )


@laws
@given(patterns, extents, extents)
def test_bytes_are_those_of_the_formula(pattern, tasks, loops):
    bench = Bench()
    steps = (Loop(loops[0], (Loop(loops[1], (Access(pattern),)),)),)
    bench.play(kernel(steps, tasks=grid(*tasks)))
    assert bench.touched() == sectors(runs(pattern, tasks, loops))
    assert units(bench, "load") == sum(len(span) for span in runs(pattern, tasks, loops))


@laws
@given(st.lists(st.integers(0, 500), min_size=1, max_size=40), st.integers(1, 300))
def test_an_indexed_pattern_touches_the_rows_its_index_names(rows, chunk):
    bench = Bench()
    index = np.array(rows)
    pattern = Pattern(
        "read", "load", chunk, base=64, inner=len(rows), inner_stride=320, index=index
    )
    bench.time(Access(pattern))
    assert bench.touched() == sectors(range(64 + row * 320, 64 + row * 320 + chunk) for row in rows)


@laws
@given(st.integers(1, 40), st.integers(1, 1200), st.integers(1, 4000))
def test_an_index_that_counts_equals_a_stride(count, chunk, stride):
    affine = Pattern("read", "load", chunk, inner=count, inner_stride=stride)
    indexed = replace(affine, index=np.arange(count))
    first, second = Bench(), Bench()
    assert first.time(Access(affine)) == second.time(Access(indexed))
    assert first.touched() == second.touched()
    assert first.dram_bytes == second.dram_bytes


def test_tasks_take_their_stretch_of_an_index():
    index = np.array([9, 3, 7, 1, 4, 4])
    pattern = Pattern("read", "load", 32, coordinates=(2,), inner=2, inner_stride=128, index=index)
    bench = Bench()
    bench.play(kernel((Access(pattern),), tasks=2))
    assert bench.touched() == {row * 4 for row in (9, 3, 7, 1)}


def test_two_indices_do_not_mix():
    first, second = np.array([1, 2]), np.array([30, 40, 50])
    steps = [
        Access(Pattern("read", "load", 32, inner=len(i), inner_stride=128, index=i))
        for i in (first, second)
    ]
    bench = Bench()
    bench.together(kernel((steps[0],)), kernel((steps[1],)))
    assert bench.touched() == {row * 4 for row in (1, 2, 30, 40, 50)}


def test_counts_may_come_from_the_task():
    tasks = np.array([[0, 0, 2], [0, 4096, 5]])
    pattern = read(32, coordinates=(1,), inner=Coordinate(1), inner_stride=128)
    bench = Bench()
    bench.play(kernel((Access(pattern),), tasks=tasks))
    assert bench.touched() == {4 * i for i in range(2)} | {128 + 4 * i for i in range(5)}


def test_look_ahead_changes_when_not_what():
    pattern = read(777, inner=50, inner_stride=1111)
    exact, fast = Bench(), Bench(lookahead=100)
    for bench in (exact, fast):
        bench.play(kernel((Access(pattern),)))
    assert exact.touched() == fast.touched()
    assert exact.dram_bytes == fast.dram_bytes
