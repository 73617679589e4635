"""Our own measurements of an H100 and an H200: whole, and near what their descriptions simulate."""

import csv
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median

import pytest

from simulator.validate.run import compare, of_type, prepare

MEASURED = Path(__file__).parents[2] / "validation" / "measured"
GPUS = ("h100-sxm", "h200-sxm")


def times(gpu: str) -> dict[tuple[int, int, int], float]:
    """(m, n, k) of a product to its microseconds."""
    with (MEASURED / gpu / "gemm.csv").open(newline="") as file:
        return {
            (int(row["m"]), int(row["n"]), int(row["k"])): float(row["time_us"])
            for row in csv.DictReader(file)
        }


@pytest.mark.parametrize("gpu", GPUS)
def test_every_product_has_its_kernels_on_record(gpu: str) -> None:
    with (MEASURED / gpu / "kernels.csv").open(newline="") as file:
        known = {(row["m"], row["n"], row["k"]) for row in csv.DictReader(file)}
    assert all(tuple(map(str, shape)) in known for shape in times(gpu))


def test_only_the_memory_differs_between_both() -> None:
    """Streamed weights go with the bandwidth, 3.35 to 4.8 TB/s; large products do not."""
    h100, h200 = (times(gpu) for gpu in GPUS)
    ratio = {shape: h200[shape] / h100[shape] for shape in h100}
    streamed = [value for (m, n, k), value in ratio.items() if m <= 16 and n * k > 2e7]
    large = [value for (m, n, k), value in ratio.items() if m * n * k > 1e11]
    assert median(streamed) == pytest.approx(0.71, abs=0.05)
    assert median(large) == pytest.approx(1.02, abs=0.05)


def test_a_few_products_of_families_that_were_not_fitted_to() -> None:
    prepared = of_type(prepare(MEASURED / "h200-sxm", ["h200-sxm.fit"], ["gemm"]), ["bf16"])
    short = tuple(job for job in prepared.jobs if job.row.seconds < 20e-6)
    scored = compare(replace(prepared, jobs=short), 10, 0, half=1)
    errors = [abs(one.error) for one in scored.compared if one.error is not None]
    assert len(errors) == 10 and fmean(errors) < 0.15
