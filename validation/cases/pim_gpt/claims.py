"""The paper's claims beside what was simulated, with the provenance of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from cases.pim_gpt.study import SWEPT, Document

FILE = Path(__file__).with_name("published.yaml")
FULL_LANES = 256
"""Lanes of the description as it is."""


class Claim(BaseModel):
    """One published figure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    value: float | tuple[float, float]
    unit: Literal["times", "share"]
    source: str
    reading: Literal["read", "quoted"]
    """Whether the source itself was read."""

    @property
    def span(self) -> tuple[float, float]:
        """Least and most."""
        return self.value if isinstance(self.value, tuple) else (self.value, self.value)


@cache
def published() -> Mapping[str, Claim]:
    """All claims by name."""
    content: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {name: Claim(**fields) for name, fields in content["claims"].items()}


@dataclass(frozen=True)
class Row:
    """A claim and what corresponds to it."""

    claim: Claim
    what: str
    simulated: tuple[float, float]

    @property
    def ratio(self) -> tuple[float, float]:
        """Simulated over published, at both ends."""
        (low, high), (least, most) = self.claim.span, self.simulated
        return (least / low if low else float("nan"), most / high)


def ratios(document: Document, system: str, key: str) -> tuple[float, float]:
    """Least and most of a system over PIM-GPT."""
    found = [rows[system][key] / rows["pim"][key] for rows in document["models"].values()]
    return min(found), max(found)


def other_share(step: Mapping[str, float]) -> float:
    """Time outside products and attention."""
    return step["other_s"] / step["latency_s"]


def slowed(document: Document, lanes: int) -> dict[str, float]:
    """Clock -> time over that at the highest clock."""
    found = {
        row["value"][1]: row["latency_s"]
        for row in document["sweeps"]["clock"]
        if row["value"][0] == lanes
    }
    return {clock: latency / next(iter(found.values())) for clock, latency in found.items()}


def rows(document: Document) -> list[Row]:
    """All claims that the document answers."""
    claims = published()
    drivers = {
        "eager": "eager launches",
        "graph": "captured graph",
        "roofline": "roofline",
    }

    def times(name: str, system: str, key: str, how: str = "") -> Row:
        claim = claims[name]
        return Row(claim, claim.what + (f": {how}" if how else ""), ratios(document, system, key))

    found = [
        times("speedup_gpu", "eager", "latency_s", drivers["eager"]),
        times("speedup_gpu", "graph", "latency_s", drivers["graph"]),
    ]
    roofs = [
        models["graph"]["roofline_s"] / models["pim"]["latency_s"]
        for models in document["models"].values()
    ]
    claim = claims["speedup_gpu"]
    found.append(Row(claim, f"{claim.what}: {drivers['roofline']}", (min(roofs), max(roofs))))
    found += [
        times("energy_gpu", "eager", "energy_j", drivers["eager"]),
        times("energy_gpu", "graph", "energy_j", drivers["graph"]),
        times("speedup_cpu", "cpu", "latency_s"),
        times("energy_cpu", "cpu", "energy_j"),
    ]
    hits = [
        models["pim"]["row_hits"] / models["pim"]["accesses"]
        for models in document["models"].values()
    ]
    found.append(Row(claims["row_hit"], claims["row_hit"].what, (min(hits), max(hits))))
    if SWEPT in document["models"]:
        share = other_share(document["models"][SWEPT]["pim"])
        found.append(Row(claims["other_share"], claims["other_share"].what, (share, share)))
    if document["sweeps"]:
        added = slowed(document, FULL_LANES)["100 MHz"] - 1
        found.append(Row(claims["slow_controller"], claims["slow_controller"].what, (added, added)))
    return found
