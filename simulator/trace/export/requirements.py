"""Optional packages, asked for with the command that installs them."""

from __future__ import annotations

from importlib.util import find_spec

from simulator.errors import TraceError


def require(extra: str, *packages: str) -> None:
    """Raise one clear line if a package of an optional extra is missing."""
    for package in packages:
        if find_spec(package) is None:
            raise TraceError(
                f"exporting needs the package '{package}'",
                remedy=f"pip install 'accsim[{extra}]', or run a recorded trace "
                "('accsim trace list')",
            )
