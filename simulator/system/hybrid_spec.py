"""What a hybrid system's description says: a GPU, a PIM device, the link, and what goes where."""

from __future__ import annotations

from typing import Literal

from simulator.gpu.spec import GpuSpec
from simulator.hardware.spec import Block, Choice, Peak, Whole
from simulator.pim.spec import PimSpec
from simulator.units import BytesPerSecond, Count, Seconds


class Place(Block):
    """Which work goes to the banks; everything else is the GPU's."""

    attention: Choice
    """Attention of decoding, with its cache."""
    product_rows: Whole
    """Products of at most so many rows, with their weights; 0: none."""


class Link(Block):
    """Between the two devices of a node, or among nodes."""

    bandwidth: BytesPerSecond
    latency: Seconds


class HybridSpec(Block):
    """``hwconfigs/hybrid``: nodes of a GPU and a PIM device, each with a share of the model."""

    kind: Literal["hybrid"]
    name: str
    title: str = ""
    gpu: GpuSpec
    pim: PimSpec
    place: Place
    link: Link
    nodes: Count
    collective: Link

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits of a node."""
        return (
            Peak("GPU DRAM bandwidth", self.gpu.memory.peak_bytes_per_s, "B/s"),
            Peak("in-bank bandwidth", self.pim.internal_bytes_per_s, "B/s"),
            Peak("link bandwidth", self.link.bandwidth, "B/s"),
        )
