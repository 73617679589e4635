"""A DRAM standard as a table: levels, commands, and a flat list of timing constraints.

One YAML in ``hwconfigs/standards`` is one command protocol (HBM2 and HBM2E share one);
the numbers are those of a memory description, so a speed grade never repeats the table.
A constraint is one line::

    ACT -> ACT @ pseudo_channel >= faw, window 4

"the fourth-last ACT to the next ACT in one pseudo-channel, at least ``faw``".  ``sibling``
means: in another node below the same parent.  The form follows the timing constraints
of Ramulator 2.1 (CMU-SAFARI/ramulator2, python/ramulator/dram/spec.py).  Left out:
auto-precharge commands, power-down, self-refresh, refresh management.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import Field, model_validator

from simulator.errors import HardwareError, suggest
from simulator.hardware.description import Description
from simulator.hardware.leaf import Leaf, annotate, leaves, plain
from simulator.hardware.spec import Block
from simulator.hardware.validate import validate
from simulator.hardware.yaml_file import read_yaml
from simulator.paths import standards
from simulator.units import Count

LEVELS = ("channel", "pseudo_channel", "rank", "stack_id", "bank_group", "bank")
COMMANDS = (
    *("ACT", "PRE", "RD", "WR", "REFpb", "PREab", "REFab", "ACT2", "CAS"),
    *("ACTbg", "ACTab", "MACab", "BUF", "PREst", "WRab"),
)
"""Every command there is; its place is its number in the controller and in logs. The last
line is processing in memory: activate a bank group or all banks, a lockstep column of all
banks, an access of the channel's buffer over the data pins, precharge a set, a lockstep column
that units write. Where banks share a unit, those that work at once are a *set*, and ``ab`` means
all banks of one."""
ALL_BANK = frozenset({"PREab", "REFab", "ACTab", "MACab", "WRab"})
"""Commands to all banks of a group."""
WHOLE_GROUP = ALL_BANK | {"ACTbg", "BUF", "PREst"}
"""Commands whose time is decided for a group, or a set, as a whole."""
LOCKSTEP = frozenset({"ACTab", "MACab", "PREst", "WRab"})
"""Commands to all banks of a set."""
SET = "set"
"""Level of a constraint among them: one set of banks of a group."""

_LINE = re.compile(
    r"(?P<preceding>[\w, ]+?) -> (?P<following>[\w, ]+?) @ (?P<level>\w+) >= (?P<latency>[\w +-]+)"
    r"(, window (?P<window>[1-9]))?(?P<sibling>, sibling)?"
)
_Table = TypeVar("_Table", bound=Block)
_EXAMPLE = "write it like 'ACT -> ACT @ rank >= faw, window 4'"


@dataclass(frozen=True, slots=True)
class Constraint:
    """At least ``latency`` from any of ``preceding`` to any of ``following`` in one node."""

    preceding: tuple[str, ...]
    following: tuple[str, ...]
    level: str
    latency: str
    window: int = 1
    sibling: bool = False

    @classmethod
    def parse(cls, line: str) -> Constraint:
        """From one line of a table; raises ``ValueError`` in one sentence."""
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise ValueError(f"cannot read constraint '{line:.80}'; {_EXAMPLE}")
        names = [
            tuple(part.strip() for part in match[group].split(","))
            for group in ("preceding", "following")
        ]
        for name in (*names[0], *names[1]):
            if name not in COMMANDS:
                raise ValueError(
                    f"unknown command '{name}' in '{line:.60}'; {suggest(name, COMMANDS)}"
                )
        return cls(
            names[0],
            names[1],
            match["level"],
            match["latency"].strip(),
            int(match["window"] or 1),
            match["sibling"] is not None,
        )


class Command(Block):
    """Which command bus a command takes, and for how many clocks."""

    bus: Literal["row", "column"]
    clocks: float = Field(gt=0, le=8)


class Standard(Block):
    """One file of ``hwconfigs/standards``."""

    title: str
    levels: tuple[str, ...]
    """From channel to bank; those without a size in the description count as one."""
    refresh_level: str
    """What an all-bank refresh covers."""
    ticks_per_clock: Literal[1, 2]
    """2 where row commands may stand on both clock edges."""
    bus_slots: Literal["one", "row and column"]
    split_activate: bool = False
    """An activate is two commands and column commands need a running data clock (LPDDR5)."""
    queue: Count
    """Requests of each kind a channel's controller holds."""
    commands: dict[str, Command]
    constraints: tuple[str, ...]

    @property
    def rules(self) -> tuple[Constraint, ...]:
        """The constraint lines, parsed."""
        return tuple(Constraint.parse(line) for line in self.constraints)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for level in (*self.levels, self.refresh_level):
            if level not in LEVELS:
                raise ValueError(f"unknown level '{level}'; {suggest(level, LEVELS)}")
        if self.levels[0] != "channel" or self.levels[-1] != "bank":
            raise ValueError("levels do not run from channel to bank; list them in that order")
        if self.refresh_level not in self.levels[:2]:
            raise ValueError(
                f"refresh_level '{self.refresh_level}' is neither the channel nor right below it; "
                f"choose {self.levels[0]} or {self.levels[1]}"
            )
        for name in self.commands:
            if name not in COMMANDS:
                raise ValueError(f"unknown command '{name}'; {suggest(name, COMMANDS)}")
        for rule in self.rules:
            if rule.level not in self.levels:
                raise ValueError(
                    f"constraint on unknown level '{rule.level}'; "
                    f"{suggest(rule.level, self.levels)}"
                )
            for name in (*rule.preceding, *rule.following):
                if name not in self.commands:
                    raise ValueError(
                        f"constraint on '{name}', which this standard lacks; list it in commands"
                    )
        return self


