"""What the README shows, works: its commands, its Python, its files."""

import re
import shlex
from pathlib import Path

import pytest

from simulator import cli
from simulator.sweep import load_sweep
from simulator.sweep.plan import plan

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.search(r"```console\n(.*?)```", README, re.DOTALL).group(1).splitlines()
SWEEP = re.search(r"```yaml\n(.*?)```", README, re.DOTALL).group(1)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_commands_run_one_after_another(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "accsim"
        assert cli.main(arguments) == 0, command
        assert capsys.readouterr().out, command


def test_the_sweep_file_is_one(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text(SWEEP)
    assert len(plan(load_sweep(path)).points) == 18


@pytest.mark.parametrize("example", PYTHON)
def test_python_runs(example, capsys):
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
    named = r"`((?:simulator|hwconfigs|workloads|validation|plots|examples)[\w/.]*)`"
    for folder in re.findall(named, README):
        assert (ROOT / folder).exists(), folder
