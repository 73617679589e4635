"""Trace files: gzip JSON lines, plus a folder of arrays when values were recorded.

``NAME.jsonl.gz`` holds a trace without arrays (``NAME.jsonl`` the same as plain
text, for traces written by hand); ``NAME.trace/`` holds ``trace.jsonl.gz`` and
``indices/<sha256>.npz``.  The same trace always gives the same bytes.  Files are
untrusted: sizes are bounded and each fault is one error with file and line.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from simulator.errors import OutputError, TraceError, atomic_write
from simulator.trace import codec
from simulator.trace.arrays import read_arrays, write_array
from simulator.trace.schema import Header, Operator, Tensor, Trace

SUFFIXES = (".jsonl.gz", ".jsonl", ".trace")
LARGEST_FILE_BYTES = 512 << 20
LONGEST_LINE_BYTES = 8 << 20
MOST_LINES = 4_000_000


def read_header(path: str | os.PathLike[str]) -> Header:
    """The header alone: cheap, for listings."""
    file = _line_file(Path(path))
    for number, line in _lines(file):
        try:
            return codec.decode_header(line)[0]
        except TraceError as error:
            _at(error, file, number)
    raise TraceError("the trace is empty", where=file, remedy="export it again")


def read_trace(path: str | os.PathLike[str], arrays: bool = True) -> Trace:
    """A trace as stored: parametric ones stay parametric."""
    file = _line_file(Path(path))
    lines = _lines(file)
    number, line = next(lines, (1, {}))
    try:
        header, tensor_count, operator_count = codec.decode_header(line)
        tensors: dict[int, Tensor] = {}
        operators: list[Operator] = []
        recipes: dict[str, Mapping[str, Any]] = {}
        sizes = header.sizes if header.parametric else {}
        for number, line in lines:  # noqa: B007
            if "tensor" in line:
                tensor = codec.decode_tensor(line, sizes)
                if tensor.id in tensors:
                    raise TraceError(f"tensor {tensor.id} is defined twice", where="tensor")
                tensors[tensor.id] = tensor
            elif "operator" in line:
                operator = codec.decode_operator(line, sizes)
                _check_references(operator, tensors)
                operators.append(operator)
            elif "array" in line:
                recipes.update([codec.decode_recipe(line)])
            else:
                raise TraceError("expected a tensor, an array or an operator")
    except TraceError as error:
        _at(error, file, number)
    if (len(tensors), len(operators)) != (tensor_count, operator_count):
        raise TraceError(
            f"the trace is truncated: {len(operators)} of {operator_count} operators and "
            f"{len(tensors)} of {tensor_count} tensors",
            where=f"{file}:{number}",
            remedy="export or copy it again",
        )
    digests = {tensor.data for tensor in tensors.values() if tensor.data is not None}
    return Trace(
        header,
        tensors,
        operators,
        _recorded_arrays(file, digests, recipes) if arrays else {},
        recipes,
    )


def check_target(path: str | os.PathLike[str]) -> Path:
    """Refuse a file name that :func:`save_trace` would refuse, before the work is done."""
    target = Path(path)
    if not target.name.endswith(SUFFIXES):
        raise OutputError(
            "unknown kind of trace file",
            where=target,
            remedy="name it NAME.jsonl.gz, or NAME.trace for a folder with arrays",
        )
    if not target.absolute().parent.is_dir():
        raise OutputError(
            "no such folder", where=target.parent, remedy="make it first, or choose another"
        )
    return target


def save_trace(trace: Trace, path: str | os.PathLike[str]) -> Path:
    """Write a trace completely or not at all; returns the path written."""
    target = check_target(path)
    name = target.name
    if _stored_arrays(trace) and not name.endswith(".trace"):
        raise OutputError(
            "the trace has recorded arrays, which need a folder",
            where=target,
            remedy=f"name it {name.removesuffix('.gz').removesuffix('.jsonl')}.trace",
        )
    text = trace_text(trace)
    if name.endswith(".jsonl"):
        atomic_write(target, text)
    elif name.endswith(".gz"):
        atomic_write(target, compressed(text))
    else:
        _save_folder(trace, target, compressed(text))
    return target


def trace_text(trace: Trace) -> str:
    """The trace's lines, the same for equal traces."""
    tensors = [trace.tensors[id] for id in sorted(trace.tensors)]
    lines = [codec.encode_header(trace.header, len(tensors), len(trace.operators))]
    lines += [codec.encode_tensor(tensor) for tensor in tensors]
    lines += [codec.encode_recipe(*item) for item in sorted(trace.recipes.items())]
    lines += [codec.encode_operator(operator) for operator in trace.operators]
    dump = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode
    return "".join(f"{dump(line)}\n" for line in lines)


