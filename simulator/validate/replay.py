"""One timed call on a fresh machine whose caches hold what earlier calls of the loop left.

Earlier calls are not simulated: their operands are put into the cache, most recent last, as far
as it reaches (what ``accsim run`` does after work that was reused).  A row's result therefore
depends on nothing but the row.  Left out: partial sums of earlier calls, rows still open in DRAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from simulator.engine.device import Device
from simulator.engine.platform import Platform
from simulator.errors import BoundError, CapacityError
from simulator.power.clock import Draw, sustained_clock
from simulator.system.kernels import KernelRun, Runner
from simulator.system.limiter import draw
from simulator.system.plan import ALIGNMENT
from simulator.system.stretches import TIME_TOLERANCE
from simulator.trace.work import Elementwise, Operand, RowWise, Work
from simulator.units import human
from simulator.validate.methods import Method
from simulator.validate.works import Works

FEMTO = 10**15
WEIGHT = "weight"
WALKED = "kv_cache"
"""Role of operands that a call walks once, all heads at a time."""


@dataclass(frozen=True, slots=True)
class Call:
    """A simulated call. ``seconds`` is what its timing method would report."""

    seconds: float
    watts: float
    """Mean power over the calls that are timed."""
    clock: float
    """Share of the highest clock that the power cap leaves once the limiter has settled."""
    kernel_seconds: float
    kernels: tuple[str, ...]
    simulated_share: float
    error_estimate: float


@dataclass(frozen=True, slots=True)
class Played:
    """A call's kernels at the highest clock: what happened, before anybody counts joules. Energies
    and the cap of a description change nothing of it."""

    seconds: float
    """As timed, at the highest clock."""
    works: tuple[int, ...]
    """Which work each kernel is of; the first of each pays its operations."""
    runs: tuple[KernelRun, ...]
    owners: tuple[str, ...]
    """Component of each row of counters."""


@dataclass(frozen=True, slots=True)
class Use:
    """A byte range that an earlier call touched."""

    address: int
    bytes: int
    written: bool
    walked: bool = False
    """Once from end to end, side by side with others, so that all of the call is touched between
    one use of a byte and the next."""


def play(platform: Platform, works: Works, method: Method) -> Call:
    """Simulate one call as ``method`` times it. Raises CapacityError if it does not fit the
    device, BoundError if the result beats a physical limit."""
    return settle(platform, works, method, at_highest_clock(platform, works, method))


def at_highest_clock(platform: Platform, works: Works, method: Method) -> Played:
    """One call at the highest clock; raises as :func:`play` does."""
    places, top = _places(works)
    if top > platform.capacity_bytes:
        raise CapacityError(
            f"needs {human(top, 'B')}, the device has {human(platform.capacity_bytes, 'B')}",
            where=platform.name,
        )
    device = Device(platform.assemble(False))
    cache_bytes = platform.cache_bytes if platform.cache else 0
    runner = Runner(device, cache_bytes, exact=False)
    left = _within(_earlier(works, places, top, method), cache_bytes)
    if platform.cache:
        for use in left:
            device.install(platform.cache, use.address, use.bytes, use.written)

    def address(operand: Operand) -> int:
        return places[operand.storage] + operand.offset

    gap_s = platform.gap_s("graph" if method.launch == "graph" else "eager")
    gap_fs = 0 if method.launch == "kernels" else round(gap_s * FEMTO)
    runs: list[KernelRun] = []
    of: list[int] = []
    at = 0
    for number, work in enumerate(works):
        own = []
        for kernel in platform.kernels(work, address):
            own.append(runner.run(kernel, at))
            at = device.now + gap_fs
        _hold_to_bound(own, _bound_fs(platform, work, works, places, left, cache_bytes), platform)
        runs.extend(own)
        of.extend([number] * len(own))
    kernels_s = sum(run.duration_fs for run in runs) / FEMTO
    seconds = method.seconds(kernels_s, len(runs), gap_s, platform.gap_s("eager"), platform.host)
    slim = (replace(run, activity=run.activity.over_channels()) for run in runs)
    return Played(seconds, tuple(of), tuple(slim), tuple(device.names.owners))


def settle(platform: Platform, works: Works, method: Method, played: Played) -> Call:
    """Time and power of a call under the board's cap: the calls that are timed run at clocks
    between the highest and the sustained one."""
    runs = played.runs
    firsts = [place == 0 or played.works[place - 1] != of for place, of in enumerate(played.works)]
    draws = [
        draw(platform, played.owners, works[of], run, first)
        for of, run, first in zip(played.works, runs, firsts, strict=True)
    ]
    rates = platform.energy_rates(works[0])
    whole = _together(draws, played.seconds)
    burst, clock = (sustained_clock(whole, cap) for cap in (rates.peak_w, rates.power_cap_w))
    share = method.settled(whole.seconds_at(burst), rates.limiter_s)
    ends = [(whole.seconds_at(one), whole.watts_at(one)) for one in (burst, clock)]
    weights = (1 - share, share)
    seconds = sum(weight * time for weight, (time, _) in zip(weights, ends, strict=True))
    joules = sum(weight * time * w for weight, (time, w) in zip(weights, ends, strict=True))
    total_fs = sum(run.duration_fs for run in runs) or 1
    return Call(
        seconds=seconds,
        watts=joules / seconds,
        clock=clock,
        kernel_seconds=sum(run.duration_fs for run in runs) / FEMTO,
        kernels=tuple(run.name for run in runs),
        simulated_share=sum(run.duration_fs * run.simulated_share for run in runs) / total_fs,
        error_estimate=sum(run.duration_fs * run.error_estimate for run in runs) / total_fs,
    )


def _together(draws: Sequence[Draw], seconds: float) -> Draw:
    """One call of several kernels; the time between them goes with no clock."""
    clocked_s = sum(one.clocked_share * one.seconds for one in draws)
    return Draw(
        seconds,
        sum(one.clocked_j for one in draws),
        sum(one.other_j for one in draws),
        draws[0].static_w,
        draws[0].awake_w,
        min(1.0, clocked_s / seconds),
        draws[0].voltage_floor,
    )


def _places(works: Works) -> tuple[dict[int, int], int]:
    """An address for each storage, and the first free byte."""
    sizes: dict[int, int] = {}
    for work in works:
        for operand in (*work.reads, *work.writes):
            end = operand.offset + max(operand.bytes, operand.span)
            sizes[operand.storage] = max(sizes.get(operand.storage, 0), end)
    places, top = {}, 0
    for storage in sorted(sizes):
        places[storage] = top
        top += -(-sizes[storage] // ALIGNMENT) * ALIGNMENT
    return places, top


def _earlier(
    works: Works, places: Mapping[int, int], top: int, method: Method
) -> Iterator[tuple[bool, list[Use]]]:
    """What the loop touched before this call, by work, most recent first, and whether its operands
    passed side by side. The call uses the first copy of its weights; so did the one
    ``weight_copies`` calls ago."""
    for copy in range(method.weight_copies or 1)[::-1]:
        for work in reversed(works):
            uses = []
            for operand in reversed((*work.reads, *work.writes)):
                if operand.role == WEIGHT and not method.weight_copies:
                    continue
                # Copies lie one behind the other, beyond everything else.
                shift = copy * top if operand.role == WEIGHT else 0
                place = places[operand.storage] + operand.offset + shift
                walked = operand.role == WALKED
                uses.append(Use(place, operand.bytes, operand in work.writes, walked))
            yield isinstance(work, (Elementwise, RowWise)), uses


def _within(groups: Iterable[tuple[bool, list[Use]]], cache_bytes: int) -> list[Use]:
    """The most recent uses that the cache has room for, oldest first; of what does not fit, the
    end, which was touched last: that of each operand, if they passed side by side. What is walked
    is found again if the whole call fits: else the next one has evicted each byte before it comes
    to it."""
    groups = list(groups)
    sizes: dict[int, int] = {}
    for _, uses in groups:
        for use in uses:
            sizes.setdefault(use.address, use.bytes)
    fits = sum(sizes.values()) <= cache_bytes
    left: list[Use] = []
    seen: set[int] = set()
    room = cache_bytes
    for streamed, uses in groups:
        if room <= 0:
            break
        fresh = [
            use
            for use in uses
            if use.address not in seen and use.bytes and (fits or not use.walked)
        ]
        seen.update(use.address for use in fresh)
        total = sum(use.bytes for use in fresh)
        for use in fresh:
            most = room * use.bytes // total if streamed and total > room else cache_bytes
            size = min(use.bytes, most)
            if streamed or room > 0:
                left.append(Use(use.address + use.bytes - size, size, use.written))
            if not streamed:
                room -= use.bytes
        if streamed:
            room -= total
    return left[::-1]


def _bound_fs(
    platform: Platform,
    work: Work,
    works: Works,
    places: Mapping[int, int],
    left: Sequence[Use],
    cache_bytes: int,
) -> int:
    """No schedule is shorter: what no cache can hold comes from DRAM."""
    inside = {operand.storage for one in works for operand in one.writes}
    cold = 0
    for operand in work.reads:
        place = places[operand.storage] + operand.offset
        held = cache_bytes if operand.storage in inside else _overlap(left, place, operand.bytes)
        cold += max(0, operand.bytes - held)
    limits = platform.limits(work, cold)
    seconds = max((limit.seconds for limit in limits), default=0.0)
    return int(seconds * FEMTO * (1 - 1e-12))


def _overlap(uses: Sequence[Use], place: int, size: int) -> int:
    """Bytes of a range that earlier uses left in the cache."""
    ends = ((max(use.address, place), min(use.address + use.bytes, place + size)) for use in uses)
    return sum(max(0, end - begin) for begin, end in ends)


def _hold_to_bound(runs: list[KernelRun], bound_fs: int, platform: Platform) -> None:
    """Extrapolation may fall short of a bound by its error and is lifted; nothing else may."""
    total = sum(run.duration_fs for run in runs)
    short = bound_fs - total
    if short <= 0:
        return
    longest = max(runs, key=lambda run: run.duration_fs)
    if longest.simulated_share == 1 or short > TIME_TOLERANCE * bound_fs:
        raise BoundError(
            f"{', '.join(run.name for run in runs)} takes {human(total / FEMTO, 's')}, "
            f"its bound is {human(bound_fs / FEMTO, 's')}",
            where=platform.name,
        )
    longest.error_estimate += short / longest.duration_fs
    longest.duration_fs += short
