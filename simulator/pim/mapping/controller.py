"""What banks cannot do: elementwise work, norms and reductions on the controller's lanes.

Operands that fit the SRAM are already there; the rest streams through it in blocks,
loaded and stored by ordinary accesses spread over all channels.  Several blocks are in
flight as far as the SRAM allows, so loads, lanes and stores overlap.  An element holds a
lane for one clock per vector operation, for the steps of each function, and for one
clock if it is only moved.  Rows longer than a block are walked again from DRAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from simulator.engine.platform import Addresses
from simulator.engine.program import (
    Access,
    Compute,
    Kernel,
    Loop,
    Pattern,
    Program,
    Step,
    Wait,
    grid,
)
from simulator.pim.approximations import activation_steps
from simulator.pim.mapping.commands import Steps
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.spec import Functions, PimSpec
from simulator.trace.work import Elementwise, Operand, RowWise, Work

BLOCKS_IN_FLIGHT = 4
"""Blocks the SRAM is divided into: one loads, one computes, one stores, one spare."""


def steps_of(functions: Functions, special: int) -> int:
    """Lane clocks of an element's special functions.

    Pairs are an exponential and a quotient (sigmoid, tanh, GELU); a single one may be any.
    """
    pairs, single = divmod(special, 2)
    longest = max(functions.exp, functions.divide, functions.rsqrt)
    return pairs * (functions.exp + functions.divide) + single * longest


def element_steps(functions: Functions, work: Elementwise) -> int:
    """Lane clocks of one element: by the approximation chosen, or as its operator counts."""
    chosen = activation_steps(functions, work.function)
    formula = work.vector_per_element + steps_of(functions, work.special_per_element)
    return formula if chosen is None else chosen


def lane_clocks(spec: PimSpec, work: Work) -> int:
    """Clocks of one lane that the work takes; lanes share them evenly."""
    functions = spec.controller.functions
    match work:
        case Elementwise():
            each = element_steps(functions, work)
            # Without elements the work stands for its traffic, which passes the lanes.
            moved = sum(8 * one.bytes // one.bits for one in work.reads or work.writes)
            return work.elements * max(1, each) or moved
        case RowWise():
            # The one function of a row is its quotient or root, per element an exponential.
            row = work.special_per_row * max(functions.divide, functions.rsqrt)
            each = work.vector_per_element + work.special_per_element * functions.exp
            return work.rows * (work.columns * max(1, each) + row)
    raise TypeError(f"{work.kind} is not streamed")


def streamed(geometry: Geometry, operands: Iterable[Operand]) -> tuple[Operand, ...]:
    """The operands that come from or go to DRAM."""
    return tuple(one for one in operands if one.bytes and not geometry.resident(one))


def block_bytes(geometry: Geometry) -> int:
    return geometry.sram_bytes // BLOCKS_IN_FLIGHT


def streaming(
    spec: PimSpec,
    name: str,
    reads: Sequence[Operand],
    writes: Sequence[Operand],
    clocks: int,
    address: Addresses,
    walks: int = 1,
    extra: Steps = (),
) -> Kernel:
    """Blocks of all streamed operands in step: load, compute, store.

    ``walks`` is how often each block is loaded; ``extra`` accesses (with token ``loaded``)
    join each block's loads.
    """
    geometry = Geometry.of(spec)
    reads, writes = streamed(geometry, reads), streamed(geometry, writes)
    total = sum(operand.bytes for operand in (*reads, *writes))
    blocks = max(1, ceil_div(total, block_bytes(geometry)))

    def access(kind: str, operand: Operand, token: str) -> Access:
        # Every block takes an equal share; the limit cuts the last one.
        share = geometry.column_bytes * ceil_div(operand.bytes, blocks * geometry.column_bytes)
        base = address(operand)
        pattern = Pattern(
            kind,
            geometry.path,
            chunk=share,
            base=base,
            coordinates=(share,),
            limit=base + operand.bytes,
        )
        return Access(pattern, token)

    load = tuple(access("read", operand, "loaded") for operand in reads)
    store = tuple(access("write", operand, "stored") for operand in writes)
    arrivals = len(load) + sum(isinstance(step, Access) for step in extra)
    body: tuple[Step, ...] = (*load, *extra)
    if arrivals:
        body += (Wait("loaded", arrivals),)
    if walks > 1 and load:
        body = (Loop(walks, body),)
    steps = (*body, Compute("vector", ceil_div(clocks, blocks)), *store)
    program = Program((steps,), {"loaded": 0, "stored": 0})
    needs = {"sram": min(geometry.sram_bytes, max(1, ceil_div(total, blocks)))}
    return Kernel(name, "controller", (program,), grid(blocks), needs=needs)


def elementwise(spec: PimSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    operands = (*work.reads, *work.writes)
    if not any(operand.bytes for operand in operands):
        return ()
    name = f"elementwise {work.elements}"
    clocks = lane_clocks(spec, work)
    return (streaming(spec, name, work.reads, work.writes, clocks, address),)


def row_wise(spec: PimSpec, work: RowWise, address: Addresses) -> Sequence[Kernel]:
    clocks = lane_clocks(spec, work)
    if not clocks:
        return ()
    row = ceil_div(work.bytes_read, max(1, work.rows))
    walks = work.passes if row > block_bytes(Geometry.of(spec)) else 1
    name = f"rows {work.rows}x{work.columns}"
    return (streaming(spec, name, work.reads, work.writes, clocks, address, walks),)
