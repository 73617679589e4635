"""The case study: its integration, a small run of it, and its page."""

import json

import numpy as np
import pytest
from cases.pim_gpt import claims, command, page
from cases.pim_gpt.quadrature import gauss, midpoints
from cases.pim_gpt.study import MODELS, SWEPT, SWEPT_CONTEXT, SYSTEMS, Plan, Point, measure, study
from hypothesis import given
from hypothesis import strategies as st

SMALL = Plan(("gpt2",), tokens=64, nodes=2, coarse=1, check_parts=0, sweeps=False)


@pytest.fixture(scope="module")
def small():
    return study(SMALL)


@pytest.fixture(scope="module")
def committed():
    return json.loads((command.HERE / "results.json").read_text(encoding="utf-8"))


@given(nodes=st.integers(1, 12), tokens=st.integers(64, 2048))
def test_weights_add_up_to_the_tokens_at_contexts_that_exist(nodes, tokens):
    for rule in (gauss(nodes, tokens), midpoints(nodes, tokens)):
        assert sum(weight for _, weight in rule) == pytest.approx(tokens)
        assert all(1 <= context < tokens for context, _ in rule)
        assert len({context for context, _ in rule}) == len(rule)


@given(slope=st.floats(0, 1e-6), start=st.floats(1e-5, 1e-2))
def test_an_affine_cost_is_integrated_to_a_rounded_context(slope, start):
    exact = sum(start + slope * context for context in range(1024))
    for nodes in (2, 3, 5):
        found = sum(weight * (start + slope * context) for context, weight in gauss(nodes, 1024))
        assert abs(found - exact) <= 1024 * slope + 1e-9 * exact


def test_steps_of_tiles_are_caught_by_the_distance_of_two_rules():
    def cost(context):
        return np.ceil(context / 200)

    exact = sum(cost(context) for context in range(1024))
    fine, coarse = (sum(w * cost(c) for c, w in gauss(nodes, 1024)) for nodes in (5, 3))
    assert abs(fine / exact - 1) <= abs(fine / coarse - 1) + 0.03


def test_every_way_to_run_a_t4_is_slower_than_the_next(small):
    rows = small["models"]["gpt2"]
    assert rows["graph"]["roofline_s"] < rows["graph"]["latency_s"] < rows["eager"]["latency_s"]
    assert rows["pim"]["latency_s"] < rows["graph"]["roofline_s"]
    # Its own bandwidth bounds what the architecture can win.
    peaks = small["peaks"]
    most = peaks["pim_bytes_per_s"] / peaks["t4_bytes_per_s"]
    assert rows["graph"]["roofline_s"] / rows["pim"]["latency_s"] < most


def test_row_hits_are_those_of_full_rows(small):
    pim = small["models"]["gpt2"]["pim"]
    assert 0.975 < pim["row_hits"] / pim["accesses"] < 63 / 64


def test_pins_carry_far_less_than_the_weights(small):
    rows = small["models"]["gpt2"]
    weights = 64 * 124e6 * 2
    assert rows["graph"]["pin_bytes"] > 0.95 * weights
    assert rows["pim"]["pin_bytes"] < weights / 50


def test_the_same_point_gives_the_same_step():
    point = Point("gpt2", SYSTEMS["pim"], 64)
    assert measure(point) == measure(point)


def test_what_the_paper_says_of_its_largest_model():
    """Not independent of the number of lanes, which was derived with these figures in sight."""
    usual, slow, wide = (
        measure(Point(SWEPT, SYSTEMS["pim"], SWEPT_CONTEXT, settings))
        for settings in (
            (),
            ("controller.clock=100 MHz",),
            ("memory.organization.stacks=8",),
        )
    )
    assert 0.01 < usual.other_s / usual.latency_s < 0.02
    assert 1.05 < slow.latency_s / usual.latency_s < 1.2
    assert 1.8 < usual.latency_s / wide.latency_s < 2


def test_every_claim_has_its_provenance(committed):
    for claim in claims.published().values():
        assert claim.source and claim.span[0] <= claim.span[1]
    text = page.claim_table(committed)
    assert all(claim.source in text for claim in claims.published().values())


def test_the_page_is_the_one_of_the_results_beside_it(committed):
    assert set(committed["models"]) == set(MODELS)
    for name in ("RESULTS.md", "results.csv"):
        written = (command.HERE / name).read_text(encoding="utf-8")
        assert written == command.files(committed)[name], f"renew it: make pim-gpt ({name})"


def test_integration_errors_are_shown_and_small(committed):
    assert max(abs(error) for error in committed["integration_check"]["errors"].values()) < 0.005
    for systems in committed["models"].values():
        assert all(row["error"] < 0.01 for row in systems.values())


@pytest.mark.parametrize(
    "arguments", [["--models", "gpt9"], ["--tokens", "4"], ["--jobs", "0"]], ids=str
)
def test_wrong_options_are_one_line(arguments, capsys):
    assert command.main(arguments) == 2
    assert capsys.readouterr().err.startswith("pim_gpt: error: ")
