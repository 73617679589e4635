"""Folders of results appear complete or not at all, whatever fails."""

import errno
import os
from pathlib import Path

import pytest

from simulator.errors import OutputError
from simulator.results.files import write_folder

FILES = {"first.json": "{}", "second.csv": b"a,b\n", "third.html": "<p>µs</p>"}


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fail_on(monkeypatch, owner, method, at_call):
    """Let the ``at_call``-th call of a Path method fail as a full disk does."""
    original, calls = getattr(owner, method), [0]

    def flaky(self, *args, **kwargs):
        calls[0] += 1
        if calls[0] == at_call:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(self, *args, **kwargs)

    monkeypatch.setattr(owner, method, flaky)


def test_a_new_folder_holds_exactly_the_files(tmp_path):
    write_folder(tmp_path / "a" / "b" / "out", FILES)
    assert contents(tmp_path / "a" / "b" / "out") == {
        "first.json": "{}",
        "second.csv": "a,b\n",
        "third.html": "<p>µs</p>",
    }


def test_an_existing_folder_keeps_what_is_not_ours(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "first.json").write_text("old")
    write_folder(tmp_path, FILES)
    assert contents(tmp_path).keys() == {"notes.txt", *FILES}
    assert (tmp_path / "first.json").read_text() == "{}"


@pytest.mark.parametrize("at_call", [1, 2, 3])
def test_a_full_disk_leaves_no_new_folder(tmp_path, monkeypatch, at_call):
    fail_on(monkeypatch, Path, "write_bytes", at_call)
    with pytest.raises(OutputError, match="No space left"):
        write_folder(tmp_path / "a" / "out", FILES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("at_call", [1, 2, 3])
def test_a_full_disk_leaves_old_results_alone(tmp_path, monkeypatch, at_call):
    old = dict.fromkeys(FILES, "old")
    write_folder(tmp_path, old)
    fail_on(monkeypatch, Path, "write_bytes", at_call)
    with pytest.raises(OutputError, match="No space left"):
        write_folder(tmp_path, FILES)
    assert contents(tmp_path) == old


def test_a_failed_rename_leaves_nothing(tmp_path, monkeypatch):
    fail_on(monkeypatch, Path, "rename", 1)
    with pytest.raises(OutputError):
        write_folder(tmp_path / "a" / "out", FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_parent_leaves_no_grandparent(tmp_path, monkeypatch):
    fail_on(monkeypatch, Path, "mkdir", 2)
    with pytest.raises(OutputError):
        write_folder(tmp_path / "a" / "b" / "out", FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_told_in_one_line(tmp_path):
    (tmp_path / "taken").write_text("mine")
    for target in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(OutputError) as caught:
            write_folder(target, FILES)
        assert str(target) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert contents(tmp_path) == {"taken": "mine"}


def test_a_folder_in_place_of_a_file_is_told_before_anything_is_replaced(tmp_path):
    (tmp_path / "first.json").write_text("old")
    (tmp_path / "third.html").mkdir()
    with pytest.raises(OutputError, match=r"third\.html"):
        write_folder(tmp_path, FILES)
    assert contents(tmp_path) == {"first.json": "old"}


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_told(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="Permission denied"):
        write_folder(tmp_path / "out", FILES)


def test_folders_obey_the_umask_and_not_a_private_temporary_mode(tmp_path):
    write_folder(tmp_path / "out", FILES)
    plain = tmp_path / "plain"
    plain.mkdir()
    assert (tmp_path / "out").stat().st_mode == plain.stat().st_mode
