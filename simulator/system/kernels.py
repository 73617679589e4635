"""Running kernels on a machine that is otherwise idle: whole, extrapolated, or reused.

``exact`` plays every task.  ``fast`` is the same mechanism with three shortcuts: a kernel
whose waves of thread blocks repeat in time and traffic is played until they do, its
tail is played, and the waves between are counted; so are the iterations of loops that all
resident tasks are in; and work that meets the same conditions again is not played a second
time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.engine import layout
from simulator.engine.device import Device, Snapshot
from simulator.engine.program import Coordinate, Kernel, Loop

FOREVER = 1 << 62
TIME_TOLERANCE = 0.02
"""Two rows of stretches (groups of tasks, steps of loops) are alike if their times differ by
less than this share ..."""
TRAFFIC_TOLERANCE = 0.05
"""... and their DRAM traffic by less than this share of the larger."""
ERROR_LIMIT = 0.015
"""Share of a kernel's time by which leaving work out may be wrong, as estimated."""
LIKE_GROUPS = 4
"""So many groups in a row, against as many before them; single ones may alternate, when two
generations of resident tasks take turns."""
MIN_GROUPS = 2 * LIKE_GROUPS + 4
"""Of a kernel with fewer groups of resident tasks no task is left out."""
WINDOWS = 64
"""So many checkpoints see a loop of the resident tasks, if it is as long ..."""
MIN_STEPS = 32
"""... and none if it is shorter."""
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


@dataclass(frozen=True, slots=True)
class _Mark:
    """Running totals of a kernel at a checkpoint, with what has been left out before."""

    time: float
    read: float
    written: float
    hits: float
    misses: float
    snapshot: Snapshot

    def since(self, earlier: _Mark) -> _Mark:
        return _Mark(
            self.time - earlier.time,
            self.read - earlier.read,
            self.written - earlier.written,
            self.hits - earlier.hits,
            self.misses - earlier.misses,
            self.snapshot.since(earlier.snapshot),
        )

    def plus(self, other: _Mark, times: float) -> _Mark:
        return _Mark(
            self.time + times * other.time,
            self.read + times * other.read,
            self.written + times * other.written,
            self.hits + times * other.hits,
            self.misses + times * other.misses,
            self.snapshot.plus(other.snapshot, times),
        )


