"""Running kernels on a machine that is otherwise idle: whole, extrapolated, or reused.

``exact`` plays every task.  ``fast`` is the same mechanism with three shortcuts: a kernel
whose waves of thread blocks repeat in time and traffic is played until they do, its
tail is played, and the waves between are counted; so are the iterations of loops that all
resident tasks are in; and work that meets the same conditions again is not played a second
time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np

from simulator.engine import layout
from simulator.engine.device import Device, Snapshot
from simulator.engine.program import Kernel
from simulator.system.stretches import (
    TRAFFIC_TOLERANCE,
    Mark,
    Row,
    Touched,
    alike_row,
    loops_of,
    touched_sectors,
)

FOREVER = 1 << 62
ERROR_LIMIT = 0.015
"""Share of a kernel's time by which leaving work out may be wrong, as estimated."""
WINDOWS = 128
"""In so many stretches, at most, a loop of the resident tasks is divided."""
PARTS = 4
"""Checkpoints in a stretch."""
ROWS = (64, 48, 32, 24, 16)
"""So many checkpoints in a row may stand for those that are left out."""
GROUPS, SHORT_GROUPS = (8, 4, 2), (8,)
"""The same for groups of resident tasks: with loops that are alike, each group is a mean over many
steps; groups without are short, alternate when two generations of resident tasks take turns, and
drift while what was written begins to leave the cache."""
MIN_GROUPS, MIN_SHORT_GROUPS = 5, 12
"""Of a kernel with fewer groups of resident tasks no task is left out."""
MANY_GROUPS = 16
"""After so many the cache counts as settled, however little moves."""
REFRESHES = 2
"""Refresh intervals of the memory, after which tasks no longer go through it in step, and again
so many that a row covers ..."""
SMOOTH = 8
"""... or so many whole stretches alone, if nothing scatters: then memory holds nobody up."""
SCATTER = 0.002
"""Share of a stretch's time by which the ends of such stretches lie apart at most."""
AGREEING = 2
"""So many stretches confirm what an earlier generation of tasks has shown."""
MIN_STEPS = 20
"""Of a shorter loop no iteration is left out."""
KEPT_STEPS = 4
"""Iterations of a loop that are played after some were left out."""


@dataclass(slots=True)
class KernelRun:
    """What one kernel did on the machine. Counters are those of the whole kernel."""

    name: str
    duration_fs: int
    activity: Snapshot
    dram_read: float
    dram_written: float
    hits: float
    misses: float
    simulated_share: float = 1.0
    error_estimate: float = 0.0
    started_fs: int = 0
    clock: float = 1.0
    """Share of the highest clock that the power cap leaves."""


