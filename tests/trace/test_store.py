"""Trace files: what is written is read back, and each fault is one clear line."""

import gzip
import io
import json
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import AccsimError, OutputError, TraceError
from simulator.trace import store
from simulator.trace.arrays import array_digest
from simulator.trace.expressions import Expression
from simulator.trace.load import load_trace
from simulator.trace.schema import DTYPE_BITS, ROLES, Header, Operator, Tensor, TensorRef, Trace

names = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8)
dims = st.integers(0, 1 << 40)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 60), 1 << 60),
    st.floats(allow_nan=False),
    names,
    st.integers(0, 3).map(TensorRef),
    st.just(Expression("2*batch+1")),
)
arguments = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=2)),
    max_leaves=6,
)


@st.composite
def traces(draw):
    tensors = {}
    for id in range(4):
        shape = draw(st.lists(st.one_of(dims, st.just("8*batch")), max_size=4))
        tensors[id] = Tensor(
            id,
            draw(st.integers(0, 5)),
            draw(dims),
            tuple(shape),
            tuple(draw(dims) for _ in shape),
            draw(st.sampled_from(sorted(DTYPE_BITS))),
            draw(st.sampled_from(ROLES)),
            draw(st.one_of(st.just(""), names)),
        )
    ids = st.lists(st.integers(0, 3), max_size=3).map(tuple)
    operators = [
        Operator(
            id,
            draw(names),
            draw(ids),
            draw(ids),
            tuple(draw(st.lists(arguments, max_size=3))),
            draw(st.dictionaries(names, arguments, max_size=2)),
            draw(st.one_of(st.just(""), names)),
            draw(st.sampled_from(["forward", "decode"])),
            draw(st.integers(0, 3)),
            draw(st.one_of(st.none(), st.floats(0, 1e9))),
            draw(st.one_of(st.none(), names)),
        )
        for id in range(draw(st.integers(0, 3)))
    ]
    header = Header(
        "any", "any", "decode", {"batch": 2}, True, {"torch": "2"}, ("g (1x)",), {"batch": (1, 9)}
    )
    return Trace(header, tensors, operators)


@settings(max_examples=60, deadline=None)
@given(trace=traces())
def test_what_is_written_is_read_back(tmp_path_factory, trace):
    path = tmp_path_factory.mktemp("store") / "any.jsonl"
    store.save_trace(trace, path)
    assert store.read_trace(path) == trace


@pytest.mark.parametrize("suffix", store.SUFFIXES)
def test_every_form_holds_the_same(tiny, tmp_path, suffix):
    path = store.save_trace(tiny, tmp_path / f"tiny{suffix}")
    assert store.read_trace(path) == tiny
    assert load_trace(path) == tiny
    assert store.read_header(path) == tiny.header


def with_array(trace):
    """The trace with recorded values for its first tensor."""
    values = np.arange(16, dtype=np.int64)
    digest = array_digest(values)
    tensors = {**trace.tensors, 0: replace(trace.tensors[0], dtype="int64", data=digest)}
    return Trace(trace.header, tensors, trace.operators, {digest: values})


def test_arrays_travel_in_a_folder(tiny, tmp_path):
    trace = with_array(tiny)
    path = store.save_trace(trace, tmp_path / "tiny.trace")
    (digest,) = trace.arrays
    loaded = store.read_trace(path)
    assert np.array_equal(loaded.arrays[digest], trace.arrays[digest])
    assert store.read_trace(path, arrays=False).arrays == {}
    with pytest.raises(OutputError, match=r"tiny\.trace"):
        store.save_trace(trace, tmp_path / "tiny.jsonl.gz")


def test_the_same_trace_gives_the_same_bytes(tiny, tmp_path):
    trace = with_array(tiny)
    contents = []
    for name in ("a.trace", "b.trace", "a.trace"):
        path = store.save_trace(trace, tmp_path / name)
        files = sorted(file for file in path.rglob("*") if file.is_file())
        contents.append([(str(file.relative_to(path)), file.read_bytes()) for file in files])
    assert contents[0] == contents[1] == contents[2]
    assert len(contents[0]) == 2


