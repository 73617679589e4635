"""One run: host, streams and device over a plan, to a :class:`RunRecord`.

The host dispatches operators in program order, eagerly (a cost per operator, so that
small kernels can be dispatch-bound) or as one captured graph; ``queued`` leaves the host
out.  Each stream starts its kernels in order once their dependencies are met.  Host,
streams and device are SimPy processes; time is integer femtoseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, fields
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
import simpy

from simulator.engine.device import Device, Snapshot
from simulator.engine.platform import EnergyRates, Platform
from simulator.memory.controller import layout
from simulator.memory.pool import D_TICK_FS
from simulator.power.accounting import add_energy, at_clock, dynamic_energy, over, static_power
from simulator.system.kernels import KernelRun, Runner
from simulator.system.limiter import limit
from simulator.system.plan import Item, Plan
from simulator.system.records import HostSpan, KernelRecord
from simulator.system.server import Job, Server
from simulator.trace.work import Operand, Work

FEMTO = 10**15
LAUNCHES = ("eager", "graph", "queued")
FIDELITIES = ("fast", "exact")
NEGLIGIBLE = 1 / 1000
"""Share of a kernel's bytes that may be forgotten when kernels are compared."""

Progress = Callable[[int, int], None]
"""Called with (operators done, operators)."""


@dataclass(slots=True)
class Outcome:
    """What a run produced, before it is put into a record."""

    kernels: list[KernelRecord]
    host: list[HostSpan]
    latency_fs: int
    bound_fs: int
    bound_by: str
    energy_j: dict[str, float]


def execute(
    plan: Plan,
    platform: Platform,
    launch: str = "graph",
    fidelity: str = "fast",
    progress: Progress | None = None,
    clock: str = "sustained",
) -> Outcome:
    """Run a plan on a fresh machine."""
    return _Run(plan, platform, launch, fidelity == "exact", progress, clock).execute()


