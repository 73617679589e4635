"""Errors are one line with place and remedy; files are written whole or not at all."""

import os

import pytest

from simulator.errors import AccsimError, OutputError, atomic_write, nearest, suggest


def test_one_line_with_place_and_remedy():
    error = AccsimError("unknown\nkey 'x'", where="a.yaml:3: chip.x", remedy="did you mean 'y'?")
    assert str(error) == "a.yaml:3: chip.x: unknown key 'x'; did you mean 'y'?"


def test_message_alone():
    assert str(AccsimError("no")) == "no"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a100", "a100-sxm-80gb"),
        ("A100-SXM-80GB", "a100-sxm-80gb"),
        ("h100-sxn", "h100-sxm"),
        ("zzzz", None),
        ("", None),
    ],
)
def test_nearest(word, expected):
    assert nearest(word, ["h100-sxm", "a100-sxm-80gb", "pim-gpt"]) == expected


def test_suggest_lists_what_there_is_when_nothing_is_near():
    assert suggest("zzzz", ["b", "a"]) == "choose one of a, b"
    assert suggest("zzzz", ["b"], "see the manual") == "see the manual"


def test_atomic_write_replaces(tmp_path):
    target = tmp_path / "result.json"
    target.write_text("old")
    atomic_write(target, "new ü")
    assert target.read_text(encoding="utf-8") == "new ü"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
    assert target.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("place", ["missing/result.json", "folder"])
def test_atomic_write_reports_and_leaves_nothing(tmp_path, place):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError) as caught:
        atomic_write(tmp_path / place, b"data")
    assert str(tmp_path / place) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_failing_write_keeps_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "result.json"
    target.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match="No space left"):
        atomic_write(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]
