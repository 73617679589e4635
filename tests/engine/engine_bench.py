"""A machine small enough to compute by hand: cores with ports and a pipe, a cache, DRAM.

    core --> load, store (64 GB/s) --> cache (2 slices of 32 GB/s) --> memory (4 channels)
         --> direct (64 GB/s) ------------------------------------> memory
         --> alu (1 unit/ns, 20 ns)

Times are nanoseconds unless a name says ``_fs``. DRAM is HBM2 with a tick of one nanosecond,
32 B accesses of 2 ns and 16 banks in 4 groups.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

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
from simulator.hardware import resolve, validate
from simulator.memory.controller.layout import N_COMMAND, RD, WR
from simulator.memory.model import Channel, channel_of
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import Lockstep

NS = 10**6
END = 1 << 62
PORT_BYTES_PER_NS = 64
SLICE_BYTES_PER_NS = 32
HIT_NS, MISS_NS, ALU_NS = 100, 50, 20
CHANNELS, LINE, SECTOR, INTERLEAVE, BANK_INTERLEAVE = 4, 128, 32, 512, 256

SEEN = 1
"""A channel sees a request one tick after it arrives, arrivals counted in whole ticks."""
READ_COLUMN = 14 + 2
"""From a read command to its last data: CL and burst."""
OPEN_ROW, CLOSED_ROW = SEEN + READ_COLUMN, SEEN + 1 + 14 + READ_COLUMN
"""A read's time in DRAM. An activate takes two ticks; tRCD counts from the second."""


def memory(
    changes: Sequence[str] = (), refresh: str = "none", lockstep: Lockstep | None = None
) -> Channel:
    """One pseudo-channel a channel, so that any number of them is whole."""
    overrides = [
        f"timing.refresh.mode={refresh}",
        "organization.pseudo_channels=1",
        *changes,
    ]
    return channel_of(validate(resolve("hbm2-2.0", overrides), MemorySpec), lockstep)


def assembly(
    *,
    cores: int = 2,
    contexts: int = 4,
    slots: int = 8,
    channels: int = CHANNELS,
    capacity: int = 1 << 20,
    ways: int = 16,
    near_ways: int = 0,
    far: float = 0,
    lookahead: float = 0,
    in_flight: int = 0,
    port_in_flight: int = 0,
    port_latency: float = 0,
    miss: float = MISS_NS,
    slices: int = 2,
    direct: bool = True,
    refresh: str = "none",
    changes: Sequence[str] = (),
) -> Assembly:
    machine = Assembly(lookahead=round(lookahead * NS))
    machine.memory("dram", memory(changes, refresh), channels)
    machine.add(
        MemoryView(
            "memory",
            "dram",
            channels,
            interleave=INTERLEAVE,
            bank_interleave=BANK_INTERLEAVE,
            in_flight=in_flight,
        ),
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
            near_ways=near_ways,
            far_latency=round(far * NS),
        ),
    )
    uncached = {"next": "memory", "in_flight": port_in_flight} if direct else {"next": "cache"}
    port = partial(Port, rate=rate(PORT_BYTES_PER_NS * 1e9), latency=round(port_latency * NS))
    machine.agent_class(
        AgentClass(
            "core",
            cores,
            {"contexts": contexts, "shared": 100},
            (
                port("load", next="cache"),
                port("store", next="cache"),
                port("direct", **uncached),
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

    def issued(self, *commands: int) -> int:
        """DRAM commands of all channels."""
        seen = self.device.snapshot()
        return int(sum(seen.dram(N_COMMAND + command) for command in commands))

    @property
    def dram_bytes(self) -> int:
        return SECTOR * self.issued(RD, WR)

    def touched(self) -> set[int]:
        """Numbers of the sectors the cache holds."""
        words = self.device.machine.cache.word
        return {
            int(word >> 16) * (LINE // SECTOR) + i
            for word in words
            for i in range(LINE // SECTOR)
            if word >> 16 >= 0 and word >> i & 1
        }


def arrays(table: object) -> Iterator[np.ndarray]:
    """All arrays of a machine, table by table."""
    if isinstance(table, np.ndarray):
        yield table
    else:
        for part in table:
            yield from arrays(part)


def state_hash(device: Device) -> str:
    digest = hashlib.sha256()
    for array in arrays(device.machine):
        digest.update(array.tobytes())
    return digest.hexdigest()
