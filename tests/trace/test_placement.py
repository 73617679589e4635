from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TraceError
from simulator.trace.placement import PERSISTENT_ROLES, Placement
from simulator.trace.schema import Header, Operator, Tensor, Trace


def trace_of(tensors, operators) -> Trace:
    """Tensors are (storage, elements, role); operators are (inputs, outputs[, stream])."""
    table = {
        id: Tensor(id, storage, 0, (size,), (1,), "float32", role)
        for id, (storage, size, role) in enumerate(tensors)
    }
    listed = [
        Operator(id, "aten.add.Tensor", tuple(ins), tuple(outs), stream=stream[0] if stream else 0)
        for id, (ins, outs, *stream) in enumerate(operators)
    ]
    return Trace(Header("test", "test", "forward", {}), table, listed)


@st.composite
def traces(draw):
    roles = st.sampled_from(["activation", "activation", "activation", "weight", "index"])
    sizes = st.one_of(st.integers(0, 300), st.integers(1, 4 << 20))
    tensors = [(storage, draw(sizes), draw(roles)) for storage in range(draw(st.integers(1, 12)))]
    ids = st.lists(st.integers(0, len(tensors) - 1), max_size=3)
    operators = draw(st.lists(st.tuples(ids, ids, st.integers(0, 1)), max_size=25))
    return trace_of(tensors, operators)


def must_exist(trace):
    """Independent of the placement: for each storage when its bytes must be kept."""
    end = len(trace.operators)
    spans = {}
    for tensor in trace.tensors.values():
        uses = [
            (position, tensor.id in operator.inputs)
            for position, operator in enumerate(trace.operators)
            if tensor.id in operator.inputs + operator.outputs
        ]
        kept = tensor.role in PERSISTENT_ROLES or not uses or uses[0][1]
        spans[tensor.storage] = (0, end) if kept else (uses[0][0], uses[-1][0])
    return spans


@settings(deadline=None)
@given(traces())
def test_no_two_live_storages_overlap(trace):
    placement = Placement(trace)
    spans = must_exist(trace)
    placed = [
        (placement.address(t.storage), 4 * t.shape[0], spans[t.storage])
        for t in trace.tensors.values()
    ]
    for number, (address, size, (born, dies)) in enumerate(placed):
        assert address % 512 == 0
        assert size == 0 or (address >= 0 and address + size <= placement.peak_bytes)
        for other, other_size, (other_born, other_dies) in placed[:number]:
            apart = address + size <= other or other + other_size <= address
            assert apart or dies < other_born or other_dies < born


@given(traces())
def test_the_same_trace_gets_the_same_addresses(trace):
    first, second = Placement(trace), Placement(trace)
    for tensor in trace.tensors.values():
        assert first.address(tensor.storage) == second.address(tensor.storage)
    assert first.peak_bytes >= first.persistent_bytes


def test_a_chain_of_activations_alternates_between_two_blocks():
    chain = trace_of(
        [(i, 1000, "activation") for i in range(8)],
        [([], [0]), *(([i], [i + 1]) for i in range(7))],
    )
    placement = Placement(chain)
    assert placement.persistent_bytes == 0
    assert len({placement.address(i) for i in range(8)}) == 2


def test_weights_stay_and_come_first():
    placement = Placement(
        trace_of(
            [(0, 100, "activation"), (1, 1000, "weight"), (2, 10, "weight")],
            [([1], [0]), ([0], [])],
        )
    )
    assert placement.persistent_bytes == 4096 + 512
    assert (placement.address(1), placement.address(2)) == (0, 4096)
    assert placement.address(0) >= placement.persistent_bytes


def test_a_storage_nobody_made_was_there_before():
    placement = Placement(trace_of([(0, 100, "activation"), (1, 100, "activation")], [([0], [1])]))
    assert set(placement.lifetimes) == {1}
    assert placement.persistent_bytes == 512


def test_a_storage_reaches_to_its_furthest_window():
    trace = trace_of([(0, 10, "weight")], [])
    trace.tensors[1] = Tensor(1, 0, 100, (2, 3), (10, 1), "int4", "weight")
    assert Placement(trace).sizes == {0: 57}


def test_an_unknown_storage_and_a_bad_alignment_are_errors():
    placement = Placement(trace_of([(0, 10, "weight")], []))
    with pytest.raises(TraceError, match="storage 5 belongs to no tensor"):
        placement.address(5)
    with pytest.raises(ValueError, match="power of two"):
        Placement(trace_of([], []), alignment=48)
