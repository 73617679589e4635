"""What is measured, when, and what becomes of it; then the fit finds what made the times."""

import csv
import itertools
import json
from collections import Counter
from concurrent.futures import Executor, Future

import pytest

from simulator.errors import MeasurementError
from simulator.validate.calibrate import calibrate
from simulator.validate.live.plan import GRAPHS, plan, row_point
from simulator.validate.live.store import IDENTITY, LAYOUTS, Store
from simulator.validate.live.sweep import sweep
from simulator.validate.live.timer import RUNS, Unmeasurable
from simulator.validate.methods import method_of
from simulator.validate.parameters import choose
from simulator.validate.rows import TABLES, read_folder
from simulator.validate.run import compare, prepare

GPU = "a100-sxm-80gb"
PLAN = plan("bf16", 0)


def closed_form(point):
    return 3e-6 + 1e-9 * sum(point.sizes.values())


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def swept(points, timer, folder, budget_s=1e9):
    return sweep(points, timer, Store(folder, GPU, timer.device), budget_s, clock=timer.clock)


# ------------------------------------------------------------------------------------ the plan


def test_points_fit_their_files_and_differ():
    keys = Counter()
    for point in PLAN:
        assert set(point.columns) <= set(LAYOUTS[point.file])
        assert point.run in RUNS
        keys[(point.file, *(point.columns.get(name) for name in IDENTITY[point.file]))] += 1
    assert set(keys.values()) == {1}
    assert {point.file for point in PLAN} == set(LAYOUTS)
    assert {point.run for point in PLAN} == set(RUNS)


def test_the_order_is_the_seeds_and_the_points_are_not():
    assert [p.columns for p in plan("bf16", 0)] == [p.columns for p in PLAN]
    other = plan("bf16", 1)
    assert [p.columns for p in other] != [p.columns for p in PLAN]
    assert sorted(str(p.columns) for p in other) == sorted(str(p.columns) for p in PLAN)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_a_sweep_cut_short_is_a_sample_of_every_kind(share):
    """All files but that of the graphs, within a few points of their share."""
    dense = [point.file for point in PLAN if not point.graph]
    whole, part = Counter(dense), Counter(dense[: round(share * len(dense))])
    for file, count in whole.items():
        assert abs(part[file] - share * count) < 4


def test_graphs_come_last_one_after_the_other():
    names = [point.graph for point in PLAN]
    assert [name for name, _ in itertools.groupby(names)] == ["", *GRAPHS]


def test_both_halves_of_the_families_have_enough_to_fit_and_score(fake_timer, tmp_path):
    points = [point for point in PLAN if point.file == "gemm.csv"]
    swept(points, fake_timer(), tmp_path)
    halves = Counter(row.half for row in read_folder(tmp_path).rows)
    assert min(halves[0], halves[1]) > 120


# ------------------------------------------------------------------- measured and replayed alike


def test_every_row_is_read_back_and_mapped(fake_timer, tmp_path):
    """Whatever the simulator has a mapping for; the other files are counted."""
    timer = fake_timer()
    outcome = swept(PLAN, timer, tmp_path)
    assert outcome.measured == len(PLAN) and not outcome.failed
    prepared = prepare(tmp_path, [GPU])
    mapped = [point for point in PLAN if point.file in TABLES]
    timed = [job for job in prepared.jobs if job.row.watts is None]
    assert len(timed) == len(mapped)
    for job in timed:
        method = method_of(job.row)
        (point,) = (p for p in mapped if p.file == job.row.file and _alike(p, job.row))
        assert (point.calls, point.copies) == (method.calls, max(1, method.weight_copies))
        assert job.row.lowest < job.row.seconds < job.row.highest
    watched = [job for job in prepared.jobs if job.row.watts is not None]
    assert len(watched) == sum(point.watched for point in PLAN)
    for job in watched:
        assert job.row.watts == 300 and job.method.calls == job.method.weight_copies == 6
        # A call that attends only is one work; so is a product.
        assert len(job.works) == 1


