"""GPT-175B on eight GPUs with AttAcc stacks: what attention and products in banks take off a step.

One layer of a node's eighth is simulated and counted 96 times: heads and columns divided by
eight, two all-reduces a layer.  ``gpu`` leaves all on the GPUs, ``attention`` moves attention to
the banks, ``attention and products`` products of a single token too.  The artifact's ffopt divides
feed-forward products between both, and its pipeopt overlaps what follows one another here: its
figure lies between our two placements and is not the same as either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import AccsimError
from simulator.hybrid import HybridResult, load_hybrid, run_works
from simulator.trace.work import Attention, Elementwise, Gemm, Operand, RowWise, Work

FILE = Path(__file__).with_name("published.yaml")
LAYERS, HIDDEN, HEADS, HEAD_DIM, NODES = 96, 12288, 96, 128, 8
CONTEXT = 2048 + 64
"""A prompt and half of the tokens behind it: latency is affine in the context."""
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "gpu": ("place.attention=false",),
    "attention": (),
    "attention and products": ("place.product_rows=1",),
}


def layer(batch: int, context: int) -> list[Work]:
    """A node's share of one layer of a decode step, in program order."""
    storages = iter(range(100))
    heads, inner = HEADS // NODES, 4 * HIDDEN // NODES

    def new(elements: int, role: str = "activation") -> Operand:
        size = 2 * elements
        return Operand(next(storages), 0, size, 16, "float16", role, size)

    def norm(x: Operand) -> RowWise:
        reads = (x, new(2 * HIDDEN, "weight"))
        return RowWise(reads, (new(batch * HIDDEN),), batch, HIDDEN, 2, 6, 0, 1, "norm")

    def product(x: Operand, n: int, k: int) -> Gemm:
        return Gemm((x, new(n * k, "weight")), (new(batch * n),), m=batch, n=n, k=k)

    def added(x: Operand, y: Operand) -> Elementwise:
        return Elementwise((x, y), (new(batch * HIDDEN),), batch * HIDDEN)

    x = new(batch * HIDDEN)
    before = norm(x)
    qkv = product(before.writes[0], 3 * heads * HEAD_DIM, HIDDEN)
    size = batch * heads * HEAD_DIM
    cache = tuple(new(size * context, "kv_cache") for _ in range(2))
    q = Operand(qkv.writes[0].storage, 0, 2 * size, 16, "float16", "activation", 2 * size)
    attend = Attention(
        (q, *cache),
        (new(size),),
        batch=batch,
        heads=heads,
        kv_heads=heads,
        kv_len=context,
        head_dim=HEAD_DIM,
        value_dim=HEAD_DIM,
    )
    out = product(attend.writes[0], HIDDEN, heads * HEAD_DIM)
    first = added(x, out.writes[0])
    middle = norm(first.writes[0])
    up = product(middle.writes[0], inner, HIDDEN)
    gelu = Elementwise(up.writes, (new(batch * inner),), batch * inner, 12, 2, function="gelu")
    down = product(gelu.writes[0], HIDDEN, inner)
    return [
        before,
        qkv,
        attend,
        out,
        first,
        middle,
        up,
        gelu,
        down,
        added(first.writes[0], down.writes[0]),
    ]


def step(system: str, batch: int, context: int = CONTEXT) -> HybridResult:
    """One layer on one node of eight."""
    hybrid = load_hybrid("a100-attacc", SYSTEMS[system])
    reductions = [2 * batch * HIDDEN] * 2
    return run_works(layer(batch, context), hybrid, f"GPT-175B layer, {system}", reductions)


@dataclass(frozen=True)
class Row:
    """A system and batch, milliseconds a token."""

    system: str
    batch: int
    simulated: float
    parts: Mapping[str, float]
    published: float | None


def rows(batches: Sequence[int]) -> list[Row]:
    """Every system at every batch, beside what was published."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    known = {(row["system"], row["batch"]): row["ms"] for row in content["rows"]}
    found = []
    for batch in batches:
        for system in SYSTEMS:
            result = step(system, batch)
            parts = {part: 1e3 * LAYERS * value for part, value in result.seconds.items()}
            total = 1e3 * LAYERS * result.latency_s
            found.append(Row(system, batch, total, parts, known.get((system, batch))))
    return found


def table(found: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| batch | system | GPU | PIM | link | all-reduce | ms a token | published | ratio | "
        "speed-up |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in found:
        base = next(one for one in found if one.batch == row.batch and one.system == "gpu")
        parts = [f"{row.parts.get(part, 0.0):.2f}" for part in ("gpu", "pim", "link", "collective")]
        paper = f"{row.published:g}" if row.published else "–"
        ratio = f"{row.simulated / row.published:.2f}" if row.published else "–"
        speed = f"{base.simulated / row.simulated:.2f}"
        cells = [str(row.batch), row.system, *parts, f"{row.simulated:.2f}", paper, ratio, speed]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="AttAcc beside eight GPUs.")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 16, 64])
    options = parser.parse_args(arguments)
    try:
        print(table(rows(options.batch)))
    except AccsimError as error:
        print(f"attacc: error: {error}", file=sys.stderr)
        return 2
    return 0
