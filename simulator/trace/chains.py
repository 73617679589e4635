"""Chains of elementwise operators as one piece of work.

A device whose lanes pass results on runs a stretch of elementwise operators in one go:
what only the stretch itself reads never leaves the lanes.  Views in between do not end a
stretch; anything else does, and so does a result that the host waits for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from simulator.trace.work import Elementwise, Operand, View, Work

PASSING_ROLES = ("activation", "index")
NOTHING = View((), ())


def fuse_chains(works: Sequence[Work], streams: Sequence[int]) -> list[Work]:
    """The works with every chain in the place of its last member, nothing in the others'."""
    last_read = {
        operand.storage: position for position, work in enumerate(works) for operand in work.reads
    }
    fused = list(works)
    for chain in _chains(works, streams):
        for position in chain:
            fused[position] = NOTHING
        end = chain[-1]
        kept = {storage for storage, reader in last_read.items() if reader > end}
        fused[end] = _joined(
            [work for i in chain if isinstance(work := works[i], Elementwise)], kept
        )
    return fused


def _chains(works: Sequence[Work], streams: Sequence[int]) -> Iterator[list[int]]:
    """Positions of elementwise works of one stream with nothing but views between them."""
    chain: list[int] = []
    for position, work in enumerate(works):
        if isinstance(work, View) and not work.reads:
            continue
        follows = isinstance(work, Elementwise) and not work.rows
        if chain and (not follows or streams[chain[-1]] != streams[position]):
            if len(chain) > 1:
                yield chain
            chain = []
        if follows:
            chain.append(position)
    if len(chain) > 1:
        yield chain


def _joined(chain: Sequence[Elementwise], kept: set[int]) -> Elementwise:
    """One work that reads what comes from outside and writes what is read outside."""
    reads: dict[tuple[int, int, int], Operand] = {}
    writes: dict[tuple[int, int, int], Operand] = {}
    made: set[int] = set()
    for work in chain:
        for operand in work.reads:
            if operand.storage not in made:
                reads[_place(operand)] = operand
        for operand in work.writes:
            made.add(operand.storage)
            if operand.storage in kept or operand.role not in PASSING_ROLES:
                writes[_place(operand)] = operand
    elements = max(work.elements for work in chain)

    def each(total: int) -> int:
        return -(-total // max(elements, 1))

    return Elementwise(
        tuple(reads.values()),
        tuple(writes.values()),
        elements=elements,
        vector_per_element=each(sum(w.elements * w.vector_per_element for w in chain)),
        special_per_element=each(sum(w.elements * w.special_per_element for w in chain)),
    )


def _place(operand: Operand) -> tuple[int, int, int]:
    return operand.storage, operand.offset, operand.bytes
