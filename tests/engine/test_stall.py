"""A machine that stands still says which program is at fault."""

import numpy as np
import pytest
from engine_bench import END, Bench, kernel, read

from simulator.engine.program import Access, Arrive, Compute, Kernel, Program, Release, Wait


def stall(work: Kernel) -> str:
    bench = Bench()
    bench.device.launch(work, 0)
    with pytest.raises(RuntimeError) as error:
        bench.device.advance(END)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_token_nobody_releases_is_named_with_its_place():
    producer = (Compute("alu", 1), Release("full", 2))
    consumer = (Wait("full"), Wait("full"), Wait("full"))
    message = stall(kernel(producer, consumer, tokens={"empty": 4, "full": 0}, name="ring"))
    assert "kernel 'ring', task 0, thread 1" in message
    assert "token 'full'" in message
    assert "holds 0 of 1" in message


def test_the_token_is_named_by_the_task_s_own_program():
    good = Program(((Compute("alu", 1),),), {"other": 0})
    bad = Program(((Wait("never"),),), {"never": 0})
    message = stall(Kernel("two", "core", (good, bad), np.array([[0], [0], [1]])))
    assert "task 2, thread 0" in message
    assert "'never'" in message


def test_a_barrier_that_counts_too_many_threads():
    message = stall(kernel((Arrive(3, 1),), tasks=2))
    assert "barrier 1: 2 threads arrived" in message


def test_a_task_larger_than_any_agent():
    message = stall(kernel((Compute("alu", 1),), contexts=5))
    assert "5 contexts (an agent has 4)" in message


def test_a_faulty_kernel_is_named_beside_a_sound_one():
    bench = Bench()
    bench.device.launch(kernel((Compute("alu", 10),), name="sound"), 0)
    bench.device.launch(kernel((Wait("x"),), tokens={"x": 0}, name="faulty"), 0)
    assert bench.device.advance(END).reason == "finished"
    with pytest.raises(RuntimeError, match="'faulty'"):
        bench.device.advance(END)


def test_no_tasks():
    with pytest.raises(ValueError, match="no tasks"):
        Bench().device.launch(kernel((Compute("alu", 1),), tasks=0), 0)


def test_a_program_that_is_not_there():
    with pytest.raises(ValueError, match="a program other than 0 to 0"):
        Bench().device.launch(kernel((Compute("alu", 1),), tasks=np.array([[1]])), 0)


def test_a_resource_the_agents_do_not_have():
    with pytest.raises(ValueError, match=r"needs 'context'.*did you mean 'contexts'"):
        Bench().device.launch(kernel((Compute("alu", 1),), needs={"context": 1}), 0)


def test_a_full_table_is_named():
    bench = Bench(transactions=4, contexts=8)
    bench.device.launch(kernel((Access(read(1 << 16)),), tasks=16), 0)
    with pytest.raises(RuntimeError, match="table of transactions is full"):
        bench.device.advance(END)
