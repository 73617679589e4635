"""Every trace that ships must lower completely."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from pathlib import Path

import pytest

import simulator
from simulator.trace.dependencies import dependencies
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all, summary, unmapped
from simulator.trace.placement import Placement
from simulator.trace.schema import DTYPE_BITS

FOLDER = Path(simulator.__file__).parent.parent / "workloads" / "traces"
FILES = sorted(path for path in FOLDER.glob("*") if path.name.endswith((".jsonl.gz", ".trace")))
QUICK = ("gpt2.", "llama2-7b.decode", "mixtral-8x7b.decode", "bert-base.", "vit-b16.", "synthetic")

pytestmark = pytest.mark.skipif(not FILES, reason="no recorded traces in this checkout")


def cases():
    for path in FILES:
        quick = any(word in path.name for word in QUICK)
        yield pytest.param(path, id=path.name, marks=() if quick else pytest.mark.slow)


@pytest.fixture(scope="module", params=cases())
def trace(request):
    return load_trace(request.param)


@pytest.fixture(scope="module")
def works(trace):
    return lower_all(trace)


def test_no_operator_is_unmapped(works):
    assert unmapped(works) == []


def test_traffic_and_operations_are_never_negative(works):
    for work in works:
        assert min(work.operations.values(), default=0) >= 0
        for operand in (*work.reads, *work.writes):
            assert operand.bytes >= 0
            assert operand.offset >= 0
            assert operand.bytes == 0 or operand.bytes <= operand.span


def test_no_operand_reaches_beyond_its_storage(trace, works):
    sizes = Placement(trace).sizes
    for work in works:
        for operand in (*work.reads, *work.writes):
            assert operand.offset + operand.span <= sizes[operand.storage]


def test_every_weight_matrix_is_streamed(trace, works):
    """Each two-dimensional weight is some product's operand, unless it is an embedding."""
    matrices = {
        tensor.storage: prod(tensor.shape) * DTYPE_BITS[tensor.dtype] // 8
        for tensor in trace.tensors.values()
        if tensor.role == "weight" and len(tensor.shape) == 2 and "embed" not in tensor.name
    }
    used = {
        operand.storage
        for work in works
        if work.kind in ("gemm", "groupedgemm", "gather")
        for operand in work.reads
    }
    named = {t.storage: t.name for t in trace.tensors.values()}
    weights = {s: named[s] for s in matrices if s not in used and named[s].endswith(".weight")}
    assert not weights


def test_waiting_goes_backwards_and_views_wait_for_nothing(trace, works):
    awaited = dependencies(trace, works)
    assert len(awaited) == len(trace.operators)
    for position, (work, others) in enumerate(zip(works, awaited, strict=True)):
        assert all(earlier < position for earlier in others)
        assert all(before < after for before, after in pairwise(others))
        assert not (work.kind == "view" and not work.reads and others)


def test_summary_conserves_bytes(trace, works):
    lines = summary(trace, works)
    assert sum(line.count for line in lines) == len(trace.operators)
    assert sum(line.bytes_read for line in lines) == sum(work.bytes_read for work in works)


def test_an_operator_costs_no_more_in_a_longer_trace(lines_run):
    short, long = (load_trace(name, phase="decode") for name in ("gpt2", "llama2-7b"))
    for trace in (short, long):
        lower_all(trace)
    assert len(long.operators) > 5 * len(short.operators)
    per_operator = [
        lines_run(lambda trace=trace: dependencies(trace, lower_all(trace))) / len(trace.operators)
        for trace in (short, long)
    ]
    assert per_operator[1] < 1.3 * per_operator[0]
    assert per_operator[1] < 200


def products(trace):
    return [work for work in lower_all(trace) if work.kind == "gemm"]


def test_quantization_shrinks_the_bytes_of_weights_alone():
    from simulator.trace.transforms import quantize

    plain = load_trace("gpt2", phase="decode")
    for before, after in zip(products(plain), products(quantize(plain, "w4")), strict=True):
        assert before.operations == after.operations
        assert before.reads[0] == after.reads[0]
        assert after.reads[1].bytes * 4 == before.reads[1].bytes


def test_sparsity_thins_the_selected_products():
    from simulator.trace.transforms import sparsify

    plain = load_trace("llama2-7b", phase="decode")
    thin = sparsify(plain, "*mlp*=0.5")
    halved = 0
    for before, after in zip(products(plain), products(thin), strict=True):
        if after.density == 0.5:
            halved += 1
            assert after.reads[1].bytes * 2 == before.reads[1].bytes
            assert after.operations["matrix"] * 2 == before.operations["matrix"]
        else:
            assert after == before
    assert halved == 3 * 32
