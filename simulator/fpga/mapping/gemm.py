"""Matrix products on the cores: who computes what, in which mode, from where.

A batch of independent products is divided by product where there are enough of them,
otherwise each product by columns, or by rows where that balances better.  A divided
product needs its whole left operand in every core: small ones are exchanged through the
shared channels, large ones read through the ``cross`` port.  Experts without rows are not
visited; the weights of the next expert load while the one before is computed.  A depth
whose rows do not fit the weight buffer is cut into kernels that carry partial sums
through memory.

N:M sparsity scales multiply-adds and weights; each kept weight of a block that is not
dense carries an index, each block its own N.  Left out: bias as an operand of the array
(it is streamed beside), experts divided otherwise than by columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from simulator.engine.platform import Addresses
from simulator.engine.program import Kernel
from simulator.fpga.mapping.data import (
    Stream,
    loads,
    on_chip,
    own_stream,
    striped,
    whole_stream,
)
from simulator.fpga.mapping.kernels import exchange, kernel
from simulator.fpga.mapping.modes import product
from simulator.fpga.mapping.products import (
    Product,
    deepest,
    matrix_macs,
    prefers_vectors,
)
from simulator.fpga.mapping.sections import Section, split
from simulator.fpga.spec import FpgaSpec
from simulator.trace.work import Gemm, GroupedGemm

PARTIAL_SUM_BYTES = 4


@dataclass(frozen=True, slots=True)
class Share:
    """What one core does of a batch of products, and from which product and row on."""

    products: int
    rows: int
    columns: int
    first_product: int = 0
    first_row: int = 0

    @property
    def idle(self) -> bool:
        return not self.products * self.rows * self.columns


def gemm(spec: FpgaSpec, work: Gemm, address: Addresses) -> list[Kernel]:
    """Kernels of ``batch`` products of one shape."""
    batch, rows = (1, work.batch * work.m) if work.b_shared else (work.batch, work.m)
    if not batch * rows * work.n * work.k:
        return []
    left, right = work.reads[:2]
    whole = Product(
        operands=spec.core.operands,
        rows=rows,
        columns=work.n,
        depth=work.k,
        weights=own_stream(
            spec, address, right, batch * work.n, batch * metadata(spec, work.n, work.k, work)
        ),
        inputs=whole_stream(spec, address, left, batch * rows),
        results=own_stream(spec, address, work.writes[0], batch * rows * work.n),
        input_bits=left.bits,
        weight_bits=right.bits,
        density=work.density,
    )
    shares = _shares(spec, batch, whole)
    parts = sum(not share.idle for share in shares)
    # Products divided among the cores take their operands from where the last operator
    # left them, which is the core that needs them.
    meeting = (
        exchange(spec, left.bytes, parts)
        if batch < spec.total_cores and on_chip(spec, left)
        else Section()
    )
    beside = Section(load=loads(spec, address, work.reads[2:]))
    return [
        kernel(
            spec,
            "gemm",
            [
                Section() if share.idle else beside.then(carried, meeting, _body(spec, part, share))
                for share in shares
            ],
        )
        for part, carried in _by_depth(spec, whole, batch)
    ]


def grouped_gemm(spec: FpgaSpec, work: GroupedGemm, address: Addresses) -> list[Kernel]:
    """One kernel for all experts in use, divided by columns."""
    left, right = work.reads[:2]
    used = [rows for rows in work.rows if rows]
    if not used or not work.n * work.k:
        return []
    extra = len(used) * metadata(spec, work.n, work.k, work)
    weights = own_stream(spec, address, right, len(used) * work.n, extra)
    inputs = whole_stream(spec, address, left, sum(used))
    results = own_stream(spec, address, work.writes[0], sum(used) * work.n)
    columns = _in_blocks(work.n, spec.core.gemm.outputs, spec.total_cores)
    parts = sum(1 for own in columns if own)
    sections = []
    for own in columns:
        section = exchange(spec, left.bytes, parts) if on_chip(spec, left) else Section()
        section = section.then(Section(load=loads(spec, address, work.reads[2:])))
        row = 0
        for expert, rows in enumerate(used):
            one = Product(
                operands=spec.core.operands,
                rows=rows,
                columns=own,
                depth=work.k,
                weights=weights.later(expert * own),
                inputs=inputs.later(row),
                results=results.later(row * own),
                input_bits=left.bits,
                weight_bits=right.bits,
                density=work.density,
            )
            row += rows
            if own:
                section = section.then(product(spec, one))
        sections.append(section if own else Section())
    return [kernel(spec, "grouped gemm", sections)]


def metadata(spec: FpgaSpec, columns: int, depth: int, work: Gemm | GroupedGemm) -> float:
    """Bytes that scale the weights of one product and locate those that are kept.

    Blocks are dense or keep half as long as at least half of all weights are kept;
    below that, none is dense.
    """
    scales = 0.0
    if spec.core.scales is not None and work.reads[1].bits < spec.core.operands.weights:
        groups = columns * depth * work.density / spec.core.scales.group
        scales = groups * spec.core.scales.bits / 8
    if work.density >= 1:
        return scales
    sparsity = spec.core.sparsity
    blocks = -(-columns // sparsity.block) * -(-depth // sparsity.block)
    indexed = min(work.density, 1 - work.density) if work.density >= 0.5 else work.density
    return scales + blocks + columns * depth * indexed * sparsity.index_bits / 8


def _body(spec: FpgaSpec, whole: Product, share: Share) -> Section:
    """A core's share of the products, one after another."""
    one = replace(
        whole,
        rows=share.rows,
        columns=share.columns,
        weights=whole.weights.inside(share.columns * whole.weights.unit),
        inputs=whole.inputs.later(share.first_product * whole.rows + share.first_row).inside(
            whole.rows * whole.inputs.unit
        ),
        results=whole.results.inside(share.rows * share.columns * whole.results.unit),
    )
    return product(spec, one).repeat(share.products)


