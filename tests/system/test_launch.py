"""The host: eager dispatch, captured graphs, views, results it waits for."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import pytest

from simulator.api import load_hardware, simulate
from simulator.errors import OptionError


def test_small_kernels_are_dispatch_bound_in_eager_mode(lab: SimpleNamespace) -> None:
    """The device waits for the host; a graph takes the host out of the way."""
    eager = lab.recorded("gpt2", "decode", launch="eager", context=512)
    graph = lab.recorded("gpt2", "decode", launch="graph", context=512)
    assert graph.latency_fs < 0.5 * eager.latency_fs
    host = load_hardware(lab.A100).spec.host
    dispatched = len({kernel.index for kernel in eager.kernels})
    floor = dispatched * (host.operator_cost + host.launch_cost)
    assert eager.latency_fs * 1e-15 >= floor
    assert eager.bound_by == "launch"
    assert sum(k.duration_fs for k in eager.kernels) < 0.5 * eager.latency_fs


def test_graph_launches_once(lab: SimpleNamespace) -> None:
    record = lab.recorded("gpt2", "decode", launch="graph", context=512)
    host = load_hardware(lab.A100).spec.host
    assert [span.name for span in record.host] == ["graph launch"]
    assert record.kernels[0].start_fs * 1e-15 >= host.graph_launch


def test_kernels_of_a_graph_are_a_gap_apart(lab: SimpleNamespace) -> None:
    record = lab.run([lab.copy(64, 64)] * 5)
    gap = load_hardware(lab.A100).spec.launch.graph_gap
    for first, second in pairwise(record.kernels):
        assert (second.start_fs - first.end_fs) * 1e-15 == pytest.approx(gap)


def test_long_kernels_hide_the_host(lab: SimpleNamespace) -> None:
    calls = [lab.copy(4096, 8192)] * 6
    eager, graph = (lab.run(calls, "fast", launch) for launch in ("eager", "graph"))
    assert eager.latency_fs == pytest.approx(graph.latency_fs, rel=0.1)


def test_host_dispatches_in_program_order(lab: SimpleNamespace) -> None:
    record = lab.recorded("gpt2", "decode", launch="eager", context=512)
    spans = record.host
    assert all(a.end_fs <= b.start_fs for a, b in pairwise(spans))
    issued = [kernel.issued_fs for kernel in record.kernels]
    assert issued == sorted(issued)
    assert all(kernel.start_fs >= kernel.issued_fs for kernel in record.kernels)


def test_views_cost_the_device_nothing(lab: SimpleNamespace) -> None:
    shape = (256, 1024)
    flat = lab.call("aten.view.default", (0,), (1024, 256), arguments=([1024, 256],), view=True)
    plain = lab.run([lab.copy(*shape)])
    viewed = lab.run([lab.copy(*shape), flat])
    assert len(viewed.kernels) == 1
    assert viewed.latency_fs == plain.latency_fs
    assert lab.dram_bytes(viewed) == lab.dram_bytes(plain)


def test_views_cost_an_eager_host_its_time(lab: SimpleNamespace) -> None:
    shape = (256, 1024)
    flat = lab.call("aten.view.default", (0,), (1024, 256), arguments=([1024, 256],), view=True)
    record = lab.run([lab.copy(*shape), flat], launch="eager")
    host = load_hardware(lab.A100).spec.host
    dispatch, view = record.host
    assert (view.end_fs - view.start_fs) * 1e-15 == pytest.approx(host.view_cost)
    assert (dispatch.end_fs - dispatch.start_fs) * 1e-15 > host.view_cost


def test_a_product_beyond_the_cap_runs_at_a_lower_clock(lab: SimpleNamespace) -> None:
    """Less power takes longer and stays within the cap; a cap nobody reaches changes nothing."""
    trace = lab.trace([lab.product(2048)])
    ample, more, tight = (
        simulate(trace, load_hardware(lab.A100, [f"power.cap={watts} W"])).record
        for watts in (5000, 10000, 250)
    )
    assert ample.latency_fs == more.latency_fs < tight.latency_fs
    (kernel,) = tight.kernels
    joules = sum(kernel.energy_j.values())
    assert joules / (kernel.duration_fs * 1e-15) < 250 * 1.02


def test_burst_clocks_are_those_that_the_momentary_peak_leaves(lab: SimpleNamespace) -> None:
    trace = lab.trace([lab.product(2048)])

    def latency(clock: str, *overrides: str) -> int:
        device = load_hardware(lab.A100, ["power.cap=250 W", *overrides])
        return simulate(trace, device, clock=clock).record.latency_fs

    sustained = latency("sustained")
    assert latency("burst", "power.excursion=1.0") == sustained
    assert latency("burst", "power.excursion=10.0") < latency("burst") < sustained
    with pytest.raises(OptionError, match="unknown clock 'turbo'"):
        latency("turbo")
