"""HBM-PIM against Samsung's open simulator, the host that reads over the pins, and its own options.

Clocks of 1 ns, 64 pseudo-channels of eight units.  PIMSimulator's cycles leave out reading results
back, so ``mapping.collect`` is off here; its host baseline is memory traffic alone, each operand
after the other.
"""

import pytest

from simulator.trace.work import Elementwise

CLOCK = 1e9
BENCH = ("mapping.collect=false",)
HOST = ("mapping.products=controller", "mapping.elementwise=controller")
GEMV = [
    # outputs, inputs, host, PIM
    (1024, 1024, 2494, 3662),
    (4096, 1024, 9042, 3662),
    (1024, 4096, 9038, 13166),
    (2048, 2048, 9034, 6970),
    (4096, 4096, 36082, 13166),
]
ELEMENTWISE = [
    # operands read, elements, host, PIM
    (2, 1 << 18, 1604, 1053),
    (2, 1 << 20, 6651, 3349),
    (2, 1 << 21, 13255, 5926),
    (1, 1 << 20, 4564, 2042),
    (1, 1 << 22, 17504, 7665),
]


def hbm_pim(lab, *overrides: str):
    return lab.platform(*overrides, name="hbm-pim")


def cycles(lab, on, *works) -> float:
    return sum(lab.play(on, work).seconds for work in works) * CLOCK


def elementwise(lab, reads: int, elements: int) -> Elementwise:
    sources = tuple(lab.operand(1 + i, 2 * elements, "weight") for i in range(reads))
    return Elementwise(sources, (lab.operand(9, 2 * elements, "weight"),), elements, 1, 0)


def moved(lab, number: int, elements: int, stored: bool = False) -> Elementwise:
    """Traffic of one operand, as the host baseline has it."""
    operand = (lab.operand(number, 2 * elements, "weight"),)
    return Elementwise(() if stored else operand, operand if stored else (), elements, 1, 0)


def gemv_on_host(lab, outputs: int, inputs: int) -> float:
    vectors = (moved(lab, 2, inputs), moved(lab, 3, outputs, stored=True))
    phases = (moved(lab, 1, outputs * inputs), *vectors, *vectors)
    return cycles(lab, hbm_pim(lab, *HOST), *phases)


@pytest.mark.parametrize(("outputs", "inputs", "host", "pim"), GEMV)
def test_matrix_vector_products(lab, outputs, inputs, host, pim):
    """In the banks, on the host, and who wins: PIM loses while a quarter of its lanes have
    outputs, wins 1.3 times with half of them, 2.5 to 2.7 times with all."""
    in_banks = cycles(lab, hbm_pim(lab, *BENCH), lab.gemm(1, outputs, inputs))
    on_host = gemv_on_host(lab, outputs, inputs)
    assert in_banks == pytest.approx(pim, rel=0.15)
    assert on_host == pytest.approx(host, rel=0.15)
    assert on_host / in_banks == pytest.approx(host / pim, rel=0.1)
    assert (on_host > in_banks) == (host > pim)


@pytest.mark.parametrize(("reads", "elements", "host", "pim"), ELEMENTWISE)
def test_sums_products_and_limits(lab, reads, elements, host, pim):
    work = elementwise(lab, reads, elements)
    in_banks = cycles(lab, hbm_pim(lab), work)
    phases = [moved(lab, 1 + i, elements) for i in range(reads)]
    on_host = cycles(lab, hbm_pim(lab, *HOST), *phases, moved(lab, 9, elements, stored=True))
    assert in_banks == pytest.approx(pim, rel=0.15)
    assert on_host == pytest.approx(host, rel=0.15)
    assert on_host > 1.5 * in_banks


def test_time_depends_on_tiles_only(lab):
    """Outputs fill the eight accumulators of a unit first: 1,024 of them take as long as 4,096."""
    on = hbm_pim(lab, *BENCH, lab.no_refresh)
    few, all_lanes, more = (cycles(lab, on, lab.gemm(1, n, 1024)) for n in (1024, 4096, 4160))
    assert few == pytest.approx(all_lanes, rel=0.002)
    assert more > 1.9 * few
    eight, sixteen, more_tiles = (cycles(lab, on, lab.gemm(1, 4096, k)) for k in (1024, 2048, 3072))
    assert more_tiles - sixteen == pytest.approx(sixteen - eight, rel=0.03)
    # 64 columns of four clocks, eight fences, a fill of eight registers and its fence.
    assert (sixteen - eight) / 8 == pytest.approx(8 * (32 + 13) + 8 * 2 + 13, rel=0.04)


def test_what_fences_modes_and_spread_outputs_cost(lab):
    def play(*overrides: str, outputs: int = 4096) -> float:
        return cycles(lab, hbm_pim(lab, *BENCH, *overrides), lab.gemm(1, outputs, 4096))

    off = [f"modes.{stage}=0" for stage in ("park", "enter", "program", "start", "leave", "unpark")]
    usual = play()
    assert play("fence.time=0 ck") < 0.75 * usual
    assert usual - play(*off) == pytest.approx(500, abs=300)
    # A peer without fences and modes takes 10,312 clocks (UniNDP, HPCA 2025).
    assert play("fence.time=0 ck", *off) == pytest.approx(10_312, rel=0.15)
    assert play("mapping.fill=channels", outputs=1024) < 0.4 * play(outputs=1024)


def test_results_lie_in_the_banks_until_they_are_read(lab):
    work = lab.gemm(1, 4096, 1024)
    kept, read = (
        lab.play(hbm_pim(lab, f"mapping.collect={collect}", lab.no_refresh), work)
        for collect in ("false", "true")
    )
    # Inputs, the program's write and its start; results need none.
    assert kept.buffer == read.buffer == 64 * (8 * 8 + 2)
    # A sum for each of sixteen lanes: 32 B of each output.
    assert (read.reads - kept.reads) * 32 == 4096 * 32
    assert kept.seconds < read.seconds < 1.1 * kept.seconds


def test_units_share_banks_and_nothing_is_lost(lab):
    on = hbm_pim(lab, *BENCH, lab.no_refresh)
    played = lab.play(on, lab.gemm(1, 4096, 1024))
    # Half of the sixteen banks are open at once; eight columns of results are written.
    assert played.columns == 4096 * 1024 // (8 * 16)
    assert played.activates >= 8 * played.columns // 128


def test_work_in_banks_obeys_its_roofs(lab):
    for overrides in ((), HOST, ("mapping.fill=channels",)):
        on = hbm_pim(lab, *overrides)
        for work in (
            lab.gemm(1, 4096, 1024),
            lab.gemm(3, 500, 700),
            elementwise(lab, 2, 1 << 20),
            elementwise(lab, 1, 1 << 20),
            lab.attention(16, 700),
        ):
            lab.bounded(on, work)


def test_small_and_difficult_work_stays_with_the_controller(lab):
    on = hbm_pim(lab)
    small = elementwise(lab, 2, 1 << 20)
    special = Elementwise(small.reads, small.writes, small.elements, 1, 1)
    resident = lab.elementwise(1024)
    for work in (special, resident):
        assert on.kernels(work, lab.address)[0].agents == "controller"
    assert on.kernels(small, lab.address)[0].agents == "channel"
