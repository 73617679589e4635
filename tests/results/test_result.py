"""The result document and its Python face: complete, consistent, the same bytes each time."""

import csv
import io
import json
import math
import subprocess
import sys

import pytest

from simulator.errors import OptionError
from simulator.results import Result, document

DEMANDED = {
    "schema",
    "workload",
    "hardware",
    "latency_s",
    "bound_latency_s",
    "energy_j",
    "tokens_per_s",
    "utilization",
    "simulated_share",
    "operators",
    "guesses",
    "warnings",
}


@pytest.fixture(scope="module")
def result(synthetic):
    return Result(synthetic.decode_step())


def test_the_document_has_every_key_users_rely_on(result):
    content = result.to_json()
    assert content.keys() >= DEMANDED
    wanted = {"name", "kind", "count", "latency_s", "bound_s", "energy_j"}
    assert all(row.keys() >= wanted for row in content["operators"])
    assert all(0 <= share <= 1 for share in content["utilization"].values())


def test_the_document_is_plain_json(result):
    assert json.loads(result.dumps()) == result.to_json()


def test_seconds_are_exact_femtoseconds(synthetic):
    result = Result(synthetic.run([synthetic.kernel(end_fs=123_456_789_012_345)]))
    assert result.latency_s == 0.123456789012345
    assert result.dumps().count("0.123456789012345") >= 1


def test_energy_parts_add_up_to_the_total(result):
    content = result.to_json()
    total = content["energy_j"]
    assert math.isclose(math.fsum(content["energy_by_part_j"].values()), total)
    inside = math.fsum(row["energy_j"] for row in content["kinds"])
    outside = math.fsum(content["energy_outside_kernels_j"].values())
    assert math.isclose(inside + outside, total)
    assert content["energy_outside_kernels_j"]["dram"] == 0.0


def test_operators_and_idle_time_add_up_to_the_latency_of_one_stream(result):
    content = result.to_json()
    busy = math.fsum(row["latency_s"] for row in content["operators"])
    assert math.isclose(busy + content["idle_s"], content["latency_s"])
    assert math.isclose(busy, math.fsum(row["latency_s"] for row in content["kinds"]))


def test_rates_follow_from_latency(synthetic):
    result = Result(synthetic.run([synthetic.kernel()], tokens=4, graphs=2))
    assert result.tokens_per_s == pytest.approx(4 / 60e-6)
    assert result.graphs_per_s == pytest.approx(2 / 60e-6)
    assert result.energy_per_token_j == pytest.approx(result.energy_j / 4)
    assert result.bound_ratio == pytest.approx(60 / 50)


def test_a_run_without_tokens_has_no_token_rate(synthetic):
    result = Result(synthetic.run([synthetic.kernel()], tokens=0))
    assert result.tokens_per_s is None
    assert result.energy_per_token_j is None


def test_an_empty_run_is_still_a_result(synthetic, tmp_path):
    result = Result(synthetic.run([], components=[]))
    assert result.latency_s == 0
    assert result.bound_ratio is None
    assert result.operators.empty
    assert result.kernels.empty
    result.save(tmp_path / "out")


def test_changing_a_document_does_not_change_the_result(result):
    result.to_json()["energy_by_part_j"].clear()
    assert result.energy_by_part_j


def test_frames_hold_the_same_numbers(result):
    operators, kernels = result.operators, result.kernels
    assert operators["latency_s"].sum() == pytest.approx(
        kernels.eval("end_fs - start_fs").sum() / 1e15
    )
    assert operators["latency_s"].is_monotonic_decreasing
    assert kernels["energy_j"].sum() == pytest.approx(operators["energy_j"].sum())
    assert kernels["busy_fs_dram"].sum() / 1e15 == pytest.approx(
        result.utilization["dram"] * result.latency_s
    )
    assert len(kernels) == len(result.record.kernels)
    assert set(result.kinds["name"]) == {kernel.kind for kernel in result.record.kernels}


def test_csv_is_the_table_of_operators(result):
    rows = list(csv.DictReader(io.StringIO(document.rows_to_csv(result.to_json()["operators"]))))
    assert [row["name"] for row in rows] == list(result.operators["name"])
    assert float(rows[0]["energy_dram_j"]) == result.operators["energy_dram_j"][0]


SCRIPT = """
import runpy, sys
from simulator.results import Result
synthetic = runpy.run_path(sys.argv[1])
sys.stdout.write(Result(synthetic["decode_step"]()).dumps())
assert not {"pandas", "matplotlib", "rich"} & sys.modules.keys(), "a number loaded a picture"
"""


def test_two_processes_give_the_same_bytes_without_heavy_imports(result, request):
    builders = request.path.with_name("conftest.py")
    for seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, builders],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(request.config.rootpath)},
            capture_output=True,
            text=True,
            check=False,
        )
        # pytest itself, which the builders' file imports, brings none of the three.
        assert run.returncode == 0, run.stderr
        assert run.stdout == result.dumps()


def test_saved_documents_load_from_folder_and_file(result, tmp_path):
    result.save(tmp_path / "out")
    assert document.load(tmp_path / "out") == result.to_json()
    assert document.load(tmp_path / "out" / "result.json") == result.to_json()


BAD_FILES = [
    ("{", "not JSON"),
    ("[]", "not a result"),
    ('{"workload": 1}', "not a result"),
    ('{"schema": 99, "workload": "x", "kinds": []}', "schema 99"),
]


@pytest.mark.parametrize(("text", "message"), BAD_FILES)
def test_bad_documents_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "result.json"
    path.write_text(text)
    with pytest.raises(OptionError, match=message) as caught:
        document.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_document_is_refused(tmp_path):
    with pytest.raises(OptionError, match="No such file"):
        document.load(tmp_path / "nowhere.json")
