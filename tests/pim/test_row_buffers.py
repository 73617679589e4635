"""Two row buffers a bank: ordinary accesses and lockstep columns do not exclude each other."""

import pytest

from simulator.engine.device import Device
from simulator.memory.controller import layout

TWO = "bank.row_buffers=2"
NEVER = 1 << 62


def together(lab, on, *works):
    """Works launched at once: femtoseconds until all are done, activates, rows opened again."""
    device = Device(on.assemble(True))
    before = device.snapshot()
    left = {device.launch(kernel, 0) for work in works for kernel in on.kernels(work, lab.address)}
    while left:
        outcome = device.advance(NEVER)
        left.discard(outcome.handle)
    seen = device.snapshot().since(before)
    return device.now, seen.dram(layout.N_OPENED)


@pytest.fixture(scope="module")
def works(lab):
    """A product in the banks, and a stream of the controller through all channels."""
    return lab.gemm(1, 8192, 2048), lab.elementwise(1 << 20, role="weight", vector=0)


def test_both_at_once_take_as_long_as_the_longer(lab, works):
    one, two = lab.platform(lab.no_refresh), lab.platform(lab.no_refresh, TWO)
    alone = [together(lab, one, work)[0] for work in works]
    assert [together(lab, two, work)[0] for work in works] == pytest.approx(alone, rel=0.01)
    assert together(lab, two, *works)[0] == pytest.approx(max(alone), rel=0.02)
    shared = together(lab, one, *works)[0]
    assert max(alone) + 0.5 * min(alone) < shared


def test_neither_closes_the_rows_of_the_other(lab, works):
    two = lab.platform(lab.no_refresh, TWO)
    apart = sum(together(lab, two, work)[1] for work in works)
    assert together(lab, two, *works)[1] == apart


def test_attention_that_stores_its_values_is_never_slower(lab):
    work = lab.attention(16, 512)
    single, double = lab.bounded(lab.platform(), work), lab.bounded(lab.platform(TWO), work)
    assert double.seconds <= 1.01 * single.seconds
    assert double.columns == single.columns
    assert double.writes == single.writes


def test_both_refresh(lab, works):
    seconds, _ = together(lab, lab.platform(TWO), works[0])
    bare, _ = together(lab, lab.platform(TWO, lab.no_refresh), works[0])
    assert 1.03 < seconds / bare < 1.15
