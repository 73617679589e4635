"""What a GPU description says: SMs, L2, launch, energy, memory, host.

Rates are per SM and clock, as vendors and microbenchmarks give them; peaks are
derived and never written down.  Left out: instruction issue, register-file ports,
clusters and graphics.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from simulator.hardware.host import HostSpec
from simulator.hardware.spec import Block, Defaults, Peak
from simulator.memory.spec import MemorySpec
from simulator.units import (
    Bytes,
    Count,
    Fraction,
    Hertz,
    JoulesPerBit,
    JoulesPerOperation,
    Seconds,
    Watts,
)

MatrixType = Literal["float64", "tf32", "float16", "bfloat16", "float8", "float4", "int8", "int4"]
"""Operand types of matrix pipes; float32 products without one run on the vector lanes."""


MatrixInstruction = Literal["mma.sync", "wgmma", "tcgen05"]
"""Classes of matrix instructions: operands in registers, in shared memory (Hopper), and sums in
tensor memory as well (Blackwell)."""

SMALLEST_SM = (("threads", 256, ""), ("registers", 1 << 14, ""), ("shared_memory", 1 << 15, " B"))
"""What the smallest blocks take: 256 threads, 128 threads of 128 registers, two stages of
the longest K-step of the smallest tile."""
MOST_SMS = 4096
CLOCKS_HZ = (1e6, 1e11)


class Sm(Block):
    """A streaming multiprocessor."""

    threads: Count
    """Resident threads at most."""
    thread_blocks: Count
    """Resident thread blocks at most."""
    registers: Count
    """32-bit registers."""
    shared_memory: Bytes
    """Shared memory that thread blocks can use."""
    l1: Bytes = 0
    """First-level cache beside kernels that use little shared memory; 0: as much as that."""
    matrix: dict[MatrixType, Count]
    """Dense matrix operations per clock (a multiply-add is two), by operand type."""
    decode_cycles: Count
    """Latency of a block of a decode kernel with heads of 128 elements, whatever its context:
    lengths and pages to look up one after the other, sums of warps that meet."""
    accumulators: Count
    """Sums of a product that one thread can hold: 128 with ``mma.sync``, which needs registers for
    operands too, 192 with ``wgmma``, whose loading warps give theirs away."""
    tile_rows: Count
    """Tiles of products are whole numbers of these, either way round: rows and columns of ``wgmma``
    or ``tcgen05``, or of what four warps of ``mma.sync`` make together."""
    tile_columns: Count
    tile_sides: Annotated[tuple[Count, ...], Field(strict=False, min_length=1, max_length=32)]
    """Sides of tiles that the library's kernels of products have, of those."""
    ring: Bytes
    """Along K, what kernels of products have in flight for a tile at most."""
    ring_grows: bool
    """Whether a tile takes the stages that a launch of few blocks leaves free on its SM."""
    split_bytes: Bytes
    """Along K, the least part that a block gets where K is split."""
    split_waves: Count
    """Waves that the blocks of a launch with K in parts are at most."""
    warpgroups: Count
    """Groups of a large tile's warps that wait for operands and multiply on their own, so that the
    latency of one's step passes beside the products of another; 1: a barrier joins all."""
    instruction_cycles: Count
    """Latency of a product instruction, 32 B of K long; those of one step depend on each other."""
    matrix_issue: Fraction
    """Share of the clocks in which a busy matrix pipe has an instruction to run."""
    vector_lanes: Count
    """fp32 multiply-add lanes."""
    special_lanes: Count
    """Exponential, square root and reciprocal results per clock."""
    load_bytes_per_clk: Count
    """Port from L2."""
    store_bytes_per_clk: Count
    """Port to L2."""
    shared_bytes_per_clk: Count
    multicast: Count
    """SMs that one transfer from L2 serves where they ask for the same: a multicast in a cluster of
    thread blocks, or requests that the crossbar joins; 1 without either."""
    block_start: Seconds
    """Ramp of a thread block before its first load: instruction fetch, parameters."""
    barrier_cycles: Count
    """Waiting for the operands of a step that are there, and handing their place back."""
    softmax_cycles: Count
    """Latency of one step of online softmax: maxima and sums across lanes, exponentials, the
    change of layout between two products, one after the other.  Kernels of ``mma.sync`` show it
    in each step, others once a block."""
    attention_instruction: MatrixInstruction = "mma.sync"
    """What the attention library's kernels are written for: FlashAttention-2 for ``mma.sync``,
    FlashAttention-3 for ``wgmma``, Blackwell's kernels for ``tcgen05``."""
    mma_sync: Fraction = 1.0
    """Share of ``matrix`` that attention kernels of ``mma.sync`` reach, however many share the SM:
    each warp brings all keys and values from shared memory through its registers."""
    softmax_exposed: Fraction = 1.0
    """Share of a step's softmax that no product of another warpgroup hides, in kernels of
    ``wgmma`` and ``tcgen05``."""

    @model_validator(mode="after")
    def _holds_a_block(self) -> Self:
        """Kernels have blocks that no smaller SM could start."""
        for key, least, unit in SMALLEST_SM:
            if getattr(self, key) < least:
                raise ValueError(
                    f"{key} {getattr(self, key)}{unit} cannot hold one thread block of every "
                    f"kernel; give {least}{unit} or more"
                )
        return self


