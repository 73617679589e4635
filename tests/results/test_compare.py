"""Comparisons: relative to the first, and only where the work is the same."""

import csv
import io
import json

import pytest

from simulator.errors import OptionError
from simulator.results import Result
from simulator.results.compare import compare


@pytest.fixture(scope="module")
def results(synthetic):
    us = synthetic.US
    fast = synthetic.kernel(end_fs=30 * us, bound_fs=20 * us, busy_fs={"dram": 20 * us})
    return [
        Result(synthetic.run([synthetic.kernel()], warnings=())),
        Result(synthetic.run([fast], hardware="fast-pim")),
        Result(synthetic.run([fast], hardware="small-fpga", workload="toy-1b")),
    ]


def test_speed_up_is_relative_to_the_first(results):
    rows = compare(results).rows
    assert [row["speedup"] for row in rows] == [1.0, 2.0, None]
    expected = results[0].energy_j / results[1].energy_j
    assert rows[1]["energy_gain"] == pytest.approx(expected)
    assert rows[0]["bound_ratio"] == pytest.approx(1.2)


def test_other_work_is_not_compared_but_named(results):
    comparison = compare(results)
    assert [row["comparable"] for row in comparison.rows] == [True, True, False]
    (note,) = comparison.notes
    assert "small-fpga ran toy-1b decode" in note
    assert "toy-1b" in comparison.rows[2]["label"]


def test_twins_are_told_apart_by_their_options(synthetic):
    pair = [
        Result(synthetic.run([synthetic.kernel()], options={"launch": launch, "fidelity": "fast"}))
        for launch in ("eager", "graph")
    ]
    labels = [row["label"] for row in compare(pair).rows]
    assert labels == ["toy-gpu\nlaunch=eager", "toy-gpu\nlaunch=graph"]


def test_documents_compare_like_results(results):
    comparison = compare([result.to_json() for result in results])
    assert comparison.dumps() == compare(results).dumps()


def test_nothing_to_compare_is_an_error():
    with pytest.raises(OptionError, match="nothing to compare"):
        compare([])


def test_the_four_files_agree(results, tmp_path):
    comparison = compare(results)
    comparison.save(tmp_path / "out")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["compare.csv", "compare.html", "compare.json", "compare.svg"]
    content = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert content == comparison.to_json()
    table = list(csv.DictReader(io.StringIO((tmp_path / "out" / "compare.csv").read_text())))
    assert [row["hardware"] for row in table] == ["toy-gpu", "fast-pim", "small-fpga"]
    assert float(table[1]["speedup"]) == 2.0
    assert table[2]["speedup"] == ""
    html = (tmp_path / "out" / "compare.html").read_text()
    assert "://" not in html
    assert "graphs/s" not in html, "a column without values is left out"


def test_saving_twice_gives_the_same_bytes(results, tmp_path):
    for name in ("one", "two"):
        compare(results).save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_the_table_is_a_frame(results):
    table = compare(results).table
    assert list(table["hardware"]) == ["toy-gpu", "fast-pim", "small-fpga"]
