"""What is measured, in which order: the points of a sweep.

Shapes are those of layers of published models and of their tensor-parallel shares, sizes go from
one token to thousands.  A kind's points are in an order drawn from the seed, and kinds are
interleaved in proportion, so that a sweep that is cut short is a sample of all of them.  Graphs
come last: making the large ones takes half a minute each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from simulator.trace.graphs import preset
from simulator.validate.live.timer import Cell, Point
from simulator.validate.methods import METHODS
from simulator.validate.works import KERNEL_ALONE

TIMING = "torch_graph"
LAYERS: Sequence[tuple[int, int]] = (
    *((1024, 1024), (2048, 2048), (4096, 4096), (8192, 8192), (5120, 5120), (3072, 768)),
    *((768, 3072), (2304, 768), (1536, 2048), (2048, 8192), (512, 4096), (256, 2048)),
    *((128, 4096), (640, 5120), (6144, 4096), (4096, 14336), (28672, 4096), (11008, 4096)),
    *((4096, 11008), (1280, 8192), (8192, 1024), (8192, 3584), (7168, 8192), (57344, 8192)),
    *((8192, 28672), (7168, 2048), (2112, 7168), (24576, 1536), (32000, 4096), (512, 256)),
)
"""(n, k) of weights."""
TOKENS = (1, 4, 16, 48, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
HEADS = (
    *((32, 32, 128), (32, 8, 128), (64, 8, 128), (8, 1, 128), (16, 16, 64), (12, 12, 64)),
    *((64, 4, 64), (24, 8, 64), (8, 4, 256), (16, 16, 128)),
)
"""Query heads, key-value heads, head_dim."""
PREFILL = ((1, 256), (1, 1024), (1, 4096), (4, 512), (4, 2048), (16, 512), (1, 16384))
"""Batch and length."""
DECODE = (
    *((1, 512), (1, 4096), (1, 32768), (8, 512), (8, 4096), (32, 1024), (32, 8192)),
    *((128, 256), (128, 1024)),
)
"""Batch and length of the cache."""
ROWS = (128, 1024, 8192, 65536)
COLUMNS = (512, 768, 1024, 2048, 4096, 5120, 8192, 12288)
MEMORY_BOUND = ("copy", "add", "gelu", "layernorm", "softmax")
MOVED = tuple(64_000 * 2**power for power in range(11))
"""Bytes that small kernels move, both sides."""
LARGE = 1 << 30
"""Bytes of one array of a stream."""
FOOTPRINTS = tuple(1 << power for power in (15, 18, 20, 22, 23, 24, 25, 26, 27, 28, 30))
"""Bytes that dependent loads go around in: from L1 to what no L2 holds."""
STEPS = 2048
"""Dependent loads in a call."""
SMALL_CALLS = 50
"""Small kernels in one graph."""
GRAPHS = (
    *("synthetic-cora", "synthetic-reddit-5pct", "synthetic-products-5pct"),
    *("synthetic-reddit", "synthetic-products"),
)
FEATURES = (32, 128)
EDGES_PER_S = 3e6
"""How fast graphs are made and brought to the device."""
WATCHED_S = 4.0
WATCHED_PRODUCTS = (
    *((8192, 8192, 8192), (4096, 4096, 14336), (2048, 28672, 4096), (8192, 1024, 8192)),
    *((1024, 57344, 8192), (4096, 2304, 768), (512, 8192, 28672), (64, 57344, 8192)),
    *((1, 57344, 8192), (16, 28672, 4096), (256, 8192, 8192), (8192, 24576, 1536)),
)
"""m, n, k, all above 100 us on today's GPUs or nearly."""


def plan(dtype: str, seed: int) -> tuple[Point, ...]:
    """All points of a sweep on a GPU whose matrix pipes take ``dtype``."""
    kinds = (
        list(_products(dtype)),
        [*_attention(dtype, "prefill"), *_attention(dtype, "decode")],
        list(_memory_bound(dtype)),
        list(_microbenchmarks()),
        list(_watched(dtype)),
    )
    placed = []
    for number, points in enumerate(kinds):
        points.sort(key=lambda point: _rank(seed, point))
        share = len(points)
        placed += [((place + 0.5) / share, number, one) for place, one in enumerate(points)]
    placed.sort(key=lambda entry: entry[:2])
    return (*(point for *_, point in placed), *_sparse())


def _rank(seed: int, point: Point) -> bytes:
    cells = " ".join(f"{name}={value}" for name, value in point.columns.items())
    return sha256(f"{seed} {point.file} {cells}".encode()).digest()


def row_point(file: str, run: str, op: str, dtype: str, sizes: dict[str, int]) -> Point:
    """A point whose row the simulator can replay, repeated as it replays it."""
    loop = METHODS[TIMING]
    return Point(
        file,
        {"op": op, "dtype": dtype, "timing_method": TIMING, **sizes},
        run,
        dtype,
        sizes,
        calls=loop.calls,
        copies=loop.weight_copies,
    )


