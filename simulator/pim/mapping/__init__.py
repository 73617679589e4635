"""From work to PIM kernels: one function per kind of work.

A mapping function takes the device's specification, the work and the operands'
addresses, and returns the kernels in launch order.  To teach PIM a new kind of work,
write such a function and enter it here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.pim.mapping import attention as forward
from simulator.pim.mapping import controller
from simulator.pim.mapping.controller import row_wise
from simulator.pim.mapping.inbank import elementwise_in_banks, runs_in_banks
from simulator.pim.mapping.indexed import gather, scatter, sparse_dense
from simulator.pim.mapping.products import gemm, grouped_gemm
from simulator.pim.mapping.training import attention_backward
from simulator.pim.spec import PimSpec
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    GroupedGemm,
    RowWise,
    Scatter,
    SparseDense,
    Work,
)

Mapping = Callable[[PimSpec, Any, Addresses], Sequence[Kernel]]


def attention(spec: PimSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Forward on the cache in the banks, backward as products."""
    run = attention_backward if work.backward else forward.attention
    return run(spec, work, address)


def elementwise(spec: PimSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    """In the banks where they can and shall, else on the controller's lanes."""
    run = elementwise_in_banks if runs_in_banks(spec, work) else controller.elementwise
    return run(spec, work, address)


CHOICES: dict[str, tuple[str, ...]] = {
    "mapping.order": ("activation_stationary", "output_stationary"),
    "mapping.fill": ("channels", "units"),
    "mapping.pack": ("true", "false"),
    "mapping.spread": ("heads", "channels", "tokens"),
    "mapping.elementwise": ("controller", "banks"),
}
"""What a search may vary: how work is laid out, not what it leaves out or whose traces it plays."""

MAPPINGS: dict[type[Work], Mapping] = {
    Attention: attention,
    Elementwise: elementwise,
    Gather: gather,
    Gemm: gemm,
    GroupedGemm: grouped_gemm,
    RowWise: row_wise,
    Scatter: scatter,
    SparseDense: sparse_dense,
}