class Chip(Block):
    """Compute side of the chip."""

    sms: Count
    clock: Hertz
    """Sustained SM clock that the data-sheet peaks assume."""
    sm: Sm


class L2(Block):
    """The cache all SMs share."""

    capacity: Bytes
    line: Bytes
    sector: Bytes
    ways: Count
    slices: Count
    slice_bytes_per_clk: Count
    hit_latency_cycles: Count
    """SM clocks from load to data on a hit, unloaded."""
    miss_latency: Seconds
    """Added on a miss beside the DRAM array's own latency: controller, interconnect."""
    bytes_in_flight: Bytes
    """Misses outstanding at most."""
    write_cost: Annotated[float, Field(strict=True, ge=1.0, le=16.0)]
    """Slice time of a written byte, in that of a read one."""
    usable: Fraction
    """Share of the capacity that a reused working set can occupy at full speed."""
    far_latency_cycles: Annotated[int, Field(strict=True, ge=0, le=10**6)] = 0
    """SM clocks from load to data for what was used longer ago than that: partitioned caches keep
    it once, as often as not far from the reader.  0: the rest of the capacity keeps nothing."""

    @property
    def kept(self) -> int:
        """Bytes of a reused working set that stay, at any speed."""
        return self.capacity if self.far_latency_cycles else int(self.capacity * self.usable)

    @property
    def near_ways(self) -> int:
        """Ways of a set that ``usable`` leaves, at least one."""
        return max(1, round(self.ways * self.usable))

    @property
    def sets(self) -> int:
        """Sets of one slice."""
        return self.capacity // (self.slices * self.ways * self.line)

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if not self.sector or self.line % self.sector:
            raise ValueError(
                f"a line of {self.line} B is not a whole number of sectors of {self.sector} B; "
                "choose line and sector so that they divide"
            )
        if self.far_latency_cycles and self.far_latency_cycles < self.hit_latency_cycles:
            raise ValueError(
                f"far_latency_cycles {self.far_latency_cycles} is below hit_latency_cycles "
                f"{self.hit_latency_cycles}; give the whole latency of a far hit, or 0 for none"
            )
        if not self.capacity or self.capacity % (self.slices * self.ways * self.line):
            raise ValueError(
                f"capacity {self.capacity} B is not slices x ways x line x a whole number of sets; "
                f"with these it is a multiple of {self.slices * self.ways * self.line} B"
            )
        return self


class Launch(Block):
    """Time from one kernel to the next on one stream, device side."""

    graph_gap: Seconds
    """Between dependent kernels of a captured graph."""
    product_ramp: Seconds
    """Within a kernel of matrix products, from its start to its first block: fetch of its long
    code, descriptors of the operands, shared memory set up anew."""
    reduction_ramp: Seconds
    """The same of the kernel that adds the parts of a product whose K is split."""
    attention_ramp: Seconds
    """The same of an attention kernel, with lengths, page tables and work lists to read."""
    expert_ramp: Seconds = 0.0
    """Added to ``product_ramp`` where the products are those of experts: serving stacks count and
    place the rows in kernels of one block before, whose steps wait for each other."""
    stream_gap: Seconds
    """Between kernels launched one by one ahead of time."""


