"""Address traces: the five patterns and their file."""

import numpy as np
import pytest

from simulator.errors import AccsimError
from simulator.memory.patterns import PATTERNS, SPAN_BYTES, load_trace, make_trace, save_trace


def test_shapes_of_the_patterns():
    assert make_trace("stream", 4, 32).address.tolist() == [0, 32, 64, 96]
    assert make_trace("mix21", 6, 64).write.tolist() == [0, 0, 1, 0, 0, 1]
    triad = make_trace("triad", 6, 32)
    assert triad.address.tolist() == [0, 2**26, 2**27, 32, 2**26 + 32, 2**27 + 32]
    assert triad.write.tolist() == [0, 0, 1, 0, 0, 1]
    stride = make_trace("stride", 2**16 + 1, 32)
    assert stride.address[[1, 2**16]].tolist() == [4096, 32]


def test_random_is_splitmix64():
    """First output of splitmix64 seeded with 0 is 0xE220A8397B1DCDAF."""
    first = make_trace("random", 1, 32).address[0]
    assert first == (0xE220A8397B1DCDAF % (SPAN_BYTES // 32)) * 32


@pytest.mark.parametrize("name", PATTERNS)
def test_files_round_trip(tmp_path, name):
    trace = make_trace(name, 1000, 64)
    save_trace(trace, tmp_path / "t.npz")
    again = load_trace(tmp_path / "t.npz")
    assert (again.address == trace.address).all()
    assert (again.write == trace.write).all()
    assert again.address.dtype == np.uint64
    assert (trace.address % 64 == 0).all()


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"addr": np.arange(3)}, "lacks an array"),
        ({"addr": np.arange(3), "wr": np.zeros(2, np.uint8)}, "not two equally long lists"),
        ({"addr": np.array([-1]), "wr": np.zeros(1, np.uint8)}, "negative"),
        ({"addr": np.array([0.5]), "wr": np.zeros(1, np.uint8)}, "not whole numbers"),
        ({"addr": np.zeros(0, int), "wr": np.zeros(0, np.uint8)}, "not two equally long"),
    ],
)
def test_bad_files_are_told_in_one_line(tmp_path, arrays, complaint):
    path = tmp_path / "bad.npz"
    np.savez(path, **arrays)
    with pytest.raises(AccsimError, match=complaint):
        load_trace(path)


def test_damaged_and_missing_files(tmp_path):
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04 junk")
    for name in ("junk.npz", "none.npz"):
        with pytest.raises(AccsimError, match=name):
            load_trace(tmp_path / name)


@pytest.mark.parametrize("bad", [("strem", 10, 32), ("stream", 0, 32), ("stream", 10, 48)])
def test_bad_wishes(bad):
    with pytest.raises(AccsimError):
        make_trace(*bad)
