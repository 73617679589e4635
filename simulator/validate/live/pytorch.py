"""The timer of a real GPU: CUDA events around replays of CUDA graphs, with PyTorch.

The one module of this package that touches torch, and only inside functions (``chase.py`` is
imported here).  Data are random
normal numbers, since the power of a product depends on its bits.  Everything happens in one
stream: warm-up, which also makes the libraries' workspaces, capture, replay.  Before a timed
stretch the device waits for a moment, so that the host is ahead of it and no gap of the host's is
timed.  Sources: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs, and
``torch.nn.attention.sdpa_kernel``.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from statistics import fmean
from typing import Any

from simulator.errors import MeasurementError, OptionError
from simulator.trace.graphs import Graph, load_graph
from simulator.validate.live.monitor import Monitor, Reading, monitor_of
from simulator.validate.live.timer import GpuAtHand, Point, Timing, Unmeasurable, Watching

SAMPLES = 6
SAMPLE_S = 300e-6
"""A sample repeats its loop until it lasts about so long: hundreds of times the events' resolution,
and short enough that small kernels run at the clock of a burst."""
MOST_REPEATS = 50
WARM_UPS = 3
AHEAD_CYCLES = 40_000
"""Cycles the device waits per launch: some 20 us at 2 GHz, more than a launch costs the host."""
MOST_CYCLES = 100_000_000
SETTLE_S = 1.0
"""Before watts are read ..."""
WATCH_S = 2.0
"""... and how long they are."""
CHUNK_S = 100e-3
"""Work that is queued at once meanwhile: longer than a reading by nvidia-smi takes."""
HOPPER = 9

Loop = Callable[[], None]


def open_timer(seed: int) -> TorchTimer:
    """The current CUDA device. Raises OptionError, which says what is missing."""
    remedy = "run it on a machine with an NVIDIA GPU after pip install 'accsim[live]'"
    if find_spec("torch") is None:
        raise OptionError("PyTorch is not installed", where="--live", remedy=remedy)
    try:
        import torch
    except (ImportError, OSError) as error:
        raise OptionError(f"cannot import torch: {error}", where="--live", remedy=remedy) from error
    if torch.version.cuda is None or not torch.cuda.is_available():
        raise OptionError("PyTorch sees no CUDA GPU", where="--live", remedy=remedy)
    return TorchTimer(seed)


class TorchTimer:
    """Times on the current CUDA device; see :class:`~.timer.Timer`."""

    def __init__(self, seed: int) -> None:
        import torch

        self._torch: Any = torch
        self._seed = seed
        place = torch.device("cuda", torch.cuda.current_device())
        properties = torch.cuda.get_device_properties(place)
        self._monitor: Monitor = monitor_of(f"GPU-{properties.uuid}")
        self._stream: Any = torch.cuda.Stream(place)
        self._calls = Calls(place, modern=properties.major >= HOPPER)
        self.device = GpuAtHand(
            name=properties.name,
            sms=properties.multi_processor_count,
            memory_bytes=properties.total_memory,
            # Ampere is the first whose matrix pipes take bfloat16.
            dtype="bf16" if properties.major >= 8 else "fp16",
            power_limit_w=self._monitor.read().limit_w,
            software={
                "torch": torch.__version__,
                "cuda": str(torch.version.cuda),
                "cudnn": str(torch.backends.cudnn.version()),
            },
        )

    def time(self, point: Point) -> Timing:
        """Samples of repeated loops; the median is what a row states."""
        with self._ready(point) as (loop, kernel):
            once = self._elapsed(loop, point, 1)
            repeats = min(MOST_REPEATS, max(1, math.ceil(SAMPLE_S / once)))
            found = [self._elapsed(loop, point, repeats) for _ in range(SAMPLES)]
            self._queue(loop, repeats)
            clock_mhz = self._monitor.read().clock_mhz
        samples = tuple(seconds / (repeats * point.calls) for seconds in found)
        return Timing(samples, kernel, clock_mhz)

    def watch(self, point: Point) -> Watching:
        """Mean watts over :data:`WATCH_S` after :data:`SETTLE_S` of the same work."""
        with self._ready(point) as (loop, _):
            once = self._elapsed(loop, point, 1)
            chunk = min(1000, max(1, math.ceil(CHUNK_S / once)))
            self._busy(loop, chunk, SETTLE_S)
            joules, begin = self._monitor.joules(), time.perf_counter()
            readings = self._busy(loop, chunk, WATCH_S)
            seconds, after = time.perf_counter() - begin, self._monitor.joules()
        watts = _mean([reading.watts for reading in readings])
        method = f"{self._monitor.method}_power"
        if joules is not None and after is not None and after > joules:
            watts, method = (after - joules) / seconds, f"{self._monitor.method}_energy_counter"
        if watts is None:
            raise Unmeasurable("neither NVML nor nvidia-smi tells the power of this GPU")
        calls = len(readings) * chunk * point.calls
        return Watching(
            watts, seconds / calls, method, _mean([reading.clock_mhz for reading in readings])
        )

    def _elapsed(self, loop: Loop, point: Point, repeats: int) -> float:
        """Device seconds of ``repeats`` loops."""
        torch = self._torch
        launches = repeats * (1 if point.captured else point.calls)
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        with torch.cuda.stream(self._stream):
            torch.cuda._sleep(min(MOST_CYCLES, AHEAD_CYCLES * launches))
        begin.record(self._stream)
        self._queue(loop, repeats)
        end.record(self._stream)
        end.synchronize()
        return float(begin.elapsed_time(end)) * 1e-3

    def _queue(self, loop: Loop, count: int) -> None:
        """Hand the device so many loops, without waiting for them."""
        with self._torch.no_grad(), self._torch.cuda.stream(self._stream):
            for _ in range(count):
                loop()

    def _busy(self, loop: Loop, chunk: int, seconds: float) -> list[Reading]:
        """Keep the device at work; a reading of each chunk of loops, taken while it runs."""
        end, readings = time.perf_counter() + seconds, []
        while time.perf_counter() < end:
            self._queue(loop, chunk)
            readings.append(self._monitor.read())
            self._stream.synchronize()
        return readings

    @contextmanager
    def _ready(self, point: Point) -> Iterator[tuple[Loop, str]]:
        """A warm loop of the point, and its kernel's name."""
        torch = self._torch
        graph = call = None
        try:
            with torch.no_grad(), torch.cuda.stream(self._stream):
                torch.manual_seed(self._seed)
                call, kernel = self._calls.build(point)

                def loop() -> None:
                    for number in range(point.calls):
                        call(number % point.copies)

                for _ in range(WARM_UPS):
                    loop()
            self._stream.synchronize()
            if point.captured:
                graph = torch.cuda.CUDAGraph()
                with torch.no_grad(), torch.cuda.graph(graph, stream=self._stream):
                    loop()
                with torch.cuda.stream(self._stream):
                    graph.replay()
                self._stream.synchronize()
            yield (loop if graph is None else graph.replay), kernel
        except torch.OutOfMemoryError as error:
            raise Unmeasurable("does not fit the device's memory") from error
        except RuntimeError as error:
            raise Unmeasurable(f"{point.run}: {str(error).partition(chr(10))[0]}") from error
        finally:
            self._release(graph)

    def _release(self, graph: Any) -> None:
        """Give the memory back. Raises MeasurementError if the device has failed for good."""
        torch = self._torch
        try:
            torch.cuda.synchronize()
            if graph is not None:
                graph.reset()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            raise MeasurementError(
                f"the GPU has failed: {str(error).partition(chr(10))[0]}",
                where="--live",
                remedy="run the command again: what was measured is kept",
            ) from error


