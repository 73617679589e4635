"""Analyses of a recorded sweep: commands, Python and figure scripts, looked at for structure."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from simulator import cli
from simulator.errors import SweepError
from simulator.results import style
from simulator.sweep import figures, load_sweep, open_results
from simulator.sweep.plan import plan

RECORDED = Path(__file__).with_name("recorded")
EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))


@pytest.fixture(scope="module")
def results():
    return open_results(RECORDED)


def words(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def drawn(draw):
    with style.applied():
        figure = draw()
    return figure, figure.axes


def test_pareto_shows_all_points_and_the_front(results):
    _, (axes,) = drawn(lambda: figures.pareto(results))
    series = {line.get_label(): len(line.get_xdata()) for line in axes.get_lines()}
    front = results.pareto({"latency_s": "min", "energy_j": "min"})
    assert series == {"pim-gpt": 8, "attacc-bank": 8, "front": len(front)}
    assert axes.get_xlabel() == "latency, less is better"
    assert axes.get_ylabel() == "energy, less is better"


def test_the_front_is_a_frame_that_starts_with_the_fastest(results):
    front = results.pareto()
    assert front["latency_s"].is_monotonic_increasing
    assert front["latency_s"].iloc[0] == results.done["latency_s"].min()
    assert results.done["energy_j"].min() in set(front["energy_j"])


def test_tornado_has_a_bar_and_two_shares_per_axis(results):
    table = results.sensitivity("latency_s")
    assert set(table["axis"]) == {"device", "context", "memory.organization.stacks"}
    _, (swing, share) = drawn(lambda: figures.tornado(table, "latency_s"))
    assert [label.get_text() for label in swing.get_yticklabels()] == list(table["axis"])
    assert len(swing.patches) == 3
    assert len(share.patches) == 6
    assert swing.get_xlabel() == "latency"


def test_lines_have_a_series_and_a_band_each(results):
    _, (axes,) = drawn(lambda: figures.lines(results, "context", "latency_s", "device"))
    names = [line.get_label() for line in axes.get_lines()]
    assert names == ["device pim-gpt", "device attacc-bank"]
    assert len(axes.collections) == 2
    assert [label.get_text() for label in axes.get_xticklabels()] == ["64", "128", "256"]


@pytest.mark.parametrize(
    ("command", "figure", "table"),
    [
        (["pareto", RECORDED, "--objectives", "tokens_per_s:max,energy_j:min"], "pareto", "pareto"),
        (["sensitivity", RECORDED, "--base", "context=64"], "sensitivity", "sensitivity"),
    ],
)
def test_commands_print_and_write_the_same_bytes(command, figure, table, tmp_path, capsys):
    for folder in ("one", "two"):
        arguments = [*map(str, command), "--out", str(tmp_path / folder)]
        assert cli.main(arguments) == 0
        assert capsys.readouterr().out
    for name in (f"{figure}.svg", f"{table}.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["pareto", str(RECORDED), "--objectives", "latncy_s:min"], "did you mean 'latency_s'?"),
        (["pareto", str(RECORDED), "--objectives", "latency_s"], "COLUMN:min or COLUMN:max"),
        (["sensitivity", str(RECORDED), "--objective", "bound_by"], "no column of numbers"),
        (["sensitivity", str(RECORDED), "--base", "context=65"], "context was never 65"),
        (["sensitivity", str(RECORDED), "--base", "contxt=64"], "did you mean 'context'?"),
        (["pareto", "nowhere"], "cannot read: No such file"),
    ],
)
def test_mistakes_are_one_line(arguments, said, capsys):
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_line_along_no_axis_is_refused(results):
    with pytest.raises(SweepError, match="no axis 'contexts'"):
        figures.lines(results, "contexts", "latency_s")


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("pareto", ["--objectives", "latency_s:min,energy_j:min"]),
        ("sensitivity", []),
        ("lines", ["--axis", "context", "--series", "device"]),
    ],
)
def test_scripts_write_vector_and_pixel_figures(script, arguments, request, tmp_path):
    root = request.config.rootpath
    done = subprocess.run(
        [sys.executable, root / "plots" / f"{script}.py", RECORDED, *arguments, "-o", tmp_path],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{script}.{form}" for form in ("svg", "pdf", "png")
    }
    assert "latency" in " ".join(words((tmp_path / f"{script}.svg").read_text()))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_sweeps_of_what_is_shipped(path):
    points = plan(load_sweep(path)).points
    assert 18 <= len(points) <= 200
    assert len({point.key for point in points}) == len(points)
    page = path.with_suffix(".md").read_text()
    assert f"accsim sweep examples/{path.name}" in page
