"""Into lockstep work and out of it, as Samsung's HBM-PIM has it.

Ordinary accesses to reserved rows park the banks and switch them; all channels switch together.
In lockstep, writes of the units' program and its start go to all banks at once, like activations.
Each stage is over before the next begins, with a fence between.  Where a description has no
``modes`` there is nothing to do.
"""

from __future__ import annotations

from simulator.engine.program import Access, Arrive, Delay, Pattern
from simulator.pim.mapping.commands import Steps, broadcast, finished
from simulator.pim.mapping.geometry import Geometry

PARKED, SWITCH, LEAVE = range(1, 4)
"""Reserved rows, counted from the last one."""


def _stage(kind: str, count: int, row: int, geometry: Geometry) -> Steps:
    """``count`` single accesses in as many banks of a reserved row."""
    if not count:
        return ()
    block = geometry.block_columns * geometry.column_bytes
    pattern = Pattern(
        kind,
        "banks",
        chunk=geometry.column_bytes,
        base=(geometry.scratch_row - row) * geometry.stripe_bytes,
        inner=count,
        inner_stride=block,
    )
    return (Access(pattern), Delay(geometry.fence_fs))


def within(commands: Steps, channels: int, geometry: Geometry) -> Steps:
    """``commands`` of one of so many channels as lockstep work, with the way in and out."""
    modes = geometry.modes
    if modes is None:
        return commands
    return (
        *_stage("read", modes.park, PARKED, geometry),
        *_stage("write", modes.enter, SWITCH, geometry),
        Arrive(channels, 0),
        *broadcast(modes.program, geometry),
        *commands,
        *finished(geometry),
        Arrive(channels, 1),
        *_stage("write", modes.leave, LEAVE, geometry),
        *_stage("read", modes.unpark, PARKED, geometry),
    )


def started(commands: Steps, geometry: Geometry) -> Steps:
    """``commands`` behind the start of the units' program."""
    return (*broadcast(geometry.modes.start, geometry), *commands) if geometry.modes else commands
