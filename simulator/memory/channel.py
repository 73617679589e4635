"""From a memory description to the row of numbers the channel model works with."""

from __future__ import annotations

import numpy as np

from simulator.memory import dram
from simulator.memory.dram import NEVER
from simulator.memory.spec import MemorySpec
from simulator.memory.timing import TimingValue


def timing_row(
    spec: MemorySpec,
    *,
    rcd_compute: TimingValue | None = None,
    macro_column: TimingValue | None = None,
    macro_activate: int = 0,
) -> np.ndarray:
    """Columns ``T_*`` and ``M_*`` of :mod:`simulator.memory.dram` for one memory.

    The keyword arguments describe lockstep macros of processing in memory:
    activate-to-column time, column interval, and the femtoseconds that opening all banks
    takes beyond opening one.
    """
    timing, organization = spec.timing, spec.organization
    fs = spec.femtoseconds
    row = np.zeros(dram.TIMING_COLUMNS, dtype=np.int64)
    for column, value in (
        (dram.T_BURST, timing.burst),
        (dram.T_CL, timing.read_latency),
        (dram.T_CWL, timing.write_latency),
        (dram.T_RCD_READ, timing.rcd_read),
        (dram.T_RCD_WRITE, timing.rcd_write),
        (dram.T_RP, timing.precharge),
        (dram.T_RAS, timing.ras),
        (dram.T_RC, timing.rc),
        (dram.T_RRD_S, timing.rrd_s),
        (dram.T_RRD_L, timing.rrd_l),
        (dram.T_FAW, timing.faw),
        (dram.T_CCD_S, timing.ccd_s),
        (dram.T_CCD_L, timing.ccd_l),
        (dram.T_WR, timing.write_recovery),
        (dram.T_RTP, timing.read_to_precharge),
        (dram.T_WTR_S, timing.wtr_s),
        (dram.T_WTR_L, timing.wtr_l),
        (dram.T_RTW, timing.rtw),
        (dram.T_RFC, timing.refresh.all_bank),
        (dram.T_RFC_BANK, timing.refresh.per_bank),
        (dram.T_RCD_COMPUTE, rcd_compute or timing.rcd_read),
        (dram.T_MACRO_COLUMN, macro_column or timing.ccd_l),
    ):
        row[column] = fs(value)
    row[dram.T_REFI] = NEVER if timing.refresh.mode == "none" else fs(timing.refresh.interval)
    row[dram.M_PER_BANK_REFRESH] = int(timing.refresh.mode == "per_bank")
    row[dram.T_MACRO_ACTIVATE] = macro_activate
    # Far enough ahead to open a row behind the data of the requests before it.
    row[dram.T_LOOKAHEAD] = row[dram.T_RP] + row[dram.T_RCD_READ] + row[dram.T_CL]
    row[dram.M_BANKS] = spec.banks
    row[dram.M_GROUPS] = organization.bank_groups
    row[dram.M_BURST_BYTES] = organization.access
    row[dram.M_BANK_BYTES] = spec.mapping.bank_interleave
    row[dram.M_ROW_BLOCKS] = organization.row // spec.mapping.bank_interleave
    row[dram.M_WINDOW] = spec.controller.read_window
    row[dram.M_WRITE_HIGH] = round(spec.controller.write_high * spec.controller.queue)
    row[dram.M_WRITE_LOW] = round(spec.controller.write_low * spec.controller.queue)
    return row
