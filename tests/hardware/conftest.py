"""A small description to break in the tests."""

from collections.abc import Callable
from pathlib import Path

import pytest

MEMORY = """\
kind: memory
title: a small DRAM
source: made up
quality: guess
standard: TEST
data_rate: 2 Gb/s
clock: 1 GHz
organization: {stacks: 1, channels_per_stack: 2, pseudo_channels: 1, ranks: 1, bank_groups: 2,
  banks_per_group: 2, rows: 1024, row: 1 KiB, access: 32 B, data_pins: 64}
timing:
  burst: 2 ck
  read_latency: 14 ns
  write_latency: 5 ns
  rcd_read: 14 ns
  rcd_write: 12 ns
  precharge: 14 ns
  ras: 34 ns
  rc: 48 ns
  rrd_s: 4 ck
  rrd_l: max(4 ck, 5 ns)
  faw: 16 ns
  ccd_s: 2 ck
  ccd_l: 4 ck
  write_recovery: 16 ns
  read_to_precharge: 5 ns
  wtr_s: 6 ns
  wtr_l: 8 ns
  rtw: 13 ck
  refresh: {mode: all_bank, interval: 3900 ns, all_bank: 260 ns, per_bank: 160 ns}
mapping: {channel_interleave: 512 B, bank_interleave: 256 B, hashed: false}
controller: {scheduler: row-hit-first, write_high: 0.8, write_low: 0.2, queue: 16}
energy:
  activate: 909 pJ
  read: 2.7 pJ/bit
  write: {value: 2.6 pJ/bit, source: a table, quality: measured, note: one part}
  io: 0.8 pJ/bit
  background: 92 mW
  refresh: 30 nJ
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a YAML file; by default the small DRAM."""

    def _write(text: str = MEMORY, name: str = "small.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return _write


@pytest.fixture
def edit(write: Write) -> Callable[[str, str], Path]:
    """The small DRAM with one piece of text replaced."""

    def _edit(old: str, new: str) -> Path:
        assert old in MEMORY
        return write(MEMORY.replace(old, new, 1))

    return _edit
