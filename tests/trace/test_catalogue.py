"""The shipped traces: all there, all sound, each with its model's operations."""

import pytest

from simulator.errors import TraceError
from simulator.trace import catalogue, store
from simulator.trace.export.models import MODELS
from simulator.trace.load import load_trace
from simulator.trace.lowering import lower_all

ENTRIES = [entry for entry in catalogue.recorded() if entry.name in MODELS]
IDS = [f"{entry.name}-{entry.phase}" for entry in ENTRIES]


def test_every_model_is_recorded_for_inference():
    recorded = {(entry.name, entry.phase) for entry in ENTRIES}
    for name, model in MODELS.items():
        for phase in model.phases:
            assert phase == "train" or (name, phase) in recorded
    assert ("llama2-7b", "train") in recorded


def test_the_folder_stays_small():
    files = [path for path in ENTRIES[0].file.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_matrix_operations_agree_with_the_closed_form(entry, closed_form):
    for sizes in smallest_and_other(entry.ranges):
        trace = load_trace(entry.file, sizes)
        counted = sum(work.operations.get("matrix", 0) for work in lower_all(trace))
        assert counted == pytest.approx(closed_form(entry.name, entry.phase, **sizes), rel=0.01)


def smallest_and_other(ranges):
    yield {name: least for name, (least, _) in ranges.items()}
    yield {name: min(most, 40 + 7 * len(name)) for name, (_, most) in ranges.items()}


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_every_operator_has_a_module(entry):
    trace = store.read_trace(entry.file)
    assert all(operator.module for operator in trace.operators)


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_weights_have_the_models_size(entry, parameters):
    trace = load_trace(entry.file)
    sizes = {}
    for tensor in trace.tensors.values():
        if tensor.role == "weight" and tensor.dtype == "bfloat16":
            elements = 1
            for dimension in tensor.shape:
                elements *= dimension
            sizes[tensor.storage] = max(sizes.get(tensor.storage, 0), elements)
    assert sum(sizes.values()) == pytest.approx(parameters(entry.name), rel=0.05)


def test_a_name_without_phase_takes_decode():
    assert load_trace("gpt2").header.phase == "decode"


def test_sizes_choose_the_phase_and_the_variant():
    assert load_trace("gpt2", {"context": 9}).header.phase == "decode"
    assert load_trace("gpt2", {"prompt": 9}).header.phase == "prefill"
    one, four = (load_trace("gpt2", {"batch": b}, phase="train") for b in (1, 4))
    assert one.header.sizes["batch"] == 1 and four.header.sizes["batch"] == 4
    assert len(one.operators) != len(four.operators)


def test_an_unknown_name_tells_the_nearest_and_how_to_export():
    with pytest.raises(TraceError) as error:
        load_trace("lama2-7b")
    message = str(error.value)
    assert "did you mean 'llama2-7b'" in message
    assert "pip install 'accsim[torch]'" in message
    assert "accsim trace export lama2-7b" in message
    assert "\n" not in message


def test_an_unrecorded_phase_tells_what_is_recorded():
    with pytest.raises(
        TraceError, match=r"decode, prefill.*accsim trace export llama2-70b --phase train"
    ):
        load_trace("llama2-70b", phase="train")


def test_an_empty_folder_has_no_traces(tmp_path):
    assert catalogue.recorded(tmp_path) == []
    assert catalogue.recorded(tmp_path / "missing") == []
