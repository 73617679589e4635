"""Quantities: exact SI numbers, checked dimensions, refusals that say what to write."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from simulator import units
from simulator.units import UnitError, human, parse


@pytest.mark.parametrize(
    ("text", "dimension", "expected"),
    [
        ("2.039 TB/s", units.BYTES_PER_SECOND, 2.039e12),
        ("1410 MHz", units.HERTZ, 1.41e9),
        ("1410MHz", units.HERTZ, 1.41e9),
        ("40 MiB", units.BYTES, 40 * 2**20),
        ("40 MB", units.BYTES, 40_000_000),
        ("1 GiB", units.BYTES, 2**30),
        ("14 ns", units.SECONDS, 14e-9),
        ("3.9 pJ/bit", units.JOULES_PER_BIT, 3.9e-12),
        ("57 mA", units.AMPERES, 57e-3),
        ("1.2 V", units.VOLTS, 1.2),
        ("400 W", units.WATTS, 400.0),
        ("1.34 us", units.SECONDS, 1.34e-6),
        ("1.34 µs", units.SECONDS, 1.34e-6),
        ("3.2 Gb/s", units.BITS_PER_SECOND, 3.2e9),
        ("909 pJ", units.JOULES, 909e-12),
        ("0.70 pJ/flop", units.JOULES_PER_OPERATION, 0.7e-12),
        ("0.32 pJ/mac", units.JOULES_PER_MAC, 0.32e-12),
        ("1e-3 s", units.SECONDS, 1e-3),
        ("0 W", units.WATTS, 0.0),
    ],
)
def test_parse(text, dimension, expected):
    assert parse(text, dimension) == expected


@pytest.mark.parametrize(
    ("value", "dimension", "says"),
    [
        (3, units.SECONDS, "3 has no unit"),
        ("3", units.SECONDS, "add a unit"),
        (True, units.BYTES, "True has no unit"),
        (None, units.BYTES, "size"),
        ([1], units.BYTES, "size"),
        ("", units.BYTES, "40 MiB"),
        ("40 MHz", units.BYTES, "'MHz' is a unit of frequency"),
        ("40 GB", units.BYTES_PER_SECOND, "'GB' is a unit of size"),
        ("3 pJ/mac", units.JOULES_PER_OPERATION, "energy per multiply-add"),
        ("40 Mib", units.BYTES, "did you mean 'MiB'?"),
        ("40 GBs", units.BYTES_PER_SECOND, "did you mean 'GB/s'?"),
        ("-4 ns", units.SECONDS, "negative"),
        ("nan s", units.SECONDS, "14 ns"),
        ("inf W", units.WATTS, "400 W"),
        ("1e99 GB", units.BYTES, "too large"),
        ("1e25 B", units.BYTES, "too large"),
        ("1e999999999999 s", units.SECONDS, "too large"),
        ("9" * 5000 + " s", units.SECONDS, "too large"),
        ("1.5 B", units.BYTES, "whole number"),
    ],
)
def test_refusals_say_what_is_expected(value, dimension, says):
    with pytest.raises(UnitError) as caught:
        parse(value, dimension)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert len(message) < 300


@given(st.integers(0, 10**6), st.sampled_from(["B", "kB", "MB", "GB", "KiB", "MiB", "GiB", "TiB"]))
def test_bytes_are_exact_integers(count, unit):
    factor = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9} | {
        prefix + "B": 2 ** (10 * power) for power, prefix in enumerate(["Ki", "Mi", "Gi", "Ti"], 1)
    }
    parsed = parse(f"{count} {unit}", units.BYTES)
    assert isinstance(parsed, int)
    assert parsed == count * factor[unit]


@given(st.text(max_size=20))
def test_any_text_parses_or_is_refused_in_one_line(text):
    for dimension in units.DIMENSIONS:
        try:
            value = parse(text, dimension)
        except UnitError as error:
            assert "\n" not in str(error)
        else:
            assert math.isfinite(value)
            assert value >= 0


class _Model(BaseModel):
    size: units.Bytes = 1
    count: units.Count = 1
    share: units.Fraction = 0.5


def test_pydantic_types_parse_and_serialise():
    model = _Model.model_validate({"size": "2 KiB", "count": 3, "share": 1})
    assert (model.size, model.count, model.share) == (2048, 3, 1.0)
    assert _Model.model_validate(model.model_dump()) == model


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 2048},
        {"count": 0},
        {"count": -1},
        {"count": 1.5},
        {"count": True},
        {"count": "3"},
        {"share": 1.1},
        {"share": -0.1},
        {"share": float("nan")},
        {"share": "0.5"},
    ],
)
def test_pydantic_types_refuse(bad):
    with pytest.raises(ValidationError):
        _Model.model_validate(bad)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.2e-3, "s", "1.20 ms"),
        (2.039e12, "B/s", "2.04 TB/s"),
        (999.96, "s", "1.00 ks"),
        (0.0, "J", "0 J"),
        (3.9e-12, "J/bit", "3.90 pJ/bit"),
        (12, "B", "12.0 B"),
        (math.inf, "s", "inf s"),
    ],
)
def test_human(value, unit, text):
    assert human(value, unit) == text


@given(st.floats(1e-15, 1e18))
def test_human_keeps_three_digits(value):
    number, unit = human(value, "W").split()
    prefixes = {prefix: 1e-15 * 1000.0**step for step, prefix in enumerate("fpnum kMGTPE")}
    scale = prefixes[unit[:-1] or " "]
    assert float(number) * scale == pytest.approx(value, rel=6e-3)
