"""A trace made ready to run on one platform: work, waiting, addresses, roofs.

Planning needs no time: it lowers operators, places storages in device memory, finds
who waits for whom and computes each piece's bound.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from simulator.engine.platform import Limit, Platform
from simulator.errors import CapacityError, UnmappedOperatorError
from simulator.system.warmth import Warmth, warmth
from simulator.trace.dependencies import dependencies
from simulator.trace.lowering import lower_all
from simulator.trace.placement import Placement
from simulator.trace.schema import Operator, Trace
from simulator.trace.work import Elementwise, Gather, Operand, Scatter, Unmapped, View, Work
from simulator.units import human

ALIGNMENT = 512


@dataclass(frozen=True, slots=True)
class Item:
    """One operator of the run."""

    index: int
    operator: Operator
    work: Work
    waits_for: tuple[int, ...]
    warmth: Warmth
    bound: Limit
    approximated: bool

    @property
    def is_host_only(self) -> bool:
        """Nothing runs on the device."""
        return isinstance(self.work, View)

    @property
    def needs_host(self) -> bool:
        """The host waits for the result: ``item()`` and the like."""
        return isinstance(self.work, View) and bool(self.work.reads)


@dataclass(frozen=True, slots=True)
class Plan:
    """All items in program order, and where their data lives."""

    name: str
    items: tuple[Item, ...]
    address: Callable[[Operand], int]
    footprint_bytes: int
    guesses: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def streams(self) -> tuple[int, ...]:
        return tuple(sorted({item.operator.stream for item in self.items}))


def plan(trace: Trace, platform: Platform, approximate_unmapped: bool = False) -> Plan:
    """Prepare a concrete trace. Raises CapacityError if it does not fit the device,
    UnmappedOperatorError for an operator nobody can lower (unless approximated)."""
    placement = Placement(trace)
    if placement.peak_bytes > platform.capacity_bytes:
        raise CapacityError(
            f"{trace.header.name} needs {human(placement.peak_bytes, 'B')}, the device has "
            f"{human(platform.capacity_bytes, 'B')}",
            where=platform.name,
            remedy="choose a smaller model, batch or context, quantize it (--quantize w4a8kv8), "
            "or enlarge the memory (--set memory.organization.stacks=N)",
        )
    works = lower_all(trace)
    unknown: dict[str, int] = {}
    for index, work in enumerate(works):
        if isinstance(work, Unmapped):
            unknown[work.name] = unknown.get(work.name, 0) + 1
            if not approximate_unmapped:
                raise UnmappedOperatorError(
                    f"no lowering for operator '{work.name}' "
                    f"({trace.operators[index].module or 'top level'})",
                    where=trace.header.name,
                    remedy="add a function with @lowers in simulator/trace/lowering, or run "
                    "with --approximate-unmapped to count its memory traffic only",
                )
            works[index] = as_traffic(work)
    warnings = tuple(
        f"'{name}' has no mapping: {count} of them count as memory traffic"
        for name, count in sorted(unknown.items())
    )
    works = list(platform.arrange(works, trace.operators))
    items = _items(platform, trace.operators, works, dependencies(trace, works), unknown)

    def address(operand: Operand) -> int:
        return placement.address(operand.storage) + operand.offset

    return Plan(
        trace.header.name,
        items,
        address,
        placement.peak_bytes,
        (*trace.header.guesses, *_stand_ins(items)),
        warnings,
    )


def plan_work(works: Sequence[Work], platform: Platform, name: str) -> Plan:
    """Prepare works that come from no trace, one after another; each storage number is
    placed after the ones before it."""
    sizes: dict[int, int] = {}
    for work in works:
        for operand in (*work.reads, *work.writes):
            end = operand.offset + max(operand.bytes, operand.span)
            sizes[operand.storage] = max(sizes.get(operand.storage, 0), end)
    addresses: dict[int, int] = {}
    top = 0
    for storage in sorted(sizes):
        addresses[storage] = top
        top += -(-sizes[storage] // ALIGNMENT) * ALIGNMENT
    if top > platform.capacity_bytes:
        raise CapacityError(
            f"{name} needs {human(top, 'B')}, the device has {human(platform.capacity_bytes, 'B')}",
            where=platform.name,
            remedy="choose smaller extents",
        )
    operators = [Operator(i, work.kind, (), ()) for i, work in enumerate(works)]
    waits = [() if not i else (i - 1,) for i in range(len(works))]
    items = _items(platform, operators, works, waits, {})

    def address(operand: Operand) -> int:
        return addresses[operand.storage] + operand.offset

    return Plan(name, items, address, top, tuple(_stand_ins(items)), ())


def _items(
    platform: Platform,
    operators: Sequence[Operator],
    works: Sequence[Work],
    waits: Sequence[tuple[int, ...]],
    unknown: Container[str],
) -> tuple[Item, ...]:
    return tuple(
        Item(
            index,
            operator,
            work,
            waits[index],
            state,
            _bound(platform, work, state),
            operator.name in unknown,
        )
        for index, (operator, work, state) in enumerate(
            zip(operators, works, warmth(works), strict=True)
        )
    )


def as_traffic(work: Work) -> Elementwise:
    """The memory traffic of a work without its computation."""
    elements = max((8 * one.bytes // one.bits for one in (*work.reads, *work.writes)), default=0)
    return Elementwise(work.reads, work.writes, elements=elements, vector_per_element=0)


def _bound(platform: Platform, work: Work, state: Warmth) -> Limit:
    if isinstance(work, View):
        return Limit("launch", 0.0)
    limits = platform.limits(work, state.first_touch_bytes)
    return max(limits, key=lambda limit: limit.seconds, default=Limit("launch", 0.0))


def _stand_ins(items: tuple[Item, ...]) -> list[str]:
    """Gathers and scatters whose row numbers were not recorded."""
    count = sum(
        1 for item in items if isinstance(item.work, (Gather, Scatter)) and item.work.index is None
    )
    if not count:
        return []
    return [f"{count} gathers or scatters use seeded uniform row numbers: none were recorded"]
