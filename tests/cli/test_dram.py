"""``accsim dram``: list, trace, run, and its one-line errors."""

import json

import pytest

from simulator.cli import main


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "t.npz"
    options = ["--pattern", "mix21", "--requests", "3000", "--bytes", "32", "-o", str(path)]
    assert main(["dram", "trace", *options]) == 0
    return path


def test_list_names_every_standard(capsys):
    assert main(["dram", "list", "--json"]) == 0
    names = {row["name"] for row in json.loads(capsys.readouterr().out)}
    assert {"ddr4-3200", "ddr5-6400", "lpddr5-6400", "gddr6-14", "hbm3-6.4", "hbm4-8.0"} <= names
    assert main(["dram", "list"]) == 0
    assert "hbm2e-3.6" in capsys.readouterr().out


def test_run_reports_json(trace, capsys):
    capsys.readouterr()
    options = ["--standard", "hbm3-6.4", "--trace", str(trace), "--policy", "ramulator2"]
    assert main(["dram", "run", *options, "--check", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["requests"] == 3000
    assert document["violations"] == 0
    assert document["ticks_last_accept"] == 2 * document["cycles_last_accept"]
    assert document["cycles_last_accept"] <= document["cycles_drained"]
    assert 0 < document["bandwidth_bytes_per_s"] < document["peak_bytes_per_s"]
    assert document["commands"]["RD"] + document["commands"]["WR"] == 3000
    assert set(document["latency_cycles"]) == {"mean", "p50", "p95", "p99"}
    parts = dict(document["energy_j"])
    assert parts.pop("total") == pytest.approx(sum(parts.values()))


def test_log_holds_every_command(trace, tmp_path, capsys):
    log = tmp_path / "log.csv"
    options = ["--standard", "lpddr5-6400", "--trace", str(trace), "--log", str(log)]
    assert main(["dram", "run", *options]) == 0
    assert "pJ/bit" in capsys.readouterr().out
    lines = log.read_text().splitlines()
    assert lines[0] == "tick,command,bank,row"
    assert sum(",ACT," in line for line in lines) == sum(",ACT2," in line for line in lines) > 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--standard", "hbm3-64"], "did you mean 'hbm3-6.4'"),
        (["--standard", "a100-sxm-80gb"], "not a memory"),
        (["--standard", "ddr4-3200", "--refresh", "per-bank"], "no per-bank refresh"),
        (["--standard", "ddr4-3200", "--mapping", "mop5"], "did you mean 'mop4'"),
        (["--standard", "ddr4-3200", "--policy", "ramulator"], "did you mean 'ramulator2'"),
        (["--standard", "ddr4-3200", "--channels", "0"], "--channels"),
    ],
)
def test_mistakes_are_one_line(trace, capsys, options, complaint):
    capsys.readouterr()
    assert main(["dram", "run", "--trace", str(trace), *options]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
