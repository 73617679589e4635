"""A GPU and a PIM device that share a workload, operator by operator: ``accsim hybrid``.

Work is placed by its kind (``place`` of the description): attention of decoding, with the cache it
reads and the copies that append to it, in the banks; products of few rows too if told so; all else
on the GPU.  Each device plays its share on its own machine, in program order, and operators wait
for each other, so times add up.  An operand that the other device has written last passes the link
first.  While one device works the other draws its idle power.  Nodes are alike and work side by
side on their shares of the model; their all-reduces are given by whoever divides the model.

Left out: overlap of the two devices (batches in turns, heads as they come), contention on links,
the host, copies of what was sent: a prompt's attention reads the new keys and values back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from simulator.api import platform, simulate_work
from simulator.errors import HardwareError, suggest
from simulator.gpu.spec import GpuSpec
from simulator.hardware import catalogue, resolve
from simulator.hardware.description import Description
from simulator.pim.spec import PimSpec
from simulator.power.accounting import static_power
from simulator.results.result import Result
from simulator.system.hybrid_spec import HybridSpec, Link
from simulator.system.specs import Hardware, check
from simulator.trace.lowering import lower_all
from simulator.trace.schema import Trace
from simulator.trace.work import Attention, Gemm, View, Work

GPU, PIM = "gpu", "pim"
CACHE = "kv_cache"


@dataclass(frozen=True)
class Hybrid:
    """A system one can run on."""

    description: Description
    spec: HybridSpec

    @property
    def name(self) -> str:
        return self.spec.name

    def device(self, which: str) -> Hardware:
        """One of the two as a device of its own."""
        part: GpuSpec | PimSpec = self.spec.gpu if which == GPU else self.spec.pim
        return Hardware(replace(self.description, kind=which), part)


def load_hybrid(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Hybrid:
    """A hybrid system by catalogue name or YAML path. Raises HardwareError."""
    description = resolve(name_or_path, overrides)
    spec = check(description)
    if not isinstance(spec, HybridSpec):
        known = [entry.name for entry in catalogue("hybrid")]
        raise HardwareError(
            f"'{description.name}' is a {description.kind} description, not a hybrid system",
            where=description.files[0],
            remedy=suggest(description.name, known, f"choose {', '.join(known)}"),
        )
    return Hybrid(description, spec)


def placed(spec: HybridSpec, work: Work) -> str:
    """The device that does a piece of work."""
    place = spec.place
    if place.attention and isinstance(work, Attention) and work.q_len == 1:
        return PIM
    if place.attention and any(one.role == CACHE for one in work.writes):
        return PIM
    if isinstance(work, Gemm) and 0 < work.batch * work.m <= place.product_rows:
        return PIM
    return GPU


@dataclass(frozen=True)
class Crossings:
    """Transfers between the devices of a node."""

    count: int
    bytes: int

    def seconds(self, link: Link) -> float:
        """One after the other."""
        return self.count * link.latency + self.bytes / link.bandwidth


def crossings(spec: HybridSpec, works: Iterable[Work]) -> Crossings:
    """What passes the link: operands that the other device wrote last, once each; what one device
    fetches before the other's next turn is one transfer."""
    writer: dict[int, str] = {}
    fetched: dict[int, set[tuple[int, int]]] = {}
    count = size = 0
    turn, counted = "", False
    for work in works:
        device = placed(spec, work)
        counted = counted and device == turn
        turn = device
        for one in work.reads:
            place = (one.offset, one.bytes)
            here = writer.get(one.storage, device) == device
            if here or not one.bytes or place in fetched[one.storage]:
                continue
            fetched[one.storage].add(place)
            size += one.bytes
            count += not counted
            counted = True
        for one in work.writes:
            writer[one.storage] = device
            fetched[one.storage] = set()
    return Crossings(count, size)


@dataclass(frozen=True)
class HybridResult:
    """One step of a node, and of all nodes together."""

    name: str
    hardware: str
    nodes: int
    seconds: dict[str, float]
    """gpu, pim, link, collective: they follow each other."""
    energy: dict[str, float]
    """Joules of all nodes: gpu, pim and what each draws while it waits."""
    crossings: Crossings
    results: dict[str, Result]

    @property
    def latency_s(self) -> float:
        return sum(self.seconds.values())

    @property
    def energy_j(self) -> float:
        return sum(self.energy.values())

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "workload": self.name,
            "hardware": self.hardware,
            "nodes": self.nodes,
            "latency_s": self.latency_s,
            "seconds": self.seconds,
            "energy_j": self.energy_j,
            "energy": self.energy,
            "crossings": self.crossings.count,
            "crossing_bytes": self.crossings.bytes,
            "kinds": {
                which: result.to_json()["kinds"] for which, result in sorted(self.results.items())
            },
        }


def run_works(
    works: Sequence[Work], hybrid: Hybrid, name: str, reductions: Sequence[int] = ()
) -> HybridResult:
    """A node's share of a step; ``reductions`` are the bytes of its all-reduces among nodes."""
    spec = hybrid.spec
    works = [work for work in works if not isinstance(work, View)]
    shares = {which: [w for w in works if placed(spec, w) == which] for which in (GPU, PIM)}
    results = {
        which: simulate_work(share, hybrid.device(which), name)
        for which, share in shares.items()
        if share
    }
    passed = crossings(spec, works)
    seconds = {which: result.latency_s for which, result in results.items()}
    seconds["link"] = passed.seconds(spec.link)
    seconds["collective"] = sum(_all_reduce(spec, size) for size in reductions)
    whole = sum(seconds.values())
    energy: dict[str, float] = {}
    for which in (GPU, PIM):
        busy = seconds.get(which, 0.0)
        energy[which] = spec.nodes * (results[which].energy_j if which in results else 0.0)
        energy[f"{which} waiting"] = spec.nodes * _idle_w(hybrid.device(which)) * (whole - busy)
    return HybridResult(name, hybrid.name, spec.nodes, seconds, energy, passed, results)


def run_trace(trace: Trace, hybrid: Hybrid) -> HybridResult:
    """A whole model on one node: its operators one after another, without a host."""
    one = replace(hybrid, spec=hybrid.spec.model_copy(update={"nodes": 1}))
    return run_works(lower_all(trace), one, trace.header.name)


def _all_reduce(spec: HybridSpec, size: int) -> float:
    """A ring: every node sends and receives all but one share, twice."""
    if spec.nodes == 1:
        return 0.0
    moved = 2 * (spec.nodes - 1) / spec.nodes * size
    return spec.collective.latency + moved / spec.collective.bandwidth


def _idle_w(hardware: Hardware) -> float:
    """Watts of a device that waits, refresh included."""
    rates = platform(hardware).energy_rates(None)
    refresh = hardware.spec.memory.timing.refresh
    interval = 0.0 if refresh.mode == "none" else refresh.interval.seconds
    return sum(static_power(rates, interval).values())
