from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.trace.dependencies import dependencies
from simulator.trace.schema import Header, Trace
from simulator.trace.work import Operand, View, Work

TRACE = Trace(Header("test", "test", "forward", {}), {}, [])


def operand(storage: int, start: int, end: int) -> Operand:
    return Operand(storage, start, end - start, 8, "int8", "activation", end - start)


def work(reads=(), writes=()) -> Work:
    return Work(tuple(operand(*r) for r in reads), tuple(operand(*w) for w in writes))


accesses = st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 12)).map(
    lambda a: (a[0], min(a[1:]), max(a[1:]))
)
programs = st.lists(
    st.builds(work, st.lists(accesses, max_size=3), st.lists(accesses, max_size=2)), max_size=25
)


def overlap(a: Operand, b: Operand) -> bool:
    return a.storage == b.storage and max(a.offset, b.offset) < min(
        a.offset + a.span, b.offset + b.span
    )


def conflict(first: Work, second: Work) -> bool:
    """Brute force: some byte is touched by both and written by one."""
    return any(
        overlap(a, b)
        for mine, others in (
            (first.writes, second.reads + second.writes),
            (first.reads, second.writes),
        )
        for a in mine
        for b in others
    )


def ancestors(awaited):
    """Everything an operator waits for, directly or not."""
    known = []
    for others in awaited:
        reach = set(others)
        for earlier in others:
            reach |= known[earlier]
        known.append(reach)
    return known


@given(programs)
def test_they_are_the_conflicts_of_a_brute_force_checker(works):
    awaited = dependencies(TRACE, works)
    conflicts = [
        tuple(i for i in range(j) if conflict(works[i], works[j])) for j in range(len(works))
    ]
    assert ancestors(awaited) == ancestors(conflicts)
    for mine, all_conflicts in zip(awaited, conflicts, strict=True):
        assert set(mine) <= set(all_conflicts), "waits for an operator it shares nothing with"


@given(programs)
def test_nobody_waits_twice(works):
    awaited = dependencies(TRACE, works)
    for others in awaited:
        assert not {e for other in others for e in awaited[other]} & set(others)


def test_readers_do_not_wait_for_each_other():
    works = [work(writes=[(0, 0, 8)]), *(work(reads=[(0, 0, 8)]) for _ in range(3))]
    assert dependencies(TRACE, works) == [(), (0,), (0,), (0,)]


def test_a_writer_waits_for_all_readers():
    works = [work(writes=[(0, 0, 8)]), work(reads=[(0, 0, 4)]), work(reads=[(0, 4, 8)])]
    works.append(work(writes=[(0, 0, 8)]))
    assert dependencies(TRACE, works)[3] == (1, 2)


def test_disjoint_windows_are_independent():
    works = [work(writes=[(0, 0, 4)]), work(writes=[(0, 4, 8)]), work(reads=[(0, 4, 6)])]
    assert dependencies(TRACE, works) == [(), (), (1,)]


def test_views_are_transparent():
    works = [work(writes=[(0, 0, 8)]), View((), ()), work(reads=[(0, 0, 8)])]
    assert dependencies(TRACE, works) == [(), (), (0,)]


def test_updating_in_place_does_not_wait_for_itself():
    assert dependencies(TRACE, [work([(0, 0, 8)], [(0, 0, 8)])]) == [()]


def test_lines_run_for_many_windows_of_one_storage_grow_with_their_number(lines_run):
    def lines(count: int) -> int:
        works = [work(writes=[(0, 8 * i, 8 * i + 8)]) for i in range(count)]
        works += [work(reads=[(0, 8 * i + 2, 8 * i + 6)]) for i in range(count)]
        return lines_run(lambda: dependencies(TRACE, works))

    assert lines(1600) < 9 * lines(200)