def test_a_failed_write_leaves_nothing(tiny, tmp_path):
    trace = with_array(tiny)
    trace.arrays = {key: value.astype(np.float64) for key, value in trace.arrays.items()}
    with pytest.raises(TraceError):
        store.save_trace(trace, tmp_path / "tiny.trace")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_trace_is_not_replaced(tiny, tmp_path):
    other = tmp_path / "mine.trace"
    other.mkdir()
    (other / "thesis.txt").write_text("years of work")
    with pytest.raises(OutputError):
        store.save_trace(tiny, other)
    assert [file.name for file in other.iterdir()] == ["thesis.txt"]
    assert [file.name for file in tmp_path.iterdir()] == ["mine.trace"]


@pytest.mark.parametrize("name", ["tiny.json", "tiny", "missing/tiny.jsonl.gz"])
def test_unusable_targets(tiny, tmp_path, name):
    with pytest.raises(OutputError):
        store.save_trace(tiny, tmp_path / name)


# -- faults --------------------------------------------------------------------------


def lines_of(trace):
    return [json.loads(line) for line in store.trace_text(trace).splitlines()]


def dumped(lines):
    return "".join(json.dumps(line) + "\n" for line in lines)


def edit(index, **changes):
    """A fault: some keys of one line replaced."""

    def fault(lines):
        lines[index].update(changes)
        return dumped(lines)

    return fault


FAULTS = {
    "schema of the future": (edit(0, accsim_trace=99), 1, "schema 99"),
    "no header": (lambda lines: dumped(lines[1:]), 1, "header"),
    "unknown header key": (edit(0, modle="x"), 1, "did you mean 'model'"),
    "NaN": (lambda lines: dumped(lines).replace('"alpha": 1.0', '"alpha": NaN'), 8, "NaN"),
    "negative dimension": (edit(1, shape=[2, -8]), 2, "shape"),
    "fractional dimension": (edit(1, shape=[2, 8.0]), 2, "shape"),
    "boolean dimension": (edit(1, shape=[2, True]), 2, "shape"),
    "huge dimension": (edit(1, shape=[2, 1 << 200]), 2, "shape"),
    "strides of another rank": (edit(1, strides=[1]), 2, "strides"),
    "size unknown to the header": (edit(1, shape=["batch", 8]), 2, "'batch'"),
    "code as a size": (edit(1, shape=["__import__('os')", 8]), 2, "expression"),
    "unknown dtype": (edit(1, dtype="bfloat61"), 2, "did you mean 'bfloat16'"),
    "unhashable dtype": (edit(1, dtype=["int8"]), 2, "dtype"),
    "unknown role": (edit(1, role="wieght"), 2, "did you mean 'weight'"),
    "data that is no digest": (edit(1, data="../../etc/passwd"), 2, "SHA-256"),
    "tensor twice": (edit(2, tensor=0), 3, "twice"),
    "undefined tensor": (edit(6, args=[{"t": 77}]), 7, "tensor 77"),
    "argument of no kind": (edit(6, args=[{"object": "os.system"}]), 7, "args"),
    "huge argument": (edit(6, args=[1 << 90]), 7, "args"),
    "deep argument": (lambda lines: edit(6, args=[nested(40)])(lines), 7, "deep"),
    "unknown phase": (edit(6, phase="prefil"), 7, "did you mean 'prefill'"),
    "unknown operator key": (edit(6, modul="x"), 7, "did you mean 'module'"),
    "operator without a name": (edit(6, name=""), 7, "name"),
    "a list for a line": (lambda lines: dumped([*lines, [1]]), 9, "object"),
    "a line of no kind": (lambda lines: dumped([*lines, {"x": 1}]), 9, "tensor"),
    "no JSON": (lambda lines: dumped(lines) + "{oops\n", 9, "line of a trace"),
    "lost operators": (lambda lines: dumped(lines[:-1]), 7, "truncated"),
    "lost half of a line": (lambda lines: dumped(lines)[:-20], 8, "line of a trace"),
    "empty": (lambda lines: "", 1, "header"),
    "brackets without end": (lambda lines: "[" * 100_000, 1, "line of a trace"),
}


