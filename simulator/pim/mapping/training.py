"""The gradient of attention: five batches of products in the banks.

Scores are computed again, then the gradients towards probabilities, values, queries and
keys, each as products of one head; probabilities and their gradients stay with the
controller, tile by tile, between them.  Left out: what a causal mask would save, and
bringing queries and gradients into the layout each product reads them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.pim.approximations import softmax_steps
from simulator.pim.mapping.controller import streaming
from simulator.pim.mapping.geometry import Geometry
from simulator.pim.mapping.products import product
from simulator.pim.spec import PimSpec
from simulator.trace.work import Attention, Operand


def attention_backward(spec: PimSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Scores, their gradient, then dV, dQ and dK."""
    heads = work.batch * work.heads
    if 0 in (heads, work.q_len, work.kv_len):
        return ()
    geometry = Geometry.of(spec)
    q, k, v = work.reads[:3]
    gradients = work.writes[:3]

    def inside(operand: Operand) -> Operand:
        """Tiles that never leave the controller."""
        return replace(operand, bytes=0, span=0, role="activation")

    def products(
        name: str, n: int, depth: int, rows: int, a: Operand, b: Operand, c: Operand
    ) -> Kernel:
        row = geometry.row_of(address(b))
        return product(
            spec,
            f"{name} {n}x{depth} rows {rows} batch {heads}",
            n,
            depth,
            [rows] * heads,
            row,
            a,
            c,
            None,
            address,
        )

    def gradient(place: int, like: Operand) -> Operand:
        return gradients[place] if place < len(gradients) else inside(like)

    pairs = heads * work.q_len * work.kv_len
    clocks = pairs * softmax_steps(spec.controller.functions)
    return (
        products("scores", work.kv_len, work.head_dim, work.q_len, q, k, inside(q)),
        products("d probabilities", work.kv_len, work.value_dim, work.q_len, q, v, inside(q)),
        streaming(spec, f"softmax gradient {pairs}", (), (), clocks, address),
        products("d values", work.value_dim, work.q_len, work.kv_len, inside(q), q, gradient(2, v)),
        products("d queries", work.head_dim, work.kv_len, work.q_len, inside(q), k, gradient(0, q)),
        products("d keys", work.head_dim, work.q_len, work.kv_len, inside(q), q, gradient(1, k)),
    )
