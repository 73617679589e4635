"""What decides a result, and its digest: the key a point is kept under."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import simulator
from simulator.hardware import resolve
from simulator.paths import standards
from simulator.trace import catalogue, store
from simulator.trace.load import is_path
from simulator.trace.schema import Header

KEY_SCHEMA = 1
"""Part of every key: points kept in another form are not found."""


@dataclass(frozen=True)
class Task:
    """What one run is made from: plain values that any worker understands."""

    trace: str
    phase: str | None
    sizes: tuple[tuple[str, int], ...]
    hardware: str
    overrides: tuple[str, ...]
    options: tuple[tuple[str, Any], ...]


def key(task: Task) -> str:
    """SHA-256 of all that decides a result: description, trace, sizes, options, code."""
    header, digest = trace_file(task.trace, task.phase, task.sizes)
    content = {
        "schema": KEY_SCHEMA,
        "hardware": _hardware_digest(task.hardware, task.overrides),
        "trace": digest,
        "sizes": {**header.sizes, **dict(task.sizes)},
        "options": dict(task.options),
        "code": code_digest(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@lru_cache(maxsize=65536)
def _hardware_digest(name: str, overrides: tuple[str, ...]) -> str:
    return resolve(name, overrides).digest


@lru_cache(maxsize=4096)
def trace_file(
    name: str, phase: str | None, sizes: tuple[tuple[str, int], ...]
) -> tuple[Header, str]:
    """Header and content digest of the file a point replays."""
    file = Path(name) if is_path(name) else catalogue.find(name, phase, dict(sizes)).file
    return _contents(file)


@lru_cache(maxsize=256)
def _contents(file: Path) -> tuple[Header, str]:
    header = store.read_header(file)
    parts = sorted(path for path in file.rglob("*") if path.is_file()) if file.is_dir() else [file]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    return header, digest.hexdigest()


_NO_PART = frozenset({"commands", "sweep", "validate", "cli.py"})
"""Of the package: what no result depends on."""


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the sources and DRAM tables that results depend on."""
    package = Path(simulator.__file__).parent
    sources = [
        path
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] not in (*_NO_PART, "_data")
    ]
    digest = hashlib.sha256()
    for path in (*sources, *sorted(standards().rglob("*.yaml"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def describe(task: Task) -> dict[str, Any]:
    """A task as plain data, for its record; files by name, not by place."""
    plain = asdict(task)
    for which in ("trace", "hardware"):
        plain[which] = Path(plain[which]).name if "/" in plain[which] else plain[which]
    return plain
