"""Each mistake in a sweep file is one line with file, line, key and remedy, and exit code 2."""

import pytest

from simulator import cli

HEAD = "workloads: {decode: {trace: gpt2, phase: decode}}\ndevices: [pim-gpt]\n"

MISTAKES = {
    "unknown key": (HEAD + "axis: {batch: [1]}", "unknown key 'axis'; did you mean 'axes'?"),
    "unknown axis": (HEAD + "axes: {batchs: [1]}", "did you mean 'batch'?"),
    "unknown key of a description": (
        HEAD + "axes: {memory.organization.stakcs: [2]}",
        "unknown key 'stakcs'; did you mean 'stacks'?",
    ),
    "type clash": (
        HEAD + "axes: {memory.organization.stacks: [2, many]}",
        "expected a whole number, got 'many'",
    ),
    "unit clash": (HEAD + "axes: {controller.clock: [1 GHz, 2 GB]}", "expected a frequency"),
    "empty axis": (HEAD + "axes: {batch: []}", "the axis is empty"),
    "empty product": (
        HEAD + "axes: {batch: [1, 2]}\nwhere: [batch > 2]",
        "no point passes the filters",
    ),
    "unknown name in a filter": (
        HEAD + "axes: {batch: [1, 2]}\nwhere: [bach > 1]",
        "did you mean 'batch'?",
    ),
    "no formula": (HEAD + "axes: {batch: [1, 2]}\nwhere: ['batch >']", "is not a formula"),
    "code in a formula": (HEAD + "where: [\"__import__('os').getpid()\"]", "is not a formula"),
    "too many points": (
        HEAD + "axes: {batch: {range: [1, 2000]}, context: {range: [1, 1000]}}",
        "2,000,000 points are more than 1,000,000; sample the axes, or say --yes",
    ),
    "zip of two lengths": (
        HEAD + "zip: {both: {batch: [1, 2], context: [64]}}",
        "batch has 2, context has 1",
    ),
    "an axis twice": (
        HEAD + "axes: {batch: [1]}\nzip: {both: {batch: [1], context: [64]}}",
        "the axis 'batch' stands twice",
    ),
    "continuous without a sample": (
        HEAD + "axes: {controller.clock: {linear: [1 GHz, 2 GHz]}}",
        "is continuous; give it points, or add a sample",
    ),
    "ends in two units": (
        HEAD + "axes: {controller.clock: {linear: [900 MHz, 1 GHz], points: 3}}",
        "differ in unit",
    ),
    "log from zero": (
        HEAD + "axes: {batch: {log: [0, 8], base: 2}}",
        "a log axis starts above zero",
    ),
    "unknown device": (HEAD.replace("pim-gpt", "pim-gtp"), "did you mean 'pim-gpt'?"),
    "unknown workload": (HEAD.replace("trace: gpt2", "trace: gtp2"), "did you mean 'gpt2'?"),
    "size out of range": (HEAD + "axes: {context: [64, 100000]}", "context=100000 is outside"),
    "unknown objective": (HEAD + "objectives: {latency: min}", "did you mean 'latency_s'?"),
    "unknown goal": (HEAD + "objectives: {latency_s: least}", "unknown value 'least'"),
    "unknown option value": (HEAD + "axes: {launch: [grpah]}", "did you mean 'graph'?"),
    "no devices": ("workloads: [gpt2]\n", "missing key 'devices'"),
    "not a mapping": ("- workloads\n", "expected a mapping"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake, sweep_file, tmp_path, capsys):
    text, expected = MISTAKES[mistake]
    path = sweep_file(text)
    assert cli.main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert expected in said
    assert not (tmp_path / "out").exists()


def test_an_error_names_file_line_and_key(sweep_file, tmp_path, capsys):
    path = sweep_file(HEAD + "axes:\n  batch: {lin: [1, 8]}\n")
    assert cli.main(["sweep", str(path), "--out", str(tmp_path / "out")]) == 2
    assert f"{path}:4: axes.batch: unknown kind of axis 'lin'" in capsys.readouterr().err


def test_a_missing_file_is_one_line(tmp_path, capsys):
    assert cli.main(["sweep", str(tmp_path / "no.yaml"), "--out", str(tmp_path / "out")]) == 2
    assert "no.yaml: cannot read: No such file" in capsys.readouterr().err
