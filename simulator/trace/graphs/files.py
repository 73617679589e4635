"""Graphs from files: a text list of edges, or an npz of arrays.

Text: one edge ``source target`` per line, node numbers from 0, ``#`` starts a
comment.  npz: arrays ``src`` and ``dst``, or ``indptr`` and ``indices`` (in-edges
by destination), never pickled.  The node count is the largest number plus one.

Every limit is checked before memory is spent; errors name the line.  Left out:
edge weights, other columns, compressed text.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TraceError
from simulator.trace.arrays import UNREADABLE
from simulator.trace.graphs.generator import generate, preset
from simulator.trace.graphs.graph import MAX_EDGES, MAX_NODES, Graph, from_edges, permute

MAX_FILE_BYTES = 1 << 34
MAX_SIDE = 1 << 20
"""Most features or classes of a node."""

FEATURES, CLASSES = 128, 16
"""What a node has where the file cannot say."""

_TEXT_REMEDY = "write one edge 'source target' per line, node numbers from 0"
_NPZ_REMEDY = "save integer arrays src and dst, or indptr and indices, with numpy.savez"


def read_edges(
    path: str | os.PathLike[str], features: int = FEATURES, classes: int = CLASSES
) -> Graph:
    """The graph of an edge file; repeated edges and self-loops stay as they are."""
    file = Path(path)
    _check_side("features", features)
    _check_side("classes", classes)
    try:
        size = file.stat().st_size
        if not file.is_file():
            raise TraceError("is not a file", where=file, remedy=_TEXT_REMEDY)
        if size > MAX_FILE_BYTES:
            raise TraceError(f"is larger than {MAX_FILE_BYTES} bytes", where=file)
        read = _read_npz if zipfile.is_zipfile(file) or file.suffix == ".npz" else _read_text
        source, target, nodes = read(file)
    except OSError as error:
        raise TraceError(
            f"cannot read the graph: {error.strerror or error}",
            where=file,
            remedy="check the path, or name a synthetic graph",
        ) from error
    return from_edges(file.stem, source, target, nodes=nodes, features=features, classes=classes)


def load_graph(
    name_or_path: str,
    *,
    seed: int = 0,
    permutation: int | None = None,
    features: int | None = None,
    classes: int | None = None,
) -> Graph:
    """A synthetic graph by name or a file's, its nodes renumbered if ``permutation`` is a seed."""
    for what, count in (("features", features), ("classes", classes)):
        _check_side(what, 1 if count is None else count)
    if permutation is not None and not 0 <= permutation < 2**63:
        raise TraceError(f"permutation seed {permutation} is impossible", remedy="use 0 or more")
    if _is_file_name(name_or_path):
        graph = read_edges(name_or_path, features or FEATURES, classes or CLASSES)
    else:
        recipe = preset(name_or_path, seed)
        graph = generate(
            replace(
                recipe,
                features=features or recipe.features,
                classes=classes or recipe.classes,
            )
        )
    return graph if permutation is None else permute(graph, permutation)


def _check_side(what: str, count: int) -> None:
    if not 1 <= count <= MAX_SIDE:
        raise TraceError(f"{what} = {count} is impossible", remedy=f"use 1 to {MAX_SIDE}")


def _is_file_name(text: str) -> bool:
    return os.sep in text or bool(Path(text).suffix) or Path(text).is_file()


Edges = tuple[NDArray[np.int64], NDArray[np.int64], int]


def _read_text(file: Path) -> Edges:
    import pandas

    try:
        table = pandas.read_csv(
            file,
            sep=r"\s+",
            comment="#",
            header=None,
            dtype=np.int64,
            encoding="latin-1",  # comments may hold any byte
            quoting=csv.QUOTE_NONE,
        )
    except (ValueError, OverflowError, TypeError):
        raise _first_bad_line(file) from None
    edges = table.to_numpy()
    if edges.shape[1] != 2 or edges.min() < 0 or edges.max() >= MAX_NODES:
        raise _first_bad_line(file)
    if len(edges) > MAX_EDGES:
        raise TraceError(f"has more than {MAX_EDGES} edges", where=file)
    return edges[:, 0], edges[:, 1], int(edges.max()) + 1


