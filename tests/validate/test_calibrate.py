"""Calibration: it finds what made the times, says how well, and is repeated to the byte.

The "GPU" measured here is a description with other values, timed by the simulator itself.
"""

import math
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from simulator import cli
from simulator.errors import OptionError
from simulator.system.specs import load_hardware
from simulator.validate.calibrate import FIT_HALF, calibrate, rows_to_fit, rows_to_score
from simulator.validate.methods import METHODS
from simulator.validate.overlay import overlay
from simulator.validate.parameters import MOST_PARAMETERS, PARAMETERS, choose, that_matter
from simulator.validate.run import compare, of_type, prepare
from simulator.validate.trials import platform, played, settled, times

GPU = "a100-sxm-80gb"
SHAPES = [
    {"m": m, "n": n, "k": k}
    for n, k in (
        *((64, 256), (96, 448), (256, 128), (512, 384), (80, 320), (1024, 64)),
        *((32, 448), (160, 384), (48, 320), (320, 64), (128, 192), (224, 256)),
    )
    for m in (1, 16, 128, 512)
]
TRUTH = ("launch.product_ramp=2 us", "chip.sm.load_bytes_per_clk=20")


class Here(Executor):
    """Runs what it is given, at once."""

    simulated = 0

    def submit(self, function, /, *arguments, **named):
        self.simulated += 1
        future = Future()
        future.set_result(function(*arguments, **named))
        return future


@pytest.fixture
def prepared(measured):
    """Rows whose times are those of another GPU."""
    folder = measured("gemm.csv", *SHAPES)
    rows = [job.row for job in prepare(folder, [GPU], ["gemm"]).jobs]
    seconds = times(GPU, TRUTH, rows)
    timed = [
        {**shape, "time_us": 1e6 * value} for shape, value in zip(SHAPES, seconds, strict=True)
    ]
    return prepare(measured("gemm.csv", *timed), [GPU], ["gemm"])


@pytest.fixture
def parameters():
    return choose([one.partition("=")[0] for one in TRUTH])


def test_it_finds_what_made_the_times(prepared, parameters):
    result = calibrate(prepared, parameters, Here(), fit_rows=20, score_rows=20, iterations=8)
    ramp, load = result.fitted
    # The prior pulls each a little towards the description.
    assert ramp.before == pytest.approx(0.8) and ramp.after == pytest.approx(2, rel=0.03)
    assert load.before == pytest.approx(64) and load.after == pytest.approx(20, rel=0.08)
    assert result.score_before.time.mape > 0.15 < result.score_before.time.median
    assert result.score_after.time.mape < 0.01
    text = overlay(result, Path("folder"), date(2026, 1, 2))
    assert text == overlay(result, Path("folder"), date(2026, 1, 2))
    assert "other families, after" in text


def test_the_first_step_is_a_small_one(prepared, parameters):
    """A parameter that hardly matters where the fit starts tempts a Gauss-Newton step far beyond
    what its prior allows, into descriptions that nobody believes."""
    told = []
    calibrate(
        prepared, parameters, Here(), fit_rows=20, score_rows=5, iterations=3, keep=told.append
    )
    begin, first, *_ = (
        {path: float(text.split()[0]) for path, text in best.values} for best in told
    )
    widths = [abs(math.log(first[one.path] / begin[one.path])) / one.width for one in parameters]
    # SciPy measures in units that shrink near a bound.
    assert 0.2 < math.hypot(*widths) < 2