def nested(depth):
    return [nested(depth - 1)] if depth else 0


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_in_one_line_with_their_place(tiny, tmp_path, fault):
    make, line, words = FAULTS[fault]
    path = tmp_path / "tiny.jsonl"
    path.write_text(make(lines_of(tiny)))
    with pytest.raises(TraceError) as error:
        load_trace(path)
    message = str(error.value)
    assert words in message
    assert f"{path}:{line}" in message
    assert "\n" not in message


def truncated(data):
    return data[: len(data) // 2]


def flipped(data):
    return data[:40] + bytes([data[40] ^ 0xFF]) + data[41:]


@pytest.mark.parametrize(
    "damage",
    [truncated, flipped, lambda data: b"", lambda data: b"\x80\x04K\x01.", lambda d: d[5:]],
)
def test_damaged_compression(tiny, tmp_path, damage):
    path = tmp_path / "tiny.jsonl.gz"
    path.write_bytes(damage(store.compressed(store.trace_text(tiny))))
    with pytest.raises(TraceError) as error:
        load_trace(path)
    assert str(path) in str(error.value)


def test_a_compression_bomb_is_not_unpacked(tmp_path):
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (64 << 20)))
    with pytest.raises(TraceError, match="too large"):
        load_trace(path)


def test_text_that_is_not_utf8(tmp_path):
    path = tmp_path / "tiny.jsonl"
    path.write_bytes(b'{"accsim_trace": "\xff"}\n')
    with pytest.raises(TraceError, match="line of a trace"):
        load_trace(path)


def test_missing_files(tmp_path):
    for path in (tmp_path / "no.jsonl.gz", tmp_path / "no.trace", tmp_path):
        with pytest.raises(TraceError, match="no such trace"):
            load_trace(path)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def npy(array, **options):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, array, **options)
    return buffer.getvalue()


ARRAY_FAULTS = {
    "other values": (zipped(values_npy=npy(np.arange(16, dtype=np.int64) + 1)), "does not match"),
    "pickle": (
        zipped(values_npy=npy(np.array([{}], dtype=object), allow_pickle=True)),
        "without pickles",
    ),
    "bare pickle": (pickle.dumps([1]), "recorded array"),
    "other member": (zipped(other_npy=npy(np.arange(3))), "recorded array"),
    "floats": (zipped(values_npy=npy(np.zeros(3))), "float64"),
    "cut": (zipped(values_npy=npy(np.arange(16, dtype=np.int64)))[:-30], "recorded array"),
    "no array": (zipped(values_npy=b"hello"), "recorded array"),
}


@pytest.mark.parametrize("fault", ARRAY_FAULTS)
def test_array_faults(tiny, tmp_path, fault):
    content, words = ARRAY_FAULTS[fault]
    path = store.save_trace(with_array(tiny), tmp_path / "tiny.trace")
    (file,) = (path / "indices").iterdir()
    file.write_bytes(content)
    with pytest.raises(TraceError) as error:
        load_trace(path)
    assert words in str(error.value)
    assert str(file) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_array(tiny, tmp_path):
    path = store.save_trace(with_array(tiny), tmp_path / "tiny.trace")
    for file in (path / "indices").iterdir():
        file.unlink()
    with pytest.raises(TraceError, match="missing"):
        load_trace(path)


def test_a_concrete_trace_has_one_set_of_sizes(tiny, tmp_path):
    path = store.save_trace(tiny, tmp_path / "tiny.jsonl")
    assert load_trace(path, {"batch": 2}) == tiny
    with pytest.raises(AccsimError, match="recorded with batch=2"):
        load_trace(path, {"batch": 3})
