"""A call meets the caches that its loop leaves, and nothing else of what ran before."""

from dataclasses import replace

import pytest

from simulator.errors import BoundError, CapacityError
from simulator.gpu.platform import GpuPlatform
from simulator.system.plan import plan_work
from simulator.system.run import execute
from simulator.system.specs import load_hardware
from simulator.validate.methods import METHODS, method_of
from simulator.validate.replay import at_highest_clock, play, settle
from simulator.validate.works import works_of

KERNELS = METHODS["cupti"]
WARM = replace(KERNELS, weight_copies=1)


def platform(*overrides):
    return GpuPlatform(load_hardware("a100-sxm-80gb", overrides).spec)


A100 = platform()


def played(row, method=None, on=A100):
    method = method or method_of(row)
    return play(on, works_of(row, method), method)


def test_warm_weights_are_faster_than_cold_ones(one_row):
    row = one_row("gemm.csv", m=8, n=4096, k=2048)
    cold, warm = played(row, KERNELS).seconds, played(row, WARM).seconds
    assert warm < 0.7 * cold


def test_copies_of_weights_are_cold_once_they_do_not_fit(one_row):
    small, large = (one_row("gemm.csv", m=8, n=n, k=1024) for n in (512, 4096))
    six = replace(KERNELS, weight_copies=6)
    assert played(small, six).seconds == pytest.approx(played(small, WARM).seconds, rel=0.05)
    assert played(large, six).seconds == pytest.approx(played(large, KERNELS).seconds, rel=0.05)
    assert played(large, WARM).seconds < 0.8 * played(large, six).seconds


def test_the_state_is_that_of_calls_that_were_simulated(one_row):
    """The third of three calls on one machine takes what the replay says."""
    row = one_row("gemm.csv", m=64, n=1024, k=512)
    works = works_of(row, WARM)
    outcome = execute(plan_work(works * 3, A100, "thrice"), A100, "queued", "exact")
    per_call = len(outcome.kernels) // 3
    third = sum(kernel.duration_fs for kernel in outcome.kernels[-per_call:]) * 1e-15
    assert played(row, WARM).kernel_seconds == pytest.approx(third, rel=0.05)


@pytest.mark.parametrize(
    "name",
    ["gemm.csv", "attention_prefill.csv", "attention_decode.csv", "moe.csv", "memory_bound.csv"],
)
def test_every_kind_of_row_plays_and_says_the_same_twice(one_row, name):
    row = one_row(name)
    first, second = played(row), played(row)
    assert first == second
    assert first.seconds >= first.kernel_seconds > 0
    assert first.simulated_share == 1
    assert first.kernels


def test_a_context_longer_than_the_cache_is_read_again(one_row):
    """Each byte is evicted before the next call comes to it; a short one is found whole."""
    for kv_len, found in ((1024, True), (16384, False)):
        row = one_row("attention_decode.csv", batch=4, heads=8, kv_heads=8, kv_len=kv_len)
        works = works_of(row, WARM)
        context = sum(one.bytes for one in works[-1].reads[1:])
        read = sum(run.dram_read for run in at_highest_clock(A100, works, WARM).runs)
        assert (read < 0.1 * context) if found else (read >= 0.999 * context), kv_len


def test_what_does_not_fit_is_refused(one_row):
    row = one_row("gemm.csv", m=1 << 20, n=1 << 20, k=64)
    with pytest.raises(CapacityError, match="a100-sxm-80gb: needs"):
        played(row)


def test_a_time_below_its_bound_is_an_error(one_row, monkeypatch):
    """A machine that is faster than its description admits must be found."""
    slow = platform("chip.sm.matrix.bfloat16=1", "chip.sm.vector_lanes=1")
    monkeypatch.setattr(slow, "kernels", A100.kernels)
    monkeypatch.setattr(slow, "assemble", A100.assemble)
    with pytest.raises(BoundError, match="its bound is"):
        played(one_row("gemm.csv", m=256, n=256, k=256), on=slow)


def test_a_long_loop_runs_at_the_clock_that_the_cap_leaves(one_row):
    row = one_row("gemm.csv", m=2048, n=2048, k=2048)
    short, long = replace(WARM, timed_calls=1), replace(WARM, warm_calls=10**6)
    tight = platform("power.cap=250 W")
    burst, settled = (played(row, method, tight) for method in (short, long))
    assert settled.clock == burst.clock < 1
    assert burst.seconds < settled.seconds
    assert burst.watts > 250 > settled.watts * 0.999
    ample = platform("power.cap=5000 W")
    assert played(row, long, ample).seconds == played(row, short, ample).seconds


def test_zeros_run_faster_where_the_cap_binds_and_draw_less_where_it_does_not(one_row):
    """Published: one product of an H200 reaches 788 Tflop/s on random operands, 894 on zeros."""
    row = one_row("gemm.csv", m=2048, n=2048, k=2048)
    long = replace(WARM, warm_calls=10**6)
    for cap in ("250 W", "5000 W"):
        random, zeros = (
            played(row, long, platform(f"power.cap={cap}", f"energy.data_toggle={toggle}"))
            for toggle in ("1.0", "0.0")
        )
        assert (zeros.seconds < random.seconds) == (cap == "250 W")
        assert (zeros.watts < random.watts * (1 - 1e-9)) == (cap == "5000 W")


def test_energies_change_nothing_of_what_happens_at_the_highest_clock(one_row):
    row = one_row("gemm.csv", m=2048, n=2048, k=2048)
    long = replace(WARM, warm_calls=10**6)
    works = works_of(row, long)
    before = at_highest_clock(A100, works, long)
    dear = platform("energy.matrix.bfloat16=2 pJ/flop", "power.cap=250 W")
    assert settle(dear, works, long, before) == played(row, long, dear)
