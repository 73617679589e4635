"""Results of points, kept by content: one small JSON file each, named by its key.

A file is written beside its place and renamed, so it is there completely or not at all; one
that cannot be read (a power cut, a bad disk) counts as missing.  Any number of sweeps, and of
processes, may share a store: equal keys hold equal bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import OutputError, atomic_write
from simulator.paths import cache_root

Record = dict[str, Any]


def default_store() -> Path:
    """Where points are kept unless told otherwise."""
    return cache_root() / "points"


@dataclass(frozen=True)
class Store:
    """A folder of point files, in 256 folders by the first two digits of their keys."""

    folder: Path

    def path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"

    def get(self, key: str) -> Record | None:
        """The record kept under ``key``, or None."""
        try:
            record = json.loads(self.path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return record if isinstance(record, dict) and record.get("key") == key else None

    def put(self, record: Record) -> None:
        """Keep a record; raises OutputError if the disk will not take it."""
        path = self.path(record["key"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot keep a point: {error.strerror or error}",
                where=path.parent,
                remedy="make room, or choose another place with --store",
            ) from error
        atomic_write(path, json.dumps(record, sort_keys=True, allow_nan=False) + "\n")
