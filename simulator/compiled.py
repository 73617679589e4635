"""How hot functions are compiled, and where the result is kept.

Every function of the event core works on plain integer arrays and allocates
nothing, so numba's reference counting (``_nrt``) is switched off: passing a
NamedTuple of arrays between functions would otherwise touch dozens of counters
per call.  ``inlined`` asks LLVM to merge small helpers into their callers.
Both are options of the installed numba or, if a later one drops them, ordinary
compilation takes their place: slower, with the same results.

numba notices a change in a function's own file but not in the files of functions it
calls, so the cache directory carries a digest of all hot sources: a changed core
never runs with stale machine code.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np
from numba.core.errors import NumbaError
from numba.np import arrayobj

Function = TypeVar("Function", bound=Callable[..., Any])
Int = int | np.int64
"""An integer of the event core: tables hold int64, and numba makes an int one."""

_ROOT = Path(__file__).parent
_HOT_SOURCES = ("compiled.py", "engine/*.py", "memory/**/*.py")


def cache_directory() -> Path:
    """Where compiled code is kept: ``ACCSIM_CACHE_DIR`` or the user's cache directory."""
    user = os.environ.get("ACCSIM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    base = Path(user) if user else Path.home() / ".cache"
    digest = hashlib.sha256()
    for pattern in _HOT_SOURCES:
        for source in sorted(_ROOT.glob(pattern)):
            digest.update(source.name.encode())
            digest.update(source.read_bytes())
    return base / "accsim" / f"compiled-{digest.hexdigest()[:16]}"


def is_warm() -> bool:
    """Whether the event core has been compiled for these sources before."""
    return any(cache_directory().rglob("core.advance*.nbc"))


if not numba.config.CACHE_DIR:  # type: ignore[attr-defined]
    numba.config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]

_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def _without_wraparound() -> None:
    """Let indices of the hot functions be what they say: none is ever negative.

    numba tests every signed index for being counted from the end, which costs the hot loops a
    quarter of their time and has no option.  The test is left out where reference counting is
    switched off, which only the functions here do.  ``NUMBA_BOUNDSCHECK=1`` refuses a
    negative index, as any other outside an array.
    """
    original = getattr(arrayobj, "fix_integer_index", None)
    if original is None or list(signature(original).parameters) != [
        *("context", "builder", "idxty", "idx", "size")
    ]:
        return

    def fix_integer_index(context: Any, builder: Any, idxty: Any, idx: Any, size: Any) -> Any:
        if context.enable_nrt:
            return original(context, builder, idxty, idx, size)
        return context.cast(builder, idx, idxty, numba.types.intp)

    arrayobj.fix_integer_index = fix_integer_index


def _supported(**options: Any) -> dict[str, Any]:
    try:
        numba.njit(**options)(lambda x: x + 1)
    except (NumbaError, KeyError, TypeError):
        return {}
    return options


_NO_COUNTS = _supported(_nrt=False)
_without_wraparound()
_INLINE = _supported(forceinline=True)
_NO_WRAPPERS = _supported(no_cpython_wrapper=True, no_cfunc_wrapper=True)

hot: Callable[[Function], Function] = numba.njit(**_OPTIONS, **_NO_COUNTS)
"""Compile a function of the event core; the result is cached on disk."""

inner: Callable[[Function], Function] = numba.njit(**_OPTIONS, **_NO_COUNTS, **_NO_WRAPPERS)
"""As :data:`hot`, for functions that only compiled code may call: they compile faster."""

inlined: Callable[[Function], Function] = numba.njit(**_OPTIONS, **_NO_COUNTS, **_INLINE)
"""As :data:`hot`, merged into its callers."""

merged: Callable[[Function], Function] = numba.njit(
    **_OPTIONS, **_NO_COUNTS, **_INLINE, **_NO_WRAPPERS
)
"""As :data:`inner`, merged into its callers."""
