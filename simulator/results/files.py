"""Writing a folder of results: all of it or nothing.

A new folder is filled under a temporary name and renamed into place.  In a folder that
exists already, all files are first written beside their targets, so that a full disk or
a missing permission shows before the first old file is replaced.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from simulator.errors import OutputError

Files = Mapping[str, str | bytes]
"""File name -> content; text is written as UTF-8."""


def write_folder(folder: str | os.PathLike[str], files: Files) -> None:
    """Write ``files`` into ``folder``; on failure raise OutputError and leave no trace."""
    target = Path(folder)
    made: list[Path] = []
    try:
        if target.exists():
            _replace_files(target, files)
        else:
            made = _make_parents(target)
            _create_folder(target, files)
    except OSError as error:
        _remove(made)
        raise OutputError(
            f"cannot write results: {error.strerror or error}",
            where=target,
            remedy="choose a writable folder with free space",
        ) from error


def _make_parents(target: Path) -> list[Path]:
    missing = [parent for parent in target.parents if not parent.exists()][::-1]
    made: list[Path] = []
    for parent in missing:
        try:
            parent.mkdir()
        except OSError:
            _remove(made)
            raise
        made.append(parent)
    return made


def _remove(made: list[Path]) -> None:
    """Take back folders we made, unless somebody has put something there since."""
    for folder in reversed(made):
        with suppress(OSError):
            folder.rmdir()


def _create_folder(target: Path, files: Files) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.mkdir()
        for name, content in files.items():
            _write(temporary / name, content)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace_files(target: Path, files: Files) -> None:
    temporary = {target / name: target / f".{name}.{os.getpid()}.tmp" for name in files}
    try:
        for (final, sibling), content in zip(temporary.items(), files.values(), strict=True):
            if final.is_dir():
                raise IsADirectoryError(f"'{final.name}' is a folder")
            _write(sibling, content)
        for final, sibling in temporary.items():
            sibling.replace(final)
    finally:
        if target.is_dir():
            for sibling in temporary.values():
                sibling.unlink(missing_ok=True)


def _write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