def _first_bad_line(file: Path) -> TraceError:
    """The error of the first line that is no edge; slow, so only for a file known to be bad."""
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            fields = raw.partition(b"#")[0].split()
            problem = _problem(fields) if fields else None
            if problem is not None:
                return TraceError(problem, where=f"{file}:{number}", remedy=_TEXT_REMEDY)
    return TraceError("holds no edges", where=file, remedy=_TEXT_REMEDY)


def _problem(fields: list[bytes]) -> str | None:
    shown = " ".join(field.decode("ascii", "backslashreplace") for field in fields[:4])[:60]
    if len(fields) != 2:
        return f"expected two node numbers, got '{shown}'"
    for field in fields:
        if not field.isdigit():
            return f"'{shown}' are not two node numbers"
        if len(field) > 18 or int(field) >= MAX_NODES:
            return f"node {field.decode()[:30]} exceeds the limit of {MAX_NODES} nodes"
    return None


def _read_npz(file: Path) -> Edges:
    def refuse(problem: str) -> TraceError:
        return TraceError(problem, where=file, remedy=_NPZ_REMEDY)

    try:
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
        if unpacked > MAX_FILE_BYTES:
            raise refuse(f"unpacks to more than {MAX_FILE_BYTES} bytes")
        with np.load(file, allow_pickle=False) as arrays:
            if {"src", "dst"} <= set(arrays.files):
                return _from_pairs(arrays["src"], arrays["dst"], refuse)
            if {"indptr", "indices"} <= set(arrays.files):
                return _from_rows(arrays["indptr"], arrays["indices"], refuse)
            raise refuse(f"holds {', '.join(sorted(arrays.files)[:6]) or 'nothing'}")
    except zipfile.BadZipFile:
        raise refuse("is not an npz archive, or is damaged") from None
    except UNREADABLE as error:
        raise refuse(f"cannot be read: {error}"[:200]) from None


def _from_pairs(
    source: NDArray[np.int64], target: NDArray[np.int64], refuse: Callable[[str], TraceError]
) -> Edges:
    for name, ends in (("src", source), ("dst", target)):
        _check_nodes(name, ends, refuse)
    if len(source) != len(target):
        raise refuse(f"src has {len(source)} entries and dst {len(target)}")
    source, target = source.astype(np.int64), target.astype(np.int64)
    return source, target, int(max(source.max(), target.max())) + 1


def _from_rows(
    indptr: NDArray[np.int64], indices: NDArray[np.int64], refuse: Callable[[str], TraceError]
) -> Edges:
    _check_nodes("indices", indices, refuse)
    if indptr.ndim != 1 or indptr.dtype.kind not in "iu" or not 2 <= len(indptr) <= MAX_NODES + 1:
        raise refuse("indptr is not one row of integers")
    indptr = indptr.astype(np.int64)
    degrees = np.diff(indptr)
    if indptr[0] != 0 or indptr[-1] != len(indices) or degrees.min() < 0:
        raise refuse(f"indptr does not rise from 0 to the {len(indices)} entries of indices")
    nodes = len(degrees)
    if indices.max() >= nodes:
        raise refuse(f"indices names node {indices.max()}, indptr has {nodes}")
    return indices.astype(np.int64), np.repeat(np.arange(nodes), degrees), nodes


def _check_nodes(name: str, ends: NDArray[np.int64], refuse: Callable[[str], TraceError]) -> None:
    if ends.ndim != 1 or ends.dtype.kind not in "iu":
        raise refuse(f"{name} is not one row of integers but {ends.dtype} of {ends.shape}")
    if not 1 <= len(ends) <= MAX_EDGES:
        raise refuse(f"{name} has {len(ends)} entries, expected 1 to {MAX_EDGES}")
    if ends.min() < 0 or ends.max() >= MAX_NODES:
        raise refuse(f"{name} has node numbers outside 0 to {MAX_NODES - 1}")
