"""What the kernels of attention load and store: rows of queries, of keys, of a mask."""

from __future__ import annotations

import math

from simulator.engine.platform import Addresses
from simulator.engine.program import Coordinate, Pattern
from simulator.gpu.mapping.rates import special_units, vector_units
from simulator.gpu.spec import GpuSpec
from simulator.trace.work import Attention, Operand

VECTOR_PER_SCORE = 4
"""Scale, subtract the running maximum, sum, convert."""


def end(operand: Operand, address: Addresses) -> int:
    """First byte behind an operand."""
    return address(operand) + max(operand.span, operand.bytes)


def head_stride(operand: Operand, heads: int) -> int:
    """Bytes from one head's first position to the next one's: a slice of a longer cache
    keeps the cache's stride."""
    own = operand.bytes // max(heads, 1)
    if heads > 1 and operand.span > operand.bytes:
        return (operand.span - own) // (heads - 1)
    return own


def even_steps(length: int, tile: int) -> tuple[int, int]:
    """Steps of at most ``tile`` rows along ``length``, and the rows each loads: what is beyond
    the end is computed on, never loaded."""
    steps = math.ceil(length / tile)
    return steps, math.ceil(length / steps)


def softmax_units(
    spec: GpuSpec, scores: int, rescaled: int = 0, share: float = 1.0
) -> tuple[int, int]:
    """Special and vector units of a step's softmax, or of a share of it; the sums that a new
    maximum rescales are multiplied once."""
    vector = VECTOR_PER_SCORE * scores + rescaled
    return special_units(spec, share * scores), vector_units(spec, share * vector)


def consecutive(chunk: int, coordinate: int, limit: int) -> Pattern:
    """Consecutive chunks from the address in a coordinate, one per step."""
    coordinates = [0] * 6
    coordinates[coordinate] = 1
    return Pattern(
        "read",
        "load",
        chunk=chunk,
        coordinates=tuple(coordinates),
        loops=(chunk,),
        limit=limit,
    )


def mask_and_others(work: Attention) -> tuple[Operand | None, tuple[Operand, ...]]:
    """The operand that has an element per query row (or few rows for all) and key, and the
    operands that have some bytes per query row.  A causal kernel skips keys and so cannot
    walk a mask with them."""
    others = tuple(operand for operand in work.reads[3:] if operand.bytes)
    if work.causal:
        return None, others
    rows = work.batch * work.heads * work.q_len
    per_row = rows * max(work.head_dim, work.value_dim)
    for number, operand in enumerate(others):
        elements = operand.bytes * 8 // operand.bits
        like_queries = work.backward and elements % rows == 0 and elements <= per_row
        mask_rows, rest = divmod(elements, work.kv_len)
        whole = mask_rows == 1 or (mask_rows and mask_rows % work.q_len == 0)
        if not like_queries and not rest and whole and work.kv_len * operand.bits % 8 == 0:
            return operand, others[:number] + others[number + 1 :]
    return None, others


def mask_row_bytes(mask: Operand, work: Attention) -> int:
    """Bytes of one row of a mask."""
    return work.kv_len * mask.bits // 8


def share_of_rows(
    kind: str,
    path: str,
    operand: Operand,
    address: Addresses,
    row_bytes: int,
    first: int,
    rows: int,
) -> Pattern:
    """``row_bytes`` of an operand for each of the rows that coordinate ``rows`` counts, from the
    row in coordinate ``first``."""
    coordinates = [0] * 6
    coordinates[first] = row_bytes
    return Pattern(
        kind,
        path,
        chunk=max(1, min(row_bytes, operand.bytes)),
        base=address(operand),
        coordinates=tuple(coordinates),
        inner=Coordinate(rows),
        inner_stride=row_bytes,
        limit=end(operand, address),
    )
