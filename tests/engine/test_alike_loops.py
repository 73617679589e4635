"""Loops whose iterations are alike: counted in steps, some of them left out."""

import numpy as np
import pytest
from engine_bench import ALU_NS, END, NS, Bench, kernel, read, state_hash

from simulator.engine import layout
from simulator.engine.program import (
    Access,
    Compute,
    Coordinate,
    Delay,
    Kernel,
    Loop,
    Program,
    Release,
    Wait,
    assemble,
)

TILE = 256
STEPS = 64
PERIOD = 50 + ALU_NS
"""Nanoseconds of a step: the pipe and its latency, longer than the load."""


def ring(count=STEPS, *, wait: int = 0, tasks=1, alike: bool = True, buffers: int = 4) -> Kernel:
    """A thread loads tiles, another one computes on each, ``wait`` nanoseconds later."""
    tile = read(TILE, coordinates=(1 << 20,), loops=(TILE,))
    load = (Loop(count, (Wait("empty"), Access(tile, "full")), alike=alike),)
    body = (Wait("full"), Compute("alu", 50), Release("empty"))
    compute = (Delay(wait * NS), Loop(count, body, alike=alike))
    return kernel(load, compute, tokens={"empty": buffers, "full": 0}, tasks=tasks)


def launch(bench: Bench, work: Kernel, steps: int) -> int:
    return bench.device.launch(work, bench.device.now, check_steps=steps)


def stepped(bench: Bench, times: int = 1) -> None:
    for _ in range(times):
        assert bench.device.advance(END).reason == "stepped"


def finish(bench: Bench) -> None:
    while (reason := bench.device.advance(END).reason) == "stepped":
        pass
    assert reason == "finished"


def indices(bench: Bench, threads: int = 2) -> list[int]:
    """Outermost loop indices of the first task's threads."""
    return bench.device.machine.thread[:threads, layout.X_LOOP].tolist()


def computed(bench: Bench) -> float:
    owners = np.array(bench.device.names.owners)
    return float(bench.device.snapshot().units[owners == "alu"].sum())