def test_an_interrupted_fit_keeps_its_best(capsys, measured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = measured("gemm.csv", *({**shape, "time_us": 12} for shape in SHAPES))
    arguments = ["calibrate", "--hw", GPU, "--data", str(data), "--parameter"]
    arguments += ["launch.product_ramp", "--rows", "12", "--score-rows", "5", "--iterations", "4"]
    monkeypatch.setattr("simulator.commands.calibrate.ProcessPoolExecutor", lambda *given: Here())
    evaluated = []

    def interrupt(residuals):
        evaluated.append(residuals)
        if len(evaluated) == 3:
            raise KeyboardInterrupt
        return float(residuals @ residuals)

    monkeypatch.setattr("simulator.validate.calibrate._loss", interrupt)
    assert cli.main([*arguments, "-o", "mine.fit.yaml"]) == 130
    assert "go on with --from mine.fit.part.yaml" in capsys.readouterr().err
    assert not Path("mine.fit.yaml").exists()
    best = load_hardware("mine.fit.part.yaml").spec.launch.product_ramp
    assert best > load_hardware(GPU).spec.launch.product_ramp
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("simulator.commands.calibrate.ProcessPoolExecutor", lambda *given: Here())
    assert cli.main([*arguments, "-o", "mine.fit.yaml", "--from", "mine.fit.part.yaml"]) == 0
    assert not Path("mine.fit.part.yaml").exists()
    assert Path("mine.fit.yaml").exists()


def test_rows_are_never_both_fitted_to_and_scored(prepared):
    fitted = rows_to_fit(prepared.jobs, 1000, 0)
    scored = rows_to_score(prepared.jobs, 1000, 0)
    assert {row.half for row in fitted} == {FIT_HALF}
    assert {row.family for row in fitted}.isdisjoint({row.family for row in scored})


def test_the_usual_parameters_are_few_and_hold_their_own_values():
    for operator in ("gemm", "attention_decode", "attention_prefill", "moe_ffn", "layernorm"):
        assert len(that_matter(PARAMETERS, [operator])) <= MOST_PARAMETERS
    with pytest.raises(OptionError, match="parameters at once"):
        that_matter(PARAMETERS, ["gemm", "attention_decode"])
    for name in (GPU, "h100-sxm", "b200", "l40s"):
        spec = load_hardware(name).spec
        for one in PARAMETERS:
            value = one.of(spec)
            assert one.low <= value <= one.high, (name, one.path)
            again = load_hardware(name, [f"{one.path}={one.text(value)}"]).spec
            assert one.of(again) == pytest.approx(value, rel=1e-3)


def test_names_that_are_wrong(prepared):
    with pytest.raises(OptionError, match="not a parameter"):
        choose(["l2.usabel"])
    with pytest.raises(OptionError, match="no measurements of type 'fp9'"):
        of_type(prepared, ["fp9"])


def test_the_command_writes_a_description(capsys, measured, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = measured("gemm.csv", *({**shape, "time_us": 12} for shape in SHAPES))
    arguments = ["calibrate", "--hw", GPU, "--data", str(data), "--parameter"]
    arguments += ["launch.product_ramp", "--rows", "12", "--score-rows", "5", "--iterations", "2"]
    assert cli.main([*arguments, "-o", "mine.fit.yaml"]) == 0
    assert "launch.product_ramp" in capsys.readouterr().out
    hardware = load_hardware("mine.fit.yaml")
    assert hardware.spec.launch.product_ramp > load_hardware(GPU).spec.launch.product_ramp
    assert cli.main([*arguments, "-o", "absent/mine.yaml"]) == 2
    assert "no folder 'absent'" in capsys.readouterr().err
    assert cli.main([*arguments, "-o", "mine.txt"]) == 2
    assert "is not a .yaml file" in capsys.readouterr().err
    assert not Path("mine.txt").exists()


def test_halves_part_the_families(prepared):
    parts = [compare(prepared, 8, half=half).compared for half in (0, 1)]
    families = [{one.row.family for one in part} for part in parts]
    assert families[0].isdisjoint(families[1])
    assert all(one.row.half == half for half, part in enumerate(parts) for one in part)


WATTS = ("energy.matrix.float16=1.4 pJ/flop", "energy.matrix.bfloat16=1.4 pJ/flop")


@pytest.fixture
def powered_rows(measured, powered):
    """Products whose times and watts are those of a GPU with dearer products."""
    shapes = [
        {**powered["gemm"], "m": m, "n": n, "k": k}
        for n, k in ((512, 2048), (768, 1536), (1024, 1024), (1280, 768), (1536, 512), (640, 640))
        for m in (256, 512, 768, 1024)
    ]
    folder = measured("power.csv", *shapes)
    rows = [job.row for job in prepare(folder, [GPU], ["power"]).jobs]
    device = platform(GPU, WATTS)
    seconds, watts = settled(device, rows, played(GPU, WATTS, rows))
    pairs = zip(shapes, seconds, watts, strict=True)
    # The method trusts no shorter time; what is fitted is the power.
    told = [{**shape, "time_us": 1e6 * time, "power_w": draws} for shape, time, draws in pairs]
    return lambda: prepare(measured("power.csv", *told), [GPU], ["power"])


def test_watts_tell_energies_without_another_simulation(powered_rows, monkeypatch):
    monkeypatch.setitem(
        METHODS,
        "cudagraph_events+nvml_100ms_avg",
        replace(METHODS["cudagraph_events+nvml_100ms_avg"], trusted_from_s=0.0),
    )
    here = Here()
    (matrix,) = choose(["energy.matrix.float16"])
    result = calibrate(powered_rows(), (matrix,), here, fit_rows=12, score_rows=12)
    # Once for the rows that are fitted to, once for those that score.
    assert here.simulated == 2 * 4
    assert result.fitted[0].after == pytest.approx(1.4, rel=0.1)
    assert result.score_before.energy.mape > 0.1
    assert result.score_after.energy.mape < 0.03
    text = overlay(result, Path("folder"), date(2026, 1, 2))
    assert "energy" in text
    spec = result.spec
    assert text.count("keeps its ratio to float16") == len(spec.energy.matrix) - 1


def test_long_products_tell_the_matrix_energy_and_short_ones_nothing(measured):
    long = [{"m": 4096, "n": 64 * n, "k": 4096, "time_us": 100 + n} for n in range(40, 100)]
    short = [{"m": 16, "n": 64 * n, "k": 64, "time_us": 5} for n in range(40, 100)]
    jobs = prepare(measured("gemm.csv", *long, *short), [GPU], ["gemm"]).jobs
    (matrix,) = choose(["energy.matrix.float16"])
    ramp, _ = choose([one.partition("=")[0] for one in TRUTH])
    assert all(row.sizes["m"] == 4096 for row in rows_to_fit(jobs, 20, 0, (matrix,)))
    assert all(row.sizes["m"] == 16 for row in rows_to_fit(jobs, 12, 0, (ramp,)))
    both = rows_to_fit(jobs, 20, 0, (matrix, ramp))
    assert 0 < sum(row.sizes["m"] == 4096 for row in both) < len(both)
