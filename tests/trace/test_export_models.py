"""Named models: the real transformers code, without its traps, at any size."""

import os
import resource
import subprocess
import sys
import time

import pytest

from simulator.errors import AccsimError, OptionError, TraceError
from simulator.trace import catalogue, parametric
from simulator.trace.lowering import lower_all
from simulator.trace.lowering.summary import unmapped

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from simulator.trace.export import MODELS, export_model  # noqa: E402
from simulator.trace.export.guesses import ITEM_TRUE  # noqa: E402


def count(trace, name):
    return sum(operator.name.startswith(f"aten.{name}.") for operator in trace.operators)


def storages(trace, role):
    return {t.storage: t for t in trace.tensors.values() if t.role == role}


@pytest.mark.parametrize(
    ("name", "phase", "layers"),
    [
        ("gpt2", "prefill", 12),
        ("gpt2", "decode", 12),
        ("gpt2", "train", 12),
        ("llama3-8b", "prefill", 32),
        ("llama3-8b", "decode", 32),
        ("mixtral-8x7b", "decode", 32),
        ("bert-base", "prefill", 12),
        ("bert-base", "train", 12),
        ("vit-b16", "prefill", 12),
    ],
)
def test_attention_is_one_operator_a_layer(name, phase, layers):
    trace = export_model(name, phase)
    fused = [o for o in trace.operators if "scaled_dot_product_attention.default" in o.name]
    assert len(fused) == layers
    assert count(trace, "scaled_dot_product_attention_backward") == layers * (phase == "train")
    assert count(trace, "bmm") == count(trace, "_safe_softmax") == 0
    causal = phase != "decode" and MODELS[name].family == "decoder"
    assert {o.kwargs["is_causal"] for o in fused} == {causal}


def test_decode_appends_one_token_and_attends_to_all():
    trace = export_model("llama3-8b", "decode", batch=2, context=100)
    cache = storages(trace, "kv_cache")
    assert len(cache) == 2 * 32
    written = [
        trace.tensors[o.outputs[0]]
        for o in trace.operators
        if trace.tensors[o.outputs[0]].role == "kv_cache" and o.name == "aten.copy_.default"
    ]
    assert len(written) == 64
    assert {t.shape for t in written} == {(2, 8, 1, 128)}
    assert {t.offset for t in written} == {100 * 128}
    for work in lower_all(trace):
        if work.kind == "attention":
            assert (work.heads, work.kv_heads) == (32, 8)
            assert (work.q_len, work.kv_len) == (1, 101)
            assert [o.bytes for o in work.reads[1:]] == [2 * 8 * 101 * 128 * 2] * 2


def test_grouped_keys_are_not_repeated():
    trace = export_model("llama3-8b", "prefill", prompt=64)
    for operator, work in zip(trace.operators, lower_all(trace), strict=True):
        touches = any(trace.tensors[id].role == "kv_cache" for id in operator.inputs)
        if touches and work.kind not in ("view", "attention"):
            assert operator.name == "aten.copy_.default"


def test_prefill_fills_the_cache_and_predicts_one_token():
    trace = export_model("llama3-8b", "prefill", batch=2, prompt=64)
    head = [o for o in trace.operators if o.module == "lm_head" and o.name == "aten.mm.default"]
    assert [trace.tensors[o.outputs[0]].shape for o in head] == [(2, 128256)]
    assert {t.shape[2] for t in storages(trace, "kv_cache").values()} == {64}


def test_experts_are_grouped_and_no_weight_is_copied():
    trace = export_model("mixtral-8x7b", "decode", batch=4)
    assert count(trace, "_grouped_mm") == 2 * 32
    assert count(trace, "bmm") == 0
    experts = {
        id for id, t in trace.tensors.items() if t.name.endswith("_proj") and t.role == "weight"
    }
    assert experts
    for operator, work in zip(trace.operators, lower_all(trace), strict=True):
        if experts & set(operator.inputs):
            assert work.kind in ("view", "groupedgemm")
    rows = {tuple(o.kwargs["rows_per_expert"]) for o in trace.operators if "_grouped" in o.name}
    assert rows == {(1,) * 8}


def test_routing_is_recorded_data():
    uniform, skewed = (
        export_model("mixtral-8x7b", "prefill", prompt=512, routing=r)
        for r in ("uniform", "zipf:1.2")
    )
    operations = [
        sum(w.operations["matrix"] for w in lower_all(t) if w.kind == "groupedgemm")
        for t in (uniform, skewed)
    ]
    assert operations[0] == operations[1]
    rows = [t.operators[-1] and _rows(t) for t in (uniform, skewed)]
    assert rows[0] == [128] * 8
    assert sum(rows[1]) == 1024 and rows[1][0] > 3 * rows[1][-1]
    assert skewed.header.source["routing"] == "zipf:1.2"


def _rows(trace):
    return next(o.kwargs["rows_per_expert"] for o in trace.operators if "_grouped" in o.name)


def test_a_masked_encoder_is_a_guess():
    """With an attention mask the code asks whether it masks anything."""
    trace = export_model("bert-base", "train", prompt=16)
    assert trace.header.guesses == (f"{ITEM_TRUE} (1x)",)
    assert export_model("bert-base", "prefill", prompt=16).header.guesses == ()


