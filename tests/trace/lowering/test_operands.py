from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulator.trace.lowering import operand
from simulator.trace.schema import DTYPE_BITS, Tensor


def tensor(shape, strides, dtype="float32", offset=0):
    return Tensor(0, 7, offset, tuple(shape), tuple(strides), dtype)


@st.composite
def windows(draw):
    """Windows as PyTorch makes them: slices, permutations and expansions of an array."""
    shape = draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    array = np.zeros(shape, np.int8)
    slices = tuple(slice(draw(st.integers(0, 2)), None, draw(st.integers(1, 3))) for _ in shape)
    window = array[slices].transpose(draw(st.permutations(range(len(shape)))))
    for axis in range(window.ndim):
        if window.shape[axis] == 1 and draw(st.booleans()):
            repeated = list(window.shape)
            repeated[axis] = draw(st.integers(1, 4))
            window = np.broadcast_to(window, repeated)
    return window.shape, window.strides


def addresses(shape, strides):
    places = itertools.product(*(range(size) for size in shape))
    return {sum(i * s for i, s in zip(place, strides, strict=True)) for place in places}


@given(windows(), st.sampled_from(sorted(DTYPE_BITS)))
def test_bytes_are_the_distinct_elements_and_span_reaches_the_last_one(window, dtype):
    shape, strides = window
    touched = addresses(shape, strides)
    found = operand(tensor(shape, strides, dtype))
    bits = DTYPE_BITS[dtype]
    assert found.bytes == -(-len(touched) * bits // 8)
    assert found.span == (-(-(max(touched) + 1) * bits // 8) if touched else 0)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=4),
    st.sampled_from(sorted(DTYPE_BITS)),
)
def test_no_window_has_negative_bytes_or_more_than_its_span(dims, dtype):
    shape, strides = [size for size, _ in dims], [stride for _, stride in dims]
    found = operand(tensor(shape, strides, dtype))
    assert 0 <= found.bytes <= found.span


def test_a_broadcast_dimension_counts_once():
    assert operand(tensor((8, 4096), (0, 1))).bytes == 4096 * 4


def test_sub_byte_elements_are_packed():
    assert operand(tensor((3, 3), (3, 1), "int4")).bytes == 5
    assert operand(tensor((10,), (1,), "int3")).bytes == 4


def test_the_offset_is_in_bytes():
    assert operand(tensor((4,), (1,), "bfloat16", offset=3)).offset == 6


def test_overlapping_windows_are_bounded_by_their_span():
    unfolded = operand(tensor((5, 3), (1, 1)))
    assert unfolded.bytes == unfolded.span == 7 * 4