def _products(dtype: str) -> Iterator[Point]:
    for n, k in LAYERS:
        for m in TOKENS:
            yield row_point("gemm.csv", "gemm", "gemm", dtype, {"m": m, "n": n, "k": k, "batch": 1})


def _attention(dtype: str, phase: str) -> Iterator[Point]:
    """Without what serving stacks do around it."""
    file, op = f"attention_{phase}.csv", f"attention_{phase}{KERNEL_ALONE}"
    for heads, kv_heads, head_dim in HEADS:
        for batch, length in PREFILL if phase == "prefill" else DECODE:
            for causal in (1, 0) if phase == "prefill" else (0,):
                sizes = {"batch": batch, "heads": heads, "kv_heads": kv_heads}
                sizes |= {"head_dim": head_dim, "q_len": length if phase == "prefill" else 1}
                sizes |= {"kv_len": length, "causal": causal}
                yield row_point(file, "attention", op, dtype, sizes)


def _memory_bound(dtype: str) -> Iterator[Point]:
    for op in MEMORY_BOUND:
        for rows in ROWS:
            for columns in COLUMNS:
                yield row_point("memory_bound.csv", op, op, dtype, {"rows": rows, "cols": columns})


def _microbenchmarks() -> Iterator[Point]:
    """The launch curve, streams over arrays that no cache holds, latency over footprint."""

    def point(op: str, run: str, arrays: int, moved: int, calls: int, captured: bool) -> Point:
        return Point(
            "microbench.csv",
            {"op": op, "footprint_kb": moved // 1000, "timing_method": "events"},
            run,
            "fp32",
            {"elements": moved // arrays // 4, "moved": moved},
            calls=calls,
            captured=captured,
        )

    for moved in MOVED:
        yield point("small_scale_cudagraph", "scale", 2, moved, SMALL_CALLS, True)
        yield point("small_scale_stream_launch", "scale", 2, moved, SMALL_CALLS, False)
    for footprint in FOOTPRINTS:
        yield Point(
            "microbench.csv",
            {"op": "load_latency", "footprint_kb": footprint // 1024, "timing_method": "events"},
            "chase",
            "int32",
            {"bytes": footprint, "steps": STEPS},
        )
    for run, arrays in (("init", 1), ("scale", 2), ("triad", 3)):
        yield point(f"stream_{run}", run, arrays, arrays * LARGE, 1, True)


def _watched(dtype: str) -> Iterator[Point]:
    """Watts: the operators of ``power.csv``, by its columns."""

    def point(op: str, like: Point, columns: dict[str, int]) -> Point:
        return Point(
            "power.csv",
            {"op": op, "dtype": dtype, **columns},
            like.run,
            dtype,
            like.sizes,
            calls=like.calls,
            copies=like.copies,
            watched=True,
            seconds=WATCHED_S,
        )

    for m, n, k in WATCHED_PRODUCTS:
        sizes = {"m": m, "n": n, "k": k}
        like = row_point("gemm.csv", "gemm", "gemm", dtype, {**sizes, "batch": 1})
        yield point("gemm", like, sizes)
    for phase, op in (("prefill", "context_attention"), ("decode", "generation_attention")):
        for like in _attention(dtype, phase):
            size = like.sizes
            if (size["batch"], size["kv_len"]) not in ((4, 2048), (32, 8192)):
                continue
            if size["head_dim"] != 128 or size["causal"] != (phase == "prefill"):
                continue
            columns = {name: size[name] for name in ("batch", "heads", "kv_heads", "head_dim")}
            columns |= {"isl": size["q_len"], "step": size["kv_len"] - size["q_len"]}
            yield point(op + KERNEL_ALONE, like, columns)


def _sparse() -> Iterator[Point]:
    """Messages along the edges of graphs: read, summed, both at once (cuSPARSE)."""
    for name in GRAPHS:
        recipe = preset(name)
        for feature in FEATURES:
            for op in ("gather", "scatter", "spmm"):
                # cuSPARSE is not promised to be capturable.
                captured = op != "spmm"
                sizes = {"nodes": recipe.nodes, "edges": recipe.edges, "feat": feature}
                columns: dict[str, Cell] = {"op": op, "dtype": "fp32", "matrix": name, **sizes}
                columns["cols"] = recipe.nodes
                columns["timing_method"] = TIMING if captured else "events_loop_ahead"
                yield Point(
                    "sparse.csv",
                    columns,
                    op,
                    "fp32",
                    sizes,
                    calls=1 if captured else 5,
                    captured=captured,
                    graph=name,
                )


def making_s(point: Point) -> float:
    """Seconds to make the graph of a point."""
    return point.sizes["edges"] / EDGES_PER_S if point.graph else 0.0
