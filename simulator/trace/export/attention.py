"""Scaled dot-product attention as one operator, forward and backward.

On the meta device PyTorch decomposes attention into two batched products and a
softmax over the full square of scores: traffic that no fused kernel makes.
Here the call is replaced by one operator that keeps its causal flag, its scale
and its grouping of query heads; the backward pass is one operator too.

The output is laid out as flash kernels lay it out (batch, query, head,
dimension), so the transposition that follows is free.  Left out: the row
statistics (one number per query and head) that a kernel keeps for backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from simulator.trace.export.recorder import Recorder

FORWARD = "aten.scaled_dot_product_attention.default"
BACKWARD = "aten.scaled_dot_product_attention_backward.default"


@contextmanager
def kept_whole(recorder: Recorder, tag: Callable[[Any], None]) -> Iterator[Mapping[Any, Any]]:
    """PyTorch's attention function and what to call instead; ``tag`` sees its results.

    The function is also replaced where PyTorch's own Python code looks it up: a
    function mode does not see calls made inside another function it handles.
    """
    from torch.nn import functional

    original = functional.scaled_dot_product_attention
    replacement = _fused(recorder, tag)
    functional.scaled_dot_product_attention = replacement
    try:
        yield {original: replacement}
    finally:
        functional.scaled_dot_product_attention = original


def _fused(recorder: Recorder, tag: Callable[[Any], None]) -> Callable[..., Any]:
    def attention(
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        options = {
            "is_causal": bool(is_causal),
            "scale": query.shape[-1] ** -0.5 if scale is None else float(scale),
            "enable_gqa": bool(enable_gqa),
        }
        if dropout_p:
            options["dropout_p"] = float(dropout_p)
        output = _function().apply(recorder, options, query, key, value, attn_mask)
        tag(output)
        return output

    return attention


@cache
def _function() -> Any:
    import torch

    class FusedAttention(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any, recorder: Recorder, options: Any, query: Any, key: Any, value: Any, mask: Any
        ) -> Any:
            with recorder.paused():
                output = _empty_output(query, value)
            recorder.record(FORWARD, (query, key, value, mask), options, output)
            ctx.recorder, ctx.options = recorder, options
            ctx.save_for_backward(query, key, value, mask, output)
            return output

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            query, key, value, mask, output = ctx.saved_tensors
            with ctx.recorder.paused():
                gradients = [torch.empty_like(tensor) for tensor in (query, key, value)]
                if mask is not None and ctx.needs_input_grad[5]:
                    gradients.append(torch.empty_like(mask))
            inputs = (gradient, query, key, value, output, mask)
            ctx.recorder.record(BACKWARD, inputs, ctx.options, gradients)
            return None, None, *gradients, *([None] * (4 - len(gradients)))

    return FusedAttention


def _empty_output(query: Any, value: Any) -> Any:
    width = value.shape[-1]
    if query.dim() < 4:
        return query.new_empty((*query.shape[:-1], width))
    *batch, heads, length, _ = query.shape
    return query.new_empty((*batch, length, heads, width)).transpose(-2, -3)
