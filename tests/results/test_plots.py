"""The figure scripts, run as a user runs them."""

import subprocess
import sys

import pytest

from simulator.results import Result

SCRIPTS = {"breakdown": 2, "roofline": 2, "utilization": 2, "comparison": 1}
"""Script -> figures it makes of two results."""


@pytest.fixture(scope="module")
def saved(synthetic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved")
    for name, layers in (("one", 2), ("two", 3)):
        Result(synthetic.decode_step(layers)).save(folder / name)
    return folder


def run(request, script, *arguments):
    root = request.config.rootpath
    return subprocess.run(
        [sys.executable, root / "plots" / f"{script}.py", *arguments],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_writes_vector_and_pixel_figures(request, saved, tmp_path, script):
    done = run(
        request, script, saved / "one", saved / "two" / "result.json", "-o", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    files = sorted((tmp_path / "out").iterdir())
    assert sorted(done.stdout.split()) == [str(path) for path in files]
    for suffix, start in ((".svg", b"<?xml"), (".pdf", b"%PDF"), (".png", b"\x89PNG")):
        figures = [path for path in files if path.suffix == suffix]
        assert len(figures) == SCRIPTS[script]
        assert all(path.read_bytes().startswith(start) for path in figures)


def test_a_missing_result_is_one_line_and_no_folder(request, tmp_path):
    done = run(request, "roofline", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere" in done.stderr
    assert not (tmp_path / "out").exists()