class GpuEnergy(Block):
    """Energy by event, and constant power; the memory's own energy is in its file."""

    idle: Watts
    """Board power with nothing running, DRAM background excluded."""
    static: Watts
    """Constant power while a kernel runs at the highest clock (idle included), DRAM background
    excluded. What it has above ``idle``, clock tree and leakage, goes with the square of the
    voltage."""
    matrix: dict[MatrixType, JoulesPerOperation]
    """Of random operands."""
    data_share: Fraction
    """Share of the matrix energy that toggling operands cost: zeros save it."""
    data_toggle: Fraction
    """How often bits of the operands toggle: 1 for random ones, 0 for zeros."""
    vector: JoulesPerOperation
    special: JoulesPerOperation
    l1: JoulesPerBit
    """L1, shared memory and registers, per bit loaded or stored."""
    l2: JoulesPerBit
    dram_path: JoulesPerBit
    """Controller, PHY and on-chip network per bit of DRAM traffic."""

    @property
    def of_operands(self) -> float:
        """Matrix energy of operands that toggle so often, as a share of that of random ones."""
        return 1 - self.data_share * (1 - self.data_toggle)


class GpuPower(Block):
    """What the board may draw, and how it sees to that."""

    cap: Watts
    excursion: Annotated[float, Field(strict=True, ge=1, le=10, allow_inf_nan=False)]
    """What it may draw for a moment, before the limiter acts, as a multiple of ``cap``."""
    voltage_floor: Fraction
    """Share of the highest voltage that the straight line of voltage over clock would reach at
    none."""
    limiter_time: Seconds
    """Time constant with which the clock falls from the highest to the one that the cap leaves."""


class GpuSpec(Block):
    """``hwconfigs/gpu``: one GPU board."""

    kind: Literal["gpu"]
    name: str
    title: str = ""
    chip: Chip
    l2: L2
    launch: Launch
    energy: GpuEnergy
    power: GpuPower
    memory: MemorySpec
    host: HostSpec
    defaults: Defaults = Defaults()

    @property
    def capacity_bytes(self) -> int:
        """Device memory."""
        return self.memory.capacity_bytes

    def matrix_peak(self, dtype: str) -> float:
        """Dense operations per second of the matrix pipes, 0 if they lack the type."""
        per_clk = next((rate for kind, rate in self.chip.sm.matrix.items() if kind == dtype), 0)
        return self.chip.sms * self.chip.clock * per_clk

    @property
    def vector_peak(self) -> float:
        """fp32 operations per second (a multiply-add is two)."""
        return 2 * self.chip.sms * self.chip.clock * self.chip.sm.vector_lanes

    @property
    def special_peak(self) -> float:
        """Special-function results per second."""
        return self.chip.sms * self.chip.clock * self.chip.sm.special_lanes

    @property
    def l2_bytes_per_s(self) -> float:
        """All slices together."""
        return self.l2.slices * self.l2.slice_bytes_per_clk * self.chip.clock

    def peaks(self) -> tuple[Peak, ...]:
        """Derived limits."""
        return (
            *self.memory.peaks(),
            Peak("L2 bandwidth", self.l2_bytes_per_s, "B/s"),
            *(
                Peak(f"matrix {dtype}", self.matrix_peak(dtype), "op/s")
                for dtype in self.chip.sm.matrix
            ),
            Peak("vector float32", self.vector_peak, "op/s"),
            Peak("special functions", self.special_peak, "op/s"),
        )

    @model_validator(mode="after")
    def _complete(self) -> Self:
        least, most = CLOCKS_HZ
        if not least <= self.chip.clock <= most:
            raise ValueError(
                f"chip.clock {self.chip.clock:g} Hz is not between 1 MHz and 100 GHz; give the "
                "sustained SM clock such as '1.41 GHz'"
            )
        if self.chip.sms > MOST_SMS:
            raise ValueError(
                f"chip.sms {self.chip.sms} is above {MOST_SMS}; give the SMs of one board"
            )
        for dtype in self.chip.sm.matrix:
            if dtype not in self.energy.matrix:
                raise ValueError(
                    f"energy.matrix has no '{dtype}', which chip.sm.matrix can compute; "
                    f"add energy.matrix.{dtype} such as '0.7 pJ/flop'"
                )
        if self.energy.static < self.energy.idle:
            raise ValueError(
                "energy.static (constant power while running) is below energy.idle; raise it"
            )
        return self
