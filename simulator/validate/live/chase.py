"""A dependent load after another, which PyTorch has no operator for: a Triton kernel.

Imported only where a GPU is measured; Triton comes with PyTorch.  The compiler reads the function's
source, so it stands at the module's level, and so do its imports.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl

LINE = 32
"""Words between two loads: 128 bytes, a cache line."""


@triton.jit
def follow(table, place, steps):  # type: ignore[no-untyped-def]
    """One warp goes ``steps`` on along the chain in ``table``, from where ``place`` says, and
    notes where it ends: the next call goes on from there, so that the whole footprint is used."""
    at = tl.load(place)
    for _ in range(steps):
        at = tl.load(table + at)
    tl.store(place, at)


def chain(torch: Any, lines: int, place: Any) -> Any:
    """(lines * LINE,) 32-bit words: in the first of each line, the next line's, in one random
    cycle through all."""
    order = torch.randperm(lines, device=place) * LINE
    table = torch.zeros(lines * LINE, dtype=torch.int32, device=place)
    table[order] = order.roll(-1).to(torch.int32)
    return table
