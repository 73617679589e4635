"""Running kernels on a machine that is otherwise idle: whole, extrapolated, or reused.

``exact`` plays every task.  ``fast`` is the same mechanism with two shortcuts: a kernel
whose waves of thread blocks repeat in time and traffic is played until they do, its
tail is played, and the waves between are counted; and work that meets the same
conditions again is not played a second time.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.engine import layout
from simulator.engine.device import Device, Snapshot
from simulator.engine.program import Kernel

FOREVER = 1 << 62
TIME_TOLERANCE = 0.02
"""Two rows of groups are alike if their times differ by less than this share ..."""
TRAFFIC_TOLERANCE = 0.05
"""... and their DRAM traffic by less than this share of the larger."""
LIKE_GROUPS = 4
"""So many groups in a row, against as many before them; single ones may alternate, when two
generations of resident tasks take turns."""
MIN_GROUPS = 2 * LIKE_GROUPS + 4
"""A kernel with fewer groups of resident tasks is always played whole."""


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


@dataclass(slots=True)
class _Group:
    """Running totals when a group of tasks had ended."""

    time: int
    read: int
    written: int
    hits: int
    misses: int
    snapshot: Snapshot


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
        group = self.resident(kernel)
        device = self.device
        device.refresh_until(at)
        before = device.snapshot()
        if self.exact or not kernel.alike or kernel.count < MIN_GROUPS * group:
            handle = device.launch(kernel, at)
            outcome = device.advance(FOREVER)
            row = device.kernel_row(handle)
            return _result(kernel, row, outcome.time, device.snapshot().since(before))
        return self._extrapolated(kernel, at, group, before)

    def _extrapolated(self, kernel: Kernel, at: int, group: int, before: Snapshot) -> KernelRun:
        device = self.device
        handle = device.launch(kernel, at, check=group)
        groups: list[_Group] = []
        while (outcome := device.advance(FOREVER)).reason == "checkpoint":
            row = device.kernel_row(handle)
            groups.append(
                _Group(
                    outcome.time,
                    int(row[layout.J_DRAM_READ]),
                    int(row[layout.J_DRAM_WRITE]),
                    int(row[layout.J_HITS]),
                    int(row[layout.J_MISSES]),
                    device.snapshot(),
                )
            )
            settled = groups[-1].read + groups[-1].written >= self.cache_bytes or (
                len(groups) > 4 * LIKE_GROUPS
            )
            spread = _spread(groups)
            left = (kernel.count - int(row[layout.J_NEXT])) // group - 1
            if settled and spread is not None and left >= 1:
                return self._skip(kernel, handle, group, groups, left, spread, before)
        row = device.kernel_row(handle)
        return _result(kernel, row, outcome.time, device.snapshot().since(before))

    def _skip(
        self,
        kernel: Kernel,
        handle: int,
        group: int,
        groups: list[_Group],
        left: int,
        spread: float,
        before: Snapshot,
    ) -> KernelRun:
        device = self.device
        first = int(device.kernel_row(handle)[layout.J_NEXT])
        device.skip(handle, first, first + left * group)
        device.stop_checks(handle)
        outcome = device.advance(FOREVER)
        row = device.kernel_row(handle)
        run = _result(kernel, row, outcome.time, device.snapshot().since(before))
        last, reference = groups[-1], groups[-1 - 2 * LIKE_GROUPS]
        # The groups that were alike stand for the ones left out.
        repeats = left / (2 * LIKE_GROUPS)
        added = (last.time - reference.time) * left // (2 * LIKE_GROUPS)
        share = added / (run.duration_fs + added)
        run.activity = run.activity.plus(last.snapshot.since(reference.snapshot), repeats)
        run.dram_read += (last.read - reference.read) * repeats
        run.dram_written += (last.written - reference.written) * repeats
        run.hits += (last.hits - reference.hits) * repeats
        run.misses += (last.misses - reference.misses) * repeats
        run.duration_fs += added
        run.simulated_share = 1 - left * group / kernel.count
        run.error_estimate = spread * share
        return run


def _spread(groups: list[_Group]) -> float | None:
    """If the last row of groups and the one before it are alike: how far their mean time may
    be off, relative to it, by their difference and by the scatter of single groups. Else
    None."""
    if len(groups) <= 2 * LIKE_GROUPS:
        return None
    before, middle, last = groups[-1 - 2 * LIKE_GROUPS], groups[-1 - LIKE_GROUPS], groups[-1]
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
    single = np.diff([group.time for group in groups[-1 - 2 * LIKE_GROUPS :]])
    return spread + float(single.std() / single.mean() / np.sqrt(len(single)))


def _result(kernel: Kernel, row: np.ndarray, end: int, activity: Snapshot) -> KernelRun:
    start = int(row[layout.J_START])
    return KernelRun(
        kernel.name,
        end - start,
        activity,
        float(row[layout.J_DRAM_READ]),
        float(row[layout.J_DRAM_WRITE]),
        float(row[layout.J_HITS]),
        float(row[layout.J_MISSES]),
        started_fs=start,
    )
