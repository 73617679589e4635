"""``accsim run``, ``op`` and ``compare``: what they print, write, and refuse."""

import gzip
import json
from pathlib import Path

import pytest

from simulator import cli

A100 = "a100-sxm-80gb"
GPT2 = ("gpt2", "--phase", "decode", "--context", "64")


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output and error of one command."""
    code = cli.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_run_prints_the_document_that_it_saves(capsys, tmp_path):
    out = tmp_path / "out"
    code, text, _ = run(capsys, "run", *GPT2, "--hw", A100, "--json", "--out", out)
    assert code == 0
    assert (out / "result.json").read_text() == text
    assert {path.name for path in out.iterdir()} == {
        "result.json",
        "operators.csv",
        "timeline.json",
        "report.html",
    }
    document = json.loads(text)
    assert document["workload"] == "gpt2"
    assert document["hardware"] == A100
    assert document["latency_s"] >= document["bound_latency_s"] > 0
    assert document["tokens_per_s"] == pytest.approx(1 / document["latency_s"])
    assert sum(document["energy_by_part_j"].values()) == pytest.approx(document["energy_j"])
    assert all(0 <= share <= 1 for share in document["utilization"].values())
    assert 0 < document["simulated_share"] <= 1
    for row in document["operators"]:
        assert {"name", "kind", "count", "latency_s", "bound_s", "energy_j"} <= row.keys()


def test_op_names_its_kernel(capsys):
    code, text, _ = run(
        capsys, "op", "gemm", "m=64", "n=256", "k=512", "dtype=bf16", "--hw", A100, "--json"
    )
    assert code == 0
    document = json.loads(text)
    assert document["kernel"].startswith("gemm ")
    assert document["latency_s"] >= document["bound_latency_s"]
    assert document["energy_j"] > 0
    assert set(document["utilization"]) >= {"dram", "matrix"}


@pytest.mark.parametrize(
    "words",
    [
        ("attention", "heads=8", "kv_len=256"),
        ("attention", "heads=8", "kv_heads=2", "q_len=256", "kv_len=256", "causal=true"),
        ("elementwise", "elements=100000"),
        ("softmax", "rows=64", "columns=1000"),
        ("norm", "rows=64", "columns=1000"),
        ("reduce", "rows=1", "columns=1000000"),
        ("copy", "bytes=1000000"),
        ("gather", "rows=1000", "table_rows=5000"),
        ("scatter", "rows=1000", "table_rows=5000"),
        ("spmm", "rows=1000", "nonzeros=8000"),
    ],
)
@pytest.mark.parametrize("device", [A100, "pim-gpt", "flightllm-u280"])
def test_every_operator_runs_on_every_kind_of_device(capsys, words, device):
    code, text, err = run(capsys, "op", *words, "--hw", device, "--json")
    assert (code, err) == (0, "") or "compiling" in err
    document = json.loads(text)
    assert document["latency_s"] >= document["bound_latency_s"]


def test_explain_shows_the_lowering(capsys):
    code, text, _ = run(capsys, "op", "gemm", "m=64", "n=256", "k=512", "--hw", A100, "--explain")
    assert code == 0
    for word in ("work gemm", "kernel gemm", "thread 0", "wait for", "compute"):
        assert word in text


def test_compare_leaves_out_what_does_not_fit(capsys):
    code, text, err = run(
        capsys,
        "compare",
        "llama2-7b",
        "--phase",
        "decode",
        "--context",
        "64",
        "--hw",
        f"flightllm-u280,{A100},pim-gpt",
        "--json",
    )
    assert code == 0
    document = json.loads(text)
    assert [row["hardware"] for row in document["rows"]] == ["flightllm-u280", A100]
    assert "left out: pim-gpt: llama2-7b needs" in err


DECODE = ("run", "llama2-7b", "--phase", "decode")
GEMM = ("op", "gemm", "m=8", "n=8", "k=8", "--hw", A100)

REFUSED = {
    "unknown workload": (("run", "lama2-7b", "--hw", A100), "did you mean 'llama2-7b'"),
    "unknown device": ((*DECODE, "--hw", "a100-80gb"), "did you mean 'a100-sxm-80gb'"),
    "memory is no device": ((*DECODE, "--hw", "hbm2e-3.2"), "not a device"),
    "missing file": ((*DECODE, "--hw", "missing.yaml"), "missing.yaml"),
    "no device": (DECODE, "--hw"),
    "unknown phase": (("run", "gpt2", "--phase", "decod", "--hw", A100), "decode"),
    "size of another phase": ((*DECODE, "--prompt", "5", "--hw", A100), "prompt"),
    "zero": ((*DECODE, "--context", "0", "--hw", A100), "context"),
    "negative": ((*DECODE, "--batch", "-1", "--hw", A100), "batch"),
    "huge": ((*DECODE, "--context", "99999999999", "--hw", A100), "context"),
    "not a number": ((*DECODE, "--context", "many", "--hw", A100), "--context"),
    "launch": ((*DECODE, "--hw", A100, "--launch", "grap"), "did you mean 'graph'"),
    "fidelity": ((*DECODE, "--hw", A100, "--fidelity", "exakt"), "did you mean 'exact'"),
    "misspelled key": ((*DECODE, "--hw", A100, "--set", "chip.sm.thread=1"), "threads"),
    "deep key": ((*DECODE, "--hw", A100, "--set", "memory.timing.rass=9 ns"), "ras"),
    "wrong unit": ((*DECODE, "--hw", A100, "--set", "chip.clock=40 MiB"), "chip.clock"),
    "no unit": ((*DECODE, "--hw", A100, "--set", "l2.capacity=40"), "l2.capacity"),
    "GB for GiB": ((*DECODE, "--hw", A100, "--set", "l2.capacity=40 MB"), "l2"),
    "negative count": ((*DECODE, "--hw", A100, "--set", "chip.sms=-4"), "chip.sms"),
    "wrong type": ((*DECODE, "--hw", A100, "--set", "chip.sms=[1, 2]"), "chip.sms"),
    "NaN": ((*DECODE, "--hw", A100, "--set", "l2.usable=.nan"), "l2.usable"),
    "quantization": ((*DECODE, "--hw", A100, "--quantize", "w4b8"), "w4a8kv8"),
    "sparsity": ((*DECODE, "--hw", A100, "--sparsity", "*.q_proj"), "PATTERN"),
    "density": ((*DECODE, "--hw", A100, "--sparsity", "*.q_proj=7"), "7"),
    "no such module": ((*DECODE, "--hw", A100, "--sparsity", "*.qproj=0.5"), "qproj"),
    "capacity": ((*DECODE, "--hw", "pim-gpt"), "the device has"),
    "operator": (("op", "gem", "m=1", "--hw", A100), "did you mean 'gemm'"),
    "missing extent": (("op", "gemm", "m=8", "n=8", "--hw", A100), "needs k=N"),
    "unknown extent": ((*GEMM, "kk=8"), "has no extent 'kk'"),
    "extent twice": ((*GEMM, "m=9"), "given twice"),
    "extent of zero": (("op", "gemm", "m=0", "n=8", "k=8", "--hw", A100), "m=0"),
    "extent no number": (("op", "gemm", "m=x", "n=8", "k=8", "--hw", A100), "m=x"),
    "extent huge": (("op", "copy", "bytes=9999999999999999", "--hw", A100), "bytes="),
    "too large for memory": (("op", "copy", "bytes=99999999999", "--hw", A100), "needs"),
    "type": ((*GEMM, "dtype=bf15"), "bf15"),
    "heads": (
        ("op", "attention", "heads=8", "kv_heads=3", "kv_len=9", "--hw", A100),
        "not a multiple",
    ),
    "too many inputs": (("op", "elementwise", "elements=9", "inputs=99", "--hw", A100), "99"),
    "capital": (("op", "gemm", "M=8", "n=8", "k=8", "--hw", A100), "needs m=N"),
    "same device twice": (("compare", "gpt2", "--hw", f"{A100},{A100}"), "twice"),
    "empty comparison": (("compare", "gpt2", "--hw", ","), "no device given"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_one_line_and_leaves_nothing(capsys, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    arguments, says = REFUSED[name]
    if arguments[0] != "op":
        arguments = (*arguments, "--out", "results")
    code, out, err = run(capsys, *arguments)
    assert code == 2, err
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("accsim: error: ")
    assert says in err
    assert list(tmp_path.iterdir()) == []


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


BAD_FILES = {
    "truncated.jsonl.gz": gzip.compress(b'{"schema": 1}\n' * 99, mtime=0)[:-9],
    "noise.jsonl.gz": b"\x1f\x8bnoise",
    "words.jsonl.gz": gzip.compress(b"these are words\n", mtime=0),
    "version.jsonl.gz": gzip.compress(b'{"schema": 99}\n', mtime=0),
    "empty.jsonl.gz": gzip.compress(b"", mtime=0),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_trace_files_are_one_line(capsys, tmp_path, name):
    path = write(tmp_path / name, BAD_FILES[name])
    code, out, err = run(capsys, "run", path, "--hw", A100, "--out", tmp_path / "results")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert name in err
    assert sorted(tmp_path.iterdir()) == [path]


BAD_YAML = {
    "tag.yaml": b"kind: !!python/object/apply:os.system ['true']\n",
    "twice.yaml": b"kind: gpu\nkind: gpu\n",
    "kind.yaml": b"kind: gpv\n",
    "tabs.yaml": b"kind:\tgpu\n\tchip: 1\n",
    "bytes.yaml": b"\xff\xfe\x00",
    "extends.yaml": b"extends: a100-sxm-80g\n",
    "key.yaml": b"extends: a100-sxm-80gb\nchip: {smx: 3}\n",
}


@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_descriptions_are_one_line(capsys, tmp_path, name):
    path = write(tmp_path / name, BAD_YAML[name])
    code, out, err = run(capsys, "run", *GPT2, "--hw", path)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert name in err


def test_output_that_cannot_be_written_is_one_line(capsys, tmp_path):
    blocked = write(tmp_path / "file", b"in the way")
    code, out, err = run(capsys, "run", *GPT2, "--hw", A100, "--out", blocked / "results")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "cannot write results" in err
    assert blocked.read_bytes() == b"in the way"
