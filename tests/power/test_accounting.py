"""Energy: parts sum to the total, events and time pay, and nothing pays twice."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from simulator.api import load_hardware, platform, simulate_work
from simulator.power.accounting import add_energy, over, static_power
from simulator.results.result import Result
from simulator.system.records import KernelRecord
from simulator.trace.work import Elementwise, Gemm, Operand, Work

A100 = load_hardware("a100-sxm-80gb")
DRAM_DEVICE_J_PER_BIT = 3e-12
"""Published HBM devices: 3.5 to 4 pJ/bit (O'Connor et al., MICRO 2017); anything below
3 would miss a part of the array or of the pins."""


def operand(storage: int, size: int) -> Operand:
    return Operand(storage, 0, size, 16, "bfloat16", "activation", size)


def stream(size: int) -> Elementwise:
    return Elementwise((operand(1, size),), (operand(2, size),), size // 2)


def gemm(size: int) -> Gemm:
    square = 2 * size * size
    reads = (operand(1, square), operand(2, square))
    return Gemm(reads, (operand(3, square),), 1, size, size, size)


def run(*works: Work) -> Result:
    return simulate_work(works, A100, name="test")


def kernel(work: Work) -> KernelRecord:
    return run(work).record.kernels[0]


def test_parts_sum_to_the_total() -> None:
    result = run(stream(1 << 24), gemm(512))
    assert math.fsum(result.energy_by_part_j.values()) == pytest.approx(result.energy_j)
    kernels = math.fsum(math.fsum(k.energy_j.values()) for k in result.record.kernels)
    assert kernels < result.energy_j  # gaps are paid at idle power
    assert all(joules >= 0 for joules in result.energy_by_part_j.values())


def test_energy_grows_with_work_and_time() -> None:
    energies = [run(stream(size)).energy_j for size in (1 << 20, 1 << 22, 1 << 24, 1 << 26)]
    assert energies == sorted(energies)
    assert energies[-1] > 8 * energies[1]


def test_bytes_pay_for_dram() -> None:
    one = kernel(stream(1 << 26))
    spent = sum(joules for part, joules in one.energy_j.items() if part.startswith("dram"))
    assert spent >= DRAM_DEVICE_J_PER_BIT * 8 * one.dram_bytes
    assert one.energy_j["dram read"] > 0
    assert one.energy_j["dram write"] > 0
    assert one.energy_j["dram activate"] > 0


def test_operations_pay_for_pipes() -> None:
    energy = A100.spec.energy
    one = kernel(gemm(512))
    assert one.energy_j["matrix"] == pytest.approx(2 * 512**3 * energy.matrix["bfloat16"])
    adds = kernel(replace(stream(1 << 22), vector_per_element=3))
    assert adds.energy_j["vector"] == pytest.approx(3 * (1 << 21) * energy.vector)


def test_bytes_pay_for_the_caches_they_pass() -> None:
    size = 1 << 22
    energy = A100.spec.energy
    one = kernel(stream(size))
    assert one.energy_j["l1"] == pytest.approx(2 * size * 8 * energy.l1)
    assert one.energy_j["l2"] >= 2 * size * 8 * energy.l2 * 0.999


def test_constant_power_pays_by_the_second() -> None:
    one = kernel(stream(1 << 26))
    seconds = one.duration_fs * 1e-15
    idle, static = A100.spec.energy.idle, A100.spec.energy.static
    assert one.energy_j["static"] == pytest.approx(idle * seconds)
    assert one.energy_j["awake"] == pytest.approx((static - idle) * seconds)
    rates = platform(A100).energy_rates(stream(2))
    assert one.energy_j["dram background"] == pytest.approx(
        rates.channels * A100.spec.memory.energy.background * seconds
    )


def test_power_of_a_stream_is_plausible() -> None:
    """Measured on an A100 80 GB while streaming: some 200 to 300 W of 400 W
    (RRZE-HPC/gpu-benches fit: 65.7 W and 14.7 pJ/bit)."""
    one = kernel(stream(1 << 27))
    watts = math.fsum(one.energy_j.values()) / (one.duration_fs * 1e-15)
    fitted = 65.7 + 14.68e-12 * 8 * one.dram_bytes / (one.duration_fs * 1e-15)
    assert watts == pytest.approx(fitted, rel=0.15)
    assert watts < A100.spec.power.cap


def test_refresh_stops_with_its_interval() -> None:
    rates = platform(A100).energy_rates(None)
    assert "dram refresh" not in static_power(rates, 0.0)
    often, seldom = (static_power(rates, s)["dram refresh"] for s in (1e-6, 4e-6))
    assert often == pytest.approx(4 * seldom)


def test_sums_keep_every_part() -> None:
    total = add_energy({"a": 1.0}, {"b": 2.0}, {"a": 3.0})
    assert total == {"a": 4.0, "b": 2.0}
    assert over({"static": 50.0}, 2e15) == pytest.approx({"static": 100.0})
