"""What the trace documents say is so."""

import re
from pathlib import Path

import pytest

import simulator
from simulator.trace import catalogue
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all

PACKAGE = Path(simulator.__file__).parent
README = (PACKAGE / "trace" / "README.md").read_text(encoding="utf-8")
WORKLOADS = PACKAGE.parent / "workloads" / "README.md"


def test_the_example_file_is_a_trace(tmp_path):
    path = tmp_path / "tiny.jsonl"
    lines = re.findall(r"^    (\{.*\})$", README, re.MULTILINE)
    path.write_text("\n".join(lines) + "\n")
    (work,) = lower_all(load_trace(path))
    assert work.operations == {"matrix": 2 * 2 * 8 * 4}


def test_every_module_is_in_the_table():
    modules = {path.name for path in (PACKAGE / "trace").glob("*.py")} - {"__init__.py"}
    assert {name for name in modules if f"`{name}`" not in README} == set()


@pytest.mark.skipif(not WORKLOADS.is_file(), reason="only in a checkout")
def test_every_recorded_model_is_listed():
    text = WORKLOADS.read_text(encoding="utf-8")
    models = {entry.name.partition(":")[0].removesuffix("-csr") for entry in catalogue.recorded()}
    assert {name for name in models if f"`{name}`" not in text} == set()
