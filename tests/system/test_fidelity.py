"""``fast`` is ``exact`` with kernels reused and waves counted: how close, and how it says so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

CLOSE = 0.04
"""Streams of reads and writes alternate by 5 % from wave to wave."""


def test_gpt2_decode(lab: SimpleNamespace) -> None:
    fast = lab.recorded("gpt2", "decode", context=512)
    exact = lab.recorded("gpt2", "decode", "exact", context=512)
    assert fast.latency_fs == pytest.approx(exact.latency_fs, rel=0.02)
    assert lab.dram_bytes(fast) == pytest.approx(lab.dram_bytes(exact), rel=0.05)
    energy = sum(fast.energy_j.values())
    assert energy == pytest.approx(sum(exact.energy_j.values()), rel=0.02)
    assert all(kernel.simulated_share == 1 for kernel in exact.kernels)
    assert not any(kernel.reused for kernel in exact.kernels)


def test_layers_are_played_once(lab: SimpleNamespace) -> None:
    """Twelve layers, and more of them, cost one."""
    gpt2 = lab.recorded("gpt2", "decode", context=512)
    medium = lab.recorded("gpt2-medium", "decode", context=512)
    assert lab.played(gpt2) < len(gpt2.kernels) / 8
    assert len(medium.kernels) > 1.8 * len(gpt2.kernels)
    assert lab.played(medium) <= lab.played(gpt2) + 3


def test_reused_kernels_repeat_their_original(lab: SimpleNamespace) -> None:
    record = lab.recorded("gpt2", "decode", context=512)
    originals = {(k.name, k.duration_fs, k.dram_bytes_read) for k in record.kernels if not k.reused}
    for kernel in record.kernels:
        if kernel.reused:
            assert (kernel.name, kernel.duration_fs, kernel.dram_bytes_read) in originals


def test_waves_of_a_stream_are_extrapolated(lab: SimpleNamespace) -> None:
    """Time and every counter, not time alone."""
    calls = [lab.copy(16384, 8192)]
    fast, exact = (lab.run(calls, fidelity).kernels[0] for fidelity in ("fast", "exact"))
    assert fast.simulated_share < 1
    assert 0 < fast.error_estimate < 0.05
    assert fast.duration_fs == pytest.approx(exact.duration_fs, rel=CLOSE)
    assert fast.dram_bytes == pytest.approx(exact.dram_bytes, rel=CLOSE)
    assert fast.energy_j["dram read"] == pytest.approx(exact.energy_j["dram read"], rel=CLOSE)
    for counter in ("activates", "refreshes"):
        assert fast.counters[counter] == pytest.approx(exact.counters[counter], rel=CLOSE)
    for part, busy in fast.busy_fs.items():
        assert busy == pytest.approx(exact.busy_fs[part], rel=CLOSE), part


def test_cache_counters_are_extrapolated(lab: SimpleNamespace) -> None:
    calls = [lab.copy(16384, 8192)]
    fast, exact = (lab.run(calls, fidelity).kernels[0] for fidelity in ("fast", "exact"))
    for counter in ("cache_hits", "cache_misses"):
        assert fast.counters[counter] == pytest.approx(exact.counters[counter], rel=CLOSE)


def test_waves_of_a_product_are_extrapolated(lab: SimpleNamespace) -> None:
    """A weight-bound product with thousands of equal tiles."""
    calls = [lab.call("aten.mm.default", ((4096, 256), (256, 8192)), (4096, 8192))]
    fast, exact = (lab.run(calls, fidelity) for fidelity in ("fast", "exact"))
    kernel = fast.kernels[0]
    assert kernel.duration_fs == pytest.approx(exact.kernels[0].duration_fs, rel=0.02)
    share = abs(kernel.duration_fs / exact.kernels[0].duration_fs - 1)
    assert share == 0 or kernel.simulated_share < 1


def test_short_kernels_are_played_whole(lab: SimpleNamespace) -> None:
    record = lab.run([lab.copy(256, 256)], "fast")
    assert record.kernels[0].simulated_share == 1
    assert record.kernels[0].error_estimate == 0


def test_reuse_asks_for_the_same_cache(lab: SimpleNamespace) -> None:
    """The same work on cold data, on data just read, on other cold data."""
    shape = (1024, 1024)
    calls = [
        lab.call("aten.neg.default", (shape,), shape),
        lab.call("aten.neg.default", (0,), shape),
        lab.call("aten.neg.default", (1,), shape),
        lab.call("aten.neg.default", (shape,), shape),
    ]
    cold, warm, again, other = lab.run(calls, "fast").kernels
    assert not cold.reused and not warm.reused
    assert again.reused and other.reused
    assert warm.dram_bytes_read == again.dram_bytes_read == 0
    assert other.dram_bytes_read == cold.dram_bytes_read > 0
    assert warm.duration_fs < cold.duration_fs


@pytest.mark.slow
def test_extrapolated_streams_are_within_two_per_cent(lab: SimpleNamespace) -> None:
    """Although times of single groups scatter by 5 % and drift after the cache has filled."""
    for rows in (16384, 32768):
        fast, exact = (lab.run([lab.copy(rows, 8192)], f) for f in ("fast", "exact"))
        assert fast.latency_fs == pytest.approx(exact.latency_fs, rel=0.02)