def test_a_training_step_has_three_phases():
    trace = export_model("gpt2", "train", batch=2, prompt=32)
    assert list(dict.fromkeys(o.phase for o in trace.operators)) == [
        "forward",
        "backward",
        "optimizer",
    ]
    weights = sum(1 for t in storages(trace, "weight").values() if t.dtype == "bfloat16")
    assert len(storages(trace, "gradient")) == weights
    assert len(storages(trace, "optimizer_state")) == 2 * weights
    assert len(trace.header.guesses) == 1
    assert all(operator.module for operator in trace.operators)


FRESH = [
    ("gpt2", "decode"),
    ("gpt2", "train"),
    ("llama2-7b", "decode"),
    ("llama2-7b", "prefill"),
    ("mixtral-8x7b", "decode"),
    ("mixtral-8x7b", "prefill"),
    ("bert-base", "prefill"),
    ("bert-base", "train"),
    ("vit-b16", "prefill"),
]
REST = [
    (name, phase)
    for name, model in MODELS.items()
    for phase in model.phases
    if (name, phase) not in FRESH
]


def recorded_by_this_version(entry):
    return entry.header.source["torch"].startswith(torch.__version__.partition("+")[0])


def check_bound_equals_fresh(name, phase, same_meaning):
    """A recorded trace, bound to sizes it was never exported at, is a fresh export."""
    if not recorded_by_this_version(catalogue.find(name, phase)):
        pytest.skip("recorded with another version of PyTorch")
    for batch, length in ((1, 2), (1, 77), (4, 64)):
        sizes = {"batch": batch, "prompt": length, "context": length}
        sizes = {size: sizes[size] for size in catalogue.find(name, phase).sizes}
        recorded = catalogue.open_recorded(name, phase, sizes)
        same_meaning(parametric.bind(recorded, sizes), export_model(name, phase, **sizes))


@pytest.mark.parametrize(("name", "phase"), FRESH)
def test_bound_equals_fresh(name, phase, same_meaning):
    check_bound_equals_fresh(name, phase, same_meaning)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phase"), [case for case in REST if case[1] != "train"])
def test_bound_equals_fresh_for_the_rest(name, phase, same_meaning):
    check_bound_equals_fresh(name, phase, same_meaning)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "phase"), REST)
def test_fresh_exports_agree_with_the_closed_form(name, phase, closed_form):
    sizes = {"batch": 2, "prompt": 48, "context": 48}
    trace = export_model(
        name,
        phase,
        **{size: sizes[size] for size in ("batch", "prompt", "context") if fits(name, phase, size)},
    )
    works = lower_all(trace)
    counted = sum(work.operations.get("matrix", 0) for work in works)
    assert counted == pytest.approx(closed_form(name, phase, **trace.header.sizes), rel=0.01)
    assert unmapped(works) == []


def fits(name, phase, size):
    if MODELS[name].family == "vision":
        return size == "batch"
    return size in (("batch", "context") if phase == "decode" else ("batch", "prompt"))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "lama2-7b"}, TraceError, "did you mean 'llama2-7b'"),
        ({"name": "gpt2", "phase": "decod"}, OptionError, "did you mean 'decode'"),
        ({"name": "bert-base", "phase": "decode"}, OptionError, "no phase 'decode'"),
        ({"name": "gpt2", "phase": "decode", "prompt": 4}, OptionError, "no size 'prompt'"),
        ({"name": "gpt2", "phase": "prefill", "context": 4}, OptionError, "batch, prompt"),
        ({"name": "gpt2", "phase": "decode", "context": 1024}, OptionError, "use 1 to 1023"),
        ({"name": "gpt2", "phase": "decode", "batch": 0}, OptionError, "use 1 to"),
        ({"name": "gpt2", "phase": "prefill", "prompt": 1}, OptionError, "use 2 to"),
        ({"name": "mixtral-8x7b", "routing": "zip:1"}, OptionError, "zipf:1.2"),
        ({"name": "gpt2", "routing": "uniform"}, OptionError, "no experts"),
        ({"name": "vit-b16", "phase": "prefill", "prompt": 9}, OptionError, "its sizes are batch"),
    ],
)
def test_bad_requests_are_told_before_anything_runs(arguments, error, words):
    with pytest.raises(error) as caught:
        export_model(**arguments)
    assert words in str(caught.value)
    assert isinstance(caught.value, AccsimError) and "\n" not in str(caught.value)


def test_the_largest_model_exports_quickly_and_small(tmp_path):
    """Llama-2-70B decode at 4096 tokens in a process of its own: 15 s, 1 GB."""
    command = "trace export llama2-70b --phase decode --context 4096 -o"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "simulator.cli", *command.split(), str(tmp_path / "l.jsonl.gz")],
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu < 15, f"{cpu} s of CPU, {time.monotonic() - start} s of wall time"
    assert after.ru_maxrss < 1_000_000  # KiB


@pytest.mark.slow
def test_every_process_writes_the_same_bytes(tmp_path):
    contents = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.jsonl.gz"
        command = "trace export mixtral-8x7b --phase train --prompt 32 --routing zipf:1.2 -o"
        subprocess.run(
            [sys.executable, "-m", "simulator.cli", *command.split(), str(path)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
