"""Threads that share tokens: rings of stages, pipelines of any shape, slices of time."""

from collections.abc import Callable

import pytest
from engine_bench import ALU_NS, END, NS, Bench, Kernel, kernel, read, state_hash
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine import layout
from simulator.engine.program import Access, Compute, Delay, Loop, Release, Wait

laws = settings(max_examples=40, deadline=None, derandomize=True)


def ring(depth: int, count: int = 50, units: int = 100) -> Kernel:
    """Load a tile while computing on the one before, as far as ``depth`` buffers allow."""
    load = (Loop(count, (Wait("empty"), Access(read(2048), "full"))),)
    compute = (Loop(count, (Wait("full"), Compute("alu", units), Release("empty"))),)
    return kernel(load, compute, tokens={"empty": depth, "full": 0})


def test_one_buffer_serializes_two_overlap_and_more_hide_latency():
    bench = Bench()
    bench.time(Access(read(2048)))
    load = bench.time(Access(read(2048)))
    compute = 100 + ALU_NS
    one, two, four = (bench.play(ring(depth)).ns for depth in (1, 2, 4))
    assert one == 50 * (load + compute)
    assert two == pytest.approx(one / 2, rel=0.05)
    assert 50 * compute < four <= two
    assert four == pytest.approx(50 * compute + load, rel=0.01)


def pipeline(stages: list[tuple[int, int]], count: int) -> Kernel:
    """Stages of (nanoseconds, buffers behind it) hand items on."""
    threads, tokens = [], {}
    last = len(stages) - 1
    for i, (duration, depth) in enumerate(stages):
        step = [Delay(duration * NS)]
        if i > 0:
            step = [Wait(f"full{i - 1}"), *step, Release(f"empty{i - 1}")]
        if i < last:
            tokens |= {f"full{i}": 0, f"empty{i}": depth}
            step = [Wait(f"empty{i}"), *step, Release(f"full{i}")]
        threads.append((Loop(count, tuple(step)),))
    return kernel(*threads, tokens=tokens)


stages = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 4)), min_size=1, max_size=7)


@laws
@given(stages, st.integers(1, 20))
def test_pipelines_end_within_their_bounds_and_return_their_credit(shape, count):
    bench = Bench()
    work = pipeline(shape, count)
    ns = bench.play(work).ns
    assert count * max(t for t, _ in shape) <= ns <= count * sum(t for t, _ in shape)
    tokens = bench.device.machine.slot[0, layout.S_TOKEN :]
    start = list(work.programs[0].tokens.values())
    assert tokens[: len(start)].tolist() == start


@laws
@given(stages, st.integers(1, 20))
def test_more_buffers_are_not_slower(shape, count):
    deeper = [(duration, depth + 1) for duration, depth in shape]
    assert Bench().play(pipeline(deeper, count)).ns <= Bench().play(pipeline(shape, count)).ns


@laws
@given(st.permutations(range(6)), st.integers(1, 5))
def test_released_amounts_equal_awaited_amounts(order, amount):
    """Waiters in any order get what is released, none twice."""
    waiters = [(Delay(i * NS), Wait("credit", amount)) for i in order]
    giver = (Loop(6 * amount, (Delay(10 * NS), Release("credit"))),)
    bench = Bench()
    assert bench.play(kernel(giver, *waiters, tokens={"credit": 0})).ns == 60 * amount
    assert bench.device.machine.slot[0, layout.S_TOKEN] == 0


def test_a_task_lives_until_its_last_access_is_there():
    alone = Bench().time(Access(read(2048)))
    assert Bench().play(kernel((Access(read(2048), "there"),), tokens={"there": 0})).ns == alone


def test_an_access_releases_the_amount_it_says():
    steps = (Access(read(32), "there", 3), Wait("there", 2), Wait("there", 1))
    assert Bench().play(kernel(steps, tokens={"there": 0})).ns > 0


def test_loops_nest_and_count_from_coordinates():
    inner = Loop(3, (Delay(NS),))
    assert Bench().time(Loop(2, (inner, Loop(2, (inner,)), Loop(0, (inner,))))) == 2 * (3 + 6)


def busy() -> Kernel:
    load = (
        Loop(40, (Wait("empty"), Access(read(1500, loops=(1500,), coordinates=(77,)), "full"))),
    )
    compute = (Loop(40, (Wait("full"), Compute("alu", 30), Release("empty"))),)
    return kernel(load, compute, tokens={"empty": 3, "full": 0}, tasks=12)


@pytest.mark.parametrize("slice_ns", [1000, 10, 7.3])
@pytest.mark.parametrize("lookahead", [0, 100])
def test_time_may_be_sliced_without_changing_anything(slice_ns, lookahead):
    whole = run(Bench(lookahead=lookahead), lambda bench: bench.device.advance(END).reason)
    sliced = run(Bench(lookahead=lookahead), lambda bench: in_slices(bench, slice_ns))
    assert sliced == whole


def run(bench: Bench, play: Callable[[Bench], str]) -> str:
    bench.device.launch(busy(), 0)
    assert play(bench) == "finished"
    return state_hash(bench.device)


def in_slices(bench: Bench, slice_ns: float) -> str:
    until, step, turns = 0, round(slice_ns * NS), 0
    while (outcome := bench.device.advance(until)).reason == "reached":
        assert bench.device.now <= until
        until += step
        turns += 1
    assert turns > 5
    return outcome.reason
