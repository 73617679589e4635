"""From operators to groups: what runs through the pipeline in one go.

Operators whose modules match the design's pattern with one number form a group; a stretch
outside any forms one of its own.  Each member of a group goes to the first stage that takes
its kind and module; elementwise work and work along rows is done in passing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import translate

import numpy as np

from simulator.errors import UnmappedOperatorError
from simulator.fpga.dataflow.spec import DataflowSpec, Stage
from simulator.trace.schema import Operator
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    Operand,
    RowWise,
    Scatter,
    View,
    Work,
)

LOADED_ROLES = frozenset({"weight", "kv_cache", "input", "index"})
"""Roles of operands that a group finds in memory; what passes between groups stays on chip."""
NOTHING = View((), ())


@dataclass(frozen=True, slots=True)
class Member:
    """Work of one stage in one group."""

    stage: str
    tokens: int
    units: int
    """Multiply-adds or elements, of the busiest unit times the units."""
    load_bytes: int
    """What it loads from memory."""
    source: int
    """Which of the group's reads that begins at."""


@dataclass(frozen=True, slots=True)
class Group(Work):
    """Operators that run through the pipeline together."""

    members: tuple[Member, ...] = ()
    matrix_operations: int = 0
    edges: int = 0
    """Of a graph that is loaded here."""
    nodes: int = 0

    @property
    def operations(self) -> dict[str, int]:
        return {"matrix": self.matrix_operations}


def arrange(spec: DataflowSpec, works: Sequence[Work], operators: Sequence[Operator]) -> list[Work]:
    """The works with each group in the place of its last operator, nothing in the others'."""
    member_of = _grouping(spec.groups)
    if not any(member_of(operator.module) for operator in operators):
        modules = sorted({operator.module for operator in operators if operator.module})
        raise UnmappedOperatorError(
            f"no module of this model matches groups '{spec.groups}'",
            where=spec.name,
            remedy="run a model that the design was made for, or set groups and the stages' "
            f"modules; its modules are like '{modules[len(modules) // 2] if modules else ''}'",
        )
    last_read = {
        operand.storage: position for position, work in enumerate(works) for operand in work.reads
    }
    edges, nodes = _graph(works)
    arranged: list[Work] = [NOTHING] * len(works)
    for group in _runs(works, operators, member_of):
        kept = {storage for storage, reader in last_read.items() if reader > group[-1]}
        arranged[group[-1]] = _joined(
            spec, [(works[i], operators[i].module) for i in group], kept, edges, nodes
        )
        edges, nodes = 0, 0
    return arranged


def _grouping(pattern: str) -> Callable[[str], str]:
    """Which group a module belongs to: the text that stands for the number, or none."""
    before, _, after = pattern.partition("#")
    number = translate(before).removesuffix(r"\Z").removesuffix(r"\z")
    expression = re.compile(f"(?:{number})" + r"(\d+)" + re.escape(after) + r"(?:\.|$)")

    def name(module: str) -> str:
        found = expression.match(module)
        return found.group(1) if found else ""

    return name


def _runs(
    works: Sequence[Work], operators: Sequence[Operator], name: Callable[[str], str]
) -> Iterator[list[int]]:
    run: list[int] = []
    current: str | None = None
    for position, work in enumerate(works):
        if isinstance(work, View):
            continue
        here = name(operators[position].module)
        if run and here != current:
            yield run
            run = []
        run.append(position)
        current = here
    if run:
        yield run


def _graph(works: Sequence[Work]) -> tuple[int, int]:
    """Edges and nodes of the graph that a trace passes messages along."""
    found = [work for work in works if isinstance(work, Scatter) and work.rows > 1]
    return max(((work.rows, work.table_rows) for work in found), default=(0, 0))


def _joined(
    spec: DataflowSpec, group: Sequence[tuple[Work, str]], kept: set[int], edges: int, nodes: int
) -> Group:
    reads: dict[tuple[int, int, int], Operand] = {}
    writes: dict[tuple[int, int, int], Operand] = {}
    made: set[int] = set()
    members: list[tuple[str, int, int, int, Operand]] = []
    for work, module in group:
        outside = [one for one in work.reads if one.storage not in made]
        reads |= {_place(one): one for one in outside}
        made |= {one.storage for one in work.writes}
        writes |= {_place(one): one for one in work.writes if one.storage in kept}
        stage = _stage(spec, work, module)
        if stage:
            tokens, units = _amount(spec.stages[stage], work)
            loaded = _loaded(spec, work, outside)
            members.append((stage, tokens, units, loaded, outside[0] if outside else work.reads[0]))
    numbers = {place: number for number, place in enumerate(reads)}
    merged: dict[str, Member] = {}
    for stage, tokens, units, loaded, source in members:
        before = merged.get(stage, Member(stage, 0, 0, 0, numbers.get(_place(source), 0)))
        merged[stage] = Member(
            stage,
            max(tokens, before.tokens),
            units + before.units,
            loaded + before.load_bytes,
            before.source,
        )
    return Group(
        tuple(reads.values()),
        tuple(writes.values()),
        tuple(merged.values()),
        sum(work.operations.get("matrix", 0) for work, _ in group),
        edges,
        nodes,
    )


def _loaded(spec: DataflowSpec, work: Work, outside: Sequence[Operand]) -> int:
    """Bytes from memory: rows of a table, weights unless they are resident, cache, inputs."""
    if isinstance(work, Gather):
        return work.rows * work.row_bytes
    roles = LOADED_ROLES if spec.weights == "streamed" else LOADED_ROLES - {"weight"}
    return sum(one.bytes for one in outside if one.role in roles)


def _place(operand: Operand) -> tuple[int, int, int]:
    return operand.storage, operand.offset, operand.bytes


_TAKES: dict[type[Work], str] = {
    Gemm: "matrix",
    Attention: "attention",
    Gather: "gather",
    Scatter: "scatter",
}


def _stage(spec: DataflowSpec, work: Work, module: str) -> str | None:
    """The stage for a piece of work; none if it is done in passing."""
    if isinstance(work, Elementwise | RowWise):
        return None
    kind = _TAKES.get(type(work))
    for name, stage in spec.stages.items():
        if stage.takes == kind and re.fullmatch(translate(stage.module), module):
            return name
    if isinstance(work, Gather):
        return None
    raise UnmappedOperatorError(
        f"no stage of this design takes '{work.kind}' of module '{module or 'top level'}'",
        where=spec.name,
        remedy="add a stage to the description, or run the model on an overlay",
    )


def _amount(stage: Stage, work: Work) -> tuple[int, int]:
    """Tokens, and units of work in padded shares of the stage's units."""
    match work:
        case Gemm():
            rows = work.batch * work.m
            return rows, -(-rows // stage.units) * stage.units * work.n * work.k
        case Attention():
            return work.batch * work.q_len, work.operations["matrix"] // 2
        case Gather():
            return work.rows, work.rows * (work.row_bytes * 8 // work.reads[0].bits)
        case Scatter():
            return work.rows, _busiest(stage, work) * (work.row_bytes * 8 // work.reads[0].bits)
    return 0, 0


def _busiest(stage: Stage, work: Scatter) -> int:
    """Rows of the unit with the most of them, times the units."""
    if work.index is None:
        return -(-work.rows // stage.units) * stage.units
    owners = np.bincount(np.asarray(work.index).ravel() % stage.units, minlength=stage.units)
    return int(owners.max()) * stage.units