class _Run:
    def __init__(
        self,
        plan: Plan,
        platform: Platform,
        launch: str,
        exact: bool,
        progress: Progress | None,
        clock: str,
    ) -> None:
        self.plan = plan
        self.platform = platform
        self.launch = launch
        self.exact = exact
        self.progress = progress
        self.env = simpy.Environment(initial_time=0)
        device = Device(platform.assemble(exact))
        cache_bytes = platform.cache_bytes if platform.cache else 0
        self.concurrent = len(plan.streams) > 1
        self.gap_fs = round(platform.gap_s("eager" if launch == "eager" else "graph") * FEMTO)
        self.server = Server(
            self.env,
            device,
            Runner(device, cache_bytes, exact),
            platform.cache,
            cache_bytes,
            platform.kernels,
            plan.address,
            self.concurrent,
            self.gap_fs,
            partial(limit, platform, device, clock),
        )
        self.device = device
        self.done = [self.env.event() for _ in plan.items]
        self.issued_fs = [0] * len(plan.items)
        self.host: list[HostSpan] = []
        self.jobs: dict[int, Job] = {}
        self.usages: dict[int, tuple[dict[str, float], dict[str, int]]] = {}
        self.finished = 0
        dram = device.machine.dram
        self.tick_fs = int(dram.clock[0, D_TICK_FS])
        self.dram_settings = layout.Settings(*dram.settings[0].tolist())
        refreshes = layout.Sizes(*dram.sizes[0].tolist()).refresh != layout.NO_REFRESH
        interval = self.dram_settings.refresh_interval * self.tick_fs / FEMTO
        self.refresh_interval_s = interval if refreshes else 0.0

    def execute(self) -> Outcome:
        env = self.env
        queues = {stream: simpy.Store(env) for stream in self.plan.streams}
        if self.concurrent:
            env.process(self.server.process())
        streams = [env.process(self._stream(stream, queues[stream])) for stream in queues]
        env.process(self._host(queues))
        env.run(until=simpy.AllOf(env, streams))
        latency = max((job.end_fs for job in self.jobs.values()), default=0)
        latency = max(latency, max((span.end_fs for span in self.host), default=0))
        return self._outcome(latency)

    # ------------------------------------------------------------------------ processes

    def _host(self, queues: dict[int, simpy.Store]) -> Generator[simpy.Event, Any, None]:
        env, costs = self.env, self.platform.host
        if self.launch == "graph":
            yield from self._busy("graph launch", costs.graph_launch)
        for item in self.plan.items:
            if self.launch == "eager":
                if item.is_host_only:
                    yield from self._busy(item.operator.name, costs.view_cost)
                else:
                    yield from self._busy(
                        item.operator.name, costs.operator_cost + costs.launch_cost
                    )
                if item.needs_host:
                    for waited in item.waits_for:
                        yield self.done[waited]
            self.issued_fs[item.index] = int(env.now)
            queues[item.operator.stream].put(item)
        for queue in queues.values():
            queue.put(None)

    def _busy(self, name: str, seconds: float) -> Generator[simpy.Event, Any, None]:
        start = int(self.env.now)
        yield self.env.timeout(round(seconds * FEMTO))
        self.host.append(HostSpan(name, start, int(self.env.now)))

    def _stream(self, stream: int, queue: simpy.Store) -> Generator[simpy.Event, Any, None]:
        env = self.env
        while (item := (yield queue.get())) is not None:
            for waited in item.waits_for:
                if not self.done[waited].processed:
                    yield self.done[waited]
            if not item.is_host_only:
                yield env.timeout(self.gap_fs)
                bound_fs = 0 if item.approximated else int(item.bound.seconds * FEMTO)
                job = Job(item.work, bound_fs, self._key(item), env.event())
                self.jobs[item.index] = job
                if self.concurrent:
                    yield from self.server.run_shared(job)
                else:
                    yield from self.server.run_alone(job)
            self.done[item.index].succeed()
            self.finished += 1
            if self.progress is not None:
                self.progress(self.finished, len(self.plan.items))

    def _key(self, item: Item) -> Hashable | None:
        """Equal for works that are alike and meet a cache in the same state."""
        if self.exact or self.concurrent:
            return None
        cache_bytes = self.platform.cache_bytes if self.platform.cache else 0
        state, work = item.warmth, item.work
        # What a small operand leaves to be written back does not show in the kernel's time.
        small = (work.bytes_read + work.bytes_written) * NEGLIGIBLE
        dirty = tuple(
            was and operand.bytes > small
            for was, operand in zip(state.dirty, (*work.reads, *work.writes), strict=True)
        )
        return (
            likeness(work),
            state.classes(cache_bytes),
            state.first_touch_bytes,
            dirty if cache_bytes else (),
        )

    # --------------------------------------------------------------------------- records

    def _outcome(self, latency_fs: int) -> Outcome:
        records: list[KernelRecord] = []
        energy: dict[str, float] = {}
        energies: dict[int, dict[str, float]] = {}
        busy_union = _union([(job.start_fs, job.end_fs) for job in self.jobs.values()])
        for index in sorted(self.jobs):
            item, job = self.plan.items[index], self.jobs[index]
            start = job.start_fs
            total = sum(run.duration_fs for run in job.runs)
            for number, run in enumerate(job.runs):
                if self.concurrent:
                    start = run.started_fs
                known = energies.get(id(run))
                if known is None or number:
                    known = self._kernel_energy(item, run, number)
                    energies[id(run)] = known
                share = run.duration_fs / total if total else 0.0
                records.append(self._record(item, job, run, number, start, known, share))
                add_energy(energy, known)
                start += run.duration_fs + self.gap_fs
        idle = static_power(self.platform.energy_rates(None), self.refresh_interval_s)
        if self.concurrent:
            running = static_power(self._rates_while_running(), self.refresh_interval_s)
            add_energy(energy, over(running, busy_union))
            add_energy(energy, over(idle, latency_fs - busy_union))
        else:
            kernel_time = sum(record.duration_fs for record in records)
            add_energy(energy, over(idle, latency_fs - kernel_time))
        bound_fs, bound_by = self._bound()
        return Outcome(records, self.host, latency_fs, bound_fs, bound_by, energy)

    def _rates_while_running(self) -> EnergyRates:
        work = next((item.work for item in self.plan.items if not item.is_host_only), None)
        return self.platform.energy_rates(work)

    def _kernel_energy(self, item: Item, run: KernelRun, number: int) -> dict[str, float]:
        rates = self.platform.energy_rates(item.work)
        operations = item.work.operations if number == 0 else {}
        energy = dynamic_energy(rates, run.activity, self.device.names.owners, operations)
        energy = at_clock(rates, energy, run.clock)
        if not self.concurrent:
            static = at_clock(rates, static_power(rates, self.refresh_interval_s), run.clock)
            add_energy(energy, over(static, run.duration_fs))
        return energy

    def _record(
        self,
        item: Item,
        job: Job,
        run: KernelRun,
        number: int,
        start: int,
        energy: dict[str, float],
        share: float,
    ) -> KernelRecord:
        """``share`` is this kernel's part of the work's time: the bound holds for the sum."""
        first = number == 0
        operator = item.operator
        counters, busy = self.usages.get(id(run)) or self._usage(run)
        return KernelRecord(
            index=item.index,
            name=run.name,
            operator=operator.name,
            kind=item.work.kind,
            module=operator.module,
            phase=operator.phase,
            stream=operator.stream,
            issued_fs=self.issued_fs[item.index],
            start_fs=start,
            end_fs=start + run.duration_fs,
            bound_fs=0 if item.approximated else int(item.bound.seconds * FEMTO * share),
            bound_by=item.bound.name,
            operations=item.work.operations if first else {},
            bytes_compulsory=item.work.bytes_read + item.work.bytes_written if first else 0,
            dram_bytes_read=round(run.dram_read),
            dram_bytes_written=round(run.dram_written),
            counters=counters,
            busy_fs=busy,
            energy_j=energy,
            simulated_share=run.simulated_share,
            error_estimate=run.error_estimate,
            reused=job.reused,
            approximated=item.approximated,
        )

    def _usage(self, run: KernelRun) -> tuple[dict[str, float], dict[str, int]]:
        """Counters and busy times of a kernel, which all that reuse it share."""
        counted = run.activity.dram

        def issued(*commands: int) -> float:
            return sum(counted(layout.N_COMMAND + command) for command in commands)

        misses = counted(layout.N_MISS)
        accesses = issued(layout.RD, layout.WR, layout.MACAB, layout.WRAB)
        counters: dict[str, float] = {
            "cache_hits": run.hits,
            "cache_misses": run.misses,
            "activates": counted(layout.N_OPENED),
            "row_hits": max(accesses - misses, 0.0),
            "row_misses": misses,
            "refreshes": issued(layout.REFAB, layout.REFPB),
            "macros": counted(layout.N_MACROS),
        }
        usage = counters, self._busy_fs(run.activity)
        self.usages[id(run)] = usage
        return usage

    def _busy_fs(self, activity: Snapshot) -> dict[str, int]:
        owners = np.asarray(self.device.names.owners)
        busy: dict[str, int] = {}
        for part in self.platform.parts():
            if part.component in ("dram", "macro"):
                total = self._dram_busy_fs(activity, lockstep=part.component == "macro")
            else:
                total = activity.busy[owners == part.component].sum()
            busy[part.name] = int(total / part.instances)
        return busy

    def _dram_busy_fs(self, activity: Snapshot, lockstep: bool) -> float:
        """Time of lockstep columns, or of data on the pins, over all channels."""
        settings = self.dram_settings
        if lockstep:
            columns = (layout.MACAB, layout.WRAB)
            issued = sum(activity.dram(layout.N_COMMAND + column) for column in columns)
            ticks = issued * settings.macro_interval
        else:
            accesses = sum(activity.dram(layout.N_COMMAND + c) for c in (layout.RD, layout.WR))
            buffered = activity.dram(layout.N_COMMAND + layout.BUF)
            ticks = accesses * settings.burst + buffered * settings.buffer_interval
        return ticks * self.tick_fs

    def _bound(self) -> tuple[int, str]:
        """No schedule of these streams can be shorter: kernels of a stream run one after
        another, and a captured graph or the host must launch them."""
        causes: dict[str, float] = {}
        longest, cause = 0.0, "launch"
        for stream in self.plan.streams:
            parts: dict[str, float] = {}
            for item in self.plan.items:
                if item.operator.stream != stream or item.is_host_only:
                    continue
                if not item.approximated:
                    name = item.bound.name
                    parts[name] = parts.get(name, 0.0) + item.bound.seconds
                parts["launch"] = parts.get("launch", 0.0) + self.gap_fs / FEMTO
            total = sum(parts.values())
            if total >= longest and parts:
                longest, causes = total, parts
                cause = max(causes, key=lambda name: causes[name])
        host = sum(span.end_fs - span.start_fs for span in self.host) / FEMTO
        if host > longest:
            longest, cause = host, "launch"
        return int(longest * FEMTO * (1 - 1e-12)), cause


