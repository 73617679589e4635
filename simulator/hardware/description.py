"""A resolved hardware description: plain values, their provenance, a digest.

``resolve`` reads; :func:`simulator.hardware.validate.validate` turns the values into
a device's frozen specification.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulator.errors import HardwareError, suggest
from simulator.hardware.catalogue import KINDS, find, looks_like_path
from simulator.hardware.compose import Composer
from simulator.hardware.leaf import Leaf, Provenance, leaves, plain


@dataclass(frozen=True)
class Description:
    """What a YAML file and all it refers to say, before the device checks it."""

    name: str
    kind: str
    tree: dict[str, Any]
    provenance: dict[str, Provenance]
    """Dotted key path to where the value comes from."""
    numbers: tuple[str, ...]
    """Key paths whose value is a number or a quantity."""
    files: tuple[Path, ...]

    @property
    def digest(self) -> str:
        """SHA-256 of the values; the same for the same device wherever it is stored."""
        canonical = json.dumps(self.tree, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def qualities(self) -> dict[str, int]:
        """How many numbers there are of each quality."""
        marks = (self.provenance[path].quality for path in self.numbers)
        return dict(sorted(Counter(mark or "unmarked" for mark in marks).items()))

    def value(self, path: str) -> Any:
        """The value at a dotted key path."""
        value: Any = self.tree
        for key in path.split("."):
            value = value[key]
        return value


def resolve(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Description:
    """Read a description by catalogue name or file path, with ``KEY=VALUE`` overrides."""
    text = str(name_or_path)
    path = Path(text) if isinstance(name_or_path, Path) else find(text)
    composer = Composer()
    tree = composer.compose(path, overrides)
    kind = tree.get("kind")
    if not isinstance(kind, Leaf) or kind.value not in KINDS:
        said = f"unknown kind '{kind.value}'" if isinstance(kind, Leaf) else "missing key 'kind'"
        choices = f"write 'kind: ' and one of {', '.join(KINDS)}"
        remedy = suggest(str(kind.value), KINDS, choices) if isinstance(kind, Leaf) else choices
        raise HardwareError(said, where=path, remedy=remedy)
    by_path = looks_like_path(text) or isinstance(name_or_path, Path)
    tree.setdefault("name", Leaf(path.stem if by_path else text, Provenance(file=str(path))))
    return Description(
        name=str(tree["name"].value) if isinstance(tree["name"], Leaf) else path.stem,
        kind=str(kind.value),
        tree=plain(tree),
        provenance={key: leaf.provenance for key, leaf in leaves(tree)},
        numbers=tuple(key for key, leaf in leaves(tree) if leaf.is_number),
        files=tuple(composer.files),
    )
