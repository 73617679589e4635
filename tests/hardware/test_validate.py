"""One clear line for the first mistake: file, line, key path, expectation, nearest key."""

import pytest

from simulator.errors import HardwareError
from simulator.hardware import resolve, validate
from simulator.memory.spec import MemorySpec


def refusal(path) -> str:
    """The error a description gives."""
    with pytest.raises(HardwareError) as caught:
        validate(resolve(path), MemorySpec)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_a_correct_description_passes(write):
    spec = validate(resolve(write()), MemorySpec)
    assert spec.name == "small"
    assert spec.capacity_bytes == 2 * 4 * 1024 * 1024
    assert spec.peak_bytes_per_s == 2 * 64 * 2e9 / 8


def test_a_misspelled_key_wins_over_the_missing_one_and_names_its_line(edit):
    message = refusal(edit("faw: 16 ns", "fawn: 16 ns"))
    assert ":21: timing.fawn: unknown key 'fawn'; did you mean 'faw'?" in message


def test_a_missing_key_says_what_to_write(edit):
    assert "clock: missing key 'clock'; add it: a frequency such as '1410 MHz'" in refusal(
        edit("clock: 1 GHz\n", "")
    )
    assert "missing key 'mapping'; add it: a block with channel_interleave" in refusal(
        edit("mapping: {channel_interleave: 512 B, bank_interleave: 256 B, hashed: false}\n", "")
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("clock: 1 GHz", "clock: 1 GB", "clock: expected a frequency such as '1410 MHz'"),
        ("clock: 1 GHz", "clock: 0 Hz", "above 0"),
        ("row: 1 KiB", "row: 1 GHz", "organization.row: expected a size"),
        ("row: 1 KiB", "row: 1000 B", "not a whole number of accesses"),
        ("rows: 1024", "rows: 0", "organization.rows: expected more than 0, got 0"),
        ("rows: 1024", "rows: 9999999999999999999999", "organization.rows"),
        ("stacks: 1", "stacks: -1", "organization.stacks: expected more than 0, got -1"),
        ("stacks: 1", "stacks: true", "organization.stacks: expected a whole number"),
        ("faw: 16 ns", "faw: 16 ms2", "timing.faw: expected a time or clock count"),
        ("faw: 16 ns", "faw: -16 ns", "timing.faw: expected a time or clock count"),
        ("faw: 16 ns", "faw: [16 ns]", "timing.faw: expected a time or clock count"),
        ("faw: 16 ns", "faw: 1 ns", "timing.faw (1 ns) is shorter than timing.rrd_s (4 ck)"),
        ("burst: 2 ck", "burst: 1 ck", "faster than the pins"),
        ("burst: 2 ck", "burst: 4 ck", "change clock together with data_rate"),
        ("interval: 3900 ns", "interval: 200 ns", "leaves no time"),
        ("write_low: 0.2", "write_low: 0.9", "draining must stop below"),
        ("write_low: 0.2", "write_low: 1.2", "controller.write_low: expected at most 1"),
        ("write_low: 0.2", "write_low: .nan", "controller.write_low: expected a number"),
        ("mode: all_bank", "mode: allbank", "did you mean 'all_bank'?"),
        ("hashed: false", "hashed: 0", "mapping.hashed: expected true or false"),
        ("activate: 909 pJ", "activate: 909 pJ/bit", "energy.activate: expected an energy"),
        ("standard: TEST", "standard: {a: b}", "standard: expected text, got a block of keys"),
        ("mapping: {", "mapping: 3\nmappings: {", "unknown key 'mappings'; did you mean"),
    ],
)
def test_mistakes(edit, old, new, says):
    assert says in refusal(edit(old, new))


def test_a_text_where_a_block_belongs(write):
    text = write().read_text().replace("controller: {scheduler: row", "controller: 3\nx: {r: row")
    assert "unknown key 'x'" in refusal(write(text))