def _alike(point, row):
    return point.columns["op"] == row.op and point.sizes == row.sizes


SMALL = [
    row_point("gemm.csv", "gemm", "gemm", "bf16", {"m": 33, "n": 512, "k": 256, "batch": 1}),
    row_point("memory_bound.csv", "copy", "copy", "bf16", {"rows": 64, "cols": 1024}),
    row_point("memory_bound.csv", "softmax", "softmax", "bf16", {"rows": 64, "cols": 512}),
    *(
        row_point(
            f"attention_{phase}.csv",
            "attention",
            f"attention_{phase}_sdpa",
            "bf16",
            {
                "batch": 2,
                "heads": 8,
                "kv_heads": 2,
                "head_dim": 64,
                "q_len": queries,
                "kv_len": 256,
                "causal": int(phase == "prefill"),
            },
        )
        for phase, queries in (("prefill", 256), ("decode", 1))
    ),
]


def test_a_simulated_gpu_is_met_exactly(simulated_timer, tmp_path):
    """Nothing is lost or changed from the point through the file to the replayed call."""
    swept(SMALL, simulated_timer(GPU), tmp_path)
    compared = compare(prepare(tmp_path, [GPU])).compared
    assert len(compared) == len(SMALL)
    for one in compared:
        assert one.error == pytest.approx(0, abs=1e-5)
        kernels = len(one.call.kernels)
        assert kernels >= 1
        if one.row.kind == "attention":
            # No rotation and no cache append: at most copies of grouped queries and results, split
            # keys and their sum.
            assert kernels <= 4


class Here(Executor):
    """Runs what it is given, at once."""

    def submit(self, function, /, *arguments, **named):
        future = Future()
        future.set_result(function(*arguments, **named))
        return future


def test_the_fit_recovers_what_made_the_times(simulated_timer, tmp_path):
    """The GPU at hand is a description with a slower ramp and a narrower path into the SM."""
    truth = ("launch.product_ramp=2 us", "chip.sm.load_bytes_per_clk=20")
    points = [
        row_point("gemm.csv", "gemm", "gemm", "bf16", {"m": m, "n": n, "k": k, "batch": 1})
        for n, k in (
            *((64, 256), (96, 448), (256, 128), (512, 384), (80, 320), (1024, 64)),
            *((32, 448), (160, 384), (48, 320), (320, 64), (128, 192), (224, 256)),
        )
        for m in (1, 128, 512)
    ]
    swept(points, simulated_timer(GPU, truth), tmp_path)
    parameters = choose([one.partition("=")[0] for one in truth])
    result = calibrate(
        prepare(tmp_path, [GPU], ["gemm"]),
        parameters,
        Here(),
        fit_rows=15,
        score_rows=5,
        iterations=8,
    )
    ramp, load = result.fitted
    assert ramp.after == pytest.approx(2, rel=0.03)
    assert load.after == pytest.approx(20, rel=0.08)


# ----------------------------------------------------------------------- budget and resumption


@pytest.mark.parametrize("budget_s", [3, 40])
def test_sweeps_cut_short_end_where_a_long_one_does(fake_timer, tmp_path, budget_s):
    points = [point for point in PLAN if not point.graph][:120]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    swept(points, fake_timer(), whole)
    total = runs = 0
    while total < len(points):
        timer = fake_timer()
        outcome = swept(points, timer, parts, max(budget_s, 4.1))
        assert timer.now <= max(budget_s, 4.1)
        assert outcome.held == total
        total += outcome.measured
        assert outcome.left == len(points) - total
        runs += 1
    assert runs > 1 or budget_s > 30
    assert files(parts) == files(whole)