def _shares(spec: FpgaSpec, batch: int, whole: Product) -> list[Share]:
    """Each core's part, by product, by columns or by rows, whichever ends first."""
    cores, gemm = spec.total_cores, spec.core.gemm
    if batch >= cores:
        counts = split(batch, cores)
        return [
            Share(count, whole.rows, whole.columns, sum(counts[:core]))
            for core, count in enumerate(counts)
        ]
    columns = _in_blocks(whole.columns, gemm.outputs, cores)
    by_columns = [Share(batch, whole.rows, own) for own in columns]
    if prefers_vectors(spec, whole):
        return by_columns
    rows = _in_blocks(whole.rows, gemm.m, cores)
    by_rows = [
        Share(batch, own, whole.columns, first_row=sum(rows[:core]))
        for core, own in enumerate(rows)
    ]

    def longest(shares: Sequence[Share]) -> int:
        return max(matrix_macs(spec, share.rows, share.columns, whole.depth) for share in shares)

    return by_rows if longest(by_rows) < longest(by_columns) else by_columns


def _in_blocks(total: int, block: int, parts: int) -> list[int]:
    """A dimension in ``parts`` shares of whole blocks; the last block may be short."""
    ends = [0]
    for share in split(-(-total // block), parts):
        ends.append(min(total, ends[-1] + share * block))
    return [stop - start for start, stop in pairwise(ends)]


def _by_depth(spec: FpgaSpec, whole: Product, batch: int) -> Iterator[tuple[Product, Section]]:
    """The product in depths that fit, each with the partial sums it takes over."""
    limit = deepest(spec, whole)
    if prefers_vectors(spec, whole) or whole.depth <= limit:
        yield whole, Section()
        return
    sums = replace(whole.results, unit=PARTIAL_SUM_BYTES)
    elements = batch * whole.rows * whole.columns / spec.total_cores
    taken = Section(load=striped(spec, "read", sums, elements))
    for first in range(0, whole.depth, limit):
        depth = min(limit, whole.depth - first)
        last = first + depth == whole.depth
        share = depth / whole.depth
        part = replace(
            whole,
            depth=depth,
            weights=_scaled(whole.weights, share),
            inputs=_scaled(whole.inputs, share),
            results=whole.results if last else sums,
        )
        yield part, taken if first else Section()


def _scaled(stream: Stream, share: float) -> Stream:
    return replace(stream, unit=stream.unit * share)
