"""A concrete trace by file or by the name of a recorded one, bound to sizes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from simulator.errors import TraceError
from simulator.trace import catalogue, parametric, store
from simulator.trace.schema import Header, Trace


def load_trace(
    path_or_name: str | os.PathLike[str],
    sizes: Mapping[str, int] | None = None,
    arrays: bool = True,
    phase: str | None = None,
) -> Trace:
    """A concrete trace from a file or a recorded trace's name, bound to ``sizes``.

    A name may carry its phase (``llama2-7b``, ``phase="decode"``); without one the
    recorded trace's first phase is taken.
    """
    if is_path(path_or_name):
        trace = store.read_trace(path_or_name, arrays)
    else:
        trace = catalogue.open_recorded(str(path_or_name), phase, sizes)
    if trace.header.parametric:
        return parametric.bind(trace, sizes or {})
    _check_fixed_sizes(trace.header, sizes or {}, path_or_name)
    return trace


def is_path(path_or_name: str | os.PathLike[str]) -> bool:
    """Whether this means a file rather than the name of a recorded trace."""
    text = os.fspath(path_or_name)
    return text.endswith(store.SUFFIXES) or os.sep in text or Path(text).is_file()


def _check_fixed_sizes(
    header: Header, sizes: Mapping[str, int], path: str | os.PathLike[str]
) -> None:
    for name, value in sizes.items():
        if header.sizes.get(name) != value:
            recorded = ", ".join(f"{key}={size}" for key, size in header.sizes.items())
            raise TraceError(
                f"the trace is not parametric: it cannot be run with {name}={value}",
                where=path,
                remedy=f"it was recorded with {recorded or 'no sizes'}",
            )
