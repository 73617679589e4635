"""The PyTorch timer without a GPU: its loop on a device that only keeps a log, and, where torch is
installed, what it runs on the CPU."""

import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest

from simulator.errors import MeasurementError, OptionError
from simulator.trace.graphs import Graph, from_edges
from simulator.validate.live import pytorch
from simulator.validate.live.monitor import Reading
from simulator.validate.live.plan import plan, row_point
from simulator.validate.live.timer import Point, Unmeasurable

CALL_S = 10e-6
PRODUCT = row_point("gemm.csv", "gemm", "gemm", "bf16", {"m": 8, "n": 4, "k": 2, "batch": 1})


class OutOfMemoryError(RuntimeError):
    pass


class Recorder:
    """A stand-in for torch: calls take device time when they are launched or replayed, a graph
    that is captured takes none, and everything is noted."""

    OutOfMemoryError = OutOfMemoryError
    version = SimpleNamespace(cuda="13.0")
    __version__ = "0"
    bfloat16 = float16 = float32 = None

    def __init__(self, fails=None):
        self.log, self.now, self.capturing, self.fails = [], 0.0, None, fails
        self.backends = SimpleNamespace(cudnn=SimpleNamespace(version=lambda: 9))
        properties = SimpleNamespace(
            name="A GPU", uuid="1", multi_processor_count=4, total_memory=1, major=8
        )
        recorder = self

        class Event:
            def __init__(self, enable_timing):
                assert enable_timing

            def record(self, stream):
                recorder.log.append("event")
                self.at = recorder.now

            def synchronize(self):
                recorder.log.append("wait")

            def elapsed_time(self, end):
                return 1e3 * (end.at - self.at)

        class CUDAGraph:
            def replay(self):
                recorder.log.append("replay")
                for call in self.calls:
                    recorder.launch(call)

            def reset(self):
                recorder.log.append("reset")

        @contextmanager
        def graph(target, stream):
            recorder.capturing = target.calls = []
            recorder.log.append("capture")
            yield
            recorder.capturing = None
            recorder.log.append("captured")

        @contextmanager
        def stream(one):
            yield

        self.cuda = SimpleNamespace(
            Event=Event,
            CUDAGraph=CUDAGraph,
            graph=graph,
            stream=stream,
            Stream=lambda place: SimpleNamespace(synchronize=lambda: None),
            _sleep=lambda cycles: self.log.append("ahead"),
            synchronize=lambda: None,
            empty_cache=lambda: None,
            is_available=lambda: True,
            current_device=lambda: 0,
            get_device_properties=lambda place: properties,
        )

    def device(self, *place):
        return place

    @contextmanager
    def no_grad(self):
        yield

    def manual_seed(self, seed):
        self.log.append(f"seed {seed}")

    def randn(self, shape, dtype, device):
        assert self.capturing is None, "memory taken while a graph is captured"
        tensor = SimpleNamespace(shape=shape)
        tensor.t = lambda: tensor
        return tensor

    def mm(self, a, b, out):
        (m, k), (n, _) = a.shape, b.shape
        assert out.shape == (m, n) and b.shape == (n, k)
        self.launch(id(b))

    def launch(self, call):
        if self.fails:
            raise self.fails
        if self.capturing is not None:
            self.capturing.append(call)
        else:
            self.log.append(call)
            self.now += CALL_S


@pytest.fixture
def recorded(monkeypatch):
    def put(fails=None, joules=lambda: None):
        recorder = Recorder(fails)
        monkeypatch.setitem(sys.modules, "torch", recorder)
        monkeypatch.setattr(pytorch, "find_spec", lambda name: True)
        board = SimpleNamespace(method="nvml", read=lambda: Reading(1400, 200, 400), joules=joules)
        monkeypatch.setattr(pytorch, "monitor_of", lambda uuid: board)
        return recorder, pytorch.open_timer(7)

    return put


def test_a_call_is_the_share_of_a_loop(recorded):
    recorder, timer = recorded()
    timing = timer.time(PRODUCT)
    assert timing.samples == pytest.approx([CALL_S] * pytorch.SAMPLES)
    assert timing.clock_mhz == 1400
    repeats = round(pytorch.SAMPLE_S / (6 * CALL_S))
    # Capture, then: one replay to check, one to size the samples, the samples, one under watch.
    replays = 1 + 1 + pytorch.SAMPLES * repeats + repeats
    assert recorder.log.count("replay") == replays


def test_the_host_is_ahead_and_only_replays_lie_between_the_events(recorded):
    recorder, timer = recorded()
    timer.time(PRODUCT)
    log = [entry for entry in recorder.log if not isinstance(entry, int)]
    assert log[:3] == ["seed 7", "capture", "captured"]
    for place in [place for place, entry in enumerate(log) if entry == "ahead"]:
        end = log.index("wait", place)
        assert log[place + 1] == log[end - 1] == "event"
        assert set(log[place + 2 : end - 1]) == {"replay"}
    assert log[-1] == "reset"


def test_weights_rotate_and_are_warm_before_capture(recorded):
    recorder, timer = recorded()
    timer.time(PRODUCT)
    before = recorder.log[1 : recorder.log.index("capture")]
    assert len(set(before)) == PRODUCT.copies == 6
    assert before == before[:6] * pytorch.WARM_UPS


def test_calls_that_are_not_captured_are_launched_in_the_stream(recorded):
    recorder, timer = recorded()
    point = Point("gemm.csv", {}, "gemm", "bf16", PRODUCT.sizes, calls=5, captured=False)
    assert timer.time(point).samples == pytest.approx([CALL_S] * pytorch.SAMPLES)
    assert "capture" not in recorder.log


