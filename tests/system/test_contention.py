"""Two streams on one device: kernels share its ports, cache and banks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from simulator.system.records import RunRecord


def durations(record: RunRecord) -> list[int]:
    return [kernel.duration_fs for kernel in record.kernels]


def busy(record: RunRecord) -> int:
    """From the first kernel's start to the last one's end."""
    kernels = record.kernels
    return max(k.end_fs for k in kernels) - min(k.start_fs for k in kernels)


def test_memory_bound_kernels_slow_each_other_down(lab: SimpleNamespace) -> None:
    """Both are slower than alone, together they are no faster than the memory allows, and
    not a byte more is read."""
    alone = lab.run([lab.copy()])
    pair = lab.run([lab.copy(), lab.copy(stream=1)])
    own = durations(alone)[0]
    assert all(both > 1.01 * own for both in durations(pair))
    assert max(durations(pair)) > 1.7 * own
    assert busy(pair) >= 2 * alone.kernels[0].bound_fs
    assert lab.read_bytes(pair) == 2 * lab.read_bytes(alone)


def test_small_kernels_share_fairly(lab: SimpleNamespace) -> None:
    """Both grids fit on the machine at once, so both end late."""
    alone = lab.run([lab.copy(512, 2048)])
    pair = lab.run([lab.copy(512, 2048), lab.copy(512, 2048, stream=1)])
    first, second = durations(pair)
    assert first > 1.1 * durations(alone)[0]
    assert second > 1.1 * durations(alone)[0]
    assert lab.read_bytes(pair) == 2 * lab.read_bytes(alone)


def test_compute_and_memory_overlap(lab: SimpleNamespace) -> None:
    """Less than one after the other, more than the longer of both."""
    # One wave of tiles: the blocks of a second would start before those of the copy.
    gemm, stream = lab.product(1536), lab.copy()
    alone = [durations(lab.run([call]))[0] for call in (gemm, stream)]
    both = busy(lab.run([gemm, lab.copy(stream=1)]))
    assert max(alone) < both < 0.97 * sum(alone)


def test_one_stream_keeps_order(lab: SimpleNamespace) -> None:
    first, second = lab.run([lab.copy(512), lab.copy(512)]).kernels
    assert second.start_fs >= first.end_fs


def test_two_streams_run_at_once(lab: SimpleNamespace) -> None:
    first, second = lab.run([lab.copy(512), lab.copy(512, stream=1)]).kernels
    assert second.start_fs < first.end_fs


def test_data_orders_streams(lab: SimpleNamespace) -> None:
    """A stream that reads what the other one makes waits for it."""
    shape = (512, 4096)
    calls = [lab.copy(*shape), lab.call("aten.neg.default", (0,), shape, stream=1)]
    first, second = lab.run(calls).kernels
    assert second.start_fs >= first.end_fs


def test_events_cost_the_same_energy_together(lab: SimpleNamespace) -> None:
    """Time is saved, work is not: only constant power falls."""
    apart = lab.run([lab.product(1024), lab.copy(512)])
    together = lab.run([lab.product(1024), lab.copy(512, stream=1)])
    for part in ("matrix", "vector", "l1", "l2", "dram read"):
        assert together.energy_j[part] == pytest.approx(apart.energy_j[part], rel=0.01), part
    assert together.energy_j["static"] < apart.energy_j["static"]


def test_sharing_does_not_depend_on_the_fidelity(lab: SimpleNamespace) -> None:
    calls = [lab.copy(1024), lab.copy(1024, stream=1)]
    assert lab.run(calls, "fast").latency_fs == lab.run(calls, "exact").latency_fs
