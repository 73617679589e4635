"""DRAM channels on a bench: requests in, the time of their last data out.

Times are nanoseconds, all of them round, so that a closed form fits on one line: 32 B
bursts of 2 ns on 16 banks in 4 groups.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from simulator.engine.assembly import AgentClass, Assembly
from simulator.memory import dram
from simulator.memory.dram import BUFFER, MACRO, NEVER, READ, WRITE

__all__ = ["BUFFER", "MACRO", "NS", "READ", "WRITE", "Channels", "Request", "timing"]

NS = 10**6
BURST_BYTES = 32
NANOSECONDS = {
    "burst": 2,
    "cl": 14,
    "cwl": 10,
    "rcd_read": 14,
    "rcd_write": 12,
    "rp": 13,
    "ras": 32,
    "rc": 45,
    "rrd_s": 4,
    "rrd_l": 6,
    "faw": 20,
    "ccd_s": 2,
    "ccd_l": 4,
    "wr": 16,
    "rtp": 6,
    "wtr_s": 4,
    "wtr_l": 8,
    "rtw": 10,
    "rfc": 300,
    "rfc_bank": 100,
    "lookahead": 41,
    "rcd_compute": 14,
    "macro_column": 2,
    "macro_activate": 0,
}
SHAPE = {
    "banks": 16,
    "groups": 4,
    "burst_bytes": BURST_BYTES,
    "bank_bytes": 256,
    "row_blocks": 4,
    "window": 24,
    "write_high": 24,
    "write_low": 8,
    "per_bank_refresh": 0,
}


def timing(refi: float | None = None, **changes: float) -> np.ndarray:
    """A timing row in nanoseconds (``faw=40``) and counts (``window=1``); no refresh
    unless ``refi`` is given."""
    row = np.zeros(dram.TIMING_COLUMNS, dtype=np.int64)
    for name, value in (NANOSECONDS | changes).items():
        if name not in SHAPE:
            row[getattr(dram, f"T_{name.upper()}")] = round(value * NS)
    for name, value in SHAPE.items():
        row[getattr(dram, f"M_{name.upper()}")] = changes.get(name, value)
    row[dram.T_REFI] = NEVER if refi is None else round(refi * NS)
    return row


@dataclass(frozen=True)
class Request:
    bank: int = 0
    row: int = 0
    bursts: int = 1
    kind: int = READ
    at: float = 0
    channel: int = 0


class Channels:
    """``play`` hands requests to their channels when they arrive and lets the channels
    work between arrivals, as the engine does."""

    def __init__(self, row: np.ndarray, count: int = 1) -> None:
        assembly = Assembly()
        assembly.memory("dram", row, count, refresh_together=True)
        assembly.agent_class(AgentClass("none", 1, {}, (), slots=1))
        machine, _ = assembly.build(requests=1 << 12)
        self.dram = machine.dram
        self.activates: list[float] = []
        """Times of activates; complete while a turn opens at most four rows."""

    def play(self, requests: Iterable[Request]) -> list[float]:
        """When each request has its last data, in the order given."""
        done: dict[int, float] = {}
        order: list[int] = []
        for request in sorted(requests, key=lambda request: request.at):
            self._work(round(request.at * NS) - 1, done)
            order.append(self._submit(request))
        self._work(int(NEVER) - 1, done)
        return [done[index] for index in order]

    def makespan(self, requests: Iterable[Request]) -> float:
        return max(self.play(requests))

    def count(self, column: int) -> int:
        return int(self.dram.channel[:, column].sum())

    def _submit(self, request: Request) -> int:
        index = int(dram.take_request(self.dram))
        assert index >= 0, "the bench is out of requests"
        row = self.dram.request[index]
        row[dram.R_KIND], row[dram.R_CHANNEL] = request.kind, request.channel
        row[dram.R_BANK], row[dram.R_ROW] = request.bank, request.row
        row[dram.R_BURSTS], row[dram.R_ARRIVE] = request.bursts, round(request.at * NS)
        dram.enqueue(self.dram, index)
        return index

    def _work(self, until: int, done: dict[int, float]) -> None:
        for number, channel in enumerate(self.dram.channel):
            while channel[dram.C_WAKE] <= until:
                now = channel[dram.C_WAKE]
                while (index := int(dram.serve(self.dram, number, now))) >= 0:
                    done[index] = self.dram.request[index, dram.R_DONE] / NS
                    self._note_activates(channel)
                self._note_activates(channel)
                assert channel[dram.C_WAKE] > now, "a channel must move on"

    def _note_activates(self, channel: np.ndarray) -> None:
        last = self.activates[-1] if self.activates else -1.0
        ring = channel[dram.C_ACT_0 : dram.C_ACT_3 + 1] / NS
        self.activates.extend(sorted(float(time) for time in ring if time > last))
