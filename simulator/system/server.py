"""The device as a SimPy process: kernels in, completion events out.

Alone on the machine, a kernel is played to its end (or extrapolated, or reused: see
:mod:`simulator.system.kernels`).  When several streams may have kernels in flight, the
process lets the machine run only until SimPy's next event, so that nothing is
simulated past a point at which somebody could still give the device work; kernels
then share its ports, cache and banks event by event.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field
from typing import Any

import simpy

from simulator.engine import layout
from simulator.engine.device import Device, Snapshot
from simulator.engine.program import Kernel
from simulator.system.kernels import FOREVER, KernelRun, Runner
from simulator.system.stretches import TIME_TOLERANCE
from simulator.trace.work import Operand, Work


@dataclass(slots=True)
class Job:
    """One work's kernels, to be run in order."""

    work: Work
    bound_fs: int
    key: Hashable | None
    """Equal keys behave alike; None is never reused."""
    done: simpy.Event
    start_fs: int = 0
    end_fs: int = 0
    runs: list[KernelRun] = field(default_factory=list)
    reused: bool = False


@dataclass(slots=True)
class Server:
    """Serves jobs on one device. ``kernels_of`` maps a job's work when it must be played."""

    env: simpy.Environment
    device: Device
    runner: Runner
    cache: str | None
    cache_bytes: int
    kernels_of: Any
    address: Any
    concurrent: bool
    gap_fs: int
    limit: Callable[[Work, KernelRun, bool], None]
    """Stretches a kernel that draws more than the board may; the last argument tells the first
    kernel of a work."""
    memory: dict[Hashable, list[KernelRun]] = field(default_factory=dict)
    stale: bool = False
    """The machine's cache lacks what was not played, but reused or extrapolated, would have left
    there."""
    history: list[tuple[Operand, bool]] = field(default_factory=list)
    _work: simpy.Event | None = None
    _active: dict[int, tuple[simpy.Event, list[Any]]] = field(default_factory=dict)
    _last: Snapshot | None = None

    # ------------------------------------------------------------------ one job at a time

    def run_alone(self, job: Job) -> Generator[simpy.Event, Any, None]:
        """Play or reuse a job's kernels while nothing else is on the machine."""
        env = self.env
        job.start_fs = int(env.now)
        runs = self.memory.get(job.key) if job.key is not None else None
        if runs is not None and sum(run.duration_fs for run in runs) >= job.bound_fs:
            job.reused = True
            job.runs = runs
            self.stale = True
        else:
            if self.stale:
                self._restore(job)
            at = int(env.now)
            for kernel in self.kernels_of(job.work, self.address):
                job.runs.append(self.runner.run(kernel, at))
                self.limit(job.work, job.runs[-1], len(job.runs) == 1)
                at = self.device.now + self.gap_fs
            self.stale = any(run.simulated_share < 1 for run in job.runs)
            _hold_to_bound(job)
            if job.key is not None:
                self.memory[job.key] = job.runs
        self._remember(job)
        duration = sum(run.duration_fs for run in job.runs)
        duration += self.gap_fs * max(0, len(job.runs) - 1)
        yield env.timeout(duration)
        job.end_fs = int(env.now)
        job.done.succeed()

    def _remember(self, job: Job) -> None:
        self.history.extend((operand, False) for operand in job.work.reads)
        self.history.extend((operand, True) for operand in job.work.writes)
        if len(self.history) > 4096:
            del self.history[:-2048]

    def _restore(self, job: Job) -> None:
        """Bring the cache to what the skipped kernels would have left: their operands,
        most recent last, as far as the cache reaches."""
        self.stale = False
        if self.cache is None:
            return
        budget = self.cache_bytes
        recent: list[tuple[Operand, bool]] = []
        seen: set[tuple[int, int]] = set()
        for operand, written in reversed(self.history):
            place = (operand.storage, operand.offset)
            if place in seen or not operand.bytes:
                continue
            seen.add(place)
            budget -= operand.bytes
            recent.append((operand, written))
            if budget <= 0:
                break
        for operand, written in reversed(recent):
            size = min(operand.bytes, self.cache_bytes)
            # Of an operand larger than the cache, its end was touched last.
            start = self.address(operand) + operand.bytes - size
            self.device.install(self.cache, start, size, written)

    # -------------------------------------------------------------- several jobs in flight

    def run_shared(self, job: Job) -> Generator[simpy.Event, Any, None]:
        """Play a job's kernels beside those of other streams."""
        env = self.env
        job.start_fs = int(env.now)
        for number, kernel in enumerate(self.kernels_of(job.work, self.address)):
            if number:
                yield env.timeout(self.gap_fs)
            run = yield from self._shared_kernel(kernel)
            job.runs.append(run)
        job.end_fs = int(env.now)
        job.done.succeed()

    def _shared_kernel(self, kernel: Kernel) -> Generator[simpy.Event, Any, KernelRun]:
        self._account()
        handle = self.device.launch(kernel, int(self.env.now))
        finished = self.env.event()
        shares: list[Any] = []
        self._active[handle] = (finished, shares)
        if self._work is not None and not self._work.triggered:
            self._work.succeed()
        row, activity = yield finished
        start = int(row[layout.J_START])
        return KernelRun(
            kernel.name,
            int(self.env.now) - start,
            activity,
            float(row[layout.J_DRAM_READ]),
            float(row[layout.J_DRAM_WRITE]),
            float(row[layout.J_HITS]),
            float(row[layout.J_MISSES]),
            started_fs=start,
        )

    def _account(self) -> None:
        """Share what happened since the last start or end among the kernels in flight."""
        now = self.device.snapshot()
        if self._last is not None and self._active:
            delta = now.since(self._last)
            for _, shares in self._active.values():
                shares.append((delta, 1 / len(self._active)))
        self._last = now

    def process(self) -> Generator[simpy.Event, Any, None]:
        """Advance the machine between SimPy's events, as long as kernels are in flight."""
        env = self.env
        while True:
            if not self._active:
                self._work = env.event()
                yield self._work
                self._work = None
            peek = env.peek()
            until = FOREVER if peek == simpy.core.Infinity else int(peek)
            outcome = self.device.advance(until)
            if outcome.reason == "finished":
                yield env.timeout(outcome.time - int(env.now))
                self._account()
                finished, shares = self._active.pop(outcome.handle)
                row = self.device.kernel_row(outcome.handle)
                activity = shares[0][0].since(shares[0][0])
                for delta, part in shares:
                    activity = activity.plus(delta, part)
                finished.succeed((row, activity))
                yield env.timeout(0)
            else:
                yield env.timeout(max(until - int(env.now), 0))


def _hold_to_bound(job: Job) -> None:
    """Extrapolation has an error, a bound has none: lift an extrapolated time that falls
    short of it, and count the difference as error. What was played whole stays as it is,
    so that a real violation is found."""
    short = job.bound_fs - sum(run.duration_fs for run in job.runs)
    extrapolated = [run for run in job.runs if run.simulated_share < 1]
    if short <= 0 or not extrapolated or short > TIME_TOLERANCE * job.bound_fs:
        return
    run = max(extrapolated, key=lambda run: run.duration_fs)
    run.error_estimate += short / run.duration_fs
    run.duration_fs += short
