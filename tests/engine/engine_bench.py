"""A machine small enough to compute by hand: cores with ports and a pipe, a cache, DRAM.

    core --> load, store (64 GB/s) --> cache (2 slices of 32 GB/s) --> memory (4 channels)
         --> direct (64 GB/s) ------------------------------------> memory
         --> alu (1 unit/ns, 20 ns)

Times are nanoseconds unless a name says ``_fs``.
"""

import hashlib
from dataclasses import dataclass
from functools import partial

import numpy as np
from dram_bench import timing

from simulator.engine import layout
from simulator.engine.assembly import (
    AgentClass,
    Assembly,
    CacheLevel,
    MemoryView,
    Pipe,
    Port,
    rate,
)
from simulator.engine.device import Device
from simulator.engine.program import Access, Kernel, Pattern, Program, Step, grid
from simulator.memory import dram

NS = 10**6
END = 1 << 62
PORT_BYTES_PER_NS = 64
SLICE_BYTES_PER_NS = 32
HIT_NS, MISS_NS, ALU_NS = 100, 50, 20
CHANNELS, LINE, SECTOR, INTERLEAVE = 4, 128, 32, 512


def assembly(
    *,
    cores: int = 2,
    contexts: int = 4,
    slots: int = 8,
    channels: int = CHANNELS,
    capacity: int = 1 << 20,
    ways: int = 16,
    lookahead: float = 0,
    in_flight: int = 0,
    port_in_flight: int = 0,
    port_latency: float = 0,
    miss: float = MISS_NS,
    slices: int = 2,
    **dram_changes: float,
) -> Assembly:
    machine = Assembly(lookahead=round(lookahead * NS))
    machine.memory("dram", timing(**dram_changes), channels)
    machine.add(
        MemoryView("memory", "dram", channels, interleave=INTERLEAVE, in_flight=in_flight),
        CacheLevel(
            "cache",
            "memory",
            capacity=capacity,
            line=LINE,
            sector=SECTOR,
            ways=ways,
            slices=slices,
            slice_rate=rate(SLICE_BYTES_PER_NS * 1e9),
            hit_latency=HIT_NS * NS,
            miss_latency=round(miss * NS),
            interleave=INTERLEAVE,
            atomic=NS,
        ),
    )
    port = partial(Port, rate=rate(PORT_BYTES_PER_NS * 1e9), latency=round(port_latency * NS))
    machine.agent_class(
        AgentClass(
            "core",
            cores,
            {"contexts": contexts, "shared": 100},
            (
                port("load", next="cache"),
                port("store", next="cache"),
                port("direct", next="memory", in_flight=port_in_flight),
                Pipe("alu", rate(1e9), ALU_NS * NS),
            ),
            slots=slots,
        )
    )
    return machine


def kernel(
    *threads: tuple[Step, ...],
    tokens: dict[str, int] | None = None,
    tasks: np.ndarray | int = 1,
    name: str = "test",
    contexts: int = 1,
    **more,
) -> Kernel:
    rows = grid(tasks) if isinstance(tasks, int) else tasks
    needs = {"contexts": contexts} | more.pop("needs", {})
    return Kernel(name, "core", (Program(threads, tokens or {}),), rows, needs, **more)


def read(size: int, base: int = 0, path: str = "load", **more) -> Pattern:
    return Pattern("read", path, size, base=base, **more)


def write(size: int, base: int = 0, path: str = "store", **more) -> Pattern:
    return Pattern("write", path, size, base=base, **more)


def stream(size: int, base: int = 0, path: str = "load", chunk: int = 1024, tasks: int = 8):
    """``tasks`` tasks that read ``size`` bytes each, several chunks at a time."""
    steps = Access(Pattern("read", path, chunk, base, (size,), inner=size // chunk,
                           inner_stride=chunk))  # fmt: skip
    return kernel((steps,), tasks=tasks, name=f"stream {path}")


@dataclass(frozen=True)
class Played:
    ns: float
    row: np.ndarray

    @property
    def dram_read(self) -> int:
        return int(self.row[layout.J_DRAM_READ])

    @property
    def dram_written(self) -> int:
        return int(self.row[layout.J_DRAM_WRITE])

    @property
    def hits(self) -> int:
        return int(self.row[layout.J_HITS])

    @property
    def misses(self) -> int:
        return int(self.row[layout.J_MISSES])


class Bench:
    """One device; kernels are played one after another unless launched together."""

    def __init__(self, **changes) -> None:
        pools = {k: changes.pop(k) for k in ("transactions", "requests", "events") if k in changes}
        self.device = Device(assembly(**changes), **pools)

    def play(self, work: Kernel) -> Played:
        start = self.device.now
        handle = self.device.launch(work, start)
        outcome = self.device.advance(END)
        assert (outcome.reason, outcome.handle) == ("finished", handle)
        return Played((outcome.time - start) / NS, self.device.kernel_row(handle))

    def time(self, *steps: Step) -> float:
        """Of one thread on an otherwise idle machine."""
        return self.play(kernel(steps)).ns

    def together(self, *works: Kernel, at: tuple[float, ...] = ()) -> list[Played]:
        """Kernels in flight at once."""
        starts = [round(ns * NS) for ns in at] or [self.device.now] * len(works)
        handles = [self.device.launch(w, s) for w, s in zip(works, starts, strict=True)]
        ends: dict[int, Played] = {}
        while len(ends) < len(works):
            outcome = self.device.advance(END)
            row = self.device.kernel_row(outcome.handle)
            duration = outcome.time - int(row[layout.J_START])
            ends[outcome.handle] = Played(duration / NS, row)
        return [ends[handle] for handle in handles]

    def settle(self) -> None:
        """Let writes that nobody waits for reach DRAM."""
        assert self.device.advance(END).reason == "idle"

    def dram(self, column: int) -> int:
        return int(self.device.machine.dram.channel[:, column].sum())

    @property
    def dram_bytes(self) -> int:
        return 32 * (self.dram(dram.N_READ) + self.dram(dram.N_WRITE))

    def touched(self) -> set[int]:
        """Numbers of the sectors the cache holds."""
        words = self.device.machine.cache.word
        return {
            int(word >> 16) * (LINE // SECTOR) + i
            for word in words
            for i in range(LINE // SECTOR)
            if word >> 16 >= 0 and word >> i & 1
        }


def state_hash(device: Device) -> str:
    digest = hashlib.sha256()
    for table in device.machine:
        for array in table if isinstance(table, tuple) else (table,):
            digest.update(array.tobytes())
    return digest.hexdigest()
