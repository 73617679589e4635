"""What a sweep does not ask of a GPU: which kernels its library runs, how fast few blocks read.

    python validation/measured/extras.py --data validation/measured/h200-sxm

Run after ``accsim calibrate --live`` into the same folder. Writes ``kernels.csv`` (every point of
``gemm.csv`` and both attention files once more under PyTorch's profiler: name, grid, threads,
registers and shared memory of each kernel; times of a single run under a profiler are no
measurements) and ``blocks.csv`` (bandwidth of reads by a given number of thread blocks, each
with a given number of bytes in flight, from DRAM and from L2; Triton).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

try:
    import torch
    import triton
    import triton.language as tl
except ImportError as error:
    print(f"extras.py: error: {error}; needs an NVIDIA GPU and 'accsim[live]'", file=sys.stderr)
    raise SystemExit(2) from None

from simulator.errors import atomic_write
from simulator.validate.live.plan import plan
from simulator.validate.live.pytorch import Calls
from simulator.validate.live.timer import Point, Unmeasurable

NAMED = ("gemm.csv", "attention_prefill.csv", "attention_decode.csv")
SIZES = (
    *("op", "dtype", "m", "n", "k", "batch", "heads", "kv_heads", "head_dim", "q_len"),
    *("kv_len", "causal"),
)
KERNEL = ("kernel", "place", "grid", "threads", "registers", "shared_bytes", "profiled_us")
BLOCKS = ("level", "blocks", "tile_bytes", "warps", "gb_per_s")
NUMBERS = (1, 2, 4, 8, 16, 33, 66, 132, 264, 528)
TILES = ((1024, 4), (4096, 4), (8192, 8))
"""Words of a load of all threads, and warps."""
L2_BYTES, DRAM_BYTES = 16 << 20, 2 << 30
READ_S = 1e-3
"""How long a reading kernel is meant to run."""


@triton.jit
def read(source, sink, share, rounds, words, TILE: tl.constexpr):  # type: ignore[no-untyped-def]
    """Each block sums ``rounds`` tiles of its own share of ``words`` words, again and again."""
    lanes = tl.arange(0, TILE)
    total = tl.zeros((TILE,), tl.int32)
    begin = tl.program_id(0).to(tl.int64) * share
    for turn in range(rounds):
        at = (begin + turn.to(tl.int64) * TILE) % words
        total += tl.load(source + at + lanes)
    tl.store(sink + tl.program_id(0) * TILE + lanes, total)


def limited_reads(place: Any) -> Iterator[tuple[object, ...]]:
    """Rows of ``blocks.csv``."""
    for level, footprint in (("l2", L2_BYTES), ("dram", DRAM_BYTES)):
        words = footprint // 4
        source = torch.ones(words, dtype=torch.int32, device=place)
        for tile, warps in TILES:
            sink = torch.empty(max(NUMBERS) * tile, dtype=torch.int32, device=place)
            for blocks in NUMBERS:
                rate = 30e9 * min(blocks, 100)
                rounds = max(16, int(READ_S * rate / (blocks * tile * 4)))
                share = words // blocks // tile * tile
                moved = 4 * tile * blocks * rounds

                def run(
                    blocks: int = blocks,
                    share: int = share,
                    rounds: int = rounds,
                    tile: int = tile,
                    warps: int = warps,
                    source: Any = source,
                    sink: Any = sink,
                    words: int = words,
                ) -> None:
                    read[(blocks,)](source, sink, share, rounds, words, TILE=tile, num_warps=warps)

                run()
                torch.cuda.synchronize()
                found = []
                for _ in range(5):
                    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
                    begin.record()
                    run()
                    end.record()
                    end.synchronize()
                    found.append(begin.elapsed_time(end) * 1e-3)
                yield level, blocks, 4 * tile, warps, f"{moved / median(found) / 1e9:.5g}"


def profiled(
    points: list[Point], place: Any, modern: bool, budget_s: float
) -> list[dict[str, Any]]:
    """Rows of ``kernels.csv``: the kernels of each point, in their order."""
    calls, run = Calls(place, modern), []
    end = time.monotonic() + budget_s
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile, torch.no_grad():
        for number, point in enumerate(points):
            if time.monotonic() > end:
                break
            try:
                call, _ = calls.build(point)
                for _ in range(2):
                    call(0)
                torch.cuda.synchronize()
                with torch.profiler.record_function(f"point {number}"):
                    call(0)
                    torch.cuda.synchronize()
                run.append(number)
            except (Unmeasurable, RuntimeError) as reason:
                print(f"{dict(point.columns)}: {reason}")
            call = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    spans = {
        int(event["name"].split()[1]): (event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("cat") == "user_annotation" and event["name"].startswith("point ")
    }
    kernels = sorted(
        (event for event in events if event.get("cat") == "kernel"), key=lambda event: event["ts"]
    )
    rows = []
    for number in run:
        begin, end_us = spans[number]
        own = [event for event in kernels if begin <= event["ts"] <= end_us]
        for order, event in enumerate(own):
            detail = event["args"]
            rows.append(
                {
                    **{name: points[number].columns.get(name, "") for name in SIZES},
                    "kernel": event["name"],
                    "place": order,
                    "grid": "x".join(map(str, detail["grid"])),
                    "threads": "x".join(map(str, detail["block"])),
                    "registers": detail.get("registers per thread", ""),
                    "shared_bytes": detail.get("shared memory", ""),
                    "profiled_us": event["dur"],
                }
            )
    return rows


def _points(modern: bool) -> list[Point]:
    one = []
    for point in plan("bf16" if modern else "fp16", 0):
        if point.file in NAMED:
            one.append(
                Point(point.file, point.columns, point.run, point.dtype, point.sizes, calls=1)
            )
    return one


def _write(path: Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    atomic_write(path, text.getvalue())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=120, help="seconds of profiling")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() or not arguments.data.is_dir():
        parser.error("needs a CUDA GPU, and --data a folder that 'accsim calibrate --live' wrote")
    place = torch.device("cuda", torch.cuda.current_device())
    major = torch.cuda.get_device_properties(place).major
    _write(
        arguments.data / "blocks.csv",
        BLOCKS,
        [dict(zip(BLOCKS, map(str, row), strict=True)) for row in limited_reads(place)],
    )
    rows = profiled(_points(major >= 8), place, major >= 9, arguments.budget)
    _write(arguments.data / "kernels.csv", (*SIZES, *KERNEL), rows)
    print(f"{len(rows)} kernels")


if __name__ == "__main__":
    main()
