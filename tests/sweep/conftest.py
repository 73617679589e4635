"""Sweep files as a test writes them."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def sweep_file(tmp_path) -> Callable[[str], Path]:
    """Write a sweep file; returns its path."""

    def write(text: str) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(text)
        return path

    return write
