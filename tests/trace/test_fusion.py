"""Fusion replaces what it knows and nothing else: operators, operations, bytes."""

from dataclasses import replace

import pytest

from simulator.trace.fusion import fuse
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all
from simulator.trace.placement import Placement
from simulator.trace.transforms import recast


@pytest.fixture(scope="module")
def gpt():
    return load_trace("gpt2", {"context": 100}, phase="decode")


def names(trace):
    return [operator.name.split(".")[1] for operator in trace.operators]


def total(trace, unit):
    return sum(work.operations.get(unit, 0) for work in lower_all(trace))


def test_eight_operators_become_one_gelu(gpt):
    fused = fuse(gpt, ("gelu",))
    assert names(fused).count("gelu") == 12
    assert "tanh" not in names(fused)
    assert len(gpt.operators) - len(fused.operators) == 12 * 7
    gelus = [work for work in lower_all(fused) if getattr(work, "function", "") == "gelu"]
    assert {work.elements for work in gelus} == {3072}
    assert all(len(work.reads) == len(work.writes) == 1 for work in gelus)
    # The formula's special functions are the same, however it is written.
    assert total(fused, "special") == total(gpt, "special")


def test_an_activation_joins_the_product_before_it(gpt):
    fused = fuse(gpt, ("gelu", "epilogue"))
    assert "gelu" not in names(fused)
    products = [work for work in lower_all(fused) if getattr(work, "epilogue", None)]
    assert [(work.n, work.epilogue.function) for work in products] == [(3072, "gelu")] * 12
    assert total(fused, "special") == total(gpt, "special")
    assert total(fused, "matrix") == total(gpt, "matrix")


def test_whoever_used_the_activation_waits_for_the_product(gpt):
    fused = fuse(gpt, ("gelu", "epilogue"))
    made = {}
    for operator in fused.operators:
        for id in operator.inputs:
            tensor = fused.tensors[id]
            assert tensor.role != "activation" or tensor.storage in made
        made.update({fused.tensors[id].storage: operator for id in operator.outputs})


def test_nothing_is_placed_that_nothing_uses(gpt):
    assert (
        Placement(fuse(gpt, ("gelu", "epilogue"))).persistent_bytes
        == Placement(gpt).persistent_bytes
    )


def test_other_models_and_no_names_change_nothing(gpt):
    llama = load_trace("llama2-7b", {"context": 100}, phase="decode")
    assert fuse(gpt, ()) is gpt
    assert fuse(llama, ("gelu",)).operators == llama.operators
    # Its activation is gated: the product's result is all that becomes of silu's input.
    gated = fuse(llama, ("epilogue",))
    assert names(gated).count("silu") == 0
    assert total(gated, "special") == total(llama, "special")


def test_a_chain_whose_middle_is_used_elsewhere_stays(gpt):
    tanh = next(one for one in gpt.operators if one.name == "aten.tanh.default")
    spy = replace(gpt.operators[-1], inputs=(*gpt.operators[-1].inputs, tanh.outputs[0]))
    watched = replace(gpt, operators=[*gpt.operators[:-1], spy])
    assert names(fuse(watched, ("gelu",))).count("gelu") == 11


def test_another_precision_keeps_bytes_and_what_the_model_chose(gpt):
    half, single = recast(gpt, "float16"), recast(gpt, "float32")
    assert {tensor.dtype for tensor in half.tensors.values()} & {"bfloat16"} == set()
    assert sum(work.bytes_read for work in lower_all(half)) == sum(
        work.bytes_read for work in lower_all(gpt)
    )
    matrices = [
        sum(work.reads[1].bytes for work in lower_all(trace) if work.kind == "gemm")
        for trace in (gpt, single)
    ]
    assert matrices[1] == 2 * matrices[0]
