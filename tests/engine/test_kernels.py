"""Kernels on agents: room, waves, launch intervals, leftovers, contention, barriers, skips."""

import numpy as np
import pytest
from engine_bench import ALU_NS, END, NS, Bench, kernel, stream

from simulator.engine import layout
from simulator.engine.program import Arrive, Compute, Coordinate, Delay, Kernel, Loop, grid

KIB = 1 << 10
REST = (Delay(100 * NS),)


def rest(tasks: int, **more) -> Kernel:
    return kernel(REST, tasks=tasks, **more)


@pytest.mark.parametrize(
    ("needs", "resident"),
    [({}, 8), ({"contexts": 2}, 4), ({"contexts": 3}, 2), ({"shared": 60}, 2), ({"shared": 25}, 8)],
)
def test_agents_hold_as_many_tasks_as_their_resources_allow(needs, resident):
    assert Bench().play(rest(16, needs=needs)).ns == 16 / resident * 100


def test_slots_are_a_limit_of_their_own():
    assert Bench(slots=1).play(rest(16)).ns == 8 * 100


def test_resources_come_back():
    bench = Bench()
    before = bench.device.machine.agent.copy()
    bench.play(rest(40))
    assert (bench.device.machine.agent == before).all()


def test_tasks_start_an_interval_apart():
    assert Bench().play(rest(4, interval=50 * NS)).ns == 3 * 50 + 100


def test_tasks_go_round_the_agents():
    bench = Bench(cores=4)
    bench.play(kernel((Compute("alu", Coordinate(0)),), tasks=grid(8)))
    served = bench.device.snapshot().units
    alus = [u for o, u in zip(bench.device.names.owners, served, strict=True) if o == "alu"]
    assert alus == [0 + 4, 1 + 5, 2 + 6, 3 + 7]


def test_a_later_kernel_fills_what_is_left():
    first, second = Bench().together(rest(9, name="first"), rest(7, name="second"))
    assert first.ns == second.ns == 200, "one serial wave each would be 200 and 100 more"


def test_earlier_kernels_go_first():
    first, second = Bench().together(rest(16), rest(8))
    assert (first.ns, second.ns) == (200, 300)


def test_a_kernel_starts_when_it_is_told():
    bench = Bench()
    bench.together(rest(1), rest(1), at=(50, 500))
    assert bench.device.now == 600 * NS


def test_memory_bound_kernels_slow_each_other_and_move_the_same_bytes():
    works = [stream(64 * KIB, base=i << 24, tasks=4, chunk=4096) for i in range(2)]
    alone = [Bench(slices=8, cores=4).play(work) for work in works]
    bench = Bench(slices=8, cores=4)
    shared = bench.together(*works)
    for one, other in zip(alone, shared, strict=True):
        assert other.ns > 1.3 * one.ns
        assert other.dram_read == one.dram_read == 4 * 64 * KIB
    assert bench.dram_bytes == 2 * 4 * 64 * KIB
    # Rows of two streams meet in the banks, which costs a little.
    assert 0.95 < max(p.ns for p in shared) / sum(p.ns for p in alone) < 1.15


@pytest.mark.parametrize("lookahead", [0, 100])
def test_threads_share_a_port_in_turn(lookahead):
    """None is served to its end before the others get theirs."""
    bench = Bench(cores=1, slices=8, lookahead=lookahead)
    works = [stream(64 * KIB, tasks=1, base=i << 20, chunk=4096) for i in range(3)]
    for work in works:
        bench.play(work)
    ends = [played.ns for played in bench.together(*works)]
    assert min(ends) > 0.9 * max(ends)
    assert max(ends) == pytest.approx(3 * 64 * KIB / 64, rel=0.05)


def test_a_compute_bound_and_a_memory_bound_kernel_overlap():
    compute = kernel((Compute("alu", 2000),), tasks=4)
    memory = stream(32 * KIB, tasks=4)
    alone = [Bench().play(work).ns for work in (compute, memory)]
    shared = [played.ns for played in Bench().together(compute, memory)]
    assert max(alone) <= max(shared) < 0.7 * sum(alone)


def test_a_barrier_holds_everybody_until_the_last():
    threads = [(Delay(i * 100 * NS), Arrive(8), Compute("alu", 1)) for i in range(1, 5)]
    assert Bench().play(kernel(*threads, tasks=2)).ns == 400 + 4 + ALU_NS


def test_barriers_are_reused_in_loops_and_do_not_mix():
    slow = (Loop(5, (Delay(100 * NS), Arrive(2, 0), Arrive(2, 1))),)
    fast = (Loop(5, (Arrive(2, 0), Delay(10 * NS), Arrive(2, 1))),)
    assert Bench().play(kernel(slow, fast)).ns == 5 * 110


def test_kernels_in_flight_have_their_own_barriers():
    work = kernel((Delay(10 * NS), Arrive(2)), (Delay(30 * NS), Arrive(2)))
    assert [played.ns for played in Bench().together(work, work)] == [30, 30]


class TestSkip:
    def test_skipped_tasks_take_no_time_and_count_as_done(self):
        bench = Bench()
        handle = bench.device.launch(kernel((Compute("alu", 10),), tasks=32), 0, check=8)
        assert bench.device.advance(END).reason == "checkpoint"
        first = int(bench.device.kernel_row(handle)[layout.J_NEXT])
        bench.device.skip(handle, first, first + 8)
        bench.device.stop_checks(handle)
        assert bench.device.advance(END).reason == "finished"
        served = bench.device.snapshot().units
        owners = np.array(bench.device.names.owners)
        assert served[owners == "alu"].sum() == (32 - 8) * 10

    def test_the_tail_is_the_kernel_s_own(self):
        """Tasks after the gap keep their coordinates."""
        bench = Bench(cores=1, contexts=1)
        handle = bench.device.launch(
            kernel((Compute("alu", Coordinate(0)),), tasks=grid(20)), 0, check=4
        )
        bench.device.advance(END)
        bench.device.skip(handle, 8, 16)
        bench.device.stop_checks(handle)
        bench.device.advance(END)
        played = [i for i in range(20) if not 8 <= i < 16]
        assert bench.device.now == sum(i + ALU_NS for i in played) * NS

    def test_a_started_task_cannot_be_skipped(self):
        bench = Bench()
        handle = bench.device.launch(rest(16), 0, check=4)
        bench.device.advance(END)
        with pytest.raises(ValueError, match="not started"):
            bench.device.skip(handle, 0, 4)
        with pytest.raises(ValueError, match="not started"):
            bench.device.skip(handle, 14, 17)


def test_checkpoints_come_every_so_many_tasks():
    bench = Bench()
    bench.device.launch(rest(20), 0, check=6)
    reasons = []
    while not reasons or reasons[-1] == "checkpoint":
        reasons.append(bench.device.advance(END).reason)
    assert reasons == ["checkpoint"] * 3 + ["finished"]


def test_many_kernels_in_flight_are_kept_apart():
    works = [kernel((Delay((i + 1) * NS),), name=str(i)) for i in range(40)]
    played = Bench(contexts=64, slots=64).together(*works)
    assert [p.ns for p in played] == [i + 1 for i in range(40)]
