"""A machine in use: kernels in, completions out.

:class:`Device` owns the tables of one machine, places kernels into them and calls the
compiled core.  It knows time and kernels, not operators and not what kind of device
it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simulator.engine import layout, stall
from simulator.engine.assembly import Assembly
from simulator.engine.core import advance
from simulator.engine.layout import Machine
from simulator.engine.program import Kernel, assemble
from simulator.engine.queue import push
from simulator.engine.stall import Launched
from simulator.errors import suggest
from simulator.memory import cache as cache_state
from simulator.memory.controller.kernel import RUN
from simulator.memory.controller.layout import (
    COUNTER_COLUMNS,
    COUNTERS,
    NO_REFRESH,
    Settings,
    Sizes,
)
from simulator.memory.pool import D_CHANNELS, D_TICK_FS, NEVER

_TABLE_FULL = {
    layout.HEAP_FULL: "events",
    layout.TRANSACTIONS_FULL: "transactions",
    layout.WAITERS_FULL: "waiters",
    layout.REQUESTS_FULL: "DRAM requests",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """Why :meth:`Device.advance` came back: ``finished``, ``checkpoint`` (of tasks) or
    ``stepped`` (a checkpoint of steps) of kernel ``handle``, ``reached`` the time it was given,
    or ``idle``; and the time it is."""

    reason: str
    handle: int
    time: int


_REASONS = {
    layout.REACHED: "reached",
    layout.FINISHED: "finished",
    layout.CHECKPOINT: "checkpoint",
    layout.STEPPED: "stepped",
    layout.IDLE: "idle",
}


@dataclass(slots=True)
class Snapshot:
    """Running totals of a machine, to be subtracted from later ones."""

    busy: np.ndarray
    units: np.ndarray
    hits: float
    misses: float
    channel: np.ndarray

    def dram(self, column: int) -> float:
        """A counter of the DRAM controllers (``N_*`` of their layout), over all channels."""
        return float(self.channel[:, column - COUNTERS].sum())

    def over_channels(self) -> Snapshot:
        """The same with one row of channel counters, their sum."""
        return replace(self, channel=self.channel.sum(axis=0, keepdims=True))

    def since(self, earlier: Snapshot) -> Snapshot:
        return Snapshot(
            self.busy - earlier.busy,
            self.units - earlier.units,
            self.hits - earlier.hits,
            self.misses - earlier.misses,
            self.channel - earlier.channel,
        )

    def plus(self, other: Snapshot, times: float = 1.0) -> Snapshot:
        """The sum with a multiple of another difference; numbers become floats."""
        return Snapshot(
            self.busy + times * other.busy,
            self.units + times * other.units,
            self.hits + times * other.hits,
            self.misses + times * other.misses,
            self.channel + times * other.channel,
        )


class Device:
    """One device's machine and the kernels on it. Times are femtoseconds."""

    def __init__(self, assembly: Assembly, **pools: int) -> None:
        self.machine: Machine
        self.machine, self.names = assembly.build(**pools)
        self._running: dict[int, Launched] = {}
        self._used = dict.fromkeys(("task", "program", "operation", "pattern", "index"), 0)

    @property
    def now(self) -> int:
        return int(self.machine.header[layout.H_NOW])

    @property
    def events(self) -> int:
        return int(self.machine.header[layout.H_EVENTS])

    def launch(self, kernel: Kernel, at: int, check: int = 0, check_steps: int = 0) -> int:
        """Start a kernel at time ``at``; returns its handle.

        ``check`` makes :meth:`advance` return every so many finished tasks, ``check_steps``
        every so many iterations of loops that are alike.
        """
        if not self._running:
            self._used = dict.fromkeys(self._used, 0)
        used = self._used
        names = self.names
        _validate(kernel, names.resources[kernel.agents])
        tables = assemble(
            kernel.programs,
            names.local[kernel.agents],
            names.shared,
            used["operation"],
            used["pattern"],
            used["index"],
        )
        tasks = np.zeros((kernel.count, layout.TASK_COLUMNS), dtype=np.int64)
        tasks[:, : kernel.tasks.shape[1]] = kernel.tasks
        tasks[:, 0] += used["program"]
        first_task = used["task"]
        launched = Launched(kernel, used["program"], tables.loop)
        self._append("task", tasks)
        self._append("program", tables.program)
        self._append("operation", tables.operation)
        self._append("pattern", tables.pattern)
        self._append("index", tables.index)

        rows = self.machine.kernel
        free = np.flatnonzero(
            (rows[:, layout.J_STATE] == layout.J_EMPTY)
            | (rows[:, layout.J_STATE] == layout.J_FINISHED)
        )
        if not len(free):
            self._resize("kernel", 2 * len(rows))
        handle = int(free[0]) if len(free) else len(rows)
        self._start(kernel, handle, first_task, at)
        row = self.machine.kernel[handle]
        row[layout.J_CHECK], row[layout.J_STEP_CHECK] = check, check_steps
        self._running[handle] = launched
        return handle

    def _start(self, kernel: Kernel, handle: int, first_task: int, at: int) -> None:
        row = self.machine.kernel[handle]
        row[:] = 0
        row[layout.J_CLASS] = self.names.classes[kernel.agents]
        row[layout.J_FIRST_TASK] = first_task
        row[layout.J_TASKS] = kernel.count
        row[layout.J_STATE] = layout.J_WAITING
        row[layout.J_INTERVAL], row[layout.J_RAMP] = kernel.interval, kernel.ramp
        row[layout.J_WAIT_HEAD] = -1
        for number, resource in enumerate(self.names.resources[kernel.agents]):
            row[layout.J_NEED_0 + number] = kernel.needs.get(resource, 0)
        self.machine.header[layout.H_RUNNING] += 1
        begin = max(at, self.now) + kernel.ramp
        push(self.machine.header, self.machine.heap, begin, layout.E_KERNEL, handle)

    def skip(self, handle: int, first: int, stop: int) -> None:
        """Leave out tasks ``first`` to before ``stop`` of a running kernel (none of them
        may have started); they count as done, at no time."""
        row = self.machine.kernel[handle]
        if first < row[layout.J_NEXT] or stop > row[layout.J_TASKS]:
            raise ValueError("only tasks that have not started can be skipped")
        if first == row[layout.J_NEXT]:
            row[layout.J_NEXT] = stop
        row[layout.J_SKIP_FROM] = first
        row[layout.J_SKIP_TO] = stop

    def skip_steps(self, handle: int, keep: int) -> int:
        """Move every loop of a running kernel whose iterations are alike as many iterations on
        as leaves ``keep`` in each; returns how many iterations that left out, over all threads.

        None are left out unless all such loops of all resident tasks are at work and the loops
        keep their distances.
        """
        machine = self.machine
        thread, begin, repeat = self._loops(handle)
        looping = repeat >= 0
        thread, begin, repeat = thread[looping], begin[looping], repeat[looping]
        place = machine.thread[thread, layout.X_PC]
        if not len(thread) or not ((begin <= place) & (place <= repeat)).all():
            return 0
        operation = machine.operation[repeat]
        amount = operation[:, layout.OP_AMOUNT]
        own = layout.S_COORDINATE + np.maximum(-1 - amount, 0)
        count = np.where(amount >= 0, amount, machine.slot[thread // layout.THREADS, own])
        left = count * operation[:, layout.OP_SCALE] - 1 - machine.thread[thread, layout.X_LOOP]
        steps = int(left.min()) - keep
        if steps <= 0:
            return 0
        machine.thread[thread, layout.X_LOOP] += steps
        return steps * len(thread)

    def _loops(self, handle: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of a running kernel's resident tasks, each (task, thread): number of the thread, first
        and last operation of its loop whose iterations are alike, -1 if it has none."""
        machine, launched = self.machine, self._running[handle]
        slots = np.flatnonzero(
            (machine.slot[:, layout.S_KERNEL] == handle) & (machine.slot[:, layout.S_LIVE] > 0)
        )
        programs = machine.task[machine.slot[slots, layout.S_TASK], 0] - launched.first_program
        begin, repeat = np.moveaxis(launched.loops[programs], -1, 0)
        return slots[:, None] * layout.THREADS + np.arange(layout.THREADS), begin, repeat

    def stop_checks(self, handle: int) -> None:
        self.machine.kernel[handle, layout.J_CHECK] = 0

    def advance(self, until: int) -> Outcome:
        """Play up to ``until`` or the next completion, whichever is first. A machine that
        stands still while kernels run is a faulty program: RuntimeError says where."""
        code = int(advance(self.machine, RUN, until))
        if code == layout.FAILED:
            table = _TABLE_FULL[int(self.machine.header[layout.H_ERROR])]
            raise RuntimeError(f"the machine's table of {table} is full")
        if code == layout.IDLE and self._running:
            raise RuntimeError(stall.reason(self.machine, self.names, self._running))
        handle = int(self.machine.header[layout.H_STOPPED_KERNEL])
        if code == layout.FINISHED:
            del self._running[handle]
        return Outcome(_REASONS[code], handle, self.now)

    def refresh_until(self, time: int) -> None:
        """Let idle channels perform the refreshes due before ``time``, so that they are not
        counted to the kernel that starts then."""
        header, heap, dram = self.machine.header, self.machine.heap, self.machine.dram
        for channel in np.flatnonzero(dram.wake == NEVER):
            dram.wake[channel] = time
            push(header, heap, time, layout.E_WAKE, channel)
        advance(self.machine, RUN, time)

    def kernel_row(self, handle: int) -> np.ndarray:
        """The kernel's counters (columns ``J_*`` of :mod:`simulator.engine.layout`)."""
        return self.machine.kernel[handle].copy()

    def snapshot(self) -> Snapshot:
        component = self.machine.component
        return Snapshot(
            component[:, layout.K_BUSY].copy(),
            component[:, layout.K_UNITS].copy(),
            int(component[:, layout.K_HITS].sum()),
            int(component[:, layout.K_MISSES].sum()),
            self.dram_counters(),
        )

    def dram_counters(self) -> np.ndarray:
        """(channel, counter): the controller's ``N_*`` columns, from ``COUNTERS`` on."""
        dram = self.machine.dram
        return np.concatenate(
            [
                dram.channel[memory, : dram.clock[memory, D_CHANNELS], COUNTERS:COUNTER_COLUMNS]
                for memory in range(len(dram.clock))
            ]
        )

    def refresh_interval(self) -> int:
        """Femtoseconds in which every bank is refreshed once, the longest of all memories; 0
        without refresh."""
        dram = self.machine.dram
        number = Settings._fields.index("refresh_interval")
        refreshes = dram.sizes[:, Sizes._fields.index("refresh")] != NO_REFRESH
        intervals = dram.settings[:, number] * dram.clock[:, D_TICK_FS]
        return int(intervals[refreshes].max(initial=0))

    def install(self, cache: str, address: int, size: int, dirty: bool) -> None:
        """Put a byte range into a cache without traffic: the state that work which was
        reused instead of simulated would have left."""
        row = self.machine.component[self.names.shared[cache]]
        line = int(row[layout.K_LINE])
        cache_state.install(
            self.machine.cache,
            row[layout.K_FIRST_LINE],
            row[layout.K_SETS],
            row[layout.K_WAYS],
            np.int64(address // line),
            np.int64(-(-(address + size) // line)),
            dirty,
        )

    def _append(self, table: str, rows: np.ndarray) -> None:
        used = self._used[table]
        need = used + len(rows)
        if need > len(getattr(self.machine, table)):
            self._resize(table, max(need, 2 * len(getattr(self.machine, table))))
        getattr(self.machine, table)[used:need] = rows
        self._used[table] = need

    def _resize(self, table: str, length: int) -> None:
        old = getattr(self.machine, table)
        new = np.zeros((length, *old.shape[1:]), dtype=old.dtype)
        new[: len(old)] = old
        replaced: dict[str, Any] = {table: new}
        self.machine = self.machine._replace(**replaced)


def _validate(kernel: Kernel, resources: tuple[str, ...]) -> None:
    """Refuse what the core would play as something else, or never end."""
    if not kernel.count:
        raise ValueError(f"kernel '{kernel.name}' has no tasks; leave it out")
    if not 0 <= kernel.tasks[:, 0].min() <= kernel.tasks[:, 0].max() < len(kernel.programs):
        raise ValueError(
            f"kernel '{kernel.name}': a task names a program other than 0 to "
            f"{len(kernel.programs) - 1}"
        )
    for resource in kernel.needs:
        if resource not in resources:
            raise ValueError(
                f"kernel '{kernel.name}' needs '{resource}', which no '{kernel.agents}' has; "
                f"{suggest(resource, resources)}"
            )
