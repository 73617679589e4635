"""Scaling scores in the banks, as CENT does: twice, before and after their exponentials.

The controller writes scores and their factors beside each other, lockstep columns multiply them
and it reads them back; a bank group holds one vector of scores, so few channels work.  The
exponentials are those of the controller's lanes, which the scores passed before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel, Loop, Program
from simulator.pim.mapping.commands import Steps, lockstep, stream_tokens
from simulator.pim.mapping.controller import streaming
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.spec import PimSpec
from simulator.trace.work import Attention

SCALINGS = 2
"""By the root of the head's dimension, and by the sum of the exponentials."""
OPERANDS = 2


def scaling_in_banks(spec: PimSpec, work: Attention, address: Addresses) -> Sequence[Kernel]:
    """Write, multiply and read all scores, for each scaling."""
    geometry = Geometry.of(spec)
    vectors = work.batch * work.heads * work.q_len
    size = vectors * geometry.columns(work.kv_len) * geometry.column_bytes
    place = work.reads[1]
    written, fetched = (replace(place, bytes=count * size) for count in (OPERANDS, 1))
    name = f"{vectors} x {work.kv_len} scores"
    once = (
        streaming(spec, f"write {name}", (), (written,), 0, address),
        _products(geometry, spec.memory.organization.bank_groups, vectors, work.kv_len),
        streaming(spec, f"read {name}", (fetched,), (), 0, address),
    )
    return once * SCALINGS


def _products(geometry: Geometry, bank_groups: int, vectors: int, length: int) -> Kernel:
    """Every ``bank_groups`` vectors of scores in the next channel."""
    held = np.zeros(geometry.channels, dtype=np.int64)
    np.add.at(held, np.arange(vectors) // bank_groups % geometry.channels, 1)
    rounds = [ceil_div(int(count), bank_groups) for count in held if count]
    full, rest = divmod(geometry.columns(length), geometry.row_columns)

    def program(count: int) -> Program:
        steps: Steps = ()
        for rows, width in ((full, geometry.row_columns), (1, rest)):
            if rows * width:
                steps += (Loop(rows, lockstep("macro", 0, (0, 1), width, geometry)),)
        return Program(((Loop(count, steps),),), stream_tokens(geometry))

    kinds = sorted(set(rounds))
    tasks = np.array([(kinds.index(count), 0) for count in rounds], dtype=np.int64)
    name = f"scale {vectors} x {length} scores"
    return Kernel(name, "channel", tuple(map(program, kinds)), tasks, {"stream": 1})
