"""Elementwise work inside the banks: units read columns, combine them and write columns back.

Operands lie alike, so that equal elements meet in one unit.  As many columns as a unit has
registers are read of each operand in turn, then the results are stored, each operand from its own
row: three rows take turns in a bank, which is most of the time.  Sums, products and limits of one
or two operands; anything else is the controller's.
"""

from __future__ import annotations

from collections.abc import Sequence

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel, Loop, Program, grid
from simulator.pim.mapping.commands import Steps, lockstep, repeat, stream_tokens
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.mapping.modes import started, within
from simulator.pim.spec import PimSpec
from simulator.trace.work import Elementwise

MOST_OPERANDS = 2
"""A unit's instruction names two sources and one target."""


def runs_in_banks(spec: PimSpec, work: Elementwise) -> bool:
    """Whether units can do it, and its operands lie where they are."""
    geometry = Geometry.of(spec)
    operands = (*work.reads, *work.writes)
    return (
        spec.mapping.elementwise == "banks"
        and work.special_per_element == 0
        and work.vector_per_element == 1
        and 0 < len(work.reads) <= MOST_OPERANDS
        and len(work.writes) == 1
        and work.elements > 0
        and not any(geometry.resident(operand) for operand in operands)
    )


def elementwise_in_banks(spec: PimSpec, work: Elementwise, address: Addresses) -> Sequence[Kernel]:
    """Every channel the same share, tile by tile of one register file."""
    geometry = Geometry.of(spec)
    sets = spec.bank.shared
    share = geometry.channels * geometry.units * geometry.lanes * sets
    tile = min(geometry.accumulators, geometry.row_columns)
    tiles = ceil_div(ceil_div(work.elements, share), tile)
    per_row = geometry.row_columns // tile
    full, rest = divmod(tiles, per_row)
    rows = ceil_div(tiles, per_row)
    kinds = (*("macro" for _ in work.reads), "store")

    def pass_over(first: int, loops: tuple[int, ...]) -> Steps:
        """One tile of each set of banks."""
        steps: Steps = ()
        for turn in range(sets):
            for number, kind in enumerate(kinds):
                row = (number * rows + first) * sets + turn
                steps += lockstep(kind, row, loops, tile, geometry)
        return steps

    commands = repeat(full, (Loop(per_row, pass_over(0, (sets, 0))),))
    commands += repeat(rest, pass_over(full, (0,)))
    program = Program(
        (within(started(commands, geometry), geometry.channels, geometry),), stream_tokens(geometry)
    )
    name = f"elementwise {work.elements} in banks"
    tasks = grid(geometry.channels)
    tasks[:, 1] = geometry.row_of(address(work.reads[0]))
    return (Kernel(name, "channel", (program,), tasks, {"stream": 1}),)
