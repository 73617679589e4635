"""A value of a description together with where it comes from.

A file is read into nested dictionaries whose leaves are :class:`Leaf`.  In the
file, ``source``, ``quality`` and ``note`` hold for the mapping they stand in and
everything below it, until a deeper mapping says otherwise; a single value is
marked by writing it as ``{value: 14 ns, source: ..., quality: jedec}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from simulator.errors import HardwareError, suggest

QUALITIES = ("datasheet", "jedec", "measured", "fitted", "derived", "guess")
"""How well a number is known, as a file may claim."""
OVERRIDE = "override"
"""The quality of a value given by ``--set``."""

Scalar = str | int | float | bool | None
MARKS = ("source", "quality", "note")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who says so, how well it is known, and where it is written."""

    source: str | None = None
    quality: str | None = None
    note: str | None = None
    file: str = ""
    line: int = 0

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value (a scalar or a list of scalars) and its provenance."""

    value: Scalar | list[Any]
    provenance: Provenance

    @property
    def is_number(self) -> bool:
        """Whether the value is a number or a quantity, which must say its source."""
        if isinstance(self.value, str):
            return self.value[:1].isdigit() or self.value[:1] in "+-."
        return isinstance(self.value, int | float) and not isinstance(self.value, bool)


Tree = dict[str, Any]
"""Nested dictionaries ending in :class:`Leaf`."""


@dataclass(frozen=True, slots=True)
class Located:
    """A value as read from a file: mappings hold further ``Located`` values."""

    value: Any
    line: int


def annotate(node: Located, file: str, inherited: Provenance | None = None, path: str = "") -> Tree:
    """Turn a mapping as read from ``file`` into a tree of leaves with provenance."""
    entries: Mapping[str, Located] = node.value
    marks = _marks(entries, file, path)
    above = inherited or Provenance(file=file)
    here = _inherit(above, marks)
    tree: Tree = {}
    for key, child in entries.items():
        if key in MARKS:
            continue
        below = f"{path}.{key}" if path else key
        if isinstance(child.value, dict) and "value" in child.value:
            tree[key] = _marked_value(child, file, here, below)
        elif isinstance(child.value, dict):
            tree[key] = annotate(child, file, here, below)
        else:
            tree[key] = Leaf(child.value, _at(here, child.line))
    return tree


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Leaf]]:
    """Every leaf with its dotted path, in file order."""
    for key, child in tree.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(child, Leaf):
            yield path, child
        else:
            yield from leaves(child, path)


def plain(tree: Tree) -> dict[str, Any]:
    """The tree without provenance."""
    return {
        key: child.value if isinstance(child, Leaf) else plain(child) for key, child in tree.items()
    }


def _marked_value(node: Located, file: str, here: Provenance, path: str) -> Leaf:
    entries: Mapping[str, Located] = node.value
    for key, child in entries.items():
        if key not in (*MARKS, "value"):
            raise HardwareError(
                f"unknown key '{key}' beside 'value'",
                where=f"{file}:{child.line}: {path}.{key}",
                remedy=suggest(key, (*MARKS, "value")),
            )
    value = entries["value"]
    if isinstance(value.value, dict):
        raise HardwareError(
            "expected a single value, got a mapping",
            where=f"{file}:{value.line}: {path}.value",
            remedy="write source and quality inside the mapping itself",
        )
    return Leaf(value.value, _at(_inherit(here, _marks(entries, file, path)), value.line))


def _inherit(above: Provenance, marks: Mapping[str, str]) -> Provenance:
    """A block that names its own source or quality does not keep the outer note."""
    note = marks.get("note", None if marks else above.note)
    return Provenance(
        source=marks.get("source", above.source),
        quality=marks.get("quality", above.quality),
        note=note,
        file=above.file,
    )


def _at(provenance: Provenance, line: int) -> Provenance:
    return Provenance(provenance.source, provenance.quality, provenance.note, provenance.file, line)


def _marks(entries: Mapping[str, Located], file: str, path: str) -> dict[str, str]:
    marks: dict[str, str] = {}
    for key in MARKS:
        if key not in entries:
            continue
        mark = entries[key]
        where = f"{file}:{mark.line}: {path}.{key}" if path else f"{file}:{mark.line}: {key}"
        if not isinstance(mark.value, str):
            raise HardwareError("expected text", where=where, remedy=f"quote the {key}")
        if key == "quality" and mark.value not in QUALITIES:
            raise HardwareError(
                f"unknown quality '{mark.value}'",
                where=where,
                remedy=suggest(mark.value, QUALITIES, f"choose one of {', '.join(QUALITIES)}"),
            )
        marks[key] = mark.value
    return marks
