"""``accsim trace``: list, show and export, and what a user can get wrong."""

import json
import subprocess
import sys

import pytest

from simulator import cli
from simulator.trace import catalogue
from simulator.trace.store import read_trace


def output(capsys, *arguments):
    """Standard output of a command that must succeed."""
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def complaint(capsys, *arguments):
    """The one line of a command that must fail."""
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    return line


def test_list_names_every_recorded_trace(capsys):
    text = output(capsys, "trace", "list")
    rows = json.loads(output(capsys, "trace", "list", "--json"))
    assert [(row["name"], row["phase"]) for row in rows] == [
        (entry.name, entry.phase) for entry in catalogue.recorded()
    ]
    assert len(text.splitlines()) == len(rows) + 1


def test_show_tells_operations_bytes_and_guesses(capsys):
    arguments = ("trace", "show", "gpt2", "--phase", "train", "--batch", "4", "--prompt", "64")
    document = json.loads(output(capsys, *arguments, "--json"))
    assert document["sizes"] == {"batch": 4, "prompt": 64}
    assert document["bytes_by_role"]["weight"] == pytest.approx(2 * 124.4e6, rel=0.01)
    assert document["matrix_operations"] == sum(
        row["matrix_operations"] for row in document["by_name"]
    )
    text = output(capsys, *arguments)
    for row in document["by_name"]:
        assert row["name"] in text
    assert document["guesses"] and all(guess in text for guess in document["guesses"])


def test_show_lists_every_operator(capsys):
    text = output(capsys, "trace", "show", "gpt2", "--operators")
    lines = [line.split() for line in text.splitlines()]
    ids = [int(words[0]) for words in lines if words and words[0].isdigit()]
    assert ids == list(range(len(ids))) and len(ids) == 506
    assert "transformer.h.11.attn.c_attn" in text


def test_show_applies_transforms(capsys):
    def weights(*options):
        arguments = ("trace", "show", "llama2-7b", "--json", *options)
        return json.loads(output(capsys, *arguments))["bytes_by_role"]["weight"]

    embeddings = 32000 * 4096 * 2
    assert weights("--quantize", "w4") - embeddings == pytest.approx(
        (weights() - embeddings) / 4, rel=0.01
    )


def test_recorded_traces_need_no_torch():
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from simulator.cli import main\n"
        "sys.exit(main(['trace', 'show', 'llama2-7b', '--context', '777']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "context 777" in done.stdout


def test_export_without_torch_says_how_to_get_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("simulator.trace.export.requirements.find_spec", lambda name: None)
    line = complaint(capsys, "trace", "export", "gpt2", "-o", str(tmp_path / "g.jsonl.gz"))
    assert "pip install 'accsim[torch]'" in line and "accsim trace list" in line
    assert list(tmp_path.iterdir()) == []


def test_export_writes_a_trace(capsys, tmp_path):
    pytest.importorskip("transformers")
    path = tmp_path / "gpt2.jsonl.gz"
    text = output(capsys, "trace", "export", "gpt2", "--context", "99", "-o", str(path))
    trace = read_trace(path)
    assert trace.header.sizes == {"batch": 1, "context": 99}
    assert f"{len(trace.operators)} operators" in text
    shown = json.loads(output(capsys, "trace", "show", str(path), "--json"))
    assert shown["operators"] == len(trace.operators)
    assert [file.name for file in tmp_path.iterdir()] == ["gpt2.jsonl.gz"]


def test_export_shows_guesses(capsys, tmp_path):
    pytest.importorskip("transformers")
    arguments = ("trace", "export", "gpt2", "--phase", "train", "--prompt", "8")
    text = output(capsys, *arguments, "-o", str(tmp_path / "g.jsonl.gz"))
    assert "guess: item()" in text


EXPORT_MISTAKES = {
    "model": (("gtp2",), "did you mean 'gpt2'"),
    "phase": (("gpt2", "--phase", "decod"), "did you mean 'decode'"),
    "size of another phase": (("gpt2", "--prompt", "8"), "no size 'prompt'"),
    "context beyond the model": (("gpt2", "--context", "99999"), "use 1 to 1023"),
    "negative batch": (("gpt2", "--batch", "-1"), "use 1 to"),
    "fraction": (("gpt2", "--batch", "1.5"), "--batch"),
    "routing": (("mixtral-8x7b", "--routing", "zipf:x"), "zipf:S"),
    "routing without experts": (("gpt2", "--routing", "uniform"), "no experts"),
    "option": (("gpt2", "--bach", "1"), "--batch"),
}


@pytest.mark.parametrize("mistake", EXPORT_MISTAKES)
def test_export_mistakes(capsys, tmp_path, mistake):
    arguments, words = EXPORT_MISTAKES[mistake]
    path = tmp_path / "out.jsonl.gz"
    line = complaint(capsys, "trace", "export", *arguments, "-o", str(path))
    assert words in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["out.json", "out", "missing/out.jsonl.gz"])
def test_export_refuses_a_target_before_it_runs(capsys, tmp_path, name):
    line = complaint(capsys, "trace", "export", "llama2-70b", "-o", str(tmp_path / name))
    assert str(tmp_path) in line
    assert list(tmp_path.iterdir()) == []


SHOW_MISTAKES = {
    "name": (("lama2-7b",), "did you mean 'llama2-7b'"),
    "phase": (("llama2-70b", "--phase", "train"), "recorded for decode, prefill"),
    "size": (("llama2-7b", "--phase", "decode", "--prompt", "8"), "no size 'prompt'"),
    "range": (("gpt2", "--context", "5000"), "use 1 to 1023"),
    "quantization": (("gpt2", "--quantize", "w5a"), "w4a8kv8"),
    "sparsity": (("gpt2", "--sparsity", "*.mlp.*=2"), "PATTERN=DENSITY"),
    "pattern": (("gpt2", "--sparsity", "layers.*=0.5"), "no matrix product"),
    "file": (("missing.jsonl.gz",), "no such trace"),
}


@pytest.mark.parametrize("mistake", SHOW_MISTAKES)
def test_show_mistakes(capsys, mistake):
    arguments, words = SHOW_MISTAKES[mistake]
    assert words in complaint(capsys, "trace", "show", *arguments)
