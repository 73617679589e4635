"""What a dataflow description says: board, stages, FIFOs, memory port.

Every stage is a kernel in hardware of its own with an initial delay, a rate and lanes; tokens
(rows, nodes) pass from one to the next through FIFOs of bounded depth.  A group of operators,
one layer say, runs through all stages before the next begins with its own weights.
Left out: use of block RAM by FIFOs and weights.
"""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import model_validator

from simulator.fpga.board import Board
from simulator.fpga.spec import Axi, FpgaEnergy
from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Defaults, Number, Peak, Whole
from simulator.memory.spec import MemorySpec
from simulator.units import Count, Hertz


class Stage(Block):
    """One kernel of the pipeline."""

    takes: Literal["matrix", "attention", "gather", "scatter"]
    """Kind of work it does."""
    module: str = "*"
    """Pattern of the modules whose work it does."""
    rate: Count
    """Multiply-adds, or elements of gathered and scattered rows, that all units do in a clock."""
    units: Count = 1
    """Units that tokens are dealt out to; scattered rows go to the unit that owns their target."""
    delay_cycles: Whole
    """From the first token in to the first one out, beside its own time."""
    dsps: Whole = 0
    """DSPs of a multiply-add or element, in hundredths; 0: packed as the board's DSPs allow."""


class Setup(Block):
    """What precedes the first stage of every run of a group."""

    group_cycles: Whole
    """Starting a group: control, weights' addresses, first words from memory."""
    edge_cycles: Whole = 0
    """For each edge of a graph, once before its first layer: sorting edges by target."""
    node_cycles: Whole = 0


class DataflowSpec(Block):
    """``hwconfigs/fpga`` with ``template: dataflow``."""

    kind: Literal["fpga"]
    template: Literal["dataflow"]
    name: str
    title: str = ""
    board: Board
    clock: Hertz
    groups: str
    """Pattern of modules whose operators run as one group; ``#`` stands for the number."""
    stages: dict[str, Stage]
    """A group passes them in the order in which its operators need them."""
    weights: Literal["resident", "streamed"]
    """Whether weights stay on chip for good or are loaded by each group."""
    fifo_tokens: Count
    """Tokens between two stages."""
    setup: Setup
    memory: MemorySpec
    channels: Count
    ports: Count
    """AXI ports that load weights, cache and features side by side."""
    axi: Axi
    energy: FpgaEnergy
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def capacity_bytes(self) -> int:
        """Memory of the channels in use."""
        return self.memory.capacity_bytes // self.memory.channels * self.channels

    @property
    def port_bytes_per_s(self) -> float:
        """All ports together."""
        return self.ports * self.axi.port_bits / 8 * self.axi.clock

    @property
    def dsps(self) -> int:
        """DSPs of all stages."""
        total: Number = 0.0
        for stage in self.stages.values():
            if stage.takes in ("matrix", "attention"):
                each = stage.dsps / 100 if stage.dsps else 1 / self.board.macs_per_dsp
                total += stage.rate * each
        return math.ceil(total)

    @property
    def matrix_peak(self) -> float:
        """Multiply-adds per second of the stages that multiply matrices or attend."""
        stages = (s for s in self.stages.values() if s.takes in ("matrix", "attention"))
        return sum(stage.rate for stage in stages) * self.clock

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("port bandwidth", self.port_bytes_per_s, "B/s"),
            Peak("matrix stages", 2 * self.matrix_peak, "op/s"),
            Peak("stage DSPs", self.dsps, ""),
        )

    @model_validator(mode="after")
    def _fits_the_board(self) -> Self:
        if not self.clock or not self.axi.clock or self.axi.port_bits % 8:
            raise ValueError("clock and axi.clock are above 0, axi.port_bits a multiple of 8")
        if not self.stages or self.groups.count("#") > 1:
            raise ValueError("stages names at least one stage, groups has at most one '#'")
        known = self.board.memories
        if self.memory.name not in known:
            raise ValueError(
                f"the board {self.board.name} has no memory '{self.memory.name}'; it has "
                f"{', '.join(known)}; choose one, or list the memory under board.memories"
            )
        needs = (
            ("DSPs", self.dsps, self.board.dsp, "the rates of stages"),
            ("memory channels", self.channels, self.memory.channels, "channels"),
            ("memory channels", self.memory.channels, known[self.memory.name], "stacks"),
        )
        for what, needed, available, key in needs:
            if needed > available:
                raise ValueError(
                    f"the design needs {needed} {what}, the board has {available}; lower {key}"
                )
        return self
