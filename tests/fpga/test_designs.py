"""Published designs, each against what its authors or third parties report."""

from functools import cache

import pytest

from simulator import api
from simulator.results.result import Result
from simulator.system.specs import load_hardware
from simulator.trace.catalogue import open_recorded
from simulator.trace.parametric import bind


@cache
def run(hardware: str, model: str, phase: str, *overrides: str, **sizes: int) -> Result:
    trace = open_recorded(model, phase, sizes)
    if trace.header.sizes:
        trace = bind(trace, sizes)
    return api.simulate(trace, load_hardware(hardware, overrides), launch="queued")


def seconds(*arguments: str, **sizes: int) -> float:
    return run(*arguments, **sizes).latency_s


@pytest.mark.parametrize(
    ("tokens", "published_s"), [(32, 350.0e-3), (64, 694.7e-3), (256, 2800e-3)]
)
def test_dfx_takes_as_long_for_a_prompt_token_as_for_an_output_token(tokens, published_s):
    # 32 in and 32 out is what the cost of an instruction was fitted to.
    step = seconds("dfx-u280", "gpt2-medium", "decode", context=tokens)
    assert 2 * tokens * step == pytest.approx(published_s, rel=0.05)


def test_dfx_on_four_cards():
    step = seconds("dfx-4xu280", "gpt2-xl", "decode", context=192)
    assert step == pytest.approx(6.9e-3, rel=0.1)


def test_four_cards_are_faster_than_one_but_pay_the_ring():
    one, four = (
        seconds(hardware, "gpt2-medium", "decode", context=64)
        for hardware in ("dfx-u280", "dfx-4xu280")
    )
    slow = seconds("dfx-4xu280", "gpt2-medium", "decode", "link.latency=50 us", context=64)
    assert one / 4 < four < one < slow


def test_a_design_without_reuse_streams_its_weights_for_every_row():
    few, many = (
        run("dfx-u280", "gpt2-medium", "prefill", prompt=prompt).kinds.set_index("name")
        for prompt in (2, 4)
    )
    column = "dram_bytes_read"
    assert many.loc["gemm", column] > 1.7 * few.loc["gemm", column]


def test_kv260_reaches_most_of_its_only_channel():
    # 4.9 tokens a second on the board, contexts not stated.
    step = seconds("kv260-llm", "llama2-7b", "decode", context=256)
    assert 1 / step == pytest.approx(4.9, rel=0.1)


def test_scales_of_groups_are_traffic():
    plain = run("kv260-llm", "gpt2", "decode", "core.scales.bits=1", context=64)
    scaled = run("kv260-llm", "gpt2", "decode", context=64)
    read = [r.kinds.set_index("name").loc["gemm", "dram_bytes_read"] for r in (plain, scaled)]
    assert read[1] / read[0] == pytest.approx((512 + 20) / (512 + 1), rel=0.01)


def test_edge_moe_frame_and_what_it_consists_of():
    result = run("edge-moe-zcu102", "m3vit-tiny", "prefill")
    assert result.latency_s == pytest.approx(34.64e-3, rel=0.05)
    share = result.kinds.set_index("name").latency_s / result.latency_s
    # Paper, section V-C: about half, about 35 %, the rest.
    assert share["attention"] == pytest.approx(0.50, abs=0.05)
    assert share["gemm"] + share["groupedgemm"] == pytest.approx(0.35, abs=0.05)
    assert result.energy_j / result.latency_s == pytest.approx(14.54, rel=0.15)


@pytest.mark.parametrize(
    ("hardware", "model", "published_s", "tolerance"),
    [
        ("flowgnn-u50", "gcn-mol", 41.9e-6, 0.05),  # fitted to this row
        ("flowgnn-gin-u50", "gin-mol", 49.5e-6, 0.2),
        ("flowgnn-u50", "gcn-hep", 163.9e-6, 0.2),
        ("flowgnn-gin-u50", "gin-hep", 179.9e-6, 0.2),
    ],
)
def test_flowgnn_graphs(hardware, model, published_s, tolerance):
    assert seconds(hardware, model, "forward") == pytest.approx(published_s, rel=tolerance)


@pytest.mark.parametrize(("prompt", "published_s"), [(32, 34.59e-3), (128, 125.35e-3)])
def test_streaming_prompts(prompt, published_s):
    time = seconds("streaming-u55c", "gpt2-medium", "prefill", prompt=prompt)
    assert time == pytest.approx(published_s, rel=0.15)


@pytest.mark.parametrize(("context", "tokens_per_s"), [(48, 199.5), (192, 224.1)])
def test_streaming_output_tokens(context, tokens_per_s):
    step = seconds("streaming-u55c", "gpt2-medium", "decode", context=context)
    assert 1 / step == pytest.approx(tokens_per_s, rel=0.15)


HALVED = {
    "flightllm-u280": ("weights=4 MiB", "activations=64 KiB", "outputs=512 KiB"),
    "edge-moe-zcu102": ("weights=288 KiB", "activations=12 KiB", "outputs=16 KiB"),
    "kv260-llm": ("weights=512 KiB", "activations=32 KiB", "outputs=32 KiB"),
}


@pytest.mark.parametrize(
    ("hardware", "model", "phase", "sizes"),
    [
        ("flightllm-u280", "gpt2", "prefill", {"prompt": 64}),
        ("edge-moe-zcu102", "m3vit-tiny", "prefill", {}),
        ("kv260-llm", "llama2-7b", "decode", {"context": 64}),
    ],
)
def test_half_the_buffers_move_more_or_are_an_error(hardware, model, phase, sizes):
    def moved(*overrides: str) -> int:
        kinds = run(hardware, model, phase, *overrides, **sizes).kinds
        return int(kinds.dram_bytes_read.sum() + kinds.dram_bytes_written.sum())

    assert moved(*(f"core.buffers.{one}" for one in HALVED[hardware])) > moved()
