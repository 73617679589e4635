"""The search finds what trying everything finds, and says what it chose."""

from itertools import product

import pytest

from simulator.api import load_hardware, load_trace, simulate
from simulator.errors import OptionError
from simulator.mapping_search import best_mapping


@pytest.fixture(scope="module")
def trace():
    return load_trace("gpt2", {"context": 300}, phase="decode")


def latency(trace, name, settings):
    return simulate(trace, load_hardware(name, settings), launch="queued").latency_s


def test_nothing_that_was_left_out_is_faster(trace):
    found = best_mapping(trace, "gddr6-aim", launch="queued")
    axes = (
        [f"mapping.order={value}" for value in ("activation_stationary", "output_stationary")],
        [f"mapping.pack={value}" for value in ("true", "false")],
        [f"mapping.spread={value}" for value in ("channels", "tokens")],
    )
    fastest = min(latency(trace, "gddr6-aim", settings) for settings in product(*axes))
    assert found.result.latency_s <= fastest
    assert found.tried < 24


def test_a_bad_choice_is_undone_and_said(trace):
    bad = ["mapping.pack=false"]
    found = best_mapping(trace, "pim-gpt", bad, launch="queued")
    assert found.chosen["mapping.pack"] == "true"
    assert found.result.latency_s < 0.95 * found.own_latency_s
    assert found.own_latency_s == latency(trace, "pim-gpt", bad)
    settings = [*bad, *(f"{path}={value}" for path, value in found.chosen.items())]
    assert found.result.latency_s == latency(trace, "pim-gpt", settings)
    remark = found.result.record.warnings[0]
    assert remark.startswith("best of") and "mapping.pack=true" in remark
    assert found.result.record.options["mapping"] == found.chosen


def test_devices_without_choices_say_so(trace):
    with pytest.raises(OptionError, match="no mapping choices"):
        best_mapping(trace, "a100-sxm-80gb")
