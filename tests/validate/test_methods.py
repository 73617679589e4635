"""What a timing method adds to kernels, in closed form; which GPU a name means."""

from dataclasses import replace

import pytest

from simulator.hardware import catalogue
from simulator.system.specs import load_hardware
from simulator.validate.gpus import description_of
from simulator.validate.known_bad import why_bad
from simulator.validate.methods import METHODS, method_of

HOST = load_hardware("a100-sxm-80gb").spec.host
GAP = 1e-6
STREAM_GAP = 3e-6


def seconds(method, kernels=20e-6, count=2):
    return method.seconds(kernels, count, GAP, STREAM_GAP, HOST)


def test_sums_of_kernels_hold_nothing_else():
    assert seconds(METHODS["cupti"]) == 20e-6


def test_a_graph_has_gaps_and_one_graph_follows_another(one_row):
    six = method_of(one_row("gemm.csv"))
    one = method_of(one_row("attention_decode.csv"))
    assert seconds(one) == pytest.approx(20e-6 + GAP + STREAM_GAP)
    assert seconds(six) == pytest.approx(20e-6 + 2 * GAP + (STREAM_GAP - GAP) / 6)


def test_the_limiter_acts_on_long_calls_and_on_long_loops(one_row):
    """A graph of six products is replayed three times, then six times; with watts for a second."""
    product = method_of(one_row("gemm.csv"))
    assert (product.warm_calls, product.timed_calls) == (18, 36)
    assert product.settled(1e-6, 20e-3) < 0.01
    assert product.settled(10e-3, 20e-3) > 0.99
    assert product.settled(1e-3, 0) == 1
    alone = method_of(one_row("attention_decode.csv"))
    assert alone.settled(1e-3, 20e-3) < product.settled(1e-3, 20e-3)
    assert replace(product, timed_s=1.0).settled(1e-6, 20e-3) > 0.97


def test_an_eager_call_waits_for_the_host():
    expected = HOST.operator_cost + HOST.launch_cost + 22e-6 + METHODS["event1"].observed_s
    assert seconds(METHODS["event1"]) == pytest.approx(expected)


def test_a_loop_takes_the_longer_of_host_and_device():
    assert seconds(METHODS["events_loop_avg"]) == pytest.approx(22e-6)
    short = seconds(METHODS["events_loop_avg"], kernels=1e-7, count=1)
    assert short == pytest.approx(HOST.operator_cost + HOST.launch_cost)
    library = seconds(METHODS["wallclock_loop_avg"], kernels=1e-7, count=1)
    assert library == pytest.approx(HOST.launch_cost)


def test_weights_rotate_in_graphs_of_products_alone(one_row):
    assert method_of(one_row("gemm.csv")).weight_copies == 6
    assert method_of(one_row("moe.csv")).weight_copies == 1
    assert method_of(one_row("gemm.csv", timing_method="graph+quant")).quantizes
    assert method_of(one_row("gemm.csv", timing_method="cupti")).weight_copies == 0
    assert method_of(one_row("gemm.csv", timing_method="sundial")) is None


@pytest.mark.parametrize(
    ("gpu", "description"),
    [
        ("A100-SXM-80GB", "a100-sxm-80gb"),
        ("A100-80GB", "a100-sxm-80gb"),
        ("H100-SXM", "h100-sxm"),
        ("B200-SXM", "b200"),
        ("A100-PCIe-80GB", None),
        ("H200-SXM", None),
        ("MI210", None),
    ],
)
def test_names_of_gpus(gpu, description):
    names = ("a100-sxm-80gb", "h100-sxm", "h100-pcie", "b200")
    assert description_of(gpu, names) == description


@pytest.mark.parametrize(
    ("gpu", "description"),
    [
        ("A100-40GB", "a100-sxm-40gb"),
        ("A100-SXM-80GB", "a100-sxm-80gb"),
        ("A100-PCIe-40GB", "a100-pcie-40gb"),
        ("A100-PCIe-80GB", "a100-pcie-80gb"),
        ("H100-SXM", "h100-sxm"),
        ("H100-PCIe", "h100-pcie"),
        ("H200-SXM", "h200-sxm"),
        ("B200-SXM", "b200"),
        ("L40", "l40"),
        ("L40S", "l40s"),
        ("A40", "a40"),
        ("T4", "t4"),
        ("V100-SXM", "v100-sxm"),
        ("V100-PCIe-32GB", "v100-pcie-32gb"),
        ("P100-PCIe-16GB", "p100-pcie"),
        ("A10G", None),
        ("P4", None),
        ("MI210", None),
    ],
)
def test_the_shipped_gpu_that_stands_for_a_name(gpu, description):
    shipped = [entry.name for entry in catalogue("gpu") if "." not in entry.name]
    assert description_of(gpu, shipped) == description


def test_a_fit_stands_for_its_gpu_and_rivals_for_none():
    assert description_of("H100-SXM", ["h100-sxm.fit"]) == "h100-sxm.fit"
    assert description_of("H100-SXM", ["h100-sxm.fit", "h100-sxm"]) is None


def test_what_the_data_call_bad_is_bad(one_row):
    decode = {"gpu": "L40S", "head_dim": 128, "heads": 64, "kv_heads": 1}
    assert why_bad(one_row("attention_decode.csv", **decode))
    assert why_bad(one_row("attention_decode.csv", **{**decode, "gpu": "H100-SXM"})) is None
    between = {"time_us": 40.0, "time_us_min": 10.0, "time_us_max": 70.0}
    assert why_bad(one_row("attention_decode.csv", **between))
    assert why_bad(one_row("attention_prefill.csv", **between))
    assert why_bad(one_row("attention_decode.csv", **{**between, "time_us": 15.0})) is None
    assert why_bad(one_row("attention_decode.csv", **{**between, "time_us_max": 29.0})) is None
    alone = {"gpu": "B200-SXM", "heads": 64, "kv_heads": 1, "time_us_min": 12, "time_us_max": 12}
    assert why_bad(one_row("attention_decode.csv", **alone))
    assert why_bad(one_row("attention_decode.csv", **{**alone, "time_us_max": 13})) is None
    assert why_bad(one_row("attention_decode.csv", **{**alone, "heads": 32})) is None
    window = {"gpu": "B200-SXM", "head_dim": 64, "q_len": 512, "kv_len": 512}
    once = {"time_us": 12, "time_us_min": 12, "time_us_max": 12}
    mean, median = ({"time_us": t, "time_us_min": 12, "time_us_max": 30} for t in (21, 28))
    assert why_bad(one_row("attention_prefill.csv", **window, **once))
    assert why_bad(one_row("attention_prefill.csv", **window, **mean))
    assert why_bad(one_row("attention_prefill.csv", **window, **median)) is None
    assert why_bad(one_row("attention_prefill.csv", **{**window, "head_dim": 128}, **once)) is None
    short = {**window, "q_len": 128, "kv_len": 128}
    assert why_bad(one_row("attention_prefill.csv", **short, **once)) is None
    assert why_bad(one_row("moe.csv", topk=22, num_experts=64))
    assert why_bad(one_row("moe.csv", inter_size=1856))
    assert why_bad(one_row("moe.csv")) is None
    assert why_bad(one_row("memory_bound.csv", op="amax_scale", gpu="L40S"))
    assert why_bad(one_row("memory_bound.csv", op="add", gpu="L40S")) is None
