"""Sums over kernel records: by operator, by kind, over time.

Times stay integer femtoseconds and floats are added with :func:`math.fsum`, so a sum
does not depend on the order of its terms.  Kernels that run at once each count their
full duration: group latencies add up to more than the run's latency when streams
overlap, and to less when the device idles (:func:`idle_fs`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from simulator.system.records import KernelRecord, RunRecord

FS_PER_S = 10**15


def seconds(femtoseconds: int) -> float:
    """The nearest float: dividing integers rounds once."""
    return femtoseconds / FS_PER_S


def sum_by_key(mappings: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Key-wise sum, keys sorted."""
    terms: dict[str, list[float]] = {}
    for mapping in mappings:
        for key, value in mapping.items():
            terms.setdefault(key, []).append(value)
    return {key: math.fsum(terms[key]) for key in sorted(terms)}


@dataclass(frozen=True)
class Group:
    """Kernels that share a name, summed."""

    name: str
    kind: str
    count: int
    latency_fs: int
    bound_fs: int
    bound_by: str
    """What binds most of the group's bound time."""
    energy_by_part_j: Mapping[str, float]
    operations: Mapping[str, float]
    dram_bytes_read: int
    dram_bytes_written: int
    bytes_compulsory: int

    @property
    def energy_j(self) -> float:
        return math.fsum(self.energy_by_part_j.values())


def group_by(
    kernels: Iterable[KernelRecord], key: Callable[[KernelRecord], Hashable], name: str
) -> list[Group]:
    """One group per key, longest first; ``name`` is the attribute that names a group."""
    members: dict[Hashable, list[KernelRecord]] = {}
    for kernel in kernels:
        members.setdefault(key(kernel), []).append(kernel)
    groups = [_group(getattr(kernels[0], name), kernels) for kernels in members.values()]
    return sorted(groups, key=lambda group: (-group.latency_fs, group.name, group.kind))


def by_kind(kernels: Iterable[KernelRecord]) -> list[Group]:
    return group_by(kernels, lambda kernel: kernel.kind, "kind")


def by_operator(kernels: Iterable[KernelRecord]) -> list[Group]:
    return group_by(kernels, lambda kernel: (kernel.operator, kernel.kind), "operator")


def by_kernel(kernels: Iterable[KernelRecord]) -> list[Group]:
    """Distinct kernels: same mapping, same operator, same amount of work."""
    return group_by(
        kernels,
        lambda kernel: (
            kernel.name,
            kernel.operator,
            kernel.bytes_compulsory,
            tuple(sorted(kernel.operations.items())),
        ),
        "name",
    )


def _group(name: str, kernels: Sequence[KernelRecord]) -> Group:
    binding: Counter[str] = Counter()
    for kernel in kernels:
        binding[kernel.bound_by] += kernel.bound_fs
    return Group(
        name=name,
        kind=kernels[0].kind,
        count=len(kernels),
        latency_fs=sum(kernel.duration_fs for kernel in kernels),
        bound_fs=sum(kernel.bound_fs for kernel in kernels),
        bound_by=min(binding, key=lambda resource: (-binding[resource], resource)),
        energy_by_part_j=sum_by_key(kernel.energy_j for kernel in kernels),
        operations=sum_by_key(kernel.operations for kernel in kernels),
        dram_bytes_read=sum(kernel.dram_bytes_read for kernel in kernels),
        dram_bytes_written=sum(kernel.dram_bytes_written for kernel in kernels),
        bytes_compulsory=sum(kernel.bytes_compulsory for kernel in kernels),
    )


def kernel_energy_j(kernels: Iterable[KernelRecord]) -> float:
    return math.fsum(energy for kernel in kernels for energy in kernel.energy_j.values())


def idle_fs(record: RunRecord) -> int:
    """Time in which no kernel runs."""
    covered = reached = 0
    for kernel in sorted(record.kernels, key=lambda kernel: kernel.start_fs):
        if kernel.end_fs > reached:
            covered += kernel.end_fs - max(kernel.start_fs, reached)
            reached = kernel.end_fs
    return record.latency_fs - covered


def component_names(record: RunRecord) -> list[str]:
    """The device's components in its own order, then any other that a kernel kept busy."""
    names = dict.fromkeys(component.name for component in record.components)
    others = {name for kernel in record.kernels for name in kernel.busy_fs}
    return [*names, *sorted(others - names.keys())]


def utilization(record: RunRecord) -> dict[str, float]:
    """Component -> busy share of the whole run."""
    busy: Counter[str] = Counter()
    for kernel in record.kernels:
        busy.update(kernel.busy_fs)
    return {
        name: busy[name] / record.latency_fs if record.latency_fs else 0.0
        for name in component_names(record)
    }


def utilization_over_time(record: RunRecord, bins: int) -> dict[str, list[float]]:
    """Component -> busy share in each of ``bins`` equal slices of the run.

    A kernel's busy time is spread evenly over its duration: the records say how much,
    not when within the kernel.
    """
    total = record.latency_fs
    strips = {name: [0.0] * bins for name in component_names(record)}
    for kernel in record.kernels:
        if kernel.duration_fs == 0:
            continue
        first = kernel.start_fs * bins // total
        last = (kernel.end_fs * bins - 1) // total
        for place in range(first, last + 1):
            # In units of 1/bins femtoseconds, so that slice borders are integers too.
            start = max(kernel.start_fs * bins, place * total)
            overlap = min(kernel.end_fs * bins, (place + 1) * total) - start
            share = overlap / (total * kernel.duration_fs)
            for name, busy in kernel.busy_fs.items():
                strips[name][place] += busy * share
    return strips


@dataclass(frozen=True)
class Coverage:
    """How the run's kernel time was obtained; the three shares sum to one."""

    simulated: float
    """Played event by event."""
    reused: float
    """Taken from identical kernels that were."""
    extrapolated: float
    error_estimate: float
    """Mean relative error of kernel durations, weighted by duration."""


def coverage(kernels: Sequence[KernelRecord]) -> Coverage:
    total = sum(kernel.duration_fs for kernel in kernels)
    if total == 0:
        return Coverage(simulated=1.0, reused=0.0, extrapolated=0.0, error_estimate=0.0)

    def weigh(weights: Iterable[float]) -> float:
        return min(1.0, math.fsum(weights) / total)

    return Coverage(
        simulated=weigh(k.duration_fs * k.simulated_share for k in kernels if not k.reused),
        reused=weigh(k.duration_fs * k.simulated_share for k in kernels if k.reused),
        extrapolated=weigh(k.duration_fs * (1 - k.simulated_share) for k in kernels),
        error_estimate=math.fsum(k.duration_fs * k.error_estimate for k in kernels) / total,
    )
