"""Composition: ``extends``, references to other descriptions, and ``--set``.

A file may extend another (its own values win, mappings merge key by key) and may
refer to a memory, a host, a board or a device of a hybrid system by name: ``memory: hbm2e-3.2``, or
``memory: {use: hbm2e-3.2, timing: {...}}`` to change some of its values.  References
are resolved after ``extends``, so an extending file can replace the memory by name
or only touch a value of it.  Overrides act on the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from simulator.errors import HardwareError, OptionError
from simulator.hardware.catalogue import find
from simulator.hardware.leaf import OVERRIDE, Leaf, Provenance, Tree, annotate
from simulator.hardware.yaml_file import parse_scalar, read_yaml

REFERENCES: Mapping[str, str] = {
    "memory": "memory",
    "host": "system",
    "board": "board",
    "gpu": "gpu",
    "pim": "pim",
}
"""Keys that may name another description, and the kind they refer to."""

DEEPEST_CHAIN = 20


@dataclass(slots=True)
class Composer:
    """Reads a description and all it is made of, remembering the files."""

    files: list[Path] = field(default_factory=list)
    _open: list[Path] = field(default_factory=list)

    def compose(self, path: Path, overrides: Sequence[str] = ()) -> Tree:
        """The complete tree of one description, with overrides applied."""
        assignments = [parse_override(text) for text in overrides]
        with self._reading(path):
            tree = self._extended(path)
            for keys, leaf in assignments:
                if _names_reference(keys):
                    tree[keys[0]] = leaf
            self._resolve_references(tree, path)
        for keys, leaf in assignments:
            if not _names_reference(keys):
                assign(tree, keys, leaf)
        return tree

    def _extended(self, path: Path) -> Tree:
        tree = annotate(read_yaml(path), str(path))
        for key in REFERENCES.keys() & tree.keys():
            tree[key] = _as_reference(tree[key])
        parent = tree.pop("extends", None)
        if parent is None:
            return tree
        base_path = find(
            _text(parent, "extends"), relative_to=path.parent, where=f"{path}: extends"
        )
        with self._reading(base_path):
            return merge(self._extended(base_path), tree)

    def _resolve_references(self, tree: Tree, path: Path) -> None:
        for key, kind in REFERENCES.items():
            if key not in tree:
                continue
            reference = _as_reference(tree[key])
            use = reference.pop("use", None)
            tree[key] = reference
            if use is None:
                continue
            name = _text(use, key)
            source = use.provenance.file or path
            target = find(name, kind, relative_to=_folder(use, path), where=f"{source}: {key}")
            with self._reading(target):
                referred = self._extended(target)
                referred.setdefault("name", Leaf(target.stem, Provenance(file=str(target))))
                # What changes the reference may name another one inside it.
                tree[key] = merge(referred, reference)
                self._resolve_references(tree[key], target)
            _check_kind(tree[key], kind, target)

    @contextmanager
    def _reading(self, path: Path) -> Iterator[None]:
        resolved = path.resolve()
        if resolved in self._open or len(self._open) > DEEPEST_CHAIN:
            chain = " -> ".join(file.name for file in (*self._open, resolved))
            raise HardwareError(f"'extends' runs in a circle: {chain}", where=path, remedy="cut it")
        if path not in self.files:
            self.files.append(path)
        self._open.append(resolved)
        try:
            yield
        finally:
            self._open.pop()


def merge(base: Tree, top: Tree) -> Tree:
    """``base`` with the values of ``top``: mappings merge, anything else is replaced."""
    merged = dict(base)
    for key, child in top.items():
        below = merged.get(key)
        # A reference by name starts afresh; nothing of the former memory survives.
        named = isinstance(child, dict) and "use" in child
        if isinstance(child, dict) and isinstance(below, dict) and not named:
            merged[key] = merge(below, child)
        else:
            merged[key] = child
    return merged


def parse_override(text: str) -> tuple[tuple[str, ...], Leaf]:
    """``"memory.timing.faw=16 ns"`` as a key path and a value."""
    path, equals, value = text.partition("=")
    keys = tuple(part.strip() for part in path.split("."))
    if not equals or not all(keys):
        raise OptionError(
            f"expected KEY=VALUE, got '{text:.60}'",
            where="--set",
            remedy="write it like --set chip.sms=64",
        )
    provenance = Provenance(source="--set", quality=OVERRIDE, file=f"--set {text}")
    return keys, Leaf(parse_scalar(value.strip()), provenance)


def assign(tree: Tree, keys: tuple[str, ...], leaf: Leaf) -> None:
    """Set one value; whether the key means anything is for validation to say."""
    place = tree
    for depth, key in enumerate(keys[:-1]):
        child = place.setdefault(key, {})
        if isinstance(child, Leaf):
            path = ".".join(keys[: depth + 1])
            raise HardwareError(
                f"'{path}' is a value and has no key '{keys[depth + 1]}'",
                where=leaf.provenance.file,
                remedy=f"set it as {path}=VALUE",
            )
        place = child
    if isinstance(place.get(keys[-1]), dict):
        inner = ", ".join(list(place[keys[-1]])[:4])
        raise HardwareError(
            f"'{'.'.join(keys)}' is a block, not a single value",
            where=leaf.provenance.file,
            remedy=f"set one of its keys: {inner}",
        )
    place[keys[-1]] = leaf


def _names_reference(keys: tuple[str, ...]) -> bool:
    return len(keys) == 1 and keys[0] in REFERENCES


def _folder(use: object, path: Path) -> Path:
    """Paths in a file are relative to that file; those of ``--set`` to where one stands."""
    if isinstance(use, Leaf) and use.provenance.quality == OVERRIDE:
        return Path()
    written = use.provenance.file if isinstance(use, Leaf) else ""
    return Path(written or path).parent


def _as_reference(value: object) -> Tree:
    return value.copy() if isinstance(value, dict) else {"use": value}


def _text(leaf: object, key: str) -> str:
    if isinstance(leaf, Leaf) and isinstance(leaf.value, str):
        return leaf.value
    where = leaf.provenance.place if isinstance(leaf, Leaf) else None
    raise HardwareError(
        f"'{key}' must name a description", where=where, remedy="see 'accsim hw list'"
    )


def _check_kind(tree: Tree, kind: str, path: Path) -> None:
    found = tree.get("kind")
    if not isinstance(found, Leaf) or found.value != kind:
        said = found.value if isinstance(found, Leaf) else None
        raise HardwareError(
            f"expected a description of kind '{kind}', got '{said}'",
            where=path,
            remedy=f"refer to a file with 'kind: {kind}'",
        )
