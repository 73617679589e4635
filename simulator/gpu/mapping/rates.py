"""Which pipe runs an operation, and for how long."""

from __future__ import annotations

import math

import numpy as np

from simulator.engine.program import Compute
from simulator.gpu.machine import FEMTO, PIPE_UNITS_PER_CLOCK, clocks_fs
from simulator.gpu.spec import GpuSpec
from simulator.trace.schema import DTYPE_BITS
from simulator.trace.work import Work

Seconds = float | np.ndarray
INSTRUCTION_BYTES = 32
"""Along K, of every type: 16 elements of bfloat16."""


def matrix_type(spec: GpuSpec, work: Work) -> str | None:
    """Operand type of the matrix pipe that runs this work; None means the vector lanes.

    The wider of both operands decides, because narrower weights are expanded on the way
    to the pipe.  fp32 products use the vector lanes: PyTorch does not allow TF32 unless
    it is told to.
    """
    have = spec.chip.sm.matrix
    operands = work.reads[:2]
    if not operands:
        return None
    dtype = max((operand.dtype for operand in operands), key=lambda name: DTYPE_BITS[name])
    if dtype in have:
        return dtype
    if dtype.startswith(("int", "uint")) and DTYPE_BITS[dtype] <= 8:
        return "int8" if "int8" in have else None
    if dtype.startswith("float") and DTYPE_BITS[dtype] <= 8:
        return "float16" if "float16" in have else None
    return None


def matrix_units(
    spec: GpuSpec, work: Work, operations: float, share: float = 1.0
) -> tuple[str, int]:
    """Pipe and its units for matrix operations of one thread block, whose instructions reach a
    share of the pipe's rate."""
    kind = matrix_type(spec, work)
    if kind is None:
        return "vector", vector_units(spec, operations / 2)
    sm = spec.chip.sm
    per_clock = sm.matrix[kind] * sm.matrix_issue * share  # type: ignore[index]
    return "matrix", math.ceil(operations * PIPE_UNITS_PER_CLOCK / per_clock)


def idle_s(spec: GpuSpec, pipe_s: Seconds, k_bytes: Seconds, groups: Seconds = 1) -> np.ndarray:
    """Seconds of a step along K in which a block's products wait, beside ``pipe_s`` of the pipe.

    Each of ``groups`` warpgroups has an equal share of the tile and goes through its instructions
    one after the other, then through a barrier; the pipe serves one group while another waits.
    """
    sm = spec.chip.sm
    chain = np.ceil(np.divide(k_bytes, INSTRUCTION_BYTES)) * sm.instruction_cycles / spec.chip.clock
    alone = np.maximum(np.divide(pipe_s, groups), chain) + sm.barrier_cycles / spec.chip.clock
    return np.asarray(np.maximum(0.0, alone - pipe_s))


def product(spec: GpuSpec, pipe: str, units: int) -> Compute:
    """Products that a barrier follows."""
    waits = pipe == "matrix"
    return Compute(pipe, units, clocks_fs(spec, spec.chip.sm.barrier_cycles) if waits else 0)


def mma_sync_share(spec: GpuSpec) -> float:
    """Share of the matrix pipe's rate that the attention library's instructions reach."""
    sm = spec.chip.sm
    return sm.mma_sync if sm.attention_instruction == "mma.sync" else 1.0


def product_ramp(spec: GpuSpec) -> int:
    """Femtoseconds from the start of a product's kernel to its blocks."""
    return round(spec.launch.product_ramp * FEMTO)


def reduction_ramp(spec: GpuSpec) -> int:
    """The same of the kernel that adds the parts of split-K."""
    return round(spec.launch.reduction_ramp * FEMTO)


def expert_ramp(spec: GpuSpec) -> int:
    """The same of a kernel of experts' products."""
    return product_ramp(spec) + round(spec.launch.expert_ramp * FEMTO)


def attention_ramp(spec: GpuSpec) -> int:
    """Femtoseconds from the start of an attention kernel to its blocks."""
    return round(spec.launch.attention_ramp * FEMTO)


def vector_units(spec: GpuSpec, operations: float) -> int:
    """Units of the vector pipe: one result per lane and clock, fused or not."""
    return math.ceil(operations * PIPE_UNITS_PER_CLOCK / spec.chip.sm.vector_lanes)


def special_units(spec: GpuSpec, operations: float) -> int:
    return math.ceil(operations * PIPE_UNITS_PER_CLOCK / spec.chip.sm.special_lanes)
