"""Sums over kernels: whatever is grouped, nothing is lost and nothing counted twice."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.results import aggregate

spans = st.lists(
    st.tuples(st.integers(0, 5000), st.integers(0, 900), st.sampled_from("abc")), max_size=12
)


def kernels_from(synthetic, drawn):
    return [
        synthetic.kernel(
            index,
            start_fs=start,
            end_fs=start + length,
            bound_fs=length // 2,
            kind=kind,
            operator=f"aten.{kind}",
            busy_fs={"dram": length // 3},
            energy_j={"dram": length * 1e-3, kind: 1e-4},
            reused=index % 2 == 1,
            simulated_share=(index % 5) / 4,
        )
        for index, (start, length, kind) in enumerate(drawn)
    ]


@given(drawn=spans)
def test_groups_partition_the_kernels(synthetic, drawn):
    kernels = kernels_from(synthetic, drawn)
    for group_by in (aggregate.by_kind, aggregate.by_operator, aggregate.by_kernel):
        groups = group_by(kernels)
        assert sum(group.count for group in groups) == len(kernels)
        assert sum(g.latency_fs for g in groups) == sum(k.duration_fs for k in kernels)
        assert sum(g.bound_fs for g in groups) == sum(k.bound_fs for k in kernels)
        assert sum(g.dram_bytes_read for g in groups) == sum(k.dram_bytes_read for k in kernels)
        assert math.isclose(
            math.fsum(g.energy_j for g in groups), aggregate.kernel_energy_j(kernels), abs_tol=1e-12
        )
        assert [g.latency_fs for g in groups] == sorted(
            (g.latency_fs for g in groups), reverse=True
        )


@given(drawn=spans, seed=st.randoms(use_true_random=False))
def test_groups_do_not_depend_on_the_order_of_kernels(synthetic, drawn, seed):
    kernels = kernels_from(synthetic, drawn)
    shuffled = list(kernels)
    seed.shuffle(shuffled)
    assert aggregate.by_kind(shuffled) == aggregate.by_kind(kernels)


@given(drawn=spans)
def test_idle_time_is_what_no_kernel_covers(synthetic, drawn):
    record = synthetic.run(kernels_from(synthetic, drawn))
    covered = {time for start, length, _ in drawn for time in range(start, start + length)}
    assert aggregate.idle_fs(record) == record.latency_fs - len(covered)


@given(drawn=spans, bins=st.integers(1, 50))
def test_strips_hold_all_busy_time(synthetic, drawn, bins):
    record = synthetic.run(kernels_from(synthetic, drawn))
    strips = aggregate.utilization_over_time(record, bins)
    means = aggregate.utilization(record)
    assert strips.keys() == means.keys()
    for name, strip in strips.items():
        assert math.isclose(math.fsum(strip) / bins, means[name], rel_tol=1e-9, abs_tol=1e-12)


def test_a_strip_shows_when(synthetic):
    """One kernel in the third quarter of a run, busy half of that quarter."""
    us = synthetic.US
    early = synthetic.kernel(0, start_fs=0, end_fs=0, bound_fs=0, busy_fs={})
    late = synthetic.kernel(1, 20 * us, end_fs=30 * us, bound_fs=0, busy_fs={"dram": 5 * us})
    record = synthetic.run([early, late], latency_fs=40 * us)
    assert aggregate.utilization_over_time(record, 4)["dram"] == pytest.approx([0, 0, 0.5, 0])


@given(drawn=spans)
def test_coverage_adds_up_to_one(synthetic, drawn):
    cover = aggregate.coverage(kernels_from(synthetic, drawn))
    assert math.isclose(cover.simulated + cover.reused + cover.extrapolated, 1.0)


def test_coverage_weighs_by_time(synthetic):
    us = synthetic.US
    played = synthetic.kernel(0, end_fs=30 * us, bound_fs=0)
    waves = synthetic.kernel(
        1, end_fs=60 * us, bound_fs=0, simulated_share=0.5, error_estimate=0.03
    )
    again = synthetic.kernel(2, end_fs=10 * us, bound_fs=0, reused=True)
    cover = aggregate.coverage([played, waves, again])
    assert cover.simulated == pytest.approx(0.6)
    assert cover.reused == pytest.approx(0.1)
    assert cover.extrapolated == pytest.approx(0.3)
    assert cover.error_estimate == pytest.approx(0.018)


def test_the_binding_resource_is_the_one_that_binds_most_time(synthetic):
    us = synthetic.US
    short = [synthetic.kernel(i, bound_fs=us, bound_by="launch") for i in range(3)]
    long = synthetic.kernel(3, bound_fs=50 * us, bound_by="dram")
    assert aggregate.by_kind([*short, long])[0].bound_by == "dram"


def test_components_nobody_announced_are_reported_too(synthetic):
    record = synthetic.run([synthetic.kernel(busy_fs={"link": 30 * synthetic.US})])
    assert aggregate.utilization(record)["link"] == 0.5
    assert aggregate.utilization(record)["dram"] == 0.0
