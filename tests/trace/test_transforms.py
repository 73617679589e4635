"""Quantization narrows what it says and nothing else; sparsity marks what matches."""

import pytest

from simulator.errors import OptionError
from simulator.trace import transforms
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all
from simulator.trace.placement import storage_sizes


@pytest.fixture(scope="module")
def llama():
    return load_trace("llama2-7b", {"context": 512}, phase="decode")


def role_bytes(trace, role):
    roles = {tensor.storage: tensor.role for tensor in trace.tensors.values()}
    return sum(size for id, size in storage_sizes(trace).items() if roles[id] == role)


def matrix_bytes(trace):
    return sum(w.reads[1].bytes for w in lower_all(trace) if w.kind == "gemm")


def test_each_part_narrows_its_own_tensors(llama):
    narrow = transforms.quantize(llama, "w4a8kv2")
    assert matrix_bytes(narrow) == matrix_bytes(llama) / 4
    assert role_bytes(narrow, "kv_cache") == role_bytes(llama, "kv_cache") / 8
    dtypes = {}
    for tensor in narrow.tensors.values():
        dtypes.setdefault((tensor.role, len(tensor.shape) > 1), set()).add(tensor.dtype)
    assert dtypes["weight", True] == {"int4", "bfloat16"}  # bfloat16: the table of embeddings
    assert dtypes["weight", False] == {"bfloat16", "float32"}
    assert dtypes["kv_cache", True] == {"int2"}
    assert dtypes["activation", True] == {"int8", "float32"}


def test_looked_up_tables_keep_their_precision(llama):
    narrow = transforms.quantize(llama, "w4")
    tables = {t.dtype for t in narrow.tensors.values() if t.name == "model.embed_tokens.weight"}
    assert tables == {"bfloat16"}


def test_parts_left_out_and_sixteen_bits_change_nothing(llama):
    assert transforms.quantize(llama, "w16a16kv16").tensors == llama.tensors
    only_cache = transforms.quantize(llama, "kv8")
    changed = {
        llama.tensors[id].role
        for id, tensor in only_cache.tensors.items()
        if tensor != llama.tensors[id]
    }
    assert changed == {"kv_cache"}


def test_windows_stay_in_elements(llama):
    narrow = transforms.quantize(llama, "w4a8kv8")
    for id, tensor in narrow.tensors.items():
        before = llama.tensors[id]
        assert (tensor.offset, tensor.shape, tensor.strides) == (
            before.offset,
            before.shape,
            before.strides,
        )


def test_operations_do_not_change(llama):
    narrow = transforms.quantize(llama, "w4a8kv8")
    for before, after in zip(lower_all(llama), lower_all(narrow), strict=True):
        assert before.operations == after.operations


def test_the_header_says_what_was_done(llama):
    changed = transforms.apply(llama, "w8", ["*.mlp.*=0.5", "lm_head=1:4"])
    assert changed.header.source["quantization"] == "w8"
    assert changed.header.source["sparsity"] == "*.mlp.*=0.5, lm_head=1:4"
    with pytest.raises(OptionError, match="already quantized to w8"):
        transforms.quantize(changed, "w4")


@pytest.mark.parametrize("text", ["", "4", "w", "w4x8", "kv8w4", "w-4", "w4 a8", "W4", "w٤"])
def test_bad_quantizations(text):
    with pytest.raises(OptionError, match="w4a8kv8"):
        transforms.parse_quantization(text)


@pytest.mark.parametrize("text", ["w1", "w7", "a9999999", "kv0"])
def test_unsupported_widths(text):
    with pytest.raises(OptionError, match="bits"):
        transforms.parse_quantization(text)


def test_training_is_not_quantized():
    with pytest.raises(OptionError, match="training"):
        transforms.quantize(load_trace("gpt2", phase="train"), "w8")


def test_density_reaches_the_work(llama):
    sparse = transforms.sparsify(llama, "*.mlp.*=0.5")
    for operator, before, after in zip(
        sparse.operators, lower_all(llama), lower_all(sparse), strict=True
    ):
        if before.kind == "gemm":
            factor = 0.5 if ".mlp." in operator.module else 1
            assert after.operations["matrix"] == factor * before.operations["matrix"]
            assert after.reads[1].bytes == factor * before.reads[1].bytes
        else:
            assert after == before


def test_a_later_pattern_overrides(llama):
    sparse = transforms.apply(llama, None, ["*=0.5", "lm_head=1.0"])
    densities = {o.module: o.kwargs["density"] for o in sparse.operators if "density" in o.kwargs}
    assert densities.pop("lm_head") == 1.0
    assert set(densities.values()) == {0.5}
    assert len(densities) == 32 * 7


def test_experts_can_be_sparse():
    sparse = transforms.sparsify(load_trace("mixtral-8x7b", phase="decode"), "*.experts=2:4")
    marked = [o for o in sparse.operators if "density" in o.kwargs]
    assert {o.name for o in marked} == {"aten._grouped_mm.default"}
    assert len(marked) == 64


def test_a_pattern_that_matches_nothing(llama):
    with pytest.raises(OptionError, match="no matrix product"):
        transforms.sparsify(llama, "*.mpl.*=0.5")
    assert transforms.sparsify(llama, "*.mpl.*=0.5", strict=False).operators == llama.operators


@pytest.mark.parametrize(
    "text", ["", "0.5", "=0.5", "*=", "*=0", "*=1.5", "*=-1", "*=nan", "*=a", "*=2:0", "*=4:2"]
)
def test_bad_sparsities(text):
    with pytest.raises(OptionError, match="PATTERN=DENSITY"):
        transforms.parse_sparsity(text)
