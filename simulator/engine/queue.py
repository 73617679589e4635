"""Pending events: a binary heap ordered by time, then by order of creation.

The second word packs sequence number, kind and index, so one comparison breaks
ties and the same inputs give the same order on every run.
"""

from __future__ import annotations

import numpy as np

from simulator.compiled import Int, hot, inlined
from simulator.engine.layout import (
    H_ERROR,
    H_PENDING,
    H_SEQUENCE,
    HEAP_FULL,
    INDEX_BITS,
    KIND_BITS,
)

KIND_SHIFT = INDEX_BITS
SEQUENCE_SHIFT = INDEX_BITS + KIND_BITS
INDEX_MASK = (1 << INDEX_BITS) - 1
KIND_MASK = (1 << KIND_BITS) - 1


@hot
def push(header: np.ndarray, heap: np.ndarray, time: Int, kind: Int, index: Int) -> None:
    """Add an event. A full heap sets the header's error and drops it."""
    i = header[H_PENDING]
    if i >= heap.shape[0]:
        header[H_ERROR] = HEAP_FULL
        return
    header[H_PENDING] = i + 1
    header[H_SEQUENCE] += 1
    word = (header[H_SEQUENCE] << SEQUENCE_SHIFT) | (kind << KIND_SHIFT) | index
    while i > 0:
        parent = (i - 1) >> 1
        above = heap[parent, 0]
        if above < time or (above == time and heap[parent, 1] < word):
            break
        heap[i, 0] = above
        heap[i, 1] = heap[parent, 1]
        i = parent
    heap[i, 0] = time
    heap[i, 1] = word


@inlined
def drop_first(header: np.ndarray, heap: np.ndarray) -> None:
    """Remove the earliest event (the caller has read it from row 0)."""
    n = header[H_PENDING] - 1
    header[H_PENDING] = n
    time = heap[n, 0]
    word = heap[n, 1]
    i = 0
    while True:
        child = 2 * i + 1
        if child >= n:
            break
        right = child + 1
        if right < n and (
            heap[right, 0] < heap[child, 0]
            or (heap[right, 0] == heap[child, 0] and heap[right, 1] < heap[child, 1])
        ):
            child = right
        below = heap[child, 0]
        if time < below or (time == below and word < heap[child, 1]):
            break
        heap[i, 0] = below
        heap[i, 1] = heap[child, 1]
        i = child
    heap[i, 0] = time
    heap[i, 1] = word
