"""What an FPGA board offers: logic, on-chip memory, regions, memories, power.

A design refers to its board by name (``board: u280``) and is checked against it.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from simulator.hardware.spec import Block, Peak, Whole
from simulator.units import Count, Watts

BRAM36_BYTES = 4608
URAM_BYTES = 36864


class Board(Block):
    """``hwconfigs/fpga/device``: one card or kit."""

    kind: Literal["board"]
    name: str
    title: str = ""
    dsp: Count
    macs_per_dsp: Count
    """8-bit multiply-adds of one DSP."""
    bram36: Count
    uram: Whole
    lut: Count
    slr: Count
    """Super logic regions, between which only registers cross."""
    memories: dict[str, Count]
    """Channels of each memory, by the name of its description."""
    static_power: Watts
    """Card power with the bitstream loaded and nothing running, DRAM background excluded."""
    max_power: Watts

    @property
    def sram_bytes(self) -> int:
        """Block and ultra RAM together."""
        return self.bram36 * BRAM36_BYTES + self.uram * URAM_BYTES

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            Peak("8-bit multiply-adds a clock", self.dsp * self.macs_per_dsp, ""),
            Peak("on-chip memory", self.sram_bytes, "B"),
        )

    @model_validator(mode="after")
    def _has_a_memory(self) -> Self:
        if not self.memories:
            raise ValueError("a board has at least one memory; list them under memories")
        return self
