"""Published figures are well documented, can be simulated, and are compared as promised."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import published
import pytest
from hypothesis import given
from hypothesis import strategies as st
from probes import PROBES

from simulator.api import load_hardware
from simulator.validate import published as figures

ROOT = Path(__file__).parents[2]
FIGURES = figures.load()
ANCHORS = (
    "gpu.a100.latency.l2",
    "gpu.a100.latency.dram",
    "gpu.a100.shared.l2",
    "gpu.a100.graph.64k",
    "gpu.a100.launches.64k",
    "gpu.gh200.latency.dram",
    "gpu.h200.graph.64k",
    "fpga.u280.latency.hit",
    "fpga.u280.latency.closed",
    "fpga.u280.latency.conflict",
)
"""What a description took over: a simulation that misses these plays another device."""
CHEAP = "fpga.u280"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "validation" / "published.py", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def figure(**changes: object) -> figures.Figure:
    fields: dict[str, object] = {
        "name": "one.figure",
        "what": "something",
        "value": [10, 20],
        "unit": "ns",
        "kind": "board",
        "source": "key",
        "citation": "in full",
        "hardware": "a100-sxm-80gb",
        "probe": "pointer_chase",
    }
    return figures.Figure(**(fields | changes))


@pytest.mark.parametrize("one", FIGURES, ids=lambda one: one.name)
def test_every_figure_has_provenance_and_a_probe_that_answers_it(one):
    assert one.kind in ("board", "microbenchmark", "paper", "simulator")
    assert one.source and len(one.citation) > len(one.source)
    probe = PROBES[one.probe]
    assert probe.si == one.si
    assert probe.accepts(one.arguments)


def test_every_description_and_override_exists():
    for one in FIGURES:
        if one.hardware:
            assert load_hardware(one.hardware, (*one.set, *one.conditions)).name == one.hardware


def test_a_board_is_simulated_by_its_own_description_or_by_a_relative():
    one = figure(board="h200", hardware="h100-sxm", set=("chip.sms=1",), conditions=("a=b",))
    assert figures.description_of(one, ["h100-sxm", "a100"]) == "h100-sxm"
    assert one.setting("h100-sxm") == ("chip.sms=1", "a=b")
    assert figures.description_of(one, ["h100-sxm", "h200-sxm"]) == "h200-sxm"
    assert one.setting("h200-sxm") == ("a=b",)
    assert figures.description_of(figure(board="l40", hardware=""), ["l40s", "a40"]) is None
    assert figure(set=("chip.sms=1",)).setting("a100-sxm-80gb") == ("chip.sms=1",)


def test_every_kind_and_device_is_represented_with_independent_figures():
    independent = [one for one in FIGURES if not one.used_in_description]
    assert {one.kind for one in independent} == {"board", "microbenchmark", "paper", "simulator"}
    assert {one.name.split(".")[0] for one in independent} == {"gpu", "fpga", "pim"}


@given(low=st.floats(1e-3, 1e3), width=st.floats(0, 1e3), simulated=st.floats(1e-3, 1e4))
def test_ratio_is_one_inside_a_range_and_measured_from_its_nearer_end(low, width, simulated):
    one = figure(value=[low, low + width])
    ratio = one.ratio(simulated)
    if simulated < low:
        assert ratio == simulated / low
    elif simulated > low + width:
        assert ratio == simulated / (low + width)
    else:
        assert ratio == 1
    comparison = published.Comparison(one, simulated)
    assert comparison.error == pytest.approx(abs(ratio - 1))


def test_a_floor_has_an_error_only_when_undercut():
    floor = figure(value=10, relation="floor")
    assert published.Comparison(floor, 30).error is None
    assert published.Comparison(floor, 8).error == pytest.approx(0.2)


def test_units_become_those_of_the_publication():
    assert figure(unit="clk", clock="2 GHz").in_unit(5e-9) == pytest.approx(10)
    assert figure(unit="us").in_unit(5e-6) == pytest.approx(5)
    assert figure(unit="TFLOP/s").in_unit(2e14) == pytest.approx(200)


def test_errors_are_counted_by_kind_and_independent_ones_apart():
    comparisons = [
        published.Comparison(figure(value=10), 11),
        published.Comparison(figure(value=10), 8),
        published.Comparison(figure(value=10, used_in_description=True), 10),
        published.Comparison(figure(value=10, kind="paper", relation="floor"), 50),
    ]
    errors = published.summary(comparisons)
    assert errors["board"]["all"] == pytest.approx({"count": 3, "mean": 0.1, "median": 0.1})
    assert errors["board"]["independent"] == pytest.approx(
        {"count": 2, "mean": 0.15, "median": 0.15}
    )
    assert errors["paper"] == {"all": None, "independent": None}


GOOD = """
sources: {key: somebody's results in full}
groups:
- {name: a, what: b, hardware: c, probe: d, kind: board, source: key, unit: ns, points: [POINT]}
"""


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ("{name: x}", "value: Field required"),
        ("{name: x, value: 0}", "not positive"),
        ("{name: x, value: [2, 1]}", "ascending"),
        ("{name: x, value: .inf}", "not positive and ascending"),
        ("{name: x, value: 1, unit: fortnights}", "unknown unit 'fortnights'"),
        ("{name: x, value: 1, unit: clk}", "needs a clock"),
        ("{name: x, value: 1, clock: 1 GHz}", "needs a clock"),
        ("{name: x, value: 1, kind: rumour}", "kind"),
        ("{name: x, value: 1, source: nobody}", "'nobody' is not among"),
        ("{name: x, value: 1, sourec: key}", "sourec"),
        ("{name: x, value: 1}, {name: x, value: 2}", "two figures have this name"),
    ],
)
def test_faulty_figures_are_refused_in_one_line(tmp_path, point, said):
    (tmp_path / "faulty.yaml").write_text(GOOD.replace("POINT", point))
    with pytest.raises(figures.FigureError) as caught:
        figures.load(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "sources: {}", "groups: 3", "a: [", "\t- x"])
def test_files_of_something_else_are_refused_in_one_line(tmp_path, text):
    (tmp_path / "other.yaml").write_text(text)
    with pytest.raises(figures.FigureError, match="not a file of figures") as caught:
        figures.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"probe": "pointer_chas"}, {"unit": "W"}, {"with": {"x": 1}}])
def test_a_figure_no_probe_can_answer_is_refused(change):
    with pytest.raises(figures.FigureError):
        published.compare(figure(**({"with": {"footprint": "1 MB"}} | change)))


def test_the_script_compares_and_says_the_same_twice():
    first, second = (run("--only", CHEAP, "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    document = json.loads(first.stdout)
    rows = document["figures"]
    assert [row["name"] for row in rows] == [
        one.name for one in FIGURES if one.name.startswith(CHEAP)
    ]
    assert len(rows) == 6
    for row in rows:
        assert row["ratio"] == pytest.approx(row["simulated"] / row["value"][0])
    assert document["errors"]["microbenchmark"]["all"]["count"] == 6
    assert document["errors"]["microbenchmark"]["independent"]["count"] == 3


def test_the_table_shows_every_row_and_the_errors():
    done = run("--only", CHEAP)
    assert done.returncode == 0, done.stderr
    for one in FIGURES:
        assert (one.what in done.stdout) == one.name.startswith(CHEAP)
    assert "106.7 ns" in done.stdout
    assert "shuhai *" in done.stdout
    assert "absolute error" in done.stdout


def test_an_unknown_prefix_is_one_line_with_the_nearest_name():
    done = run("--only", "fpga.u820")
    assert done.returncode == 2
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
    assert "fpga." in done.stderr


def test_a_worse_description_shows_as_a_worse_ratio():
    """The comparison measures the device it is given, not the publication."""
    one = next(one for one in FIGURES if one.name == "fpga.u280.latency.hit")
    slow = one.model_copy(update={"set": (*one.set, "axi.latency=300 ns")})
    assert published.compare(one).ratio == pytest.approx(1, abs=0.05)
    assert published.compare(slow).ratio > 2.5


def test_probes_follow_the_mechanisms_they_probe():
    a100 = load_hardware("a100-sxm-80gb")
    chase, shared = PROBES["pointer_chase"], PROBES["shared_reads"]
    near, far = (chase(a100, {"footprint": size}) for size in ("1 MB", "128 MB"))
    assert far > 2 * near
    cached, streamed = (shared(a100, {"footprint": size}) for size in ("8 MB", "64 MB"))
    assert cached > 2 * streamed
    assert streamed <= a100.spec.memory.peak_bytes_per_s
    interval = PROBES["launch_interval"]
    graph, stream = (
        interval(a100, {"moved": "64 kB", "launch": launch}) for launch in ("graph", "eager")
    )
    assert a100.spec.launch.graph_gap < graph < stream


@pytest.mark.slow
def test_all_figures_can_be_simulated_and_none_beats_a_floor():
    done = run("--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    names = [one.name for one in published.described(FIGURES)]
    assert [row["name"] for row in document["figures"]] == names
    for row in document["figures"]:
        assert math.isfinite(row["simulated"]) and row["simulated"] > 0
        if row["relation"] == "floor":
            assert row["ratio"] >= 1, row["name"]
    ratios = {row["name"]: row["ratio"] for row in document["figures"]}
    assert {name: ratios[name] for name in ANCHORS} == pytest.approx(
        dict.fromkeys(ANCHORS, 1), abs=0.1
    )