def _union(spans: list[tuple[int, int]]) -> int:
    """Length of the union of time spans."""
    total, reach = 0, 0
    for start, end in sorted(spans):
        start = max(start, reach)
        if end > start:
            total += end - start
            reach = end
    return total


def likeness(work: Work) -> Hashable:
    """Everything about a work that a machine can notice, addresses apart."""
    shape: list[Hashable] = [work.kind]
    for field in fields(work):
        value = getattr(work, field.name)
        if isinstance(value, np.ndarray):
            shape.append((value.shape, sha256(value.tobytes()).digest()))
        elif field.name in ("reads", "writes"):
            shape.append(tuple(_operand_likeness(operand) for operand in value))
        else:
            shape.append(value)
    shape.append(_aliases((*work.reads, *work.writes)))
    return tuple(shape)


def _aliases(operands: tuple[Operand, ...]) -> Hashable:
    """Which operands share a storage, and how far apart they lie in it."""
    first: dict[int, tuple[int, int]] = {}
    places = []
    for operand in operands:
        number, offset = first.setdefault(operand.storage, (len(first), operand.offset))
        places.append((number, operand.offset - offset))
    return tuple(places)


def _operand_likeness(operand: Operand) -> Hashable:
    return (operand.bytes, operand.span, operand.bits, operand.dtype, operand.role)
