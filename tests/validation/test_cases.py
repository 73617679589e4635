"""Case studies: every row has provenance, prices are an input, errors are one line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from cases import case

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in (ROOT / "validation" / "cases").glob("*/case.yaml"))


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "validation" / "cases" / name / "run.py", *arguments],
        env=None,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_the_cases_are_there():
    assert [folder.name for folder in FOLDERS] == ["edge_moe", "flightllm"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_rows_have_provenance_and_systems_a_baseline(folder):
    found = case.load(folder, [])
    assert found.baseline in {system.name for system in found.systems}
    assert {row.source for row in found.rows} <= found.sources.keys()
    assert sum(row.fitted for row in found.rows) == 1
    for row in found.rows:
        assert row.provenance
        assert "measured" not in row.provenance or "A100" in row.what
    for system in found.systems:
        assert system.price is None or system.price_source


def test_a_case_compares_speed_energy_and_cost_at_the_given_price():
    done = run("edge_moe", "--json", "--price", "A100=4600")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    frame = next(row for row in found["rows"] if row["fitted"])
    assert abs(frame["error"]) < 0.05
    systems = {row["system"]: row for row in found["systems"]}
    gpu = systems["A100"]
    assert (gpu["price"], gpu["price_source"]) == (4600, "--price")
    assert gpu["per_s_per_kilodollar"] == pytest.approx(gpu["per_s"] / 4.6)
    assert gpu["energy_ratio"] == pytest.approx(gpu["per_j"] / systems["V100S"]["per_j"])


@pytest.mark.parametrize(
    ("price", "words"), [("A1OO=1", "A100"), ("A100", "NAME=DOLLARS"), ("A100=-3", "NAME=DOLLARS")]
)
def test_mistakes_are_one_line(price, words):
    done = run("edge_moe", "--price", price)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
