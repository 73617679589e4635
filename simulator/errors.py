"""Errors a user can cause, each one clear line: where, what was expected, the remedy.

Everything a user can get wrong raises a subclass of :class:`AccsimError`; the
command line prints it as one line and exits with code 2.  Anything else that
escapes is a defect of the simulator.  Also here, because it is about never
leaving a half-written file behind: :func:`atomic_write`.
"""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


class AccsimError(Exception):
    """A mistake in the input, told in one line: ``where: message; remedy``."""

    def __init__(
        self,
        message: str,
        *,
        where: str | os.PathLike[str] | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = None if where is None else os.fspath(where)
        self.remedy = remedy

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"; {self.remedy}" if self.remedy else ""
        return " ".join(f"{place}{self.message}{advice}".split())


class HardwareError(AccsimError):
    """A hardware description is missing, malformed or impossible."""


class TraceError(AccsimError):
    """An operator trace, graph or recorded array is missing, malformed or inconsistent."""


class MeasurementError(AccsimError):
    """A file of measurements is missing, malformed or lacks a column."""


class OptionError(AccsimError):
    """A command-line option or function argument has no valid meaning."""


class UnmappedOperatorError(AccsimError):
    """No mapping exists for an operator on the chosen device."""


class BoundError(AccsimError):
    """A simulated result beats its physical bound: a defect, never a result to report."""


class CapacityError(AccsimError):
    """The workload does not fit in the device's memory."""


class SweepError(AccsimError):
    """A sweep file, a point of it or its table is missing, malformed or inconsistent."""


class OutputError(AccsimError):
    """A result cannot be written where the user asked."""


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice most like ``word`` (or that completes it), or None if none is alike."""
    by_folded = {choice.casefold(): choice for choice in sorted(choices, reverse=True)}
    folded = word.casefold()
    if not folded:
        return None
    completions = sorted((len(name), name) for name in by_folded if name.startswith(folded))
    if completions:
        return by_folded[completions[0][1]]
    found = difflib.get_close_matches(folded, by_folded, n=1, cutoff=0.5)
    return by_folded[found[0]] if found else None


def suggest(word: str, choices: Iterable[str], listing: str | None = None) -> str:
    """A remedy for a mistyped ``word``: the nearest choice, or all of them, or ``listing``."""
    names = sorted(choices)
    near = nearest(word, names)
    if near is not None:
        return f"did you mean '{near}'?"
    if listing is not None:
        return listing
    return f"choose one of {', '.join(names)}" if names else "nothing can stand here"


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Write a file completely or not at all: a temporary sibling, then a rename.

    The content is on the disk before the name is, so that a power cut leaves no empty file.
    """
    target = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or error}",
            where=target,
            remedy="choose an existing, writable folder and a file name",
        ) from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
