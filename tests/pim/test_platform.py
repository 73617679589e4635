"""The device as the system sees it: errors, energy, utilization, whole models."""

import pytest

from simulator.api import load_hardware, load_trace, simulate
from simulator.errors import CapacityError, UnmappedOperatorError
from simulator.system.plan import plan
from simulator.system.run import execute
from simulator.trace import catalogue
from simulator.trace.parametric import bind
from simulator.trace.work import Unmapped, View, Work

BITS_PER_COLUMN = 16 * 256


def run(on, model, phase="decode", **sizes):
    trace = catalogue.open_recorded(model, phase)
    return execute(plan(bind(trace, sizes) if sizes else trace, on), on)


def test_views_run_nothing(lab, pim):
    assert pim.kernels(View((), ()), lab.address) == ()


def test_an_unknown_work_is_one_clear_line(lab, pim):
    class Fold(Work):
        pass

    for work, name in ((Unmapped((), (), "aten.fold"), "aten.fold"), (Fold((), ()), "fold")):
        with pytest.raises(UnmappedOperatorError) as caught:
            pim.kernels(work, lab.address)
        assert name in str(caught.value)
        assert "simulator/pim/mapping" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_model_that_does_not_fit_is_refused(pim):
    trace = bind(catalogue.open_recorded("llama2-7b", "decode"), {})
    with pytest.raises(CapacityError, match=r"stacks=N"):
        plan(trace, pim)


def test_energy_of_a_weight_bit_is_that_of_bank_level_designs(lab, pim):
    """CENT and AttAcc agree on 0.5 to 0.57 pJ/bit with activate and multiply-add."""
    rates = pim.energy_rates(None)
    played = lab.play(pim, lab.gemm(1, 4096, 4096))
    assert rates.memory is not None
    joules = played.activates * rates.memory.activate + played.columns * rates.per_macro_column
    per_bit = joules / (played.columns * BITS_PER_COLUMN)
    assert 0.3e-12 < per_bit < 0.65e-12
    per_mac = joules / (played.columns * BITS_PER_COLUMN / 16)
    assert 4e-12 < per_mac < 12e-12


def test_every_joule_has_an_event(lab, pim):
    idle = pim.energy_rates(None)
    assert idle.static_w["controller static"] == pim.spec.energy.controller_static
    assert idle.per_buffer_burst > 8 * 32 * pim.spec.memory.energy.io
    assert idle.per_unit["vector"] == ("controller", pim.spec.energy.controller_operation)


def test_gaps_are_those_of_the_controller_not_of_the_host(pim):
    assert pim.gap_s("eager") == pim.gap_s("graph") == pim.spec.launch.gap


@pytest.mark.parametrize(
    ("model", "phase", "sizes"),
    [
        ("gpt2", "decode", {"context": 300}),
        ("gpt2", "prefill", {"prompt": 48}),
        ("gcn:synthetic-cora", "forward", {}),
    ],
)
def test_whole_models_obey_their_bounds(pim, model, phase, sizes):
    outcome = run(pim, model, phase, **sizes)
    assert outcome.latency_fs >= outcome.bound_fs
    for kernel in outcome.kernels:
        # What was extrapolated is known to its error only.
        slack = 1 - kernel.error_estimate - (0.02 if kernel.simulated_share < 1 else 0)
        assert kernel.duration_fs >= slack * kernel.bound_fs, kernel.name
        for part, busy in kernel.busy_fs.items():
            assert 0 <= busy <= 1.02 * kernel.duration_fs, (kernel.name, part)


def test_decode_keeps_banks_busy_and_rows_open(pim):
    outcome = run(pim, "gpt2", context=512)
    products = [kernel for kernel in outcome.kernels if kernel.kind == "gemm"]
    time = sum(kernel.duration_fs for kernel in products)
    bank = sum(kernel.busy_fs["bank"] for kernel in products)
    pins = sum(kernel.busy_fs["dram"] for kernel in products)
    assert 0.5 < bank / time < 0.8
    assert pins / time < 0.2
    assert time > 0.6 * outcome.latency_fs


def test_prompts_and_training_find_every_operator_mapped(lab, pim):
    """No operator of a recorded trace is left without a kernel; building must not fail."""
    for model, phase in (("bert-base", "train"), ("vit-b16", "prefill"), ("gpt2", "train")):
        trace = bind(catalogue.open_recorded(model, phase), {})
        prepared = plan(trace, pim)
        seen = set()
        for item in prepared.items:
            shape = (item.work.kind, item.work.bytes_read, item.work.bytes_written)
            if shape in seen or item.is_host_only:
                continue
            seen.add(shape)
            for kernel in pim.kernels(item.work, prepared.address):
                assert kernel.count > 0


def test_fusion_is_said_and_can_be_turned_off():
    trace = load_trace("gpt2", {"context": 100}, phase="decode")
    fused = simulate(trace, load_hardware("pim-gpt"), launch="queued")
    plain = simulate(trace, load_hardware("pim-gpt", ["defaults.fuse=none"]), launch="queued")
    assert any("default fusion of gelu, epilogue" in one for one in fused.record.warnings)
    assert not any("fusion" in one for one in plain.record.warnings)
    kinds = {row["kind"]: row["count"] for row in plain.to_json()["kinds"]}
    fewer = {row["kind"]: row["count"] for row in fused.to_json()["kinds"]}
    assert kinds["elementwise"] - fewer["elementwise"] == 12 * 8
    assert kinds["gemm"] == fewer["gemm"]
    assert fused.latency_s < plain.latency_s
