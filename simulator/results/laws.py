"""The laws every run record obeys, checked before anybody reports it.

A run that beats its bound, uses a component for longer than the run lasted, or whose
kernels spent more energy than the device did is a defect of the simulator, and a
number nobody may see.  Left out: laws that need the machine (bytes conserved between
caches, DRAM timing); the engine and the DRAM checker own those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from simulator.errors import BoundError
from simulator.results.aggregate import kernel_energy_j, utilization
from simulator.system.records import RECORD_SCHEMA, KernelRecord, RunRecord

ROUNDING = 1e-9
"""Relative slack for sums of floats; times are integers and get none."""

_REMEDY = "this is a defect of the simulator, please report it with the command"


def check(record: RunRecord) -> None:
    """Raise :class:`BoundError` for the first law that ``record`` breaks."""
    for place, broken in _violations(record):
        raise BoundError(broken, where=place, remedy=_REMEDY)


def _violations(record: RunRecord) -> Iterator[tuple[str, str]]:
    run = f"{record.workload} on {record.hardware}"
    if record.schema != RECORD_SCHEMA:
        yield run, f"record of schema {record.schema}, expected {RECORD_SCHEMA}"
    if record.bound_fs > record.latency_fs:
        yield run, f"latency {record.latency_fs} fs is below the bound {record.bound_fs} fs"
    for kernel in record.kernels:
        for broken in _kernel_violations(kernel, record.latency_fs):
            yield f"{run}: kernel {kernel.index} '{kernel.name}' of {kernel.operator}", broken
    for name, share in utilization(record).items():
        if not 0 <= share <= 1 + ROUNDING:
            yield run, f"component '{name}' is busy {share:.6g} of the time"
    for part, energy in record.energy_j.items():
        if not _is_amount(energy):
            yield run, f"part '{part}' spends {energy} J"
    total, attributed = math.fsum(record.energy_j.values()), kernel_energy_j(record.kernels)
    if attributed > total * (1 + ROUNDING):
        yield run, f"kernels spend {attributed:.9g} J, more than the device's {total:.9g} J"
    if any(span.end_fs < span.start_fs for span in record.host):
        yield run, "a host span ends before it starts"


def _kernel_violations(kernel: KernelRecord, latency_fs: int) -> Iterator[str]:
    if not 0 <= kernel.issued_fs <= kernel.start_fs <= kernel.end_fs <= latency_fs:
        yield (
            f"issued, start, end and the run's end are out of order: {kernel.issued_fs}, "
            f"{kernel.start_fs}, {kernel.end_fs}, {latency_fs} fs"
        )
    if kernel.duration_fs < kernel.bound_fs:
        yield f"takes {kernel.duration_fs} fs, below its bound {kernel.bound_fs} fs"
    if not 0 <= kernel.simulated_share <= 1:
        yield f"simulated share {kernel.simulated_share} is not a share"
    amounts = {
        "compulsory bytes": kernel.bytes_compulsory,
        "DRAM bytes read": kernel.dram_bytes_read,
        "DRAM bytes written": kernel.dram_bytes_written,
        "error estimate": kernel.error_estimate,
        **{f"energy of {part}": energy for part, energy in kernel.energy_j.items()},
        **{f"{unit} operations": count for unit, count in kernel.operations.items()},
        **{f"busy time of {name}": busy for name, busy in kernel.busy_fs.items()},
    }
    for name, amount in amounts.items():
        if not _is_amount(amount):
            yield f"{name} is {amount}"


def _is_amount(value: float) -> bool:
    return math.isfinite(value) and value >= 0
