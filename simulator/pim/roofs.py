"""Lower bounds of work on a PIM device: banks, pins, buffers, lanes.

Every column of weights or cache must pass its bank's unit, every byte that is not in the
SRAM the pins, every activation each channel's buffer at least once, every element the
controller's lanes.  Bounds leave out row activations, refresh and latencies.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.platform import Limit
from simulator.pim.approximations import softmax_steps
from simulator.pim.mapping.controller import element_steps, lane_clocks, streamed
from simulator.pim.mapping.geometry import Geometry
from simulator.pim.mapping.inbank import runs_in_banks
from simulator.pim.spec import PimSpec
from simulator.trace.work import Attention, Elementwise, Gemm, GroupedGemm, RowWise, Work

ROUNDING = 1e-6
"""Components count whole femtoseconds per 1024 units; a bound must not beat that."""


def limits(spec: PimSpec, work: Work) -> Sequence[Limit]:
    """Every roof over the work."""
    geometry = Geometry.of(spec)
    if isinstance(work, Elementwise) and runs_in_banks(spec, work):
        passed = sum(one.bytes for one in (*work.reads, *work.writes))
        return (Limit("bank", passed / spec.internal_bytes_per_s * (1 - ROUNDING)),)
    match work:
        case Gemm() | GroupedGemm() if spec.mapping.products == "controller":
            products = 0
            through_pins = [*work.reads, *work.writes]
            clocks = work.operations["matrix"] // 2 + _epilogue(spec, work)
        case Gemm() | GroupedGemm():
            products = work.operations["matrix"]
            _, b, *_ = work.reads
            through_pins = [one for one in (*work.reads, *work.writes) if one is not b]
            clocks = _epilogue(spec, work)
        case Attention():
            products = _attention_operations(work)
            q, _, _, *masks = work.reads
            through_pins = [] if work.backward else [q, *masks, *work.writes]
            clocks = work.batch * work.heads * work.pairs
            clocks *= softmax_steps(spec.controller.functions)
        case _:
            products = 0
            through_pins = [*work.reads, *work.writes]
            clocks = lane_clocks(spec, work) if isinstance(work, Elementwise | RowWise) else 0
    moved = sum(operand.bytes for operand in streamed(geometry, through_pins))
    times = {
        "bank": products / spec.mac_peak,
        "dram": moved / spec.memory.peak_bytes_per_s,
        "buffer": _filled(spec, geometry, work) / spec.memory.channel_bytes_per_s,
        "vector": clocks / spec.vector_peak,
    }
    return tuple(Limit(name, seconds * (1 - ROUNDING)) for name, seconds in times.items())


def _epilogue(spec: PimSpec, work: Gemm | GroupedGemm) -> int:
    """Lane clocks of what follows a product."""
    after = work.epilogue if isinstance(work, Gemm) else None
    return after.elements * element_steps(spec.controller.functions, after) if after else 0


def _attention_operations(work: Attention) -> int:
    """Multiply-adds count two; the gradient has three products over ``head_dim``, two over
    ``value_dim``."""
    pairs = work.batch * work.heads * work.pairs
    if work.backward:
        return 2 * pairs * (3 * work.head_dim + 2 * work.value_dim)
    return 2 * pairs * (work.head_dim + work.value_dim)


def _filled(spec: PimSpec, geometry: Geometry, work: Work) -> int:
    """Bytes one channel's buffer must receive: all activations of each product it shares."""
    if spec.mapping.products == "controller":
        return 0
    match work:
        case Gemm():
            rows = work.batch * work.m if work.n else 0
        case GroupedGemm():
            rows = sum(work.rows) if work.n else 0
        case _:
            return 0
    return rows * geometry.columns(work.k) * geometry.column_bytes
