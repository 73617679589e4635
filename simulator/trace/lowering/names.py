"""Lists of operator names, written as text: they are read more often than edited."""

from __future__ import annotations


def words(text: str) -> tuple[str, ...]:
    """The names in a blank-separated list."""
    return tuple(text.split())
