"""Matrix products in the banks: weights stay, activations are broadcast.

Output j lies in bank j mod banks; groups of ``banks`` outputs go round the channels, so
channels differ by at most one group, and the last group may leave banks idle: that
imbalance is simulated.  What follows a product (``Gemm.epilogue``) is done on the lanes as outputs
become whole.  Each output's weights run along rows in chunks as long as the
buffer.  ``activation_stationary`` holds one chunk while all output rows pass and sends
every partial sum to the controller, ``output_stationary`` holds as many outputs as
there are accumulators and sends the chunks again for each such block.

Several rows of A (tokens) share an open weight row only as far as their chunks fit the
buffer together; beyond that each pass opens every row again: many tokens are as slow as
that.  One pass is one wave of tasks, one per channel; channels with less work wait for
the busiest, because the next pass's weights are theirs.  Zeros of sparse weights are
multiplied like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

from simulator.engine.platform import Addresses
from simulator.engine.program import Access, Compute, Delay, Kernel, Loop, Pattern, Program, Wait
from simulator.pim.mapping.commands import (
    Steps,
    Sweep,
    drain,
    filled,
    initialize,
    multiply,
    prefetch,
    read_out,
    repeat,
    stream_tokens,
)
from simulator.pim.mapping.controller import element_steps, streaming
from simulator.pim.mapping.geometry import Geometry, ceil_div
from simulator.pim.mapping.modes import started, within
from simulator.pim.spec import PimSpec
from simulator.trace.work import Gemm, GroupedGemm, Operand

RESULT = "result"


@dataclass(frozen=True, slots=True)
class Layout:
    """How one k x n matrix lies in the banks."""

    geometry: Geometry
    n: int
    k: int
    pack: bool
    output_stationary: bool
    fills_units: bool
    """A channel's units get as many outputs as they have accumulators before the next."""
    epilogue: int = 0
    """Lane clocks of what is done to an output once it is whole."""

    @property
    def chunk_columns(self) -> int:
        return min(self.geometry.row_columns, self.geometry.buffer_columns)

    @property
    def chunks(self) -> tuple[tuple[int, int], ...]:
        """(how many, columns of each): the full chunks, then the rest."""
        full, rest = divmod(self.geometry.columns(self.k), self.chunk_columns)
        return tuple(part for part in ((full, self.chunk_columns), (1, rest)) if part[0] * part[1])

    @property
    def chunk_count(self) -> int:
        return sum(count for count, _ in self.chunks)

    @property
    def longest(self) -> int:
        """Columns of the longest chunk."""
        return max(columns for _, columns in self.chunks)

    @property
    def tokens_per_pass(self) -> int:
        """Rows of A whose chunks fit the buffer together."""
        fit = self.geometry.buffer_columns // self.longest
        return min(fit, self.geometry.accumulators) if self.keeps_outputs else fit

    @property
    def keeps_outputs(self) -> bool:
        """With a single chunk there is nothing to accumulate, so nothing to keep."""
        return self.output_stationary and self.chunk_count > 1

    def sets(self, channel: int) -> int:
        """Result sets (one output of each unit) of a channel."""
        groups = ceil_div(self.n, self.geometry.units)
        size = self.geometry.accumulators if self.fills_units else 1
        blocks = ceil_div(groups, size)
        mine = max(0, ceil_div(blocks - channel, self.geometry.channels))
        has_last = mine and (blocks - 1) % self.geometry.channels == channel
        return mine * size - (blocks * size - groups if has_last else 0)

    @property
    def busy(self) -> int:
        """Channels that hold outputs; they come first."""
        return sum(1 for channel in range(self.geometry.channels) if self.sets(channel))

    def sweep(self, columns: int, sets: int, tokens: int) -> Sweep:
        per_row = max(1, self.geometry.row_columns // columns) if self.pack else 1
        return Sweep(columns, sets, per_row, tokens)

    @property
    def rows(self) -> int:
        """Rows the matrix takes in every bank, padding included."""
        if self.keeps_outputs:
            full, rest = divmod(self.sets(0), self.block)
            return full * self.height(self.block) + (self.height(rest) if rest else 0)
        return sum(
            count * self.sweep(columns, self.sets(0), 1).rows for count, columns in self.chunks
        )

    def together(self, columns: int, sets: int) -> int:
        """Chunks of so many columns whose ``sets`` result sets share a row; 0 if each has its
        own."""
        return self.geometry.row_columns // (columns * sets) if self.pack else 0

    def height(self, sets: int) -> int:
        """Rows of a block of result sets that stays in the accumulators."""
        rows = 0
        for count, columns in self.chunks:
            together = self.together(columns, sets)
            rows += ceil_div(count, together) if together else count * sets
        return rows

    @property
    def block(self) -> int:
        """Result sets that stay in the accumulators at once, for one token."""
        return max(1, min(self.sets(0), self.geometry.accumulators))

    def duration_fs(self, sets: int, tokens: int) -> int:
        """What one pass over ``sets`` result sets takes, fills and refresh aside."""
        return sum(
            count * self.sweep(columns, sets, tokens).duration_fs(self.geometry)
            for count, columns in self.chunks
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Ordinary accesses of one task: bytes of its channel's share."""

    activations: int = 0
    """A, read before each pass because it does not fit the SRAM."""
    bias: int = 0
    outputs: int = 0
    """C, written because it does not fit; per token."""


class Stream(NamedTuple):
    """Threads of one channel's pass."""

    fills: Steps
    """The buffer's fills, for a thread ahead of the commands where there is one."""
    commands: Steps
    reduction: Steps


def _activation_stationary(layout: Layout, sets: int, tokens: int) -> Stream:
    """Every chunk passes all outputs, the controller adds."""
    geometry = layout.geometry
    fills: Steps = ()
    commands: Steps = ()
    reduction: Steps = ()
    row = 0
    for count, columns in layout.chunks:
        sweep = layout.sweep(columns, sets, tokens)
        body = sweep.steps(row, (sweep.rows,), RESULT, geometry)
        fills += (Loop(count, prefetch(columns * tokens, geometry)),)
        commands += (Loop(count, filled(columns * tokens, body, geometry)),)
        row += count * sweep.rows
        # With the last chunk outputs are whole, and what follows is done to each as it comes.
        last = 1 if layout.epilogue and columns == layout.chunks[-1][1] else 0
        adds = sweep.results * geometry.result_adds
        each = geometry.result_adds + geometry.units * layout.epilogue
        reduction += repeat(count - last, (Wait(RESULT, sweep.results), Compute("vector", adds)))
        reduction += repeat(last * sweep.results, (Wait(RESULT), Compute("vector", each)))
    return Stream(fills, commands, reduction)


def _output_stationary(layout: Layout, sets: int, tokens: int) -> Stream:
    """Blocks of outputs stay in the accumulators for all chunks."""
    geometry = layout.geometry
    block = max(1, min(sets, geometry.accumulators // tokens))

    def pass_over(size: int, row: int, loops: tuple[int, ...]) -> Steps:
        steps: Steps = ()
        for count, columns in layout.chunks:
            together = layout.together(columns, size)
            if not together:
                rows = (Loop(size, multiply(row, (*loops, size, 1), columns, tokens, geometry)),)
                steps += (Loop(count, filled(columns * tokens, rows, geometry)),)
                row += count * size
                continue
            full, rest = divmod(count, together)
            for rows_, chunks in ((full, together), (1, rest)):
                shared = multiply(row, (*loops, 1), columns, size * tokens, geometry)
                steps += repeat(rows_, (Loop(chunks, filled(columns * tokens, shared, geometry)),))
                row += rows_ if chunks else 0
        steps = initialize(size * tokens, geometry) + steps
        return started(steps + read_out(size * tokens, RESULT, geometry), geometry)

    full, rest = divmod(sets, block)
    height = layout.height(block)
    commands = repeat(full, pass_over(block, 0, (height,)))
    if rest:
        commands += pass_over(rest, full * height, ())

    def receive(size: int) -> Steps:
        each = geometry.result_adds + geometry.units * layout.epilogue
        return (Wait(RESULT, size * tokens), Compute("vector", size * tokens * each))

    fills = tuple(
        Loop(count, prefetch(columns * tokens, geometry)) for count, columns in layout.chunks
    )
    reduction = repeat(full, receive(block)) + (receive(rest) if rest else ())
    return Stream(repeat(ceil_div(sets, block), fills), commands, reduction)


def _program(layout: Layout, sets: int, tokens: int, wait_fs: int, traffic: Traffic) -> Program:
    """The stream of one channel for one pass, and the controller's reduction of it."""
    geometry = layout.geometry
    if not sets:
        return Program(((Delay(wait_fs),),))
    stream = _output_stationary if layout.keeps_outputs else _activation_stationary
    fills, commands, reduction = stream(layout, sets, tokens)
    tokens_of = {**stream_tokens(geometry), RESULT: 0, "loaded": 0}
    commands = within(commands, layout.busy, geometry)
    if traffic.activations:
        pattern = Pattern(
            "read", geometry.rows, chunk=tokens * traffic.activations, coordinates=(0, 1)
        )
        commands = (Access(pattern), *commands)
    if traffic.bias:
        pattern = Pattern("read", geometry.rows, chunk=traffic.bias, coordinates=(0, 0, 1))
        commands = (Access(pattern, "loaded"), *commands)
        added = Compute("vector", sets * geometry.units * tokens)
        reduction += (Wait("loaded"), added)
    if traffic.outputs:
        pattern = Pattern(
            "write", geometry.rows, chunk=tokens * traffic.outputs, coordinates=(0, 0, 0, 1)
        )
        reduction += (Access(pattern),)
    if wait_fs:
        commands += (*drain(geometry), Delay(wait_fs))
    threads = (commands, reduction)
    return Program((*threads, fills) if geometry.overlap else threads, tokens_of)


def _kernel(
    name: str,
    layout: Layout,
    products: Sequence[tuple[int, int]],
    traffic: Traffic,
    addresses: tuple[int, int, int],
) -> Kernel:
    """Waves of tasks: for each product (first row, tokens), each pass, each channel."""
    geometry = layout.geometry
    channels = geometry.channels
    programs: list[Program] = []

    @cache
    def program(sets: int, tokens: int, waits: bool) -> int:
        missing = layout.duration_fs(layout.sets(0), tokens) - layout.duration_fs(sets, tokens)
        programs.append(_program(layout, sets, tokens, missing if waits else 0, traffic))
        return len(programs) - 1

    passes = [
        (row, min(layout.tokens_per_pass, tokens - first))
        for row, tokens in products
        for first in range(0, tokens, layout.tokens_per_pass)
    ]
    waves = len(passes)
    width = channels if waves > 1 else layout.busy
    tasks = np.zeros((waves, width, 5), dtype=np.int64)
    sets = [layout.sets(channel) for channel in range(width)]
    for wave, (row, tokens) in enumerate(passes):
        tasks[wave, :, 0] = [program(size, tokens, waves > 1) for size in sets]
        tasks[wave, :, 1] = row
    done = np.cumsum([0, *(tokens for _, tokens in passes[:-1])])[:, None]
    activations, bias, outputs = addresses
    tasks[:, :, 2] = activations + done * traffic.activations
    tasks[:, :, 3] = bias
    tasks[:, :, 4] = outputs + done * traffic.outputs
    return Kernel(name, "channel", tuple(programs), tasks.reshape(-1, 5), needs={"stream": 1})


def product(
    spec: PimSpec,
    name: str,
    n: int,
    k: int,
    tokens: Sequence[int],
    first_row: int,
    a: Operand,
    c: Operand,
    bias: Operand | None,
    address: Addresses,
    epilogue: int = 0,
) -> Kernel:
    """Products of ``tokens[i]`` rows with the i-th of consecutive k x n matrices."""
    geometry = Geometry.of(spec)
    mapping = spec.mapping
    stationary, fills = mapping.order == "output_stationary", mapping.fill == "units"
    layout = Layout(geometry, n, k, mapping.pack, stationary, fills, epilogue)
    rows = max(1, sum(tokens))
    traffic = Traffic(
        activations=0 if geometry.resident(a) else geometry.share(ceil_div(a.bytes, rows)),
        bias=0 if bias is None or geometry.resident(bias) else geometry.share(bias.bytes),
        outputs=0 if geometry.resident(c) else geometry.share(ceil_div(c.bytes, rows)),
    )
    products = [
        (first_row + number * layout.rows, count) for number, count in enumerate(tokens) if count
    ]

    def local(operand: Operand | None, used: int) -> int:
        if operand is None or not used:
            return 0
        return (
            address(operand) // geometry.channels // geometry.column_bytes * geometry.column_bytes
        )

    places = (local(a, traffic.activations), local(bias, traffic.bias), local(c, traffic.outputs))
    return _kernel(name, layout, products, traffic, places)


def _read_by_controller(
    spec: PimSpec, work: Gemm | GroupedGemm, multiplies: int, address: Addresses
) -> Sequence[Kernel]:
    """The controller multiplies what it reads over the pins, once."""
    after = work.epilogue if isinstance(work, Gemm) else None
    if after:
        multiplies += after.elements * element_steps(spec.controller.functions, after)
    name = f"{work.kind} {multiplies} on the controller"
    return (streaming(spec, name, work.reads, work.writes, multiplies, address),)


def gemm(spec: PimSpec, work: Gemm, address: Addresses) -> Sequence[Kernel]:
    """B in the banks, A broadcast; batches that share B are more rows of A."""
    if 0 in (work.batch, work.m, work.n, work.k):
        return ()
    if spec.mapping.products == "controller":
        return _read_by_controller(spec, work, work.operations["matrix"] // 2, address)
    a, b, *rest = work.reads
    batch, m = (1, work.batch * work.m) if work.b_shared else (work.batch, work.m)
    row = Geometry.of(spec).row_of(address(b))
    name = f"gemm {work.n}x{work.k} rows {m}" + (f" batch {batch}" if batch > 1 else "")
    bias = rest[0] if rest else None
    out, tokens = work.writes[0], [m] * batch
    after = work.epilogue
    steps = element_steps(spec.controller.functions, after) if after else 0
    return (product(spec, name, work.n, work.k, tokens, row, a, out, bias, address, steps),)


def grouped_gemm(spec: PimSpec, work: GroupedGemm, address: Addresses) -> Sequence[Kernel]:
    """Each expert's matrix follows the one before; experts without rows cost nothing."""
    if not sum(work.rows) or 0 in (work.n, work.k):
        return ()
    if spec.mapping.products == "controller":
        return _read_by_controller(spec, work, work.operations["matrix"] // 2, address)
    a, b, *rest = work.reads
    row = Geometry.of(spec).row_of(address(b))
    active = sum(1 for count in work.rows if count)
    name = f"grouped gemm {work.n}x{work.k} experts {active} rows {sum(work.rows)}"
    bias = rest[0] if rest else None
    return (product(spec, name, work.n, work.k, work.rows, row, a, work.writes[0], bias, address),)
