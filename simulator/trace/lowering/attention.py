"""Fused attention, forward and backward, in all forms ATen has for it.

Queries, keys and values are ``[..., heads, length, dim]``.  PyTorch's
``is_causal`` aligns the first query with the first key; :class:`Attention`
aligns the last ones, so keys that no query may see are cut off here.  An
explicit mask is read and every pair is computed: values are not recorded, and
dense kernels do the same.
"""

from __future__ import annotations

from math import prod
from typing import Final

from simulator.trace.lowering.operands import operand, scaled, shape_of
from simulator.trace.lowering.registry import Call, lowers
from simulator.trace.work import Attention

FORWARD: Final[dict[str, int]] = {
    "scaled_dot_product_attention": 5,
    "_scaled_dot_product_attention_math": 5,
    "_scaled_dot_product_flash_attention": 4,
    "_scaled_dot_product_flash_attention_for_cpu": 4,
    "_scaled_dot_product_efficient_attention": 6,
    "_scaled_dot_product_cudnn_attention": 6,
    "_scaled_dot_product_fused_attention_overrideable": 5,
}
"""Position of ``is_causal`` among the arguments."""

BACKWARD: Final[dict[str, int]] = {
    "scaled_dot_product_attention_backward": 8,
    "_scaled_dot_product_flash_attention_backward": 11,
    "_scaled_dot_product_flash_attention_for_cpu_backward": 7,
    "_scaled_dot_product_efficient_attention_backward": 11,
    "_scaled_dot_product_cudnn_attention_backward": 14,
    "_scaled_dot_product_fused_attention_overrideable_backward": 13,
}


@lowers(*FORWARD)
def attention(call: Call) -> Attention:
    return _attention(call, 0, FORWARD[call.name], backward=False)


@lowers(*BACKWARD)
def attention_backward(call: Call) -> Attention:
    return _attention(call, 1, BACKWARD[call.name], backward=True)


def _attention(call: Call, first: int, causal_at: int, *, backward: bool) -> Attention:
    q, k, v = (call.tensor(first + place) for place in range(3))
    causal = call.kwargs.get("is_causal")
    if causal is None:
        causal = call.value(causal_at, "is_causal", False)
    q_len, kv_len = shape_of(q)[-2], shape_of(k)[-2]
    visible = min(q_len, kv_len) if causal else kv_len
    share = visible / kv_len if kv_len else 1.0
    lead = shape_of(q)[:-2]
    return Attention(
        (operand(q), scaled(operand(k), share), scaled(operand(v), share), *call.rest(q, k, v)),
        call.writes(),
        batch=prod(lead[:-1]) if len(lead) > 1 else prod(lead),
        heads=lead[-1] if len(lead) > 1 else 1,
        kv_heads=shape_of(k)[-3] if len(lead) > 1 else 1,
        q_len=q_len,
        kv_len=visible,
        head_dim=shape_of(q)[-1],
        value_dim=shape_of(v)[-1],
        causal=bool(causal) and q_len > 1,
        backward=backward,
    )
