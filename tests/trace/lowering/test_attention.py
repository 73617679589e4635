from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.trace.lowering.attention import BACKWARD, FORWARD
from simulator.trace.work import Attention

SDPA = "aten.scaled_dot_product_attention.default"


def qkv(build, q_len, kv_len, heads=8, kv_heads=8, dim=16, batch=2):
    q = build.tensor(batch, heads, q_len, dim, dtype="bfloat16")
    k, v = (build.tensor(batch, kv_heads, kv_len, dim, dtype="bfloat16") for _ in range(2))
    return q, k, v


def test_decode_reads_the_whole_cache_once(build):
    q, k, v = qkv(build, 1, 2049, heads=32, kv_heads=8)
    out = build.tensor(*q.shape, dtype="bfloat16")
    work = build.lower(SDPA, q, k, v, out=out, is_causal=False, enable_gqa=True)
    assert isinstance(work, Attention)
    assert (work.batch, work.heads, work.kv_heads) == (2, 32, 8)
    assert (work.q_len, work.kv_len, work.causal) == (1, 2049, False)
    assert work.operations["matrix"] == 4 * 2 * 32 * 2049 * 16
    assert work.reads[1].bytes == 2 * 8 * 2049 * 16 * 2


def test_prefill_visits_half_the_square(build):
    q, k, v = qkv(build, 512, 512)
    work = build.lower(SDPA, q, k, v, out=build.tensor(*q.shape), is_causal=True)
    assert work.pairs == 512 * 513 // 2
    assert work.operations["matrix"] == 4 * 2 * 8 * work.pairs * 16


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(q_len=st.integers(1, 20), kv_len=st.integers(1, 20), causal=st.booleans())
def test_pairs_are_those_of_pytorchs_mask(build, q_len, kv_len, causal):
    q, k, v = qkv(build, q_len, kv_len)
    work = build.lower(SDPA, q, k, v, out=build.tensor(*q.shape), is_causal=causal)
    mask = np.ones((q_len, kv_len), bool)
    assert work.pairs == int((np.tril(mask) if causal else mask).sum())


def test_a_broadcast_mask_is_read_once(build):
    q, k, v = qkv(build, 64, 64)
    mask = build.tensor(2, 8, 64, 64, dtype="bool", strides=(0, 0, 64, 1))
    work = build.lower(SDPA, q, k, v, mask, out=build.tensor(*q.shape))
    assert work.reads[3].bytes == 64 * 64
    assert work.pairs == 64 * 64


def test_value_dimension_may_differ(build):
    q, k, _ = qkv(build, 4, 4, dim=192)
    v = build.tensor(2, 8, 4, 128)
    work = build.lower(SDPA, q, k, v, out=build.tensor(2, 8, 4, 128))
    assert (work.head_dim, work.value_dim) == (192, 128)
    assert work.operations["matrix"] == 2 * 2 * 8 * 16 * (192 + 128)


def test_backward_makes_five_products_and_writes_three_gradients(build):
    q, k, v = qkv(build, 32, 32)
    grad, out = build.tensor(*q.shape), build.tensor(*q.shape)
    grads = [build.tensor(*t.shape, dtype="bfloat16") for t in (q, k, v)]
    name = "aten.scaled_dot_product_attention_backward.default"
    work = build.lower(name, grad, q, k, v, out, None, out=grads, is_causal=True)
    forward = build.lower(SDPA, q, k, v, out=out, is_causal=True)
    assert work.backward and work.causal
    assert work.operations["matrix"] == 5 * forward.operations["matrix"] // 2
    assert [r.storage for r in work.reads[:3]] == [q.storage, k.storage, v.storage]
    assert len(work.reads) == 5
    assert len(work.writes) == 3


@pytest.mark.parametrize("name", [*FORWARD, *BACKWARD])
def test_the_causal_flag_is_found_by_position(build, name):
    positions = FORWARD if name in FORWARD else BACKWARD
    q, k, v = qkv(build, 32, 32)
    args = [q, k, v] if name in FORWARD else [build.tensor(*q.shape), q, k, v]
    args += [None] * (positions[name] - len(args)) + [True]
    assert build.lower(f"aten.{name}.default", *args, out=build.tensor(*q.shape)).causal


def test_positions_of_the_causal_flag_are_pytorchs():
    torch = pytest.importorskip("torch")
    for name, position in {**FORWARD, **BACKWARD}.items():
        if name == "scaled_dot_product_attention_backward":  # ours: ATen has no such operator
            continue
        overloads = getattr(torch.ops.aten, name)
        arguments = [a.name for a in getattr(overloads, overloads.overloads()[0])._schema.arguments]
        assert arguments.index("is_causal") == position, name
