"""An installed wheel brings its data along and works away from the checkout."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import simulator
from simulator.hardware import catalogue
from simulator.paths import recorded_traces

CHECKOUT = Path(simulator.__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The contents of a freshly built wheel."""
    pytest.importorskip("hatchling")
    if not (CHECKOUT / "pyproject.toml").is_file():
        pytest.skip("not a checkout")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_command_finds_the_bundled_descriptions(installed, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "simulator.cli", "hw", "list"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(entry.name in done.stdout for entry in catalogue())


def test_recorded_traces_are_bundled(installed):
    bundled = installed / "simulator" / "_data" / "workloads" / "traces"
    shipped = {path.name for path in recorded_traces().iterdir()}
    assert {path.name for path in bundled.iterdir()} == shipped


def test_nothing_but_the_package_is_installed(installed):
    names = {path.name for path in installed.iterdir()}
    assert {name for name in names if not name.endswith(".dist-info")} == {"simulator"}
