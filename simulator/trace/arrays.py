"""Recorded arrays of a trace: one ``.npz`` per array, named by its SHA-256.

Only integer arrays of one or two dimensions are kept.  Files are untrusted:
pickles are refused, sizes are bounded before anything is decompressed, and the
content must hash to the file's name.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simulator.errors import TraceError

LARGEST_ARRAY_BYTES = 4 << 30
INTEGERS = ("int32", "int64")
MEMBER = "values.npy"

UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, KeyError),
    RuntimeError,  # an encrypted member, or a compression this Python lacks
    ValueError,  # pickled objects among others
    *(MemoryError, OverflowError),  # a shape far beyond the content
)
"""What zipfile and numpy raise on a damaged or hostile archive."""


def array_digest(array: np.ndarray) -> str:
    """SHA-256 over dtype, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def write_array(folder: Path, digest: str, array: np.ndarray) -> None:
    """Write one array with the same bytes each time (numpy would stamp the date)."""
    check_array(array, digest)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    member = zipfile.ZipInfo(MEMBER)
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(folder / f"{digest}.npz", "w") as archive:
        archive.writestr(member, content.getbuffer())


def read_arrays(folder: Path, digests: Iterable[str]) -> dict[str, np.ndarray]:
    """The arrays that a trace refers to, each verified."""
    return {
        digest: _read_array(folder / f"{digest}.npz", digest) for digest in sorted(set(digests))
    }


def check_array(array: np.ndarray, where: str) -> None:
    if array.dtype.name not in INTEGERS or array.ndim not in (1, 2):
        raise TraceError(
            f"an array of {array.dtype.name} in {array.ndim} dimensions cannot be recorded",
            where=where,
            remedy=f"use {' or '.join(INTEGERS)} in one or two dimensions",
        )


def _read_array(path: Path, digest: str) -> np.ndarray:
    try:
        with zipfile.ZipFile(path) as archive:
            size = archive.getinfo(MEMBER).file_size
            if size > LARGEST_ARRAY_BYTES:
                raise TraceError(
                    f"array of {size} bytes", where=path, remedy=f"at most {LARGEST_ARRAY_BYTES}"
                )
            with archive.open(MEMBER) as member:
                array = np.lib.format.read_array(member, allow_pickle=False)
    except FileNotFoundError as error:
        raise TraceError(
            "recorded array is missing", where=path, remedy="copy the whole trace folder"
        ) from error
    except (OSError, *UNREADABLE) as error:
        raise TraceError(
            "not a recorded array (an integer .npy member in a zip, without pickles)",
            where=path,
            remedy="export the trace again",
        ) from error
    check_array(array, str(path))
    if array_digest(array) != digest:
        raise TraceError(
            "the array's content does not match its name",
            where=path,
            remedy="export the trace again",
        )
    array.flags.writeable = False
    return array
