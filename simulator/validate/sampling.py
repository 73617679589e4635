"""A sample of rows that covers every GPU, operator, type and size, the same for a seed.

Each stratum gives one row, as far as there is room; the rest is shared in proportion.  Within a
stratum rows are ordered by a hash of seed and content, so a sample does not depend on the
order of the files, and a larger sample of the same seed contains most of a smaller one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from hashlib import sha256

from simulator.validate.rows import Row

Stratum = tuple[str, str, str, str]


def sample(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """``count`` of the rows (all, if there are fewer), in their order."""
    if count >= len(rows):
        return list(rows)
    strata: dict[Stratum, list[int]] = defaultdict(list)
    for place, row in enumerate(rows):
        strata[(row.gpu, row.op, row.dtype, row.size_range)].append(place)
    ranks = [_rank(seed, row.identity) for row in rows]
    for members in strata.values():
        members.sort(key=lambda place: (ranks[place], place))
    # With fewer places than strata, chance decides, not the alphabet.
    order = sorted(strata, key=lambda stratum: _rank(seed, " ".join(stratum)))
    shares = _shares([len(strata[stratum]) for stratum in order], count)
    chosen = [
        place
        for stratum, share in zip(order, shares, strict=True)
        for place in strata[stratum][:share]
    ]
    return [rows[place] for place in sorted(chosen)]


def _shares(sizes: Sequence[int], count: int) -> list[int]:
    """How many each stratum gives: one, then the largest remainders of its proportional share
    of what is left."""
    shares = [1 if place < count else 0 for place in range(len(sizes))]
    left = count - sum(shares)
    rest = [size - share for size, share in zip(sizes, shares, strict=True)]
    total = sum(rest)
    if not left:
        return shares
    exact = [left * size / total for size in rest]
    whole = [int(value) for value in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda place: (whole[place] - exact[place], place))
    for place in by_remainder[: left - sum(whole)]:
        whole[place] += 1
    return [share + more for share, more in zip(shares, whole, strict=True)]


def _rank(seed: int, text: str) -> bytes:
    return sha256(f"{seed} {text}".encode()).digest()
