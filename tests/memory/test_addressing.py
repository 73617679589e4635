"""Mappings: bijective, permuted as the presets promise, any number of rows and channels."""

import numpy as np
import pytest

from simulator.errors import AccsimError
from simulator.memory.addressing import decode, parse_mapping, preset
from simulator.memory.replay import load_memory, memories


@pytest.mark.parametrize("channels", [1, 3, 8])
@pytest.mark.parametrize("name", ["mop4", "row", "gpu"])
@pytest.mark.parametrize("memory", memories())
def test_no_two_lines_share_a_place(memory, name, channels):
    device = load_memory(memory)[1]
    lines = 3 * channels * device.banks * device.columns
    address = np.arange(lines, dtype=np.uint64) * np.uint64(device.access_bytes)
    bank, row, line = decode(parse_mapping(name, device, channels), address)
    assert (line == np.arange(lines)).all()
    assert bank.min() == 0
    assert bank.max() == channels * device.banks - 1
    assert row.min() >= 0
    assert row.max() < device.rows
    _, counts = np.unique(bank.astype(np.int64) * device.rows + row, return_counts=True)
    assert counts.max() <= device.columns


def test_row_mapping_streams_one_row_before_the_next_bank():
    device = load_memory("ddr4-3200")[1]
    address = np.arange(256, dtype=np.uint64) * np.uint64(64)
    bank, row, _ = decode(parse_mapping("row", device, 1), address)
    assert (bank[:128] == 0).all()
    assert (bank[128:] == 4).all()  # The next bank group.
    assert (row == 0).all()


def test_mop4_is_four_lines_a_bank_permuted_by_the_column():
    device = load_memory("ddr4-3200")[1]
    address = np.arange(8, dtype=np.uint64) * np.uint64(64)
    bank, _, _ = decode(parse_mapping("mop4", device, 1), address)
    assert bank.tolist() == [0, 4, 8, 12, 4, 0, 12, 8]


def test_channels_interleave_by_line_in_mop4():
    device = load_memory("hbm2-2.0")[1]
    address = np.arange(16, dtype=np.uint64) * np.uint64(32)
    bank, _, _ = decode(parse_mapping("mop4", device, 8), address)
    assert (bank // device.banks).tolist() == [*range(8), *range(8)]


def test_presets_are_written_in_the_language_itself():
    device = load_memory("hbm3-6.4")[1]
    for name in ("mop4", "row", "gpu"):
        text = preset(name, device, 16)
        assert parse_mapping(text, device, 16).text == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("mop5", "did you mean 'mop4'"),
        ("row bank bank_group column:9", "does not fit into the 128"),
        ("row bank column", "bank_group has 4 values without a field"),
        ("bank row bank_group column", "most significant field is not the row"),
        ("row bank bank_grup column", "did you mean 'bank_group'"),
        ("row bank bank_group column; column ^ row", "changes the column"),
        ("row bank bank_group column; bank ^^ row", "cannot read"),
    ],
)
def test_mistakes_are_told(text, complaint):
    with pytest.raises(AccsimError, match=complaint):
        parse_mapping(text, load_memory("ddr4-3200")[1], 1)