class Extension(Block):
    """Commands and constraints on top of any standard; ``group`` is its refresh level, ``set``
    the banks of a group that work at once."""

    title: str
    commands: dict[str, Command]
    constraints: tuple[str, ...]


def extended(standard: Standard, extension: Extension, sets: int = 1) -> Standard:
    """``standard`` with the commands and constraints of ``extension``; a group of one set is one
    itself."""
    one_bus = standard.bus_slots == "one"
    commands = {
        name: command.model_copy(update={"bus": "row"}) if one_bus else command
        for name, command in extension.commands.items()
    }
    group = standard.refresh_level
    known = (*standard.commands, *commands)
    lines = []
    for line in extension.constraints:
        rule = Constraint.parse(line)
        level = SET if rule.level == SET and sets > 1 else group
        sides = [
            ", ".join(name for name in side if name in known)
            for side in (rule.preceding, rule.following)
        ]
        if all(sides):
            lines.append(f"{sides[0]} -> {sides[1]} @ {level} >= {rule.latency}")
    return standard.model_copy(
        update={
            "commands": {**standard.commands, **commands},
            "constraints": (*standard.constraints, *lines),
        }
    )


@cache
def load_standard(name: str) -> Standard:
    """The table called ``name``."""
    return _load(standards(), name, Standard)


@cache
def load_extension(name: str) -> Extension:
    """The commands called ``name`` that any standard may be extended by."""
    return _load(standards() / "extensions", name, Extension)


def _load(folder: Path, name: str, model: type[_Table]) -> _Table:
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = sorted(file.stem for file in folder.glob("*.yaml"))
        raise HardwareError(
            f"unknown command protocol '{name}'",
            where="protocol",
            remedy=suggest(name, names, f"choose one of {', '.join(names)}"),
        )
    tree = annotate(read_yaml(path), str(path))
    marked: list[tuple[str, Leaf]] = list(leaves(tree))
    description = Description(
        name=name,
        kind="standard",
        tree=plain(tree),
        provenance={key: leaf.provenance for key, leaf in marked},
        numbers=tuple(key for key, leaf in marked if leaf.is_number),
        files=(path,),
    )
    return validate(description, model)


def evaluate(expression: str, values: Mapping[str, int]) -> int:
    """A sum of timing names and whole numbers."""

    def walk(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            left, right = walk(node.left), walk(node.right)
            return left + right if isinstance(node.op, ast.Add) else left - right
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            return node.value
        if isinstance(node, ast.Name):
            if node.id not in values:
                raise HardwareError(
                    f"constraint needs the timing '{node.id}'",
                    where=f"timing.{node.id}",
                    remedy=suggest(node.id, values, "give it in the memory description"),
                )
            return values[node.id]
        raise HardwareError(
            f"cannot read '{expression}'", where="constraints", remedy="write a sum of timings"
        )

    return walk(ast.parse(expression, mode="eval").body)
