"""Channels behind a pool of requests, on a bench: requests in, the ticks of their last data out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simulator.hardware import resolve, validate
from simulator.memory import pool
from simulator.memory.checker import check_log
from simulator.memory.controller import layout
from simulator.memory.controller.kernel import RUN, run_any
from simulator.memory.model import Channel, channel_of
from simulator.memory.pool import BUFFER, MACRO, NEVER, READ, RESULT, STORE, WRITE
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import COMMANDS, Lockstep
from simulator.memory.timing import TimingValue

__all__ = [
    *("BUFFER", "MACRO", "READ", "RESULT", "STORE", "WRITE"),
    *("Bench", "Request", "model", "traffic", "units"),
]


def model(
    name: str = "gddr6-16",
    refresh: str = "none",
    scheduler: str = "row-hit-first",
    queue: int | None = 64,
    lockstep: Lockstep | None = None,
    changes: Sequence[str] = (),
) -> Channel:
    """The controller of a shipped memory. GDDR6's commands all take one tick, so that closed
    forms fit on a line."""
    overrides = [f"timing.refresh.mode={refresh}", *changes]
    spec = validate(resolve(name, overrides), MemorySpec)
    return channel_of(spec, lockstep, scheduler, queue)


def units(span: int, spacing: float = 0.0, **more: Any) -> Lockstep:
    """One nanosecond a lockstep column, 12 to the first; ``span`` banks an activate."""
    return Lockstep(TimingValue(seconds=12e-9), TimingValue(seconds=1e-9), span,
                    TimingValue(seconds=spacing), **more)  # fmt: skip


class Request(NamedTuple):
    """``at`` is its tick; banks are numbered group by group inside a pseudo-channel."""

    at: int = 0
    pseudo_channel: int = 0
    bank: int = 0
    row: int = 0
    kind: int = READ
    accesses: int = 1


class Bench:
    """``count`` channels of one memory that hold all requests from the start."""

    def __init__(self, channel: Channel, requests: Sequence[Request], count: int = 1) -> None:
        self.channel, self.count = channel, len(requests)
        memories = [(channel, count * channel.pseudo_channels, True, 0)]
        self.dram = dram = pool.make_dram(memories, len(requests) + 1, log=1 << 18)
        self.tick_fs = channel.device.tick_fs
        for request in requests:
            index = pool.take_request(dram)
            dram.requests.kind[index], dram.requests.row[index] = request.kind, request.row
            first = dram.place[request.pseudo_channel, pool.L_FIRST_BANK]
            dram.requests.bank[index] = first + request.bank
            dram.requests.accesses[index] = request.accesses
            dram.request[index, pool.R_PSEUDO_CHANNEL] = request.pseudo_channel
            pool.submit_request(dram, index, request.at * self.tick_fs)

    def run(self, until: int, poll: bool = False) -> "Bench":
        """Play the first channel to a tick, as a replay does; ``poll`` visits every tick."""
        dram = self.dram
        parts = (
            layout.Sizes(*dram.sizes[0].tolist()),
            layout.Settings(*dram.settings[0].tolist()),
            layout.Tables(
                *(dram.first[0], dram.row[0], dram.latency[0]),
                *(dram.sibling[0], dram.node_of[0], dram.rare[0]),
            ),
            layout.State(
                *(dram.bank[0], dram.node[0], dram.group[0], dram.channel[0], dram.channel[0]),
                *(dram.entry[0], dram.run[0], dram.log[0], np.zeros(0, np.int64)),
            ),
        )
        run_any(*parts, dram.requests, 0, 1, until, poll)
        return self

    def play(self, ahead: int = 1000) -> list[int]:
        """Serve every channel whenever it asks, ``ahead`` ticks beyond the clock, until it asks
        no more. Returns the tick of each request's last data."""
        dram, done = self.dram, dict[int, int]()
        for c in range(len(dram.wake)):
            while (now := int(dram.wake[c])) < NEVER:
                for i in range(pool.serve(dram, RUN, c, now, ahead * self.tick_fs)):
                    index = int(dram.done[0, i])
                    assert index not in done, "a request is served once"
                    done[index] = int(dram.request[index, pool.R_DONE_AT]) // self.tick_fs
        return [done[index] for index in range(self.count)]

    def makespan(self) -> int:
        return max(self.play())

    @property
    def log(self) -> np.ndarray:
        log = self.dram.log[0, : self.dram.run[0, layout.R_LOGGED]]
        return log[np.argsort(log[:, 0], kind="stable")]

    @property
    def depart(self) -> np.ndarray:
        return self.dram.requests.depart[: self.count]

    def ticks(self, name: str) -> np.ndarray:
        """When a command was issued."""
        return self.log[self.log[:, 1] == COMMANDS.index(name), 0]

    def issued(self, name: str) -> int:
        return len(self.ticks(name))

    def counted(self, column: int) -> int:
        """A counter of the controllers; unlike the log it knows of refreshes of idle channels."""
        return int(self.dram.channel[0, :, column].sum())

    def violations(self, refreshed: bool) -> list:
        return check_log(self.channel.device, self.log, refreshed=refreshed)


def traffic(
    channel: Channel, seed: int, gap: int, lockstep: float = 0.0, count: int = 250
) -> list[Request]:
    """Random requests, up to ``gap`` ticks apart, over few rows, so that they meet in banks."""
    generator = np.random.default_rng(seed)
    tick, requests = 0, []
    for _ in range(count):
        tick += int(generator.integers(0, gap))
        kind = WRITE if generator.random() < 0.3 else READ
        if generator.random() < lockstep:
            kind = (
                MACRO
                if generator.random() < 0.7
                else int(generator.choice([BUFFER, RESULT, STORE]))
            )
        requests.append(
            Request(
                tick,
                int(generator.integers(channel.pseudo_channels)),
                int(generator.integers(channel.banks)),
                int(generator.integers(6)),
                kind,
                int(generator.integers(1, 17)),
            )
        )
    return requests
