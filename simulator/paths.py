"""Where the data files are: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_BUNDLED = _PACKAGE / "_data"


def data_root() -> Path:
    """The folder that holds ``hwconfigs``, ``workloads`` and ``validation/published``."""
    return _BUNDLED if _BUNDLED.is_dir() else _PACKAGE.parent


def hwconfigs() -> Path:
    """Shipped hardware descriptions, one folder per kind."""
    return data_root() / "hwconfigs"


def standards() -> Path:
    """Command and constraint tables of the DRAM standards."""
    return hwconfigs() / "standards"


def recorded_traces() -> Path:
    """Shipped operator traces."""
    return data_root() / "workloads" / "traces"


def published_figures() -> Path:
    """Published figures with their sources, to compare simulated ones with."""
    return data_root() / "validation" / "published"


def cache_root() -> Path:
    """What can be made again: ``ACCSIM_CACHE_DIR`` or the user's cache directory."""
    user = os.environ.get("ACCSIM_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return (Path(user) if user else Path.home() / ".cache") / "accsim"