def test_an_interrupted_sweep_keeps_what_was_measured(fake_timer, tmp_path):
    points = SMALL
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    swept(points, fake_timer(), whole)

    def interrupted(point):
        if point is points[3]:
            raise KeyboardInterrupt
        return closed_form(point)

    with pytest.raises(KeyboardInterrupt):
        swept(points, fake_timer(interrupted), parts)
    timer = fake_timer()
    assert swept(points, timer, parts).held == 3
    assert timer.asked == points[3:]
    assert files(parts) == files(whole)


def test_large_graphs_are_begun_only_when_there_is_time_to_make_them(fake_timer, tmp_path):
    points = [point for point in PLAN if point.graph in ("synthetic-cora", "synthetic-reddit")]
    timer = fake_timer()
    outcome = swept(points, timer, tmp_path, budget_s=20)
    assert {point.graph for point in timer.asked} == {"synthetic-cora"}
    assert outcome.left == sum(point.graph == "synthetic-reddit" for point in points)


def test_what_cannot_be_run_is_counted_by_reason_and_not_written(fake_timer, tmp_path):
    def refuse(point):
        if point.file == "memory_bound.csv":
            raise Unmeasurable("does not fit the device's memory")
        return 1e-5

    outcome = swept(SMALL, fake_timer(refuse), tmp_path)
    assert outcome.failed == {"does not fit the device's memory": 2}
    assert not (tmp_path / "memory_bound.csv").exists()


# ------------------------------------------------------------------------------------ the files


def test_rates_and_watts_are_those_of_the_samples(fake_timer, tmp_path):
    launch = next(p for p in PLAN if p.columns["op"] == "small_scale_cudagraph")
    watched = next(p for p in PLAN if p.columns["op"] == "gemm" and p.watched)
    loads = next(p for p in PLAN if p.run == "chase")
    swept([launch, watched, loads], fake_timer(lambda point: 2e-4), tmp_path)
    rate, latency = csv.DictReader((tmp_path / "microbench.csv").open())
    assert latency["unit"] == "cycles"
    cycles = 2e-4 * 1410e6 / loads.sizes["steps"]
    assert float(latency["value"]) == pytest.approx(cycles, rel=1e-5)
    assert float(rate["value"]) == pytest.approx(launch.sizes["moved"] / 2e-4 / 1e9, rel=1e-5)
    assert float(rate["footprint_kb"]) == launch.sizes["moved"] / 1e3
    (power,) = csv.DictReader((tmp_path / "power.csv").open())
    assert float(power["power_w"]) == 300 and float(power["power_limit_w"]) == 400
    assert float(power["energy_mj"]) == pytest.approx(300 * 2e-2 * 1e3)
    assert float(power["time_us"]) == 20_000


def test_a_folder_says_what_was_measured_and_belongs_to_it(fake_timer, tmp_path):
    timer = fake_timer()
    swept(SMALL[:1], timer, tmp_path)
    note = json.loads((tmp_path / "device.json").read_text())
    assert note["device"] == timer.device.name and note["software"]["torch"] == "none"
    with pytest.raises(MeasurementError, match="was measured on NVIDIA A100"):
        Store(tmp_path, "h100-sxm", timer.device)
    (tmp_path / "device.json").write_text("{}")
    with pytest.raises(MeasurementError, match="does not say which device"):
        Store(tmp_path, GPU, timer.device)
    (tmp_path / "device.json").unlink()
    with pytest.raises(MeasurementError, match="not measured here"):
        Store(tmp_path, GPU, timer.device)


@pytest.mark.parametrize("text", ["", "op,gpu\n", "gpu,op\ngemm\n", '"'])
def test_files_of_another_make_are_refused_and_left_alone(fake_timer, tmp_path, text):
    path = tmp_path / "gemm.csv"
    path.write_text(text)
    with pytest.raises(MeasurementError):
        Store(tmp_path, GPU, fake_timer().device)
    assert path.read_text() == text and [one.name for one in tmp_path.iterdir()] == ["gemm.csv"]
