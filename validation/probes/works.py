"""Kernels of models: matrix products and attention.

Products are repeated as :mod:`simulator.validate.microbench.kernels` does; one far larger than the
cache leaves itself nothing and runs once.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.api import platform, simulate_work
from simulator.system.records import KernelRecord
from simulator.system.single import single_work
from simulator.system.specs import Hardware
from simulator.trace.work import Attention, Elementwise, Gemm, Operand, RowWise, Work
from simulator.validate.microbench.kernels import steady_seconds
from simulator.validate.probe import probe

FEMTO = 1e-15
FAR_LARGER = 4
"""Times the cache, above which products are not repeated."""
BACKWARD_FLOPS = 2.5
"""Products of a backward pass over those of a forward one, as FlashAttention counts them."""


def kernel_seconds(kernels: Sequence[KernelRecord]) -> float:
    """Time in kernels, without the gaps between them."""
    return sum(kernel.duration_fs for kernel in kernels) * FEMTO


def _product_seconds(hardware: Hardware, works: Sequence[Work], launch: str) -> float:
    """As :func:`steady_seconds`, for kernels that read the same few operands many times."""
    device = platform(hardware)
    operands = {one.storage: one.bytes for work in works for one in (*work.reads, *work.writes)}
    if sum(operands.values()) <= FAR_LARGER * device.cache_bytes:
        return steady_seconds(hardware, works, launch)
    kernels = simulate_work(works, hardware, "probe", launch=launch).record.kernels
    return (kernels[-1].end_fs - kernels[0].start_fs) * FEMTO + device.gap_s(launch)


@probe("op/s")
def gemm(hardware: Hardware, m: int, n: int, k: int, dtype: str, launch: str) -> float:
    """Operations per second of a repeated product."""
    work, _ = single_work("gemm", [f"m={m}", f"n={n}", f"k={k}", f"dtype={dtype}"])
    return 2 * m * n * k / _product_seconds(hardware, [work], launch)


@probe("s")
def matrix_vector(hardware: Hardware, depth: int, outputs: int) -> float:
    """Kernel time of one product of a matrix and a vector on an idle device."""
    work, name = single_work("gemm", ["m=1", f"n={outputs}", f"k={depth}"])
    return kernel_seconds(simulate_work([work], hardware, name).record.kernels)


def decoder_block(hidden: int, inner: int, heads: int, kv_heads: int, tokens: int) -> list[Work]:
    """One block of a Llama decoding one token in half precision: norms, projections, rotation,
    attention, gated network."""
    width, kv_width = 128 * heads, 128 * kv_heads

    def vector(place: int, size: int) -> Operand:
        return Operand(place, 0, 2 * size, 16, "float16", "activation", 2 * size)

    def stored(place: int, size: int, role: str = "weight") -> Operand:
        return Operand(place, 0, 2 * size, 16, "float16", role, 2 * size)

    def project(place: int, outputs: int, inputs: int) -> Gemm:
        reads = (vector(1, inputs), stored(place, outputs * inputs))
        return Gemm(reads, (vector(2, outputs),), 1, 1, outputs, inputs)

    def norm() -> RowWise:
        reads = (vector(1, hidden), stored(3, hidden))
        return RowWise(reads, (vector(2, hidden),), 1, hidden, 2, 6, 0, 1)

    def lanes(size: int, vectors: int = 1, special: int = 0) -> Elementwise:
        return Elementwise(
            (vector(1, size), vector(4, size)), (vector(2, size),), size, vectors, special
        )

    cache = [stored(place, kv_width * tokens, "kv_cache") for place in (5, 6)]
    attend = Attention(
        (vector(1, width), *cache),
        (vector(2, width),),
        heads=heads,
        kv_heads=kv_heads,
        kv_len=tokens,
        head_dim=128,
        value_dim=128,
    )
    return [
        *(norm(), project(10, width, hidden)),
        *(project(11, kv_width, hidden), project(12, kv_width, hidden)),
        *(lanes(width + kv_width, 3), attend, project(13, hidden, width), lanes(hidden)),
        *(norm(), project(14, inner, hidden), project(15, inner, hidden)),
        *(lanes(inner, 2, 2), project(16, hidden, inner), lanes(hidden)),
    ]


@probe("s")
def block(
    hardware: Hardware, hidden: int, inner: int, heads: int, kv_heads: int, tokens: int
) -> float:
    """Kernel time of one decoder block."""
    works = decoder_block(hidden, inner, heads, kv_heads, tokens)
    return kernel_seconds(simulate_work(works, hardware, "block").record.kernels)


@probe("s")
def elementwise_work(hardware: Hardware, operands: int, elements: int) -> float:
    """Kernel time of one operation on so many operands, all of them in memory."""
    size = 2 * elements
    places = [Operand(i, 0, size, 16, "float16", "weight", size) for i in range(operands + 1)]
    work = Elementwise(tuple(places[:-1]), (places[-1],), elements, 1, 0)
    return kernel_seconds(simulate_work([work], hardware, "elementwise").record.kernels)


@probe("s")
def decode_attention(hardware: Hardware, heads: int, tokens: int, head_dim: int = 128) -> float:
    """Kernel time of one query of each head on its cache."""
    words = [f"heads={heads}", f"kv_len={tokens}", f"head_dim={head_dim}", "dtype=fp16"]
    work, name = single_work("attention", words)
    return kernel_seconds(simulate_work([work], hardware, name).record.kernels)


@probe("op/s")
def attention(
    hardware: Hardware,
    seq: int,
    head_dim: int,
    causal: bool,
    backward: bool = False,
    tokens: int = 16384,
    hidden: int = 2048,
) -> float:
    """Fused attention of ``tokens`` in sequences of ``seq``; operations as the FlashAttention
    papers count them, half for causal."""
    batch, heads = tokens // seq, hidden // head_dim
    extents = {"batch": batch, "heads": heads, "q_len": seq, "kv_len": seq, "head_dim": head_dim}
    words = [f"{key}={value}" for key, value in extents.items()]
    forward, _ = single_work("attention", [*words, f"causal={str(causal).lower()}", "dtype=fp16"])
    assert isinstance(forward, Attention)
    works: list[Work] = [forward]
    operations = 4 * batch * heads * seq**2 * head_dim / (2 if causal else 1)
    if backward:
        works.append(_gradient(forward))
        operations *= 1 + BACKWARD_FLOPS
    return operations / _product_seconds(hardware, works, "graph")


def _gradient(forward: Attention) -> Attention:
    """The backward pass: reads inputs, output and its gradient, writes three gradients."""
    size = forward.writes[0].bytes
    new = [Operand(10 + i, 0, size, 16, "float16", "gradient", size) for i in range(4)]
    return Attention(
        (*forward.reads, *forward.writes, new[0]),
        tuple(new[1:]),
        forward.batch,
        forward.heads,
        forward.kv_heads,
        forward.q_len,
        forward.kv_len,
        forward.head_dim,
        forward.value_dim,
        forward.causal,
        backward=True,
    )
