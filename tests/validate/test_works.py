"""A row becomes the work its call does: bytes and operations in closed form."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.trace.work import Attention, Elementwise, Gemm, GroupedGemm, RowWise
from simulator.validate.methods import method_of
from simulator.validate.works import Unsupported, expert_rows, works_of


def works(row):
    return works_of(row, method_of(row))


def test_a_product(one_row):
    (gemm,) = works(one_row("gemm.csv", m=3, n=5, k=7, batch=2))
    assert isinstance(gemm, Gemm)
    assert gemm.operations == {"matrix": 2 * 2 * 3 * 5 * 7}
    assert [one.bytes for one in gemm.reads] == [2 * 2 * 3 * 7, 2 * 2 * 5 * 7]
    assert gemm.bytes_written == 2 * 2 * 3 * 5
    assert [one.role for one in gemm.reads] == ["activation", "weight"]


def test_a_bias_is_read_and_batched_products_have_no_weight(one_row):
    (biased,) = works(one_row("gemm.csv", op="gemm_bias", dtype="fp32"))
    assert [one.bytes for one in biased.reads] == [4 * 16 * 64, 4 * 32 * 64, 4 * 32]
    (batched,) = works(one_row("gemm.csv", op="bmm", dtype="fp32", batch=3))
    assert {one.role for one in batched.reads} == {"activation"}


def test_fp8_products_quantize_on_the_way_and_write_bf16(one_row):
    quantize, gemm = works(one_row("gemm.csv", dtype="fp8", timing_method="graph+quant"))
    assert isinstance(quantize, RowWise)
    assert (quantize.bytes_read, quantize.bytes_written) == (2 * 16 * 64, 16 * 64)
    assert quantize.writes[0] == gemm.reads[0]
    assert gemm.dtype == "float8"
    assert gemm.writes[0].dtype == "bfloat16"
    assert len(works(one_row("gemm.csv", dtype="fp8"))) == 1


@pytest.mark.parametrize("name", ["attention_prefill.csv", "attention_decode.csv"])
def test_attention_appends_to_the_cache_it_reads(one_row, name):
    row = one_row(name)
    *plan, append, attend = works(row)
    assert len(plan) == (name == "attention_prefill.csv")
    assert isinstance(append, Elementwise)
    assert isinstance(attend, Attention)
    size = row.sizes
    added = 2 * size["batch"] * size["kv_heads"] * size["q_len"] * size["head_dim"]
    assert append.bytes_read == append.bytes_written == 2 * added
    for written, cache in zip(append.writes, attend.reads[1:], strict=True):
        assert written.storage == cache.storage
        assert written.offset + written.bytes == cache.bytes
    assert attend.causal == bool(size["causal"])
    assert attend.reads[0].bytes == attend.bytes_written


def test_experts_read_the_weights_they_use(one_row):
    row = one_row("moe.csv", num_tokens=1, inter_size=64, moe_tp_size=2)
    _, place, permute, up, activate, down, combine = works(row)
    assert isinstance(up, GroupedGemm) and isinstance(down, GroupedGemm)
    assert sum(up.rows) == sum(down.rows) == 2
    assert up.reads[1].bytes == 2 * 2 * (2 * 32) * 64
    assert up.reads[1].span == 2 * 8 * (2 * 32) * 64
    assert up.operations["matrix"] + down.operations["matrix"] == 2 * 2 * 3 * 32 * 64
    assert place.writes[0] in permute.reads
    assert permute.writes[0] == up.reads[0]
    assert activate.writes[0] == down.reads[0]
    assert combine.bytes_written == 2 * 64


@given(
    tokens=st.integers(1, 300),
    experts=st.integers(2, 64),
    share=st.floats(0.01, 1),
    distribution=st.sampled_from(["balanced", "power_law_1.01", "power_law_1.2"]),
)
def test_every_token_goes_to_distinct_experts(tokens, experts, share, distribution):
    topk = max(1, int(share * experts))
    rows = expert_rows(distribution, tokens, experts, topk)
    assert len(rows) == experts
    assert sum(rows) == tokens * topk
    assert 0 <= min(rows) <= max(rows) <= tokens


def test_a_power_law_is_uneven_and_balance_is_not():
    balanced, skewed = (expert_rows(name, 512, 16, 2) for name in ("balanced", "power_law_1.2"))
    assert max(balanced) == min(balanced)
    assert max(skewed) > 5 * sorted(skewed)[8]


@pytest.mark.parametrize(
    ("op", "read", "written"),
    [
        ("add", 2, 1),
        ("addu", 1, 1),
        ("divu", 1, 1),
        ("relu", 1, 1),
        ("softmax", 1, 1),
        ("layernorm", 1, 1),
        ("norm", 1, 1),
        ("act_mul", 2, 1),
    ],
)
def test_memory_bound_traffic(one_row, op, read, written):
    (work,) = works(one_row("memory_bound.csv", op=op, rows=3, cols=8))
    assert (work.bytes_read, work.bytes_written) == (2 * 24 * read, 2 * 24 * written)
    assert work.operations["vector"] > 0


def test_a_maximum_writes_one_number(one_row):
    (work,) = works(one_row("memory_bound.csv", op="amax_scale", rows=3, cols=8))
    assert (work.bytes_read, work.bytes_written) == (48, 4)


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("gemm.csv", {"op": "conv"}, "no mapping of operator 'conv'"),
        ("gemm.csv", {"dtype": "fp7"}, "type 'fp7' is unknown"),
        ("memory_bound.csv", {"op": "sort"}, "no mapping of operator 'sort'"),
        ("attention_decode.csv", {"kv_heads": 3}, "not a multiple"),
        ("attention_prefill.csv", {"q_len": 9}, "more queries than keys"),
        ("moe.csv", {"moe_ep_size": 2}, "expert parallelism"),
        ("moe.csv", {"moe_tp_size": 3}, "does not divide"),
        ("moe.csv", {"topk": 9}, "more experts per token"),
        ("moe.csv", {"distribution": "zipf"}, "distribution 'zipf' is unknown"),
        ("moe.csv", {"distribution": "power_law_x"}, "is unknown"),
        ("moe.csv", {"distribution": "power_law_1"}, "is unknown"),
    ],
)
def test_what_is_no_work_says_why(one_row, name, changes, why):
    with pytest.raises(Unsupported, match=why):
        works(one_row(name, **changes))
