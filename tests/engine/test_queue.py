"""Pending events leave in order of time, then of creation."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.engine import layout
from simulator.engine.queue import INDEX_MASK, KIND_MASK, KIND_SHIFT, drop_first, push

laws = settings(max_examples=100, deadline=None, derandomize=True)


def empty(size: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(layout.HEADER_COLUMNS, dtype=np.int64), np.zeros((size, 2), dtype=np.int64)


@laws
@given(st.lists(st.one_of(st.integers(0, 20), st.none()), max_size=100))
def test_order_is_time_then_creation(actions):
    header, heap = empty(128)
    model: list[tuple[int, int]] = []
    for number, time in enumerate(actions):
        if time is not None:
            push(header, heap, time, layout.E_STEP, number)
            model.append((time, number))
        elif model:
            earliest = min(model)
            model.remove(earliest)
            word = int(heap[0, 1])
            assert (heap[0, 0], word & INDEX_MASK) == earliest
            assert (word >> KIND_SHIFT) & KIND_MASK == layout.E_STEP
            drop_first(header, heap)
    assert header[layout.H_PENDING] == len(model)


def test_a_full_queue_is_an_error_not_a_loss_in_silence():
    header, heap = empty(2)
    for time in range(3):
        push(header, heap, time, layout.E_WAKE, 0)
    assert header[layout.H_ERROR] == layout.HEAP_FULL