@pytest.mark.parametrize(("tasks", "steps"), [(1, 32), (2, 32), (4, 64)])
def test_checkpoints_come_every_so_many_steps_of_all_threads(tasks, steps):
    bench = Bench()
    launch(bench, ring(tasks=tasks), steps)
    stepped(bench, tasks * 2 * STEPS // steps)
    assert bench.device.advance(END).reason == "finished"


def test_looking_changes_nothing():
    plain, watched = Bench(), Bench()
    time = plain.play(ring(tasks=3)).ns
    launch(watched, ring(tasks=3), 7)
    finish(watched)
    assert watched.device.now == time * NS
    assert watched.issued(2, 3) == plain.issued(2, 3)


@pytest.mark.parametrize("work", [ring(alike=False), ring()])
def test_nobody_stops_unless_asked_and_marked(work):
    bench = Bench()
    launch(bench, work, 0 if work.programs[0].threads[0][0].alike else 8)
    assert bench.device.advance(END).reason == "finished"


def test_loops_keep_their_distances():
    bench = Bench()
    handle = launch(bench, ring(), 32)
    stepped(bench)
    load, compute = indices(bench)
    assert load > compute
    left_out = bench.device.skip_steps(handle, 4)
    assert left_out == 2 * (STEPS - 1 - load - 4)
    assert indices(bench) == [load + left_out // 2, compute + left_out // 2]
    assert STEPS - 1 - indices(bench)[0] == 4


def test_left_out_steps_take_no_time():
    whole, bench = Bench(), Bench()
    for one in (whole, bench):
        one.play(ring())  # now the tiles are in the cache
    time, start = whole.play(ring()).ns, bench.device.now
    handle = launch(bench, ring(), 32)
    stepped(bench)
    steps = bench.device.skip_steps(handle, 4) // 2
    finish(bench)
    assert steps > 30
    assert (bench.device.now - start) / NS == pytest.approx(time - steps * PERIOD, abs=2)


def test_left_out_steps_do_no_work():
    bench = Bench()
    handle = launch(bench, ring(), 32)
    stepped(bench)
    steps = bench.device.skip_steps(handle, 4) // 2
    finish(bench)
    assert computed(bench) == (STEPS - steps) * 50
    assert bench.dram_bytes == (STEPS - steps) * TILE


def test_what_is_played_after_them_is_the_loop_s_own_end():
    """The last steps read the last tiles."""
    bench = Bench()
    handle = launch(bench, ring(), 32)
    stepped(bench)
    load = indices(bench)[0]
    steps = bench.device.skip_steps(handle, 4) // 2
    finish(bench)
    sectors = TILE // 32
    tiles = {sector // sectors for sector in bench.touched()}
    assert set(range(load)) <= tiles
    assert tiles.isdisjoint(range(load + 1, load + steps))
    assert tiles >= set(range(STEPS - 4, STEPS))


def test_the_shortest_loop_decides_how_many():
    bench = Bench()
    work = ring(Coordinate(0), tasks=np.array([[0, 40], [0, 200]]))
    handle = launch(bench, work, 40)
    stepped(bench)
    machine = bench.device.machine
    slots = np.flatnonzero(machine.slot[:, layout.S_LIVE] > 0)
    threads = (slots[:, None] * layout.THREADS + np.arange(2)).ravel()
    before = machine.thread[threads, layout.X_LOOP].copy()
    counts = machine.slot[slots, layout.S_COORDINATE].repeat(2)
    left_out = bench.device.skip_steps(handle, 4)
    moved = machine.thread[threads, layout.X_LOOP] - before
    assert moved.tolist() == [left_out // 4] * 4
    assert (counts - 1 - machine.thread[threads, layout.X_LOOP]).min() == 4
    finish(bench)


def test_none_are_left_out_while_a_task_is_not_in_its_loop():
    bench = Bench()
    handle = launch(bench, ring(wait=5000), 4)
    stepped(bench)
    assert bench.device.skip_steps(handle, 4) == 0
    stepped(bench, 3)
    assert bench.device.skip_steps(handle, 4) > 0, "both threads are at work now"
    finish(bench)


def test_none_are_left_out_after_a_task_has_left_its_loop():
    bench = Bench()
    tile = read(TILE, loops=(TILE,))
    load = (Loop(STEPS, (Access(tile, "full"),), alike=True),)
    compute = (Loop(STEPS, (Wait("full"), Compute("alu", 50)), alike=True),)
    handle = launch(bench, kernel(load, compute, tokens={"full": 0}), STEPS)
    stepped(bench)
    assert bench.device.skip_steps(handle, 4) == 0
    finish(bench)
    assert computed(bench) == STEPS * 50


def test_as_many_as_asked_are_kept():
    bench = Bench()
    handle = launch(bench, ring(), 32)
    stepped(bench)
    assert bench.device.skip_steps(handle, STEPS) == 0
    first = bench.device.skip_steps(handle, 20)
    second = bench.device.skip_steps(handle, 4)
    assert first > 0 and second == 2 * 16
    finish(bench)


def test_other_kernels_go_on():
    bench = Bench()
    handle = launch(bench, ring(), 32)
    other = bench.device.launch(kernel((Loop(100, (Compute("alu", 10),), alike=True),)), 0)
    stepped(bench)
    assert bench.device.skip_steps(handle, 4) > 0
    ended: list[int] = []
    while len(ended) < 2:
        outcome = bench.device.advance(END)
        ended += [outcome.handle] if outcome.reason == "finished" else []
    assert sorted(ended) == sorted([handle, other])
    row = bench.device.kernel_row(other)
    assert row[layout.J_STEPS] == 0


def test_the_same_steps_leave_the_same_machine():
    hashes = []
    for _ in range(2):
        bench = Bench()
        handle = launch(bench, ring(tasks=4), 64)
        stepped(bench)
        bench.device.skip_steps(handle, 4)
        finish(bench)
        bench.settle()
        hashes.append(state_hash(bench.device))
    assert hashes[0] == hashes[1]


class TestRefused:
    def assemble(self, *steps) -> None:
        assemble([Program((steps,))], {"alu": 0}, {})

    def test_an_inner_loop(self):
        inside = Loop(3, (Compute("alu", 1),), alike=True)
        with pytest.raises(ValueError, match="outermost"):
            self.assemble(Loop(2, (inside,)))

    def test_a_second_one_in_a_thread(self):
        loop = Loop(3, (Compute("alu", 1),), alike=True)
        with pytest.raises(ValueError, match="at most one loop"):
            self.assemble(loop, loop)

    def test_not_one_in_each_of_two_threads(self):
        loop = Loop(3, (Compute("alu", 1),), alike=True)
        tables = assemble([Program(((loop,), (Delay(1), loop)))], {"alu": 0}, {})
        assert tables.loop[0, :3].tolist() == [[1, 2], [6, 7], [0, -1]]

    def test_not_a_plain_loop_around(self):
        assert Bench().time(Loop(2, (Loop(3, (Compute("alu", 1),)),))) == 6 * (1 + ALU_NS)
