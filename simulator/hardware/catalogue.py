"""The shipped descriptions: ``hwconfigs/KIND/NAME.yaml``, found by name; boards lie in
``hwconfigs/fpga/device``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from simulator.errors import HardwareError, suggest
from simulator.hardware.yaml_file import read_yaml
from simulator.paths import hwconfigs

DEVICE_KINDS = ("gpu", "pim", "fpga", "cpu")
FOLDERS = {kind: kind for kind in (*DEVICE_KINDS, "hybrid", "memory", "system")} | {
    "board": "fpga/device"
}
KINDS = tuple(FOLDERS)


@dataclass(frozen=True, slots=True)
class Entry:
    """One shipped description."""

    name: str
    kind: str
    path: Path

    @property
    def title(self) -> str:
        """The file's own one-line title."""
        title = read_yaml(self.path).value.get("title")
        return str(title.value) if title is not None else ""


def catalogue(kind: str | None = None) -> list[Entry]:
    """Shipped descriptions, devices first, by name within each kind."""
    return [
        Entry(path.stem, one, path)
        for one, folder in FOLDERS.items()
        if kind in (None, one)
        for path in sorted((hwconfigs() / folder).glob("*.yaml"))
    ]


def find(
    name_or_path: str,
    kind: str | None = None,
    relative_to: Path | None = None,
    where: str | None = None,
) -> Path:
    """The file a name or a path means; names are looked up in the catalogue. ``where`` is
    the file and key that mention it, if a file does."""
    if looks_like_path(name_or_path):
        path = Path(name_or_path).expanduser()
        return (relative_to / path) if relative_to is not None else path
    entries = catalogue(kind)
    for entry in entries:
        if entry.name == name_or_path:
            return entry.path
    what = f"{kind} description" if kind else "hardware"
    raise HardwareError(
        f"unknown {what} '{name_or_path}'",
        where=where,
        remedy=suggest(
            name_or_path,
            [entry.name for entry in entries],
            f"see 'accsim hw list' or give the path of a {kind or 'hardware'} YAML file",
        ),
    )


def looks_like_path(text: str) -> bool:
    """Whether ``text`` is a file rather than a catalogue name."""
    return "/" in text or "\\" in text or text.endswith((".yaml", ".yml"))
