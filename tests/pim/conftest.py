"""A PIM device to play works on, one at a time, and what it counted.

Test modules get everything through the fixture ``lab``: ``lab.play(lab.platform(),
lab.gemm(1, 64, 64))``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator.engine.device import Device
from simulator.memory.controller import layout
from simulator.pim.platform import PimPlatform
from simulator.system.specs import load_hardware
from simulator.trace.work import Attention, Elementwise, Gemm, Operand, Work

sys.path.insert(0, str(Path(__file__).parents[2] / "validation"))
"""Probes and tests share their works."""

FEMTO = 1e-15
REGION = 256 << 20
NO_REFRESH = "memory.timing.refresh.mode=none"


@dataclass(frozen=True)
class Played:
    """One work on an idle device."""

    femtoseconds: int
    activates: int
    columns: int
    """Lockstep columns, all channels."""
    reads: int
    writes: int
    buffer: int
    refreshes: int
    rows_opened: int
    lanes: int
    """Units the controller's lanes served."""
    kernels: int

    @property
    def seconds(self) -> float:
        return self.femtoseconds * FEMTO

    @property
    def row_hit_rate(self) -> float:
        return 1 - self.rows_opened / self.columns


def address(operand: Operand) -> int:
    return operand.storage * REGION + operand.offset


def platform(*overrides: str, name: str = "pim-gpt") -> PimPlatform:
    spec = load_hardware(name, overrides).spec
    assert spec.kind == "pim"
    return PimPlatform(spec)


def operand(storage: int, size: int, role: str = "activation", bits: int = 16) -> Operand:
    return Operand(storage, 0, size, bits, "bfloat16", role, size)


def gemm(m: int, n: int, k: int, batch: int = 1, bias: bool = False) -> Gemm:
    reads = (
        operand(1, 2 * batch * m * k),
        operand(2, 2 * batch * n * k, "weight"),
        *((operand(4, 2 * n, "weight"),) if bias else ()),
    )
    return Gemm(reads, (operand(3, 2 * batch * m * n),), batch, m, n, k)


def attention(
    heads: int,
    kv_len: int,
    dim: int = 64,
    *,
    kv_heads: int | None = None,
    q_len: int = 1,
    causal: bool = False,
    role: str = "kv_cache",
    backward: bool = False,
) -> Attention:
    kv_heads = kv_heads or heads
    queries, cache = 2 * heads * q_len * dim, 2 * kv_heads * kv_len * dim
    return Attention(
        (operand(1, queries), operand(2, cache, role), operand(3, cache, role)),
        (operand(4, queries),),
        1,
        heads,
        kv_heads,
        q_len,
        kv_len,
        dim,
        dim,
        causal,
        backward,
    )


def elementwise(
    elements: int, *, role: str = "activation", vector: int = 1, special: int = 0
) -> Elementwise:
    reads = (operand(1, 2 * elements, role),)
    return Elementwise(reads, (operand(2, 2 * elements, role),), elements, vector, special)


def play(on: PimPlatform, work: Work, exact: bool = True) -> Played:
    """Run a work's kernels one after another on a fresh machine, without gaps."""
    device = Device(on.assemble(exact))
    before = device.snapshot()
    kernels = on.kernels(work, address)
    for kernel in kernels:
        handle = device.launch(kernel, device.now)
        outcome = device.advance(1 << 62)
        assert (outcome.reason, outcome.handle) == ("finished", handle)
    seen = device.snapshot().since(before)

    def issued(*commands: int) -> int:
        return int(sum(seen.dram(layout.N_COMMAND + command) for command in commands))

    owners = device.names.owners
    return Played(
        femtoseconds=device.now,
        activates=int(seen.dram(layout.N_OPENED)),
        columns=issued(layout.MACAB),
        reads=issued(layout.RD),
        writes=issued(layout.WR),
        buffer=issued(layout.BUF),
        refreshes=issued(layout.REFAB, layout.REFPB),
        rows_opened=int(seen.dram(layout.N_MISS) + seen.dram(layout.N_CONFLICT)),
        lanes=sum(
            int(units) for name, units in zip(owners, seen.units, strict=True) if name == "vector"
        ),
        kernels=len(kernels),
    )


def bounded(on: PimPlatform, work: Work) -> Played:
    """Play a work and hold it to each of its roofs."""
    played = play(on, work)
    for limit in on.limits(work, 0):
        assert played.femtoseconds >= int(limit.seconds / FEMTO), (work, limit, played)
    return played


def assert_bounded(on: PimPlatform, works: Iterable[Work]) -> None:
    for work in works:
        bounded(on, work)


@pytest.fixture(scope="session")
def lab() -> SimpleNamespace:
    return SimpleNamespace(
        address=address,
        assert_bounded=assert_bounded,
        bounded=bounded,
        attention=attention,
        elementwise=elementwise,
        gemm=gemm,
        no_refresh=NO_REFRESH,
        operand=operand,
        platform=platform,
        play=play,
    )


@pytest.fixture(scope="session")
def pim() -> PimPlatform:
    return platform()