def test_watts_are_joules_over_the_time_they_took(recorded, monkeypatch):
    clock = [0.0]

    def now():
        clock[0] += 0.05
        return clock[0]

    monkeypatch.setattr(pytorch, "time", SimpleNamespace(perf_counter=now))
    _, timer = recorded(joules=lambda: 300 * clock[0])
    found = timer.watch(PRODUCT)
    assert found.method == "nvml_energy_counter"
    assert found.watts == pytest.approx(300, rel=0.05)
    assert found.clock_mhz == 1400
    _, timer = recorded()
    found = timer.watch(PRODUCT)
    assert (found.method, found.watts) == ("nvml_power", 200)


def test_failures_are_reasons_and_a_dead_device_is_an_error(recorded):
    _, timer = recorded(OutOfMemoryError("tried to allocate"))
    with pytest.raises(Unmeasurable, match="does not fit"):
        timer.time(PRODUCT)
    recorder, timer = recorded(RuntimeError("no kernel\nfor this"))
    with pytest.raises(Unmeasurable, match=r"^gemm: no kernel$"):
        timer.time(PRODUCT)

    def dead():
        raise RuntimeError("illegal memory access")

    recorder.cuda.synchronize = dead
    with pytest.raises(MeasurementError, match="the GPU has failed: illegal"):
        timer.time(PRODUCT)


def test_no_cuda_is_one_line(recorded):
    recorder, _ = recorded()
    recorder.cuda.is_available = lambda: False
    with pytest.raises(OptionError, match="sees no CUDA GPU"):
        pytorch.open_timer(0)
    recorder.version = SimpleNamespace(cuda=None)
    with pytest.raises(OptionError, match="sees no CUDA GPU"):
        pytorch.open_timer(0)


# ------------------------------------------------------------------------- what is run, on the CPU


GRAPH: Graph = from_edges(
    "three", np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2]), nodes=3, features=2, classes=2
)


@pytest.fixture
def calls(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(pytorch, "_graph", lambda name: GRAPH)
    torch.manual_seed(0)
    return pytorch.Calls(torch.device("cpu"), modern=True)


def shrunk(point):
    """The point with extents of a few, and the graph of three nodes."""
    few = {name: min(size, 8) for name, size in point.sizes.items()}
    few |= {"kv_heads": min(few.get("kv_heads", 0), few.get("heads", 0))}
    if point.graph:
        few |= {"nodes": GRAPH.nodes, "edges": GRAPH.edges}
    return Point(point.file, {}, point.run, "fp32", few, copies=point.copies, graph=point.graph)


SHAPES = {
    "gemm": ("m", "n"),
    "attention": ("batch", "heads", "q_len", "head_dim"),
    "gather": ("edges", "feat"),
    "scatter": ("nodes", "feat"),
    "spmm": ("nodes", "feat"),
    **dict.fromkeys(("init", "scale", "triad"), ("elements",)),
}


@pytest.mark.parametrize("run", sorted({one.run for one in plan("bf16", 0)} - {"chase"}))
def test_everything_in_the_plan_runs(calls, run):
    torch = pytest.importorskip("torch")
    points = [point for point in plan("bf16", 0) if point.run == run]
    for point in {str(shrunk(point).sizes): shrunk(point) for point in points}.values():
        call, _ = calls.build(point)
        with torch.no_grad():
            results = [call(copy) for copy in range(point.copies)]
        assert all(torch.isfinite(one).all() for one in results)
        shape = tuple(point.sizes[name] for name in SHAPES.get(run, ("rows", "cols")))
        assert {tuple(one.shape) for one in results} == {shape}


def test_loads_go_round_the_whole_footprint_in_one_cycle():
    torch = pytest.importorskip("torch")
    chase = pytest.importorskip("simulator.validate.live.chase")
    table = chase.chain(torch, 100, torch.device("cpu"))
    at, seen = 0, []
    for _ in range(100):
        seen.append(at)
        at = int(table[at])
    assert at == 0 and sorted(seen) == [chase.LINE * line for line in range(100)]


def test_the_kernel_goes_on_where_it_ended():
    """In Triton's interpreter, which is chosen before Triton is imported."""
    for needed in ("torch", "triton"):
        pytest.importorskip(needed)
    code = (
        "import torch\n"
        "from simulator.validate.live.chase import chain, follow\n"
        "table = chain(torch, 30, torch.device('cpu'))\n"
        "at, wanted = torch.zeros(1, dtype=torch.int32), 0\n"
        "for steps in (7, 13, 30):\n"
        "    follow[(1,)](table, at, steps, num_warps=1)\n"
        "    for _ in range(steps):\n"
        "        wanted = int(table[wanted])\n"
        "    assert int(at) == wanted\n"
    )
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def test_sums_over_edges_are_what_a_loop_gives(calls):
    """Both at once is a gather along the edges, weighted, then a scatter."""
    torch = pytest.importorskip("torch")
    point = Point("", {}, "spmm", "fp32", {"feat": 2}, graph="three")
    torch.manual_seed(1)
    call, _ = calls.build(point)
    torch.manual_seed(1)
    nodes, values = torch.randn(3, 2), torch.randn(4)
    wanted = torch.zeros(3, 2)
    for source, target, value in zip(GRAPH.indices, GRAPH.targets, values, strict=True):
        wanted[int(target)] += value * nodes[int(source)]
    assert torch.allclose(call(0), wanted)