class Calls:
    """What points run, as functions of the number of the weight copy. No buffer is allocated by
    a call unless PyTorch has no other form of the operator; a graph gives such a result the same
    place every time."""

    def __init__(self, place: Any, modern: bool) -> None:
        import torch

        self._torch: Any = torch
        self._place, self._modern = place, modern
        self._types = {
            "bf16": torch.bfloat16,
            "fp16": torch.float16,
            "fp32": torch.float32,
        }

    def build(self, point: Point) -> tuple[Callable[[int], object], str]:
        """The function, with its data on the device, and the name of its kernel where PyTorch has
        several to choose from."""
        builders: dict[str, Callable[[Point], tuple[Callable[[int], object], str]]] = {
            "gemm": self._gemm,
            "attention": self._attention,
            **dict.fromkeys(("copy", "add", "gelu", "layernorm", "softmax"), self._rows),
            **dict.fromkeys(("scale", "triad", "init"), self._stream),
            **dict.fromkeys(("gather", "scatter", "spmm"), self._edges),
            "chase": self._chase,
        }
        return builders[point.run](point)

    def _random(self, point: Point, *shape: int) -> Any:
        return self._torch.randn(shape, dtype=self._types[point.dtype], device=self._place)

    def _gemm(self, point: Point) -> tuple[Callable[[int], object], str]:
        """C[m,n] = A[m,k] B[k,n], B stored as a linear layer's weight, (n, k)."""
        torch, size = self._torch, point.sizes
        m, n, k = size["m"], size["n"], size["k"]
        a, c = self._random(point, m, k), self._random(point, m, n)
        weights = [self._random(point, n, k).t() for _ in range(point.copies)]
        return lambda copy: torch.mm(a, weights[copy], out=c), ""

    def _attention(self, point: Point) -> tuple[Callable[[int], object], str]:
        """The first fused implementation that takes these heads; tensors lie as models make them,
        heads within a token. cuDNN's first on Hopper and later, where PyTorch's own flash attention
        is the older one; for one query flash attention splits the keys."""
        from torch.nn.attention import SDPBackend, sdpa_kernel

        attention = self._torch.nn.functional.scaled_dot_product_attention
        size = point.sizes
        batch, head_dim = size["batch"], size["head_dim"]
        shapes = (
            (batch, size["q_len"], size["heads"], head_dim),
            *[(batch, size["kv_len"], size["kv_heads"], head_dim)] * 2,
        )
        query, key, value = (self._random(point, *shape).transpose(1, 2) for shape in shapes)
        arguments = {
            "is_causal": bool(size["causal"]),
            "enable_gqa": size["heads"] != size["kv_heads"],
        }

        def attend(backend: Any) -> object:
            with sdpa_kernel(backend):
                return attention(query, key, value, **arguments)

        backends = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION]
        if self._modern and size["q_len"] > 1:
            backends.insert(0, SDPBackend.CUDNN_ATTENTION)
        for backend in backends:
            try:
                # PyTorch warns why a backend does not take the tensors, then raises.
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    attend(backend)
            except self._torch.OutOfMemoryError:
                raise
            except RuntimeError:
                continue
            return lambda copy, backend=backend: attend(backend), backend.name.lower()
        raise Unmeasurable("PyTorch has no fused attention for these heads on this GPU")

    def _rows(self, point: Point) -> tuple[Callable[[int], object], str]:
        torch = self._torch
        shape = (point.sizes["rows"], point.sizes["cols"])
        functional = torch.nn.functional
        x = self._random(point, *shape)
        match point.run:
            case "copy":
                out = torch.empty_like(x)
                return lambda copy: out.copy_(x), ""
            case "add":
                y, out = self._random(point, *shape), torch.empty_like(x)
                return lambda copy: torch.add(x, y, out=out), ""
            case "gelu":
                return lambda copy: functional.gelu(x), ""
            case "softmax":
                return lambda copy: torch.softmax(x, -1), ""
        scale, shift = self._random(point, shape[1]), self._random(point, shape[1])
        return lambda copy: functional.layer_norm(x, shape[1:], scale, shift), ""

    def _stream(self, point: Point) -> tuple[Callable[[int], object], str]:
        torch, elements = self._torch, point.sizes["elements"]
        x = self._random(point, elements)
        if point.run == "init":
            return lambda copy: x.fill_(1.0), ""
        out = torch.empty_like(x)
        if point.run == "scale":
            return lambda copy: torch.mul(x, 3.0, out=out), ""
        y = self._random(point, elements)
        return lambda copy: torch.add(x, y, alpha=3.0, out=out), ""

    def _chase(self, point: Point) -> tuple[Callable[[int], object], str]:
        if find_spec("triton") is None:
            raise Unmeasurable("Triton is not installed, which loads one by one need")
        from simulator.validate.live.chase import LINE, chain, follow

        torch, steps = self._torch, point.sizes["steps"]
        table = chain(torch, point.sizes["bytes"] // (4 * LINE), self._place)
        at = torch.zeros(1, dtype=torch.int32, device=self._place)

        def run(copy: int) -> object:
            follow[(1,)](table, at, steps, num_warps=1)
            return at

        return run, ""

    def _edges(self, point: Point) -> tuple[Callable[[int], object], str]:
        """``gather``: a row per edge from its source; ``scatter``: summed into its target;
        ``spmm``: both, by cuSPARSE."""
        torch = self._torch
        graph = _graph(point.graph)
        feature = point.sizes["feat"]
        nodes = self._random(point, graph.nodes, feature)
        if point.run == "spmm":
            indptr, indices = (
                # cuSPARSE takes 32-bit numbers as they are.
                torch.from_numpy(one.astype("int32")).to(self._place)
                for one in (graph.indptr, graph.indices)
            )
            values = self._random(point, graph.edges)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "beta state"
                matrix = torch.sparse_csr_tensor(
                    indptr, indices, values, (graph.nodes, graph.nodes)
                )
            return lambda copy: torch.sparse.mm(matrix, nodes), "cusparse"
        ends = graph.indices if point.run == "gather" else graph.targets
        index = torch.from_numpy(ends.astype("int64")).to(self._place)
        if point.run == "gather":
            out = torch.empty(
                (graph.edges, feature), dtype=self._types[point.dtype], device=self._place
            )
            return lambda copy: torch.index_select(nodes, 0, index, out=out), "index_select"
        messages = self._random(point, graph.edges, feature)
        return lambda copy: nodes.index_add_(0, index, messages), "index_add"


@lru_cache(maxsize=1)
def _graph(name: str) -> Graph:
    """One at a time: large ones take gigabytes."""
    return load_graph(name)


def _mean(readings: list[float | None]) -> float | None:
    known = [one for one in readings if one is not None]
    return fmean(known) if known else None
