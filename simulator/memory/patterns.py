"""Address traces: five access patterns, and the file they are kept in.

The patterns are those DRAM simulators are compared with: ``stream`` (sequential reads),
``mix21`` (the same addresses, every third a write), ``triad`` (two loads and a store over
arrays 64 MiB apart, which meet in one bank), ``stride`` (one access a 4 KiB page) and
``random`` (splitmix64, Steele et al., OOPSLA 2014).  A file is an ``.npz`` with ``addr``
(uint64, bytes) and ``wr`` (uint8, 1 for a write).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.errors import OptionError, TraceError, atomic_write, suggest

SPAN_BYTES = 2**28
"""Bytes that stride and random spread over."""
_ARRAY_BYTES = 2**26
_PAGE_BYTES = 4096

Pattern = Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class AddressTrace:
    """Requests in program order."""

    address: np.ndarray
    """uint64 byte addresses."""
    write: np.ndarray
    """uint8, 1 for a write."""

    def __len__(self) -> int:
        return len(self.address)


def _stream(i: np.ndarray, access: int) -> tuple[np.ndarray, np.ndarray]:
    return i * np.uint64(access), np.zeros(len(i), np.uint8)


def _mix21(i: np.ndarray, access: int) -> tuple[np.ndarray, np.ndarray]:
    return i * np.uint64(access), (i % np.uint64(3) == 2).astype(np.uint8)


def _triad(i: np.ndarray, access: int) -> tuple[np.ndarray, np.ndarray]:
    j, array = i // np.uint64(3), i % np.uint64(3)
    address = array * np.uint64(_ARRAY_BYTES) + j * np.uint64(access)
    return address, (array == 2).astype(np.uint8)


def _stride(i: np.ndarray, access: int) -> tuple[np.ndarray, np.ndarray]:
    place = i * np.uint64(_PAGE_BYTES)
    lap = place // np.uint64(SPAN_BYTES)
    address = place % np.uint64(SPAN_BYTES) + lap * np.uint64(access)
    return address, np.zeros(len(i), np.uint8)


def _random(i: np.ndarray, access: int) -> tuple[np.ndarray, np.ndarray]:
    x = (i + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    line = x % np.uint64(SPAN_BYTES // access)
    return line * np.uint64(access), np.zeros(len(i), np.uint8)


PATTERNS: dict[str, Pattern] = {
    "stream": _stream,
    "mix21": _mix21,
    "random": _random,
    "stride": _stride,
    "triad": _triad,
}


def make_trace(pattern: str, requests: int, access: int) -> AddressTrace:
    """``requests`` accesses of ``access`` bytes."""
    if pattern not in PATTERNS:
        raise OptionError(
            f"unknown pattern '{pattern}'", where="--pattern", remedy=suggest(pattern, PATTERNS)
        )
    if not 1 <= requests <= 2**30:
        raise OptionError(
            f"cannot make {requests} requests", where="--requests", remedy="choose 1 to 2**30"
        )
    if access < 1 or access > _PAGE_BYTES or access & (access - 1):
        raise OptionError(
            f"an access of {access} B is not a power of two up to {_PAGE_BYTES}",
            where="--bytes",
            remedy="choose the burst of the memory, such as 32 or 64",
        )
    address, write = PATTERNS[pattern](np.arange(requests, dtype=np.uint64), access)
    return AddressTrace(address, write)


def save_trace(trace: AddressTrace, path: Path) -> None:
    """Write the ``.npz``, completely or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, addr=trace.address, wr=trace.write)
    atomic_write(path, buffer.getvalue())


def load_trace(path: Path) -> AddressTrace:
    """Read a trace; arrays of any integer type are taken."""
    remedy = "make one with 'accsim dram trace'"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            address, write = arrays["addr"], arrays["wr"]
    except FileNotFoundError:
        raise TraceError("no such file", where=path, remedy=remedy) from None
    except KeyError as error:
        raise TraceError(f"lacks an array: {error.args[0]}", where=path, remedy=remedy) from None
    except Exception as error:  # A damaged archive raises nearly anything.
        raise TraceError(
            f"not an address trace ({type(error).__name__})", where=path, remedy=remedy
        ) from None
    if address.ndim != 1 or write.shape != address.shape or not len(address):
        raise TraceError(
            f"addr {address.shape} and wr {write.shape} are not two equally long lists",
            where=path,
            remedy=remedy,
        )
    if not (np.issubdtype(address.dtype, np.integer) and write.dtype.kind in "uib"):
        raise TraceError("addr and wr are not whole numbers", where=path, remedy=remedy)
    if address.dtype.kind == "i" and int(address.min()) < 0:
        raise TraceError("an address is negative", where=path, remedy=remedy)
    if int(address.max()) >= 2**62:
        raise TraceError("an address is above 2**62", where=path, remedy=remedy)
    return AddressTrace(address.astype(np.uint64), (write != 0).astype(np.uint8))
