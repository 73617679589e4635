"""The banks as mappings see them: rows, columns, buffer, and where operands lie.

A *column* is what one bank's unit consumes per interval; a *result set* is one
accumulator of each unit of a channel, read out together.  Rows are numbered through the sets of
banks that take turns at shared units, so that the next row is one of other banks.  Operands that
banks multiply are stored as wide as their units, whatever the trace's element type.  Activations
that fit half of the controller's SRAM (the other half is for what comes next) never see
DRAM; everything else, and all weights and caches, lies in the banks.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.pim.machine import activation_fs
from simulator.pim.spec import Modes, PimSpec
from simulator.trace.work import Operand

STORED_ROLES = frozenset({"weight", "kv_cache", "optimizer_state", "gradient"})
"""Roles that outlive the operators around them."""


def ceil_div(amount: int, size: int) -> int:
    return -(-amount // size)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Counts of everything a command stream needs."""

    channels: int
    pseudo_channels: int
    """Of these, how many share a command bus."""
    units: int
    """Multipliers of a channel, which act in lockstep on a bank each."""
    lanes: int
    """Elements of a column."""
    column_bytes: int
    row_columns: int
    buffer_columns: int
    """Columns of activations the channel's buffer holds."""
    block_columns: int
    """Columns of consecutive addresses in one bank."""
    accumulators: int
    element_bits: int
    queue: int
    """Commands a channel holds."""
    overlap: bool
    """Transfers go on beside columns."""
    path: str
    """What the controller's ordinary accesses pass."""
    rows: str
    """What a channel's own ordinary accesses pass: the banks' only row buffers, or their second."""
    fence_columns: int
    """Columns of one command, where fences limit them; else 0."""
    initializes: bool
    """Accumulators are written before they are used."""
    result_bytes: int
    """Of one accumulator."""
    results_in_banks: bool
    collects: bool
    """The controller reads results from the banks."""
    modes: Modes | None
    fence_fs: int
    scratch_row: int
    """Where units put results."""
    sram_bytes: int
    row_open_fs: int
    """Time of a row beside its columns: activate, column delay, precharge; none where other banks
    of the same units work meanwhile."""
    column_fs: int
    burst_fs: int

    @classmethod
    def of(cls, spec: PimSpec) -> Geometry:
        memory, organization, fs = spec.memory, spec.memory.organization, spec.memory.femtoseconds
        column = fs(spec.bank.mac_interval)
        close = fs(memory.timing.precharge) + fs(memory.timing.read_to_precharge) - column
        opened = activation_fs(spec) + fs(spec.bank.rcd_compute)
        hidden = spec.buffer.overlap and spec.bank.shared > 1
        return cls(
            channels=memory.channels,
            pseudo_channels=organization.pseudo_channels,
            units=spec.units,
            lanes=spec.bank.lanes,
            column_bytes=organization.access,
            row_columns=organization.row // organization.access,
            buffer_columns=spec.buffer.capacity // organization.access,
            block_columns=memory.mapping.bank_interleave // organization.access,
            accumulators=spec.bank.accumulators,
            element_bits=spec.bank.bits,
            queue=memory.controller.queue,
            overlap=spec.buffer.overlap,
            path="memory" if spec.controller.port is None else "port",
            rows="banks" if spec.bank.row_buffers == 1 else "rows",
            fence_columns=spec.fence.columns if spec.fence else 0,
            initializes=spec.bank.initialize,
            result_bytes=spec.bank.bits * (1 if spec.bank.adds_lanes else spec.bank.lanes) // 8,
            results_in_banks=spec.buffer.results == "banks",
            collects=spec.mapping.collect,
            modes=spec.modes,
            fence_fs=fs(spec.fence.time) if spec.fence else 0,
            scratch_row=organization.rows * spec.bank.shared - 1,
            sram_bytes=spec.controller.sram,
            row_open_fs=0 if hidden else opened + max(0, close),
            column_fs=column,
            burst_fs=fs(memory.timing.ccd_s),
        )

    @property
    def stripe_bytes(self) -> int:
        """One row of all banks that act at once in one channel."""
        return self.units * self.row_columns * self.column_bytes

    @property
    def result_bursts(self) -> int:
        """Bus bursts that carry one result set."""
        return ceil_div(self.units * self.result_bytes, self.column_bytes)

    @property
    def result_adds(self) -> int:
        """Additions of the controller for one result set."""
        return self.units * 8 * self.result_bytes // self.element_bits

    def columns(self, elements: int) -> int:
        """Columns a vector fills."""
        return ceil_div(elements, self.lanes)

    def row_of(self, address: int) -> int:
        """Row (of every bank of every channel) where a device address lies."""
        return address // (self.stripe_bytes * self.channels)

    def share(self, size: int) -> int:
        """Bytes of an evenly spread range that lie in one channel, in whole columns."""
        return self.column_bytes * ceil_div(size, self.channels * self.column_bytes)

    def resident(self, operand: Operand) -> bool:
        """Whether an operand stays in the controller's SRAM."""
        return operand.role not in STORED_ROLES and 2 * operand.bytes <= self.sram_bytes
