"""A processor streams: what bounds it, how work is divided, and what it refuses."""

import numpy as np
import pytest

from simulator.api import load_hardware, simulate_work
from simulator.cpu.platform import CpuPlatform
from simulator.engine.device import Device
from simulator.errors import UnmappedOperatorError
from simulator.system.kernels import Runner
from simulator.trace.work import (
    Attention,
    Elementwise,
    Gather,
    Gemm,
    Operand,
    RowWise,
    Scatter,
    Work,
)

MIB = 1 << 20
REGION = 1 << 32
LINE = 64


def operand(storage: int, size: int, bits: int = 16) -> Operand:
    return Operand(storage, 0, size, bits, {16: "bfloat16", 32: "float32"}[bits], "weight", size)


def vector_times_matrix(n: int, k: int, rows: int = 1) -> Gemm:
    reads = (operand(0, 2 * rows * k), operand(1, 2 * n * k))
    return Gemm(reads, (operand(2, 2 * rows * n),), m=rows, n=n, k=k)


def loop(elements: int) -> Elementwise:
    return Elementwise((operand(0, 2 * elements),), (operand(1, 2 * elements),), elements)


def reading(elements: int) -> Elementwise:
    return Elementwise((operand(0, 2 * elements),), (), elements)


class Socket:
    """A device that keeps its cache between works."""

    def __init__(self, *overrides: str) -> None:
        self.platform = CpuPlatform(load_hardware("xeon-6154", overrides).spec)  # type: ignore[arg-type]
        self.device = Device(self.platform.assemble(True))
        self.runner = Runner(self.device, self.platform.cache_bytes, True)

    def play(self, work: Work) -> tuple[float, float]:
        """Seconds, and bytes that came from DRAM."""
        kernels = self.platform.kernels(
            work, lambda operand: operand.storage * REGION + operand.offset
        )
        runs = [self.runner.run(kernel, self.device.now) for kernel in kernels]
        return sum(run.duration_fs for run in runs) * 1e-15, sum(run.dram_read for run in runs)


def test_a_long_stream_takes_most_of_the_pins_and_never_more():
    work = vector_times_matrix(4096, 4096)
    result = simulate_work([work], load_hardware("xeon-6154"), "stream")
    share = work.bytes_read / result.latency_s / 128e9
    assert 0.75 < share < 1


def test_every_byte_comes_from_memory_once_and_stays_in_the_shared_cache():
    socket, work = Socket(), vector_times_matrix(1024, 4096)
    cold, fetched = socket.play(work)
    warm, again = socket.play(work)
    assert fetched == pytest.approx(work.bytes_read, rel=0.01)
    assert again < 0.02 * fetched
    assert warm < cold / 2


@pytest.mark.parametrize("held", [512, 1024])
def test_a_lone_core_obeys_littles_law(held):
    """What it has outstanding over the idle latency, at most; far below the pins."""
    socket = Socket("chip.cores=1", f"chip.bytes_in_flight={held} B")
    seconds, fetched = socket.play(reading(1 << 20))
    llc, memory = socket.platform.spec.llc, socket.platform.spec.memory
    timing = memory.timing
    closed = memory.femtoseconds(timing.read_latency) * 1e-15
    least = llc.hit_latency + llc.miss_latency + closed
    assert fetched / seconds < held / least
    assert fetched / seconds > 0.6 * held / (
        least + memory.femtoseconds(timing.rcd_read) * 1e-15 + 10e-9
    )


def test_more_outstanding_lines_help_one_core_but_not_eighteen():
    def seconds(cores: int, held: int) -> float:
        socket = Socket(f"chip.cores={cores}", f"chip.bytes_in_flight={held} B")
        return socket.play(reading(1 << 20))[0]

    assert seconds(1, 2048) < 0.7 * seconds(1, 1024)
    assert seconds(18, 2048) > 0.85 * seconds(18, 1024)


def test_small_loops_stay_on_one_core():
    platform = Socket().platform
    grain = platform.spec.launch.grain
    counts = [
        platform.kernels(loop(elements), lambda operand: operand.storage * REGION)[0].count
        for elements in (1, grain, grain + 1, 100 * grain)
    ]
    assert counts == [1, 1, 2, 18]


def test_heads_that_do_not_divide_leave_cores_idle():
    def seconds(heads: int) -> float:
        size = heads * 2048 * 64 * 2
        reads = (operand(0, heads * 128), operand(1, size), operand(2, size))
        work = Attention(
            reads, (operand(3, heads * 128),), heads=heads, kv_heads=heads, kv_len=2048
        )
        return Socket("memory.organization.stacks=4").play(work)[0]

    assert seconds(19) > 1.4 * seconds(18)


def test_rows_beyond_the_private_cache_are_walked_again():
    def fetched(columns: int) -> float:
        size = 4 * columns
        work = RowWise((operand(0, size, 32),), (operand(1, size, 32),), columns=columns, passes=2)
        socket = Socket("llc.capacity=704 KiB")
        return socket.play(work)[1] / size

    assert fetched(MIB // 8) == pytest.approx(1, rel=0.02)
    assert fetched(MIB) == pytest.approx(2, rel=0.05)


def test_rows_of_a_table_are_fetched_line_by_line():
    numbers = np.array([7, 100, 3], dtype=np.int64)
    work = Gather(
        (operand(0, 3 * 1536), operand(1, 24, 32)),
        (operand(2, 3 * 1536),),
        rows=3,
        row_bytes=1536,
        table_rows=1000,
        index=numbers,
    )
    assert Socket().play(work)[1] == pytest.approx(3 * 1536, abs=3 * LINE)


def test_work_that_memory_does_not_bind_is_refused():
    platform = Socket().platform

    def address(operand: Operand) -> int:
        return operand.storage * REGION

    assert platform.kernels(vector_times_matrix(4096, 4096, rows=4), address)
    with pytest.raises(UnmappedOperatorError, match="memory-bound work only"):
        platform.kernels(vector_times_matrix(4096, 4096, rows=512), address)
    with pytest.raises(UnmappedOperatorError, match="memory-bound work only"):
        platform.kernels(Scatter((), (), rows=1), address)


def test_an_eager_operator_is_dispatched_before_it_runs():
    """A processor is its own host: dispatch and loops are in series."""
    works = [loop(1024)] * 50
    hardware = load_hardware("xeon-6154")
    queued = simulate_work(works, hardware, "loops").latency_s
    eager = simulate_work(works, hardware, "loops", launch="eager").latency_s
    assert eager - queued >= 50 * hardware.spec.host.operator_cost
