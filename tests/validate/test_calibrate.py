"""Calibration: it finds what made the times, says how well, and is repeated to the byte.

The "GPU" measured here is a description with other values, timed by the simulator itself.
"""

from concurrent.futures import Executor, Future
from datetime import date
from pathlib import Path

import pytest

from simulator import cli
from simulator.errors import OptionError
from simulator.system.specs import load_hardware
from simulator.validate.calibrate import (
    FIT_HALF,
    MOST_PARAMETERS,
    PARAMETERS,
    calibrate,
    choose,
    rows_to_fit,
    rows_to_score,
    that_matter,
    times,
)
from simulator.validate.overlay import overlay
from simulator.validate.run import compare, of_type, prepare

GPU = "a100-sxm-80gb"
SHAPES = [
    {"m": m, "n": n, "k": k}
    for n, k in (
        *((64, 256), (96, 512), (256, 128), (512, 1024), (80, 2048), (1024, 64)),
        *((32, 4096), (160, 768), (48, 320), (320, 64), (128, 192), (224, 576)),
    )
    for m in (1, 16, 128, 512)
]
TRUTH = ("launch.product_ramp=2 us", "chip.sm.barrier_cycles=120")


class Here(Executor):
    """Runs what it is given, at once."""

    def submit(self, function, /, *arguments, **named):
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
    result = calibrate(prepared, parameters, Here(), fit_rows=20, score_rows=20, iterations=6)
    ramp, barrier = result.fitted
    # The prior pulls each a little towards the description.
    assert ramp.after == pytest.approx(2, rel=0.1)
    assert 2 * barrier.before < barrier.after < 130
    assert result.score_before.mape > 0.15
    assert result.score_after.mape < 0.06 < result.score_before.median
    text = overlay(result, Path("folder"), date(2026, 1, 2))
    assert text == overlay(result, Path("folder"), date(2026, 1, 2))
    assert "other families, after" in text


def test_rows_are_never_both_fitted_to_and_scored(prepared):
    fitted = rows_to_fit(prepared.jobs, 1000, 0)
    scored = rows_to_score(prepared.jobs, 1000, 0)
    assert {row.half for row in fitted} == {FIT_HALF}
    assert {row.family for row in fitted}.isdisjoint({row.family for row in scored})


def test_the_usual_parameters_are_few_and_hold_their_own_values():
    for operator in ("gemm", "attention_decode", "attention_prefill"):
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