@dataclass(slots=True)
class Runner:
    """Plays kernels one at a time on a device. ``cache_bytes`` is how much traffic it takes
    until the cache's replacement has settled."""

    device: Device
    cache_bytes: int
    exact: bool
    resources: dict[str, np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        names = self.device.names
        agent = self.device.machine.agent
        self.resources = {
            name: agent[agent[:, layout.A_CLASS] == number][
                0, layout.A_LEFT_0 : layout.A_LEFT_0 + layout.RESOURCES
            ].copy()
            for name, number in names.classes.items()
        }

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

    def _mark(
        self, handle: int, time: int, before: Snapshot, left_out: _Mark | None = None
    ) -> _Mark:
        row = self.device.kernel_row(handle)
        played = _Mark(
            time - int(row[layout.J_START]),
            int(row[layout.J_DRAM_READ]),
            int(row[layout.J_DRAM_WRITE]),
            int(row[layout.J_HITS]),
            int(row[layout.J_MISSES]),
            self.device.snapshot().since(before),
        )
        return played if left_out is None else played.plus(left_out, 1)

    def _extrapolated(self, kernel: Kernel, at: int, before: Snapshot) -> KernelRun:
        device, group = self.device, self.resident(kernel)
        by_groups = kernel.alike and kernel.count >= MIN_GROUPS * group
        steps = _step_window(kernel, group)
        handle = device.launch(kernel, at, group if by_groups else 0, steps)
        left_out: _Mark | None = None
        repeats, error = 0.0, 0.0
        groups: list[_Mark] = []
        windows: list[_Mark] = []
        while (outcome := device.advance(FOREVER)).reason != "finished":
            by_tasks = outcome.reason == "checkpoint"
            marks = groups if by_tasks else windows
            marks.append(self._mark(handle, outcome.time, before, left_out))
            spread = _spread(marks)
            if spread is None:
                continue
            if by_tasks:
                repeats = self._skip_tasks(handle, group, marks, spread)
            elif spread <= ERROR_LIMIT:
                repeats = device.skip_steps(handle, KEPT_STEPS) / steps
            else:
                continue
            if repeats > 0:
                stretch = marks[-1].since(marks[-1 - 2 * LIKE_GROUPS])
                repeats /= 2 * LIKE_GROUPS
                nothing = stretch.plus(stretch, -1)
                left_out = (left_out or nothing).plus(stretch, repeats)
                error += spread * repeats * stretch.time
                windows.clear()
        total = self._mark(handle, outcome.time, before, left_out)
        run = _result(kernel, total)
        if left_out is not None:
            run.simulated_share = 1 - left_out.time / total.time
            run.error_estimate = error / total.time
        return run

    def _skip_tasks(self, handle: int, group: int, groups: list[_Mark], spread: float) -> int:
        """Leave out the groups that are neither played nor the tail; how many those are."""
        device, last = self.device, groups[-1]
        # Once the cache has filled, it takes as much again until what was written leaves steadily.
        settled = last.read + last.written >= 2 * self.cache_bytes or len(groups) > 4 * LIKE_GROUPS
        row = device.kernel_row(handle)
        first = int(row[layout.J_NEXT])
        left = (int(row[layout.J_TASKS]) - first) // group - 1
        share = left * group / int(row[layout.J_TASKS])
        if not settled or left < 1 or spread * share > ERROR_LIMIT:
            return 0
        device.skip(handle, first, first + left * group)
        device.stop_checks(handle)
        return left


def _step_window(kernel: Kernel, group: int) -> int:
    """Iterations of loops that are alike, over all resident tasks, from one checkpoint to the
    next; 0 if the loops are too short to leave some out."""
    columns = kernel.tasks[:, 1:]
    loops, longest = 0, 0
    for number in np.unique(kernel.tasks[:, 0]):
        counts = []
        for thread in kernel.programs[number].threads:
            for step in thread:
                if isinstance(step, Loop) and step.alike:
                    count = step.count
                    if isinstance(count, Coordinate):
                        own = columns[kernel.tasks[:, 0] == number, count.number]
                        counts.append(int(own.max()) * count.scale)
                    else:
                        counts.append(count)
        loops, longest = max(loops, len(counts)), max([longest, *counts])
    iterations = loops * min(group, kernel.count)
    return max(longest // WINDOWS, 1) * iterations if longest >= MIN_STEPS else 0


def _spread(marks: list[_Mark]) -> float | None:
    """If the last row of stretches and the one before it are alike: how far their mean time may
    be off, relative to it, by their difference and by the scatter of single ones. Else None."""
    if len(marks) <= 2 * LIKE_GROUPS:
        return None
    before, middle, last = marks[-1 - 2 * LIKE_GROUPS], marks[-1 - LIKE_GROUPS], marks[-1]
    times = (middle.time - before.time, last.time - middle.time)
    traffic = (
        middle.read + middle.written - before.read - before.written,
        last.read + last.written - middle.read - middle.written,
    )
    if min(times) <= 0:
        return None
    spread = 2 * abs(times[1] - times[0]) / sum(times)
    uneven = abs(traffic[1] - traffic[0]) > TRAFFIC_TOLERANCE * max(traffic)
    if spread > TIME_TOLERANCE or uneven:
        return None
    single = np.diff([mark.time for mark in marks[-1 - 2 * LIKE_GROUPS :]])
    return spread + float(single.std() / single.mean() / np.sqrt(len(single)))


def _result(kernel: Kernel, total: _Mark) -> KernelRun:
    return KernelRun(
        kernel.name,
        round(total.time),
        total.snapshot,
        total.read,
        total.written,
        total.hits,
        total.misses,
    )