def compressed(text: str) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9, mtime=0, filename="") as file:
        file.write(text.encode())
    return buffer.getvalue()


def _save_folder(trace: Trace, target: Path, lines: bytes) -> None:
    temporary: str | None = None
    try:
        temporary = tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent)
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "trace.jsonl.gz").write_bytes(lines)
        (folder / "indices").mkdir()
        for digest, array in sorted(_stored_arrays(trace).items()):
            write_array(folder / "indices", digest, array)
        if target.is_dir() and (target / "trace.jsonl.gz").is_file():
            shutil.rmtree(target)
        folder.rename(target)
    except OSError as error:
        raise OutputError(
            f"cannot write: {error.strerror or error}",
            where=target,
            remedy="choose a new or empty folder name in a writable place",
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _stored_arrays(trace: Trace) -> dict[str, np.ndarray]:
    """Arrays to keep by value: those that no recipe remakes."""
    return {key: array for key, array in trace.arrays.items() if key not in trace.recipes}


def _recorded_arrays(
    file: Path, digests: set[str], recipes: Mapping[str, Mapping[str, Any]]
) -> dict[str, np.ndarray]:
    stored = read_arrays(file.parent / "indices", digests - recipes.keys())
    remade = {key: recipe for key, recipe in recipes.items() if key in digests}
    if remade:
        from simulator.trace.graphs.recipes import rebuild

        stored.update(rebuild(remade))
    return stored


def _line_file(path: Path) -> Path:
    file = path / "trace.jsonl.gz" if path.is_dir() else path
    if not file.is_file():
        raise TraceError(
            "no such trace",
            where=path,
            remedy="give a .jsonl.gz file, a .trace folder, or a name from 'accsim trace list'",
        )
    return file


def _lines(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Parsed lines with their numbers; every way a file can be broken ends here."""
    number, total = 0, 0
    try:
        with _opened(file) as stream:
            while raw := stream.readline(LONGEST_LINE_BYTES + 1):
                number, total = number + 1, total + len(raw)
                if (
                    len(raw) > LONGEST_LINE_BYTES
                    or total > LARGEST_FILE_BYTES
                    or number > MOST_LINES
                ):
                    raise TraceError(
                        "the trace is too large",
                        where=f"{file}:{number}",
                        remedy=f"at most {LARGEST_FILE_BYTES >> 20} MiB of text are read",
                    )
                yield number, _parsed(raw, f"{file}:{number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TraceError(
            "the compressed file is truncated or damaged",
            where=f"{file}:{number + 1}",
            remedy="export or copy it again",
        ) from error
    except OSError as error:
        raise TraceError(
            f"cannot read: {error.strerror or error}", where=file, remedy="check the path"
        ) from error


def _opened(file: Path) -> Any:
    return gzip.open(file, "rb") if file.name.endswith(".gz") else file.open("rb")


def _parsed(raw: bytes, where: str) -> dict[str, Any]:
    try:
        line = _DECODER(raw.decode())
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or str(error)
        raise TraceError(
            f"not a line of a trace: {reason}", where=where, remedy="export or copy it again"
        ) from error
    if not isinstance(line, dict):
        raise TraceError("expected a JSON object", where=where, remedy="one object per line")
    return line


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of a trace")


_DECODER = json.JSONDecoder(parse_constant=_refuse).decode


def _check_references(operator: Operator, tensors: Mapping[int, Tensor]) -> None:
    for key, ids in (("inputs", operator.inputs), ("outputs", operator.outputs)):
        for id in ids:
            if id not in tensors:
                raise TraceError(
                    f"tensor {id} is not defined",
                    where=key,
                    remedy="tensors come before the operators that use them",
                )


def _at(error: TraceError, file: Path, number: int) -> NoReturn:
    """The same error with file and line number before the key."""
    where = error.where or ""
    if not where.startswith(str(file)):
        where = f"{file}:{number}" + (f": {where}" if where else "")
    raise TraceError(error.message, where=where, remedy=error.remedy) from error
