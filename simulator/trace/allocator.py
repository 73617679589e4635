"""A caching allocator that works as PyTorch's does on a GPU.

Freed blocks are kept and reused, smallest fitting first, so that consecutive
activations of one size share one address: their reuse is what an L2 sees.
Constants and rules are those of PyTorch's ``CUDACachingAllocator.cpp``: sizes
are rounded to blocks, requests up to 1 MiB are carved from 2 MiB segments,
those below 10 MiB from 20 MiB segments, larger ones get their own; blocks are
split when enough remains and merged with free neighbours.

Freed blocks serve their own stream only; elsewhere they might still be in use.

Left out: memory pressure (cached segments are never returned), the tuning
options of ``PYTORCH_CUDA_ALLOC_CONF``, and ``record_stream`` (a block that another
stream also uses is reused in its own stream's program order).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, field

MIB = 1 << 20
SMALL_REQUEST = MIB
SMALL_SEGMENT = 2 * MIB
MEDIUM_REQUEST = 10 * MIB
MEDIUM_SEGMENT = 20 * MIB
LARGE_ROUNDING = 2 * MIB


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment, linked to its neighbours in the same segment."""

    address: int
    size: int
    free: bool = True
    before: Block | None = None
    after: Block | None = None


@dataclass(slots=True)
class Pool:
    """Free blocks of one kind, by size, then address."""

    least_remainder: int
    """A block is split when at least this much remains."""
    order: list[tuple[int, int]] = field(default_factory=list)
    blocks: dict[int, Block] = field(default_factory=dict)

    def put(self, block: Block) -> None:
        block.free = True
        insort(self.order, (block.size, block.address))
        self.blocks[block.address] = block

    def take(self, block: Block) -> None:
        del self.order[bisect_left(self.order, (block.size, block.address))]
        del self.blocks[block.address]
        block.free = False

    def best_fit(self, size: int) -> Block | None:
        place = bisect_left(self.order, (size, 0))
        return self.blocks[self.order[place][1]] if place < len(self.order) else None


class CachingAllocator:
    """Addresses from ``base`` upwards; ``top`` is the end of the last segment."""

    def __init__(self, base: int = 0, alignment: int = 512) -> None:
        self.top = base
        self.alignment = alignment
        self._pools: dict[tuple[int, bool], Pool] = {}
        self._used: dict[int, tuple[Block, Pool]] = {}

    def allocate(self, size: int, stream: int = 0) -> int:
        """The address of a block of at least ``size`` bytes."""
        wanted = -(-max(size, 1) // self.alignment) * self.alignment
        small = wanted <= SMALL_REQUEST
        pool = self._pools.setdefault(
            (stream, small), Pool(self.alignment if small else SMALL_REQUEST + 1)
        )
        block = pool.best_fit(wanted) or self._segment(pool, wanted)
        pool.take(block)
        if block.size - wanted >= pool.least_remainder:
            self._split(pool, block, wanted)
        self._used[block.address] = (block, pool)
        return block.address

    def free(self, address: int) -> None:
        """Keep the block for reuse, merged with free neighbours."""
        block, pool = self._used.pop(address)
        for neighbour in (block.before, block.after):
            if neighbour is not None and neighbour.free:
                pool.take(neighbour)
                self._merge(block, neighbour)
        pool.put(block)

    def _segment(self, pool: Pool, wanted: int) -> Block:
        if wanted <= SMALL_REQUEST:
            size = SMALL_SEGMENT
        elif wanted < MEDIUM_REQUEST:
            size = MEDIUM_SEGMENT
        else:
            size = -(-wanted // LARGE_ROUNDING) * LARGE_ROUNDING
        start = -(-self.top // LARGE_ROUNDING) * LARGE_ROUNDING
        block = Block(start, size)
        self.top = start + size
        pool.put(block)
        return block

    def _split(self, pool: Pool, block: Block, wanted: int) -> None:
        rest = Block(block.address + wanted, block.size - wanted, True, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, wanted
        pool.put(rest)

    def _merge(self, block: Block, neighbour: Block) -> None:
        """Absorb a free neighbour into ``block``."""
        block.size += neighbour.size
        if neighbour.address < block.address:
            block.address, block.before = neighbour.address, neighbour.before
            if block.before is not None:
                block.before.after = block
        else:
            block.after = neighbour.after
            if block.after is not None:
                block.after.before = block
