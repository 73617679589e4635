"""PIM-GPT against what its paper claims: a floor for its tokens, channels, controller.

The floor is weights over the in-bank bandwidth.
"""

import pytest

from simulator.system.plan import plan
from simulator.system.run import execute
from simulator.trace import catalogue
from simulator.trace.parametric import bind


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
