"""Against published figures: other simulators' cycles and what papers claim.

These compare simulators, not hardware.  AiM cycles are those of aim_simulator (the CENT
artifact's fork of Ramulator 2) with the same timing, its chunk-reusing schedule and 32
accumulators; it issues no refresh.  The PIM-GPT floor is weights over the in-bank bandwidth.
"""

import pytest

from simulator.system.plan import plan
from simulator.system.run import execute
from simulator.trace import catalogue
from simulator.trace.parametric import bind

AIM = (
    "memory.timing.refresh.mode=none",
    "memory.timing.precharge=32 ck",
    "memory.timing.read_to_precharge=12 ck",
    "memory.timing.ras=54 ck",
    "memory.timing.rc=89 ck",
    "bank.rcd_compute=56 ck",
    "bank.mac_interval=2 ck",
    "bank.accumulators=32",
    "mapping.order=output_stationary",
    "controller.link_latency=0 ns",
)


@pytest.mark.parametrize(
    ("k", "n", "channels", "cycles"),
    [
        (1024, 1024, 32, 645),
        (4096, 1024, 32, 2580),
        (1024, 4096, 32, 2031),
        (4096, 4096, 32, 8124),
        (11008, 4096, 32, 22053),
        (8192, 8192, 32, 31032),
        (2048, 2048, 8, 7758),
    ],
)
def test_matrix_vector_products_of_aim_simulator(lab, k, n, channels, cycles):
    on = lab.platform(*AIM, f"memory.organization.stacks={channels // 2}")
    simulated = lab.play(on, lab.gemm(1, n, k)).seconds / 0.5e-9
    assert simulated == pytest.approx(cycles, rel=0.12)


def token_s(lab, model: str, *overrides: str) -> float:
    on = lab.platform(*overrides)
    trace = bind(catalogue.open_recorded(model, "decode"), {"context": 512})
    return execute(plan(trace, on), on).latency_fs * 1e-15


@pytest.mark.parametrize(
    ("model", "floor_s", "ceiling_s"),
    [
        # Weights over 4.096 TB/s, and at most what 45 % of it would take.
        ("gpt2-xl", 0.72e-3, 1.60e-3),
        ("gpt3-1.3b", 0.59e-3, 1.31e-3),
        ("gpt2", 41e-6, 150e-6),
    ],
)
def test_tokens_of_pim_gpt_stay_above_their_weights(lab, model, floor_s, ceiling_s):
    assert floor_s < token_s(lab, model) < ceiling_s


def test_pim_gpt_scales_with_channels_and_barely_needs_its_controller(lab):
    """Nearly linear in channels while products last; a fast controller gains little."""
    usual = token_s(lab, "gpt3-1.3b")
    doubled = token_s(lab, "gpt3-1.3b", "memory.organization.stacks=8")
    assert 1.6 < usual / doubled < 2
    assert token_s(lab, "gpt3-1.3b", "controller.clock=2 GHz") > 0.93 * usual
