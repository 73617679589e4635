"""Which mapping runs which kind of work."""

from __future__ import annotations

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.errors import UnmappedOperatorError
from simulator.fpga.mapping.attention import attention
from simulator.fpga.mapping.gemm import gemm, grouped_gemm
from simulator.fpga.mapping.indexed import gather, scatter, sparse_dense
from simulator.fpga.mapping.lanes import elementwise, rowwise
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    GroupedGemm,
    RowWise,
    Scatter,
    SparseDense,
    Unmapped,
    View,
    Work,
)


def kernels(spec: FpgaSpec, work: Work, address: Addresses) -> list[Kernel]:
    """What the overlay runs for one piece of work, in order."""
    match work:
        case View():
            return []
        case Gemm():
            return gemm(spec, work, address)
        case GroupedGemm():
            return grouped_gemm(spec, work, address)
        case Attention():
            return attention(spec, work, address)
        case Elementwise():
            return elementwise(spec, work, address)
        case RowWise():
            return rowwise(spec, work, address)
        case Gather():
            return gather(spec, work, address)
        case Scatter():
            return scatter(spec, work, address)
        case SparseDense():
            return sparse_dense(spec, work, address)
    name = work.name if isinstance(work, Unmapped) else work.kind
    raise UnmappedOperatorError(
        f"no FPGA mapping for operator '{name}'",
        where=spec.name,
        remedy="add a function to simulator/fpga/mapping and a case to its dispatch.py, "
        "or run with --approximate-unmapped",
    )
