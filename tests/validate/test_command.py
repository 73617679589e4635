"""``accsim validate``: every row is accounted for, mistakes are one line, files come whole."""

import csv
import io
import json

import pytest

from simulator import cli

GEMMS = (
    {"m": 16, "time_us": 5},
    {"m": 16, "time_us": 5},
    {"m": 48, "time_us": 50, "time_us_min": 0.001, "time_us_max": 1000},
    {"m": 16, "gpu": "H100-SXM", "time_us": 5},
    {"m": 16, "gpu": "MI210"},
    {"m": 16, "timing_method": "sundial"},
    {"m": 16, "dtype": "fp32", "timing_method": "event1", "time_us": 30},
)


def run(capsys, *arguments):
    code = cli.main(["validate", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture
def data(measured):
    measured("memory_bound.csv", {}, {"op": "sort"})
    return measured("gemm.csv", *GEMMS)


def document(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_every_row_is_compared_or_skipped_with_a_reason(capsys, data):
    report = document(capsys, "--data", data)
    skipped = sum(row["rows"] for row in report["skipped"])
    assert report["rows_read"] == 9 == report["rows_compared"] + skipped
    assert report["rows_compared"] == 5 == sum(row["n"] for row in report["rows"])
    assert sum(row["n"] for row in report["by_size"]) == 5
    assert report["calls_simulated"] == 4
    reasons = {(row["gpu"], row["op"]): row["reason"] for row in report["skipped"]}
    assert reasons["MI210", "gemm"] == "no description of this GPU"
    assert reasons["A100-SXM-80GB", "sort"] == "no mapping of operator 'sort'"
    assert any("'sundial' is unknown" in row["reason"] for row in report["skipped"])
    assert any("below 100 us" in row["reason"] for row in report["skipped"])


def test_groups_carry_their_errors(capsys, data):
    report = document(capsys, "--data", data)
    groups = {(row["gpu"], row["op"], row["dtype"]): row for row in report["rows"]}
    assert list(groups) == sorted(groups)
    a100 = groups["A100-SXM-80GB", "gemm", "bf16"]
    assert (a100["n"], a100["n_spread"], a100["within_spread"]) == (3, 1, 1.0)
    assert 0 < a100["median"] <= a100["p90"] < 1
    assert a100["mape"] == pytest.approx(-a100["bias"])
    assert a100["roofline_mape"] > a100["mape"]
    assert a100["fitted_roofline_mape"] is None
    sizes = [row["size"] for row in report["by_size"] if row["op"] == "gemm"]
    assert sizes == ["<10 us", "10-100 us", "<10 us"]
    for row in report["worst"]:
        assert row["error"] == pytest.approx(row["simulated_s"] / row["measured_s"] - 1)


def test_the_same_command_says_the_same(capsys, data):
    arguments = ("--data", data, "--sample", 4, "--seed", 7, "--json")
    first, second = run(capsys, *arguments), run(capsys, *arguments)
    assert first[1] == second[1]
    report = json.loads(first[1])
    assert (report["rows_compared"], report["rows_outside_sample"]) == (4, 1)
    assert (report["sample"], report["seed"]) == (4, 7)


def test_gpus_and_operators_are_chosen_by_name(capsys, data):
    report = document(capsys, "--data", data, "--hw", "h100-sxm", "--op", "gemm")
    assert [(row["gpu"], row["op"]) for row in report["rows"]] == [("H100-SXM", "gemm")]
    both = document(capsys, "--data", data, "--hw", "h100-sxm,a100-sxm-80gb", "--op", "gemm")
    assert len(both["rows"]) == 2
    file = document(capsys, "--data", data, "--op", "memory_bound")
    assert [row["op"] for row in file["rows"]] == ["add"]


def test_files_hold_the_document_both_tables_and_the_figure(capsys, data, tmp_path):
    code, out, err = run(capsys, "--data", data, "--out", tmp_path / "out")
    assert code == 0
    assert "fitted roofline" in out
    assert "rows a minute" in err
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        *("validation.json", "errors.csv", "rows.csv", "agreement.svg", "agreement.png")
    }
    report = json.loads((tmp_path / "out" / "validation.json").read_text())
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "errors.csv").read_text())))
    assert len(table) == len(report["rows"]) + len(report["by_size"])
    assert [row["size"] for row in table][:2] == ["all", "10-100 us"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "rows.csv").read_text())))
    assert len(rows) == report["rows_compared"]
    svg = (tmp_path / "out" / "agreement.svg").read_text()
    assert all(text in svg for text in ("H100-SXM", "measured", "simulated", "gemm"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--data", "nowhere"), "no such folder of measurements"),
        (("--hw", "h100"), "did you mean 'h100-sxm'?"),
        (("--hw", "pim-gpt"), "is not a GPU"),
        (("--hw", "h100-sxm,"), "an empty name"),
        (("--hw", "h100-sxm,h100-sxm"), "given twice"),
        (("--op", "gem"), "did you mean 'gemm'?"),
        (("--op", "attention_decode"), "no measurements of operator"),
        (("--sample", "0"), "--sample"),
        (("--sample", "some"), "--sample"),
        (("--hw", "h100-sxm", "--op", "sort"), "no row can be simulated"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(capsys, data, tmp_path, arguments, said):
    given = arguments if "--data" in arguments else ("--data", data, *arguments)
    code, out, err = run(capsys, *given, "--out", tmp_path / "out", "--json")
    assert code == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_column_is_one_line(capsys, data):
    path = data / "gemm.csv"
    path.write_text(path.read_text().replace("time_us,", "duration,"))
    code, out, err = run(capsys, "--data", data)
    assert (code, out) == (2, "")
    assert "gemm.csv: column 'time_us' is missing" in err
    assert err.count("\n") == 1


def test_two_descriptions_of_one_gpu_are_refused(capsys, data, tmp_path):
    fit = tmp_path / "h100-sxm.fit.yaml"
    fit.write_text("extends: h100-sxm\nsource: a test\nquality: guess\nchip: {sms: 66}\n")
    code, _, err = run(capsys, "--data", data, "--hw", "h100-sxm", "--hw", fit)
    assert code == 2
    assert "describe one GPU" in err
    report = document(capsys, "--data", data, "--hw", fit)
    assert report["rows"][0]["gpu"] == "H100-SXM"
    assert report["rows"][0]["hardware"] == "h100-sxm.fit"


def test_energy_stands_beside_time(capsys, measured, powered):
    """Joules of a call where its time is known, watts where it is not."""
    rows = [{**powered["gemm"], "m": m, "impl": stack} for m in (768, 1024) for stack in "ab"]
    blind = [{**powered["gemm"], "m": 8192, "gpu": "H100-SXM", "time_us": ""}]
    short = {**powered["gemm"], "time_us": 99}
    folder = measured("power.csv", *rows, *blind, short, *powered.values())
    measured("gemm.csv", {"m": 16, "time_us": 5})
    report = document(capsys, "--data", folder, "--op", "power")
    groups = {(row["gpu"], row["op"]): row for row in report["rows"]}
    assert not any(op == "gemm" for _, op in groups)
    own = groups["A100-SXM-80GB", "gemm+power"]
    assert own["n"] == own["energy"]["n"] == 5
    assert own["energy"]["of"] == "joules"
    assert set(own["energy"]) == {"n", "mape", "median", "p90", "bias", "of"}
    untimed = groups["H100-SXM", "gemm+power"]
    assert (untimed["n"], untimed["mape"], untimed["roofline_mape"]) == (0, None, None)
    assert (untimed["energy"]["n"], untimed["energy"]["of"]) == (1, "watts")
    reasons = {row["op"]: row["reason"] for row in report["skipped"]}
    assert "difference of two timings" in reasons["amax_scale+power"]
    assert "below 100 us" in reasons["gemm+power"]
    worst = next(row for row in report["worst"] if row["op"] == "gemm+power")
    joules = [worst[f"{end}_s"] * worst[f"{end}_w"] for end in ("simulated", "measured")]
    assert worst["energy_error"] == pytest.approx(joules[0] / joules[1] - 1)
    code, out, err = run(capsys, "--data", folder, "--op", "power")
    assert code == 0, err
    assert "energy MAPE" in out
    assert "1 (W)" in out
