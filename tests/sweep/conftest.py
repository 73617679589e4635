"""Sweeps small enough to run in a test: GPT-2 decode on a PIM device, 0.1 s a point."""

from pathlib import Path

import pytest

SMALL = """\
workloads:
  decode: {trace: gpt2, phase: decode}
devices: [pim-gpt]
axes:
  context: [64, 96]
  memory.organization.stacks: [2, 4, 8]
"""


@pytest.fixture
def sweep_file(tmp_path):
    """Write a sweep file; returns its path."""

    def write(text: str = SMALL, name: str = "sweep.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
