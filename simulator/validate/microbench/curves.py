"""The benchmarks: each a function from a described GPU to one frozen curve.

A new one is one function below :func:`benchmark`; the command, the table, the figure and the JSON
follow the registry.  Points are in the units that publications use; ``x`` and ``y`` say which.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from simulator.system.specs import Hardware
from simulator.trace.schema import DTYPE_BITS
from simulator.units import BYTES, parse
from simulator.validate.microbench.accesses import BLOCKS_PER_SM
from simulator.validate.microbench.kernels import LARGE
from simulator.validate.microbench.laboratory import gpu
from simulator.validate.probe import PROBES

MIB = 1 << 20
USUAL_TYPES = ("float16", "bfloat16")
Point = tuple[float, float]
Arguments = Mapping[str, str | int | bool]


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a curve."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Plateau:
    """A number that a curve settles at."""

    quantity: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Curve:
    """What one benchmark found."""

    benchmark: str
    series: tuple[Series, ...]
    plateaus: tuple[Plateau, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """``unit`` is empty for plain numbers."""

    label: str
    unit: str
    log: bool = True


@dataclass(frozen=True, slots=True)
class Benchmark:
    """An entry of the registry."""

    name: str
    title: str
    x: Axis
    y: Axis
    probe: str
    """The probe that published figures of this benchmark name."""
    place: Callable[[Arguments], float | None]
    """Where on the x axis a published figure with these arguments stands, if anywhere."""
    run: Callable[[Hardware], Curve] = field(repr=False)


BENCHMARKS: dict[str, Benchmark] = {}


def benchmark(
    title: str,
    x: Axis,
    y: Axis,
    probe: str,
    place: Callable[[Arguments], float | None] = lambda arguments: None,
) -> Callable[[Callable[[Hardware], Curve]], Callable[[Hardware], Curve]]:
    """Enter a function into the registry under its own name."""

    def enter(run: Callable[[Hardware], Curve]) -> Callable[[Hardware], Curve]:
        BENCHMARKS[run.__name__] = Benchmark(run.__name__, title, x, y, probe, place, run)
        return run

    return enter


def _measure(hardware: Hardware, probe: str, **arguments: str | int) -> float:
    """The answer of a probe, in SI units; none is asked twice."""
    return PROBES[probe](hardware, arguments)


def _size(key: str) -> Callable[[Arguments], float | None]:
    return lambda arguments: float(parse(arguments[key], BYTES))


def _flying(arguments: Arguments) -> float:
    return float(int(arguments["blocks"]) * parse(arguments["size"], BYTES))


def _product(arguments: Arguments) -> float | None:
    """The curve is of 16-bit floats."""
    if arguments["dtype"] not in USUAL_TYPES:
        return None
    return float(math.prod(int(arguments[extent]) for extent in "mnk"))


def _sweep(capacity: int, *shares: float) -> list[int]:
    """Footprints in whole MiB, by their share of a capacity."""
    return sorted({max(1, round(share * capacity / MIB)) * MIB for share in shares})


@benchmark(
    "Latency of a dependent load",
    Axis("footprint", "B"),
    Axis("latency", "clk", log=False),
    "pointer_chase",
    _size("footprint"),
)
def chase(hardware: Hardware) -> Curve:
    """One thread follows a random chain through a buffer (``gpu-latency``)."""
    spec = gpu(hardware)
    footprints = _sweep(spec.l2.capacity, 1 / 16, 1 / 4, 0.5, 0.65, 0.8, 1, 1.5, 6)
    points = tuple(
        (
            float(size),
            _measure(hardware, "pointer_chase", footprint=f"{size} B") * spec.chip.clock,
        )
        for size in footprints
    )
    return Curve(
        "chase",
        (Series("random chain", points),),
        (
            Plateau("L2 hit", points[1][1], "clk"),
            Plateau("DRAM", points[-1][1], "clk"),
        ),
    )


@benchmark(
    "All SMs read one buffer",
    Axis("footprint", "B"),
    Axis("bandwidth", "GB/s", log=False),
    "shared_reads",
    _size("footprint"),
)
def l2(hardware: Hardware) -> Curve:
    """Reads of a shared buffer again and again, many in flight (``gpu-l2-cache``)."""
    footprints = _sweep(gpu(hardware).l2.capacity, 1 / 8, 1 / 4, 0.5, 0.75, 1.25)
    points = tuple(
        (float(size), _measure(hardware, "shared_reads", footprint=f"{size} B") / 1e9)
        for size in footprints
    )
    return Curve(
        "l2",
        (Series("all SMs", points),),
        (
            Plateau("inside L2", points[1][1], "GB/s"),
            Plateau("beyond L2", points[-1][1], "GB/s"),
        ),
    )


@benchmark(
    "Streams over size",
    Axis("bytes of one array", "B"),
    Axis("bandwidth", "GB/s", log=False),
    "stream",
    lambda arguments: float(parse(arguments.get("size", LARGE), BYTES)),
)
def stream(hardware: Hardware) -> Curve:
    """Repeated kernels over arrays of float64, gaps between kernels included."""

    def rate(kernel: str, **size: str) -> float:
        return _measure(hardware, "stream", kernel=kernel, **size) / 1e9

    large = float(parse(LARGE, BYTES))
    series = tuple(
        Series(
            name,
            (
                *((float(size * MIB), rate(name, size=f"{size} MiB")) for size in (2, 8, 32)),
                (large, rate(name)),
            ),
        )
        for name in ("read", "scale")
    )
    return Curve(
        "stream", series, tuple(Plateau(one.name, one.points[-1][1], "GB/s") for one in series)
    )


@benchmark(
    "Streams over occupancy",
    Axis("threads on an SM", "", log=False),
    Axis("bandwidth", "GB/s", log=False),
    "occupied_stream",
    lambda arguments: float(BLOCKS_PER_SM * int(arguments["threads"])),
)
def occupancy(hardware: Hardware) -> Curve:
    """Two blocks per SM, one 8-byte element per thread (``gpu-stream``)."""
    most = gpu(hardware).chip.sm.threads // BLOCKS_PER_SM
    counts = sorted({max(32, round(most * share / 32) * 32) for share in (1 / 32, 1 / 8, 0.3, 0.6)})
    threads = (*counts, most)
    series = tuple(
        Series(
            name,
            tuple(
                (
                    float(BLOCKS_PER_SM * count),
                    _measure(hardware, "occupied_stream", kernel=name, threads=count) / 1e9,
                )
                for count in threads
            ),
        )
        for name in ("read", "scale")
    )
    return Curve("occupancy", series)


@benchmark(
    "Reads over bytes in flight",
    Axis("bytes in flight", "B"),
    Axis("bandwidth", "GB/s", log=False),
    "bulk_loads",
    _flying,
)
def flight(hardware: Hardware) -> Curve:
    """Blocks that each keep one bulk load in flight (the published table of TMA loads)."""
    sms = gpu(hardware).chip.sms

    def line(blocks: int, sizes: Sequence[int]) -> Series:
        points = tuple(
            (
                float(blocks * size << 10),
                _measure(hardware, "bulk_loads", blocks=blocks, size=f"{size} KiB") / 1e9,
            )
            for size in sizes
        )
        return Series(f"{blocks // sms} per SM", points)

    series = (line(sms, (1, 2, 4, 8, 16)), line(4 * sms, (1, 4, 16)))
    best = max(rate for one in series for _, rate in one.points)
    return Curve("flight", series, (Plateau("most", best, "GB/s"),))


@benchmark(
    "Kernels launched back to back",
    Axis("bytes moved by a kernel", "B"),
    Axis("interval", "us", log=False),
    "launch_interval",
    _size("moved"),
)
def launch(hardware: Hardware) -> Curve:
    """Small copies in a captured graph and one by one in a stream (``gpu-small-kernels``)."""
    sizes = (64, 256, 1_000, 4_000, 16_000)
    series = tuple(
        Series(
            name,
            tuple(
                (
                    size * 1e3,
                    _measure(hardware, "launch_interval", moved=f"{size} kB", launch=how) * 1e6,
                )
                for size in sizes
            ),
        )
        for name, how in (("graph", "graph"), ("stream", "eager"))
    )
    return Curve(
        "launch",
        series,
        tuple(Plateau(f"{one.name}, 64 kB", one.points[0][1], "us") for one in series),
    )


@benchmark(
    "Matrix pipes over shape of a product",
    Axis("multiply-adds of a product", ""),
    Axis("rate", "TFLOP/s", log=False),
    "matrix_rate",
    _product,
)
def matrix(hardware: Hardware) -> Curve:
    """Products that wait for each other, from one instruction to the K-step of a large tile, in
    one block on an SM and in as many as it holds. No loads: the pipe alone."""
    # A type that no trace has, such as tf32, reaches no pipe.
    kinds = [kind for kind in gpu(hardware).chip.sm.matrix if kind in DTYPE_BITS]
    if not kinds:
        return Curve("matrix", ())
    usual = next((kind for kind in USUAL_TYPES if kind in kinds), kinds[0])
    shapes = ((16, 8, 16), *((side, side, 64) for side in (16, 32, 64, 128, 256)))

    def rate(kind: str, m: int, n: int, k: int, **blocks: int) -> float:
        return _measure(hardware, "matrix_rate", dtype=kind, m=m, n=n, k=k, **blocks) / 1e12

    def line(**blocks: int) -> tuple[Point, ...]:
        return tuple((float(m * n * k), rate(usual, m, n, k, **blocks)) for m, n, k in shapes)

    return Curve(
        "matrix",
        (Series("one block on an SM", line(blocks=1)), Series("as many as fit", line())),
        tuple(Plateau(kind, rate(kind, 128, 128, 64), "TFLOP/s") for kind in kinds),
    )
