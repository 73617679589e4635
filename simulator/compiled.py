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
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

_BLAS = "scipy.linalg.cython_blas"
if "numba" not in sys.modules:
    # On import numba looks for BLAS, which loads a third of SciPy; nothing here uses it.
    sys.modules.setdefault(_BLAS, None)  # type: ignore[arg-type]

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.core.errors import NumbaError
from numba.extending import intrinsic
from numba.np import arraymath, arrayobj

from simulator.paths import cache_root

if sys.modules.get(_BLAS, numba) is None:
    # Others in this process may use it: it is looked for again when they do.
    del sys.modules[_BLAS]
    arraymath._HAVE_BLAS = True

Function = TypeVar("Function", bound=Callable[..., Any])
Int = int | np.int64
"""An integer of the event core: tables hold int64, and numba makes an int one."""

_ROOT = Path(__file__).parent
_HOT_SOURCES = ("compiled.py", "engine/*.py", "memory/**/*.py")


def cache_directory() -> Path:
    """Where compiled code is kept: ``ACCSIM_CACHE_DIR`` or the user's cache directory."""
    digest = hashlib.sha256()
    for pattern in _HOT_SOURCES:
        for source in sorted(_ROOT.glob(pattern)):
            digest.update(source.name.encode())
            digest.update(source.read_bytes())
    return cache_root() / f"compiled-{digest.hexdigest()[:16]}"


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


def _raise_eight(
    _: Any, array: Any, place: Any, terms: Any, row: Any, base: Any
) -> tuple[Any, Callable[..., Any]]:
    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        make_array: Any = arrayobj.make_array
        pointer_add: Any = cgutils.pointer_add
        vector = ir.VectorType(ir.IntType(64), 8)

        def first_eight(type_: Any, value: Any, index: Any) -> Any:
            made = make_array(type_)(context, builder, value)
            stride = builder.extract_value(made.strides, 0)
            start = pointer_add(builder, made.data, builder.mul(index, stride))
            return builder.bitcast(start, vector.as_pointer())

        one, place_, two, row_, base_ = values
        target, term = (
            first_eight(signature.args[0], one, place_),
            first_eight(signature.args[2], two, row_),
        )
        lane = ir.Constant(ir.IntType(32), 0)
        spread = builder.insert_element(ir.Constant(vector, ir.Undefined), base_, lane)
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
        spread = builder.shuffle_vector(spread, ir.Constant(vector, ir.Undefined), lanes)
        floor = builder.add(builder.load(term, align=8), spread)
        old = builder.load(target, align=8)
        larger = builder.select(builder.icmp_signed(">", old, floor), old, floor)
        builder.store(larger, target, align=8)
        return context.get_dummy_value()

    return numba.types.void(array, numba.intp, terms, numba.intp, numba.int64), generate


raise_eight: Any = intrinsic(_raise_eight)
"""In compiled code: ``array[place, i] = max(array[place, i], terms[row, i] + base)`` for i < 8,
int64, from ``(array, place, terms, row, base)``. One vector operation, which numba keeps LLVM
from finding in straight code."""