@dataclass(slots=True)
class Runner:
    """Plays kernels one at a time on a device. ``cache_bytes`` is how much traffic it takes
    until the cache's replacement has settled."""

    device: Device
    cache_bytes: int
    exact: bool
    resources: dict[str, np.ndarray] = field(init=False)
    refresh_fs: int = field(init=False)
    """The longest refresh interval of the memories."""
    sector: int = field(init=False)
    """Bytes that a miss of the cache fetches; 0 without one."""

    def __post_init__(self) -> None:
        names = self.device.names
        agent = self.device.machine.agent
        self.resources = {
            name: agent[agent[:, layout.A_CLASS] == number][
                0, layout.A_LEFT_0 : layout.A_LEFT_0 + layout.RESOURCES
            ].copy()
            for name, number in names.classes.items()
        }
        self.refresh_fs = self.device.refresh_interval()
        self.sector = int(self.device.machine.component[:, layout.K_SECTOR].max())

    def resident(self, kernel: Kernel) -> int:
        """Tasks that run at the same time when the whole machine is theirs."""
        names = self.device.names
        room = [
            int(self.resources[kernel.agents][i]) // need
            for i, resource in enumerate(names.resources[kernel.agents])
            if (need := kernel.needs.get(resource, 0))
        ]
        return max(1, names.counts[kernel.agents] * min(room, default=1))

    def run(self, kernel: Kernel, at: int) -> KernelRun:
        """Play a kernel that starts at ``at``; nothing else is on the machine."""
        device = self.device
        device.refresh_until(at)
        before = device.snapshot()
        if self.exact:
            handle = device.launch(kernel, at)
            return _result(kernel, self._mark(handle, device.advance(FOREVER).time, before))
        return self._extrapolated(kernel, at, before)

    def _mark(self, handle: int, time: int, before: Snapshot, left_out: Mark | None = None) -> Mark:
        row = self.device.kernel_row(handle)
        played = Mark(
            time - int(row[layout.J_START]),
            int(row[layout.J_DRAM_READ]),
            int(row[layout.J_DRAM_WRITE]),
            int(row[layout.J_HITS]),
            int(row[layout.J_MISSES]),
            self.device.snapshot().since(before),
            int(row[layout.J_MISSES]) * self.sector,
            int(row[layout.J_STEPS]) / max(int(row[layout.J_STEP_CHECK]), 1),
        )
        return played if left_out is None else played.plus(left_out, 1)

    def _extrapolated(self, kernel: Kernel, at: int, before: Snapshot) -> KernelRun:
        device, resident = self.device, self.resident(kernel)
        group = -(-resident // kernel.period) * kernel.period
        steps, touched = self._windows(kernel, resident)
        enough, counts = (MIN_GROUPS, GROUPS) if steps else (MIN_SHORT_GROUPS, SHORT_GROUPS)
        by_groups = kernel.alike and kernel.count >= enough * group
        handle = device.launch(kernel, at, group if by_groups else 0, steps)
        left_out: Mark | None = None
        error = 0.0
        groups: list[Mark] = []
        windows: list[Mark] = []
        known: Row | None = None
        while (outcome := device.advance(FOREVER)).reason != "finished":
            by_tasks = outcome.reason == "checkpoint"
            marks = groups if by_tasks else windows
            marks.append(self._mark(handle, outcome.time, before, left_out))
            row = alike_row(marks, counts, 1) if by_tasks else self._steady(marks, known, touched)
            if row is None:
                continue
            if by_tasks:
                repeats: float = self._skip_tasks(handle, group, marks, row)
            elif row.error <= ERROR_LIMIT:
                repeats = device.skip_steps(handle, KEPT_STEPS) / steps
            else:
                continue
            if repeats > 0:
                times = repeats / row.count
                nothing = row.stretch.plus(row.stretch, -1)
                left_out = (left_out or nothing).plus(row.stretch, times)
                error += row.error * times * row.stretch.time
                windows.clear()
                known = known if by_tasks else row
        total = self._mark(handle, outcome.time, before, left_out)
        run = _result(kernel, total)
        if left_out is not None:
            run.simulated_share = 1 - left_out.time / total.time
            run.error_estimate = error / total.time
        return run

    def _windows(self, kernel: Kernel, group: int) -> tuple[int, Touched]:
        """Iterations of loops that are alike, over all resident tasks, from one checkpoint to
        the next, 0 if the loops are too short to leave some out; and how many sectors of the
        cache such a stretch of iterations touches, by its number."""
        loops, longest = loops_of(kernel)
        iterations = loops * min(group, kernel.count)
        steps = -(-longest // WINDOWS) * iterations // PARTS if longest >= MIN_STEPS else 0

        @cache
        def touched(window: int) -> float:
            iteration = window * steps // iterations % longest
            return (
                steps * touched_sectors(kernel, group, self.sector, iteration)
                if self.sector
                else 0.0
            )

        return steps, touched

    def _steady(self, windows: list[Mark], known: Row | None, touched: Touched) -> Row | None:
        """The last windows as a row of their own, or, if they repeat what an earlier generation
        of tasks has shown, together with it."""
        last = None if known is None else alike_row(windows, (AGREEING,), PARTS, touched)
        if known is not None and last is not None:
            per_window = known.stretch.time / known.count
            error = abs(last.stretch.time / last.count / per_window - 1)
            moved, before = (row.stretch.moved / row.count for row in (last, known))
            alike = abs(moved - before) <= TRAFFIC_TOLERANCE * max(moved, before)
            if alike and error <= ERROR_LIMIT:
                together = known.stretch.plus(last.stretch, 1)
                return Row(together, known.count + last.count, error, 0.0)
        smooth = alike_row(windows, (SMOOTH,), PARTS, touched)
        if smooth is not None and smooth.scatter <= SCATTER:
            return smooth
        settle = REFRESHES * self.refresh_fs
        settled = [
            count
            for count in ROWS
            if count < len(windows)
            and windows[-1 - count].time >= settle
            and windows[-1].time - windows[-1 - count].time >= settle
        ]
        return alike_row(windows, settled, 1, touched)

    def _skip_tasks(self, handle: int, group: int, groups: list[Mark], row: Row) -> int:
        """Leave out the groups that are neither played nor the tail; how many those are."""
        device, last = self.device, groups[-1]
        # Once the cache has filled, it takes as much again until what was written leaves steadily.
        settled = last.read + last.written >= 2 * self.cache_bytes or len(groups) > MANY_GROUPS
        tasks = device.kernel_row(handle)
        first = int(tasks[layout.J_NEXT])
        left = (int(tasks[layout.J_TASKS]) - first) // group - 1
        share = left * group / int(tasks[layout.J_TASKS])
        if not settled or left < 1 or row.error * share > ERROR_LIMIT:
            return 0
        device.skip(handle, first, first + left * group)
        device.stop_checks(handle)
        return left


def _result(kernel: Kernel, total: Mark) -> KernelRun:
    return KernelRun(
        kernel.name,
        round(total.time),
        total.snapshot,
        total.read,
        total.written,
        total.hits,
        total.misses,
    )
