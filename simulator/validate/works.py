"""From a measured row to device-free work: what the timed call asks of the machine.

A call may be several works in order; those that one kernel writes and the next reads share a
storage.  Sources of what belongs to a call: the README of the data and the collectors' published
code (ai-dynamo/aiconfigurator ``collector/``).  Left out, with a reason in the report: what the
data's README calls known bad, expert parallelism, and operators without a mapping here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from simulator.system.single import SHORT
from simulator.trace.lowering.costs import ELEMENTWISE
from simulator.trace.schema import DTYPE_BITS
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gemm,
    GroupedGemm,
    Operand,
    RowLibrary,
    RowWise,
    Work,
)
from simulator.validate.methods import Method
from simulator.validate.rows import Row

Works = tuple[Work, ...]


KERNEL_ALONE = "_sdpa"
"""Ends the name of attention without what serving stacks do around it: PyTorch's
``scaled_dot_product_attention``."""


class Unsupported(Exception):
    """Why a row is no work; the report counts rows by this text."""


@dataclass(slots=True)
class _Storages:
    """Numbers operands as they come."""

    dtype: str
    count: int = field(default=0)

    def __call__(
        self,
        elements: int,
        role: str = "activation",
        dtype: str | None = None,
        span_elements: int = 0,
    ) -> Operand:
        self.count += 1
        dtype = dtype or self.dtype
        bits = DTYPE_BITS[dtype]
        size, span = (-(-count * bits // 8) for count in (elements, span_elements or elements))
        return Operand(self.count, 0, size, bits, dtype, role, span)


def works_of(row: Row, method: Method) -> Works:
    """What a timed call runs. Raises :class:`Unsupported` with the reason if that is not known."""
    dtype = SHORT.get(row.dtype, row.dtype)
    if dtype not in DTYPE_BITS:
        raise Unsupported(f"type '{row.dtype}' is unknown")
    build = _BUILDERS[row.kind]
    return build(row, _Storages(dtype), method)


# ------------------------------------------------------------------------- matrix products


def _gemm(row: Row, new: _Storages, method: Method) -> Works:
    """C[m,n] = A[m,k] B[k,n]; fp8 products write bf16, and may quantize A on the way."""
    if row.operator not in ("gemm", "gemm_bias", "bmm"):
        raise Unsupported(f"no mapping of operator '{row.op}'")
    m, n, k, batch = (row.sizes[name] for name in ("m", "n", "k", "batch"))
    wide = new.dtype if DTYPE_BITS[new.dtype] > 8 else "bfloat16"
    a = new(batch * m * k)
    b = new(batch * n * k, "activation" if row.operator == "bmm" else "weight")
    bias = (new(n, "weight", wide),) if row.operator == "gemm_bias" else ()
    c = new(batch * m * n, dtype=wide)
    product = Gemm((a, b, *bias), (c,), batch=batch, m=m, n=n, k=k)
    if not method.quantizes:
        return (product,)
    source = new(batch * m * k, dtype=wide)
    # Maximum of a row, then scale and convert.
    quantize = RowWise(
        (source,), (a,), batch * m, k, passes=2, vector_per_element=3, special_per_row=1
    )
    return (quantize, product)


# ------------------------------------------------------------------------------- attention


def _attention(row: Row, new: _Storages, method: Method) -> Works:
    """Write the new keys and values into the cache, attend: what the serving stacks time as one
    call, in two kernels.  Two of the three collectors hand over queries that are rotated already
    (vLLM's ``impl.forward``, SGLang's ``RadixAttention``); TensorRT-LLM's rotates them in the
    kernel that appends.  A context call first turns the lengths of its prompts into offsets.
    Operators that end in :data:`KERNEL_ALONE` attend only."""
    names = ("batch", "heads", "kv_heads", "head_dim", "q_len", "kv_len")
    batch, heads, kv_heads, head_dim, q_len, kv_len = (row.sizes[name] for name in names)
    if heads % kv_heads:
        raise Unsupported("query heads are not a multiple of the key-value heads")
    if q_len > kv_len:
        raise Unsupported("more queries than keys")
    query = batch * heads * q_len * head_dim
    added = batch * kv_heads * q_len * head_dim
    q = new(query)
    new_k, new_v = new(added), new(added)
    k, v = (new(batch * kv_heads * kv_len * head_dim, "kv_cache") for _ in range(2))
    # The cache holds whole pages of tokens; new ones lie at its end.
    ends = tuple(
        Operand(one.storage, one.bytes - part.bytes, part.bytes, one.bits, one.dtype, one.role)
        for one, part in ((k, new_k), (v, new_v))
    )
    append = Elementwise((new_k, new_v), ends, elements=2 * added, vector_per_element=0)
    attend = Attention(
        (q, k, v),
        (new(query),),
        batch=batch,
        heads=heads,
        kv_heads=kv_heads,
        q_len=q_len,
        kv_len=kv_len,
        head_dim=head_dim,
        value_dim=head_dim,
        causal=bool(row.sizes["causal"]),
    )
    if row.operator.endswith(KERNEL_ALONE):
        return (attend,)
    if row.operator.startswith("attention_decode"):
        return (append, attend)
    lengths = new(batch, dtype="int32")
    plan = Elementwise((lengths,), (new(batch + 1, dtype="int32"),), elements=batch + 1)
    return (plan, append, attend)


# --------------------------------------------------------------------------------- experts


def _moe(row: Row, new: _Storages, method: Method) -> Works:
    """Numbers of experts into a list of rows, in two kernels (counts, then places); tokens to their
    experts, gate and up, activation, down, weighted sum."""
    tokens, hidden, topk, experts = (
        row.sizes[name] for name in ("num_tokens", "hidden_size", "topk", "num_experts")
    )
    if topk > experts:
        raise Unsupported("more experts per token than experts")
    if row.sizes["moe_ep_size"] != 1:
        raise Unsupported("expert parallelism: stacks disagree on what is divided")
    inner, rest = divmod(row.sizes["inter_size"], row.sizes["moe_tp_size"])
    if rest or not inner:
        raise Unsupported("the inner size does not divide among the devices")
    rows = expert_rows(row.words["distribution"], tokens, experts, topk)
    total, busy = tokens * topk, sum(1 for count in rows if count)
    x, permuted = new(tokens * hidden), new(total * hidden)
    up, down = (
        new(busy * size, "weight", span_elements=experts * size)
        for size in (2 * inner * hidden, inner * hidden)
    )
    gated, inside = new(total * 2 * inner), new(total * inner)
    outside, out = new(total * hidden), new(tokens * hidden)
    vector, special = ELEMENTWISE["silu"]
    chosen, counts, places = (new(size, dtype="int32") for size in (total, experts, total))
    return (
        RowWise((chosen,), (counts,), 1, total),
        Elementwise((chosen, counts), (places,), elements=total),
        Elementwise((x, places), (permuted,), elements=total * hidden, vector_per_element=0),
        GroupedGemm((permuted, up), (gated,), rows, 2 * inner, hidden),
        Elementwise((gated,), (inside,), total * inner, vector + 1, special),
        GroupedGemm((inside, down), (outside,), rows, hidden, inner),
        Elementwise((outside,), (out,), tokens * hidden, 2 * topk),
    )


def expert_rows(distribution: str, tokens: int, experts: int, topk: int) -> tuple[int, ...]:
    """Rows of each expert. ``balanced`` splits evenly.  ``power_law_A`` follows the collectors'
    truncated power law with exponent A, at the midpoints of its quantiles where they draw."""
    total = tokens * topk
    if distribution == "balanced":
        return tuple(total // experts + (one < total % experts) for one in range(experts))
    prefix, _, exponent = distribution.rpartition("_")
    try:
        power = 1 - float(exponent)
    except ValueError:
        power = 0.0
    if prefix != "power_law" or not power:
        raise Unsupported(f"distribution '{distribution}' is unknown")
    low, high = (1.0, max(1.0, 0.8 * tokens)) if total > experts else (0.01, 2.0)
    middle = (np.arange(experts) + 0.5) / experts
    load = ((high**power - low**power) * middle + low**power) ** (1 / power)
    counts = np.minimum(np.round(load / load.sum() * total).astype(np.int64), tokens)
    # Rounding and the limit of one row per token leave a difference: the emptiest or fullest
    # experts even it out.
    while (short := total - int(counts.sum())) != 0:
        counts[counts.argmin() if short > 0 else counts.argmax()] += 1 if short > 0 else -1
    return tuple(int(count) for count in counts)


# ----------------------------------------------------------------------------- memory-bound


_UNARY: Mapping[str, str] = {
    **{f"{name}u": name for name in ("add", "mul", "div", "pow")},
    **{name: name for name in ("gelu", "relu", "tanh")},
}
"""One tensor in, one out, and the cost's name; ``addu`` and its like combine a tensor with a
number."""
_BINARY = ("add", "mul", "div", "pow")
_ROWS: Mapping[str, tuple[int, int, int, int, RowLibrary]] = {
    # passes, vector and special operations per element, special ones per row; as in the lowering
    "layernorm": (2, 7, 0, 1, "norm"),
    "norm": (2, 4, 0, 1, "serving"),
    "softmax": (3, 5, 1, 1, "softmax"),
}


def _memory_bound(row: Row, new: _Storages, method: Method) -> Works:
    rows, columns = row.sizes["rows"], row.sizes["cols"]
    elements = rows * columns
    if row.operator in _UNARY or row.operator in _BINARY:
        inputs = tuple(new(elements) for _ in range(2 if row.operator in _BINARY else 1))
        vector, special = ELEMENTWISE[_UNARY.get(row.operator, row.operator)]
        return (Elementwise(inputs, (new(elements),), elements, vector, special),)
    if row.operator == "copy":
        return (Elementwise((new(elements),), (new(elements),), elements, 0),)
    if row.operator == "act_mul":
        vector, special = ELEMENTWISE["silu"]
        gated, out = new(2 * elements), new(elements)
        return (Elementwise((gated,), (out,), elements, vector + 1, special, rows),)
    if row.operator in _ROWS:
        shape = (rows, columns, *_ROWS[row.operator])
        return (RowWise((new(elements),), (new(elements),), *shape),)
    if row.operator == "amax_scale":
        return (RowWise((new(elements),), (new(1, dtype="float32"),), rows, columns, 1, 2, 0, 0),)
    raise Unsupported(f"no mapping of operator '{row.op}'")


_BUILDERS: Mapping[str, Callable[[Row, _Storages, Method], Works]] = {
    "attention": _attention,
    "gemm": _gemm,
    "memory_bound": _memory_bound,
    "moe": _moe,
}
