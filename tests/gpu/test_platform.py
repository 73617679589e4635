"""What the system asks of a GPU: kernels or a clear refusal, roofs, parts, energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import HardwareError, UnmappedOperatorError
from simulator.hardware import catalogue
from simulator.trace.work import Gather, RowWise, Unmapped, View, Work


@dataclass(frozen=True, slots=True)
class Fourier(Work):
    """A kind of work nobody has taught the GPU."""


def test_unknown_operator_is_named(lab: SimpleNamespace) -> None:
    with pytest.raises(UnmappedOperatorError, match=r"'aten\._fft_r2c\.default'.*mapping"):
        lab.a100.kernels(Unmapped((), (), name="aten._fft_r2c.default"), lab.address)


def test_unknown_kind_of_work_is_named(lab: SimpleNamespace) -> None:
    with pytest.raises(UnmappedOperatorError, match=r"'fourier'.*simulator/gpu/mapping"):
        lab.a100.kernels(Fourier((), ()), lab.address)


def test_views_and_empty_works_run_nothing(lab: SimpleNamespace) -> None:
    for work in (
        View((), ()),
        lab.gemm(0, 4, 4),
        lab.grouped((0, 0), 4, 4),
        lab.attention(4, 0),
        Gather((), (), 0, 4, 4),
    ):
        assert not lab.a100.kernels(work, lab.address), work


def test_every_shipped_gpu_runs_every_kind(lab: SimpleNamespace) -> None:
    index = np.arange(64)
    works = [
        lab.gemm(64, 64, 64),
        lab.grouped((3, 0, 5), 64, 64),
        lab.attention(4, 256),
        lab.attention(4, 256, q_len=256, causal=True),
        lab.elementwise(5000, special=1),
        lab.rowwise(64, 256),
        lab.gather(index, 64, 64),
        lab.scatter(index, 64, 64),
        lab.sparse(np.arange(65), index, 64, 16),
    ]
    for entry in catalogue("gpu"):
        for work in works:
            assert lab.play(work, on=lab.platform(entry.name)).seconds > 0, entry.name


@pytest.mark.parametrize("name", ["a100-sxm-80gb", "v100-sxm", "t4", "l40s"])
def test_the_drawn_roof_is_that_of_16_bit_floats(lab: SimpleNamespace, name: str) -> None:
    """Also where float64 is slower, or no matrix pipe takes bfloat16."""
    gpu = lab.platform(name)
    (matrix,) = (part for part in gpu.parts() if part.name == "matrix")
    assert matrix.peak == gpu.spec.matrix_peak("float16") > 0


def test_more_sms_are_never_slower(lab: SimpleNamespace) -> None:
    """But for a few per cent that more parts of a split cost to join."""
    half = lab.platform("a100-sxm-80gb", "chip.sms=54")
    for work in (lab.gemm(1024, 1024, 1024), lab.elementwise(1 << 20), lab.attention(8, 4096)):
        assert lab.play(work).seconds <= lab.play(work, on=half).seconds * 1.05


def test_roofs_name_what_binds(lab: SimpleNamespace) -> None:
    def binding(work: Work, dram_bytes: int) -> str:
        return max(lab.a100.limits(work, dram_bytes), key=lambda limit: limit.seconds).name

    wide = lab.gemm(4096, 4096, 4096)
    assert binding(wide, wide.bytes_read) == "matrix"
    thin = lab.gemm(1, 4096, 4096)
    assert binding(thin, thin.bytes_read) == "dram"
    assert binding(thin, 0) == "l2"
    assert binding(lab.elementwise(1 << 20, special=64), 0) == "special"
    assert binding(RowWise((), (), 1000, 1000, 1, vector_per_element=100), 0) == "vector"


def test_pruned_products_cost_what_the_pipe_does(lab: SimpleNamespace) -> None:
    """Roof and energy count what is executed, as time does."""
    for dense in (lab.gemm(512, 512, 512), lab.grouped((64, 0, 64), 256, 256)):
        pruned = replace(dense, density=0.25)

        def roof(work: Work) -> float:
            (limit,) = [x.seconds for x in lab.a100.limits(work, 0) if x.name == "matrix"]
            return limit

        def joules(work: Work) -> float:
            each = lab.a100.energy_rates(work).per_operation["matrix"][1]
            return each * work.operations["matrix"]

        assert roof(pruned) == pytest.approx(roof(dense))
        assert joules(pruned) == pytest.approx(joules(dense))


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("chip.sm.threads=255", "threads 255 cannot hold .*; give 256 or more"),
        ("chip.sm.registers=8191", "registers 8191 .*; give 16384 or more"),
        ("chip.sm.shared_memory=31 KiB", "shared_memory 31744 B .*; give 32768 B or more"),
        ("chip.clock=0.5 MHz", "chip.clock .* between 1 MHz and 100 GHz"),
        ("chip.clock=101 GHz", "chip.clock .* between 1 MHz and 100 GHz"),
        ("chip.sms=4097", "chip.sms 4097 is above 4096"),
    ],
)
def test_impossible_chips_are_refused(lab: SimpleNamespace, override: str, told: str) -> None:
    with pytest.raises(HardwareError, match=told):
        lab.platform("a100-sxm-80gb", override)


def test_the_smallest_chip_runs_every_kind(lab: SimpleNamespace) -> None:
    small = lab.platform(
        "a100-sxm-80gb", "chip.sm.threads=256", "chip.sm.registers=16384",
        "chip.sm.shared_memory=32 KiB", "chip.sms=1",
    )  # fmt: skip
    index = np.arange(64)
    for work in (
        lab.gemm(1, 64, 1024), lab.gemm(300, 300, 300), lab.grouped((3, 0, 50), 64, 64),
        lab.attention(128, 256, kv_heads=1, dim=512), lab.attention(4, 256, q_len=256),
        lab.elementwise(5000), lab.rowwise(1, 1 << 16), lab.gather(index, 64, 64),
        lab.scatter(index, 64, 64), lab.sparse(np.arange(65), index, 64, 16),
    ):  # fmt: skip
        assert lab.play(work, on=small).seconds > 0


def test_parts_have_the_peaks_of_the_description(lab: SimpleNamespace) -> None:
    peaks = {part.name: part.peak for part in lab.a100.parts()}
    assert peaks["dram"] == pytest.approx(2.039e12, rel=0.001)
    assert peaks["matrix"] >= 312e12 * 0.999
    assert all(peak > 0 for peak in peaks.values())
