"""Where an address lives: bit fields from the most to the least significant, and XOR terms.

A mapping is text such as::

    row column bank bank_group pseudo_channel column:2 channel; bank_group ^ column+1

The fields are those of the memory's hierarchy; ``column:2`` takes two bits of the column,
a field without a width the rest of its level.  Sizes need not be powers of two: a level
of three stack ids takes a remainder instead of bits.  A term ``level ^ source+shift`` adds
bits of ``source`` from ``shift`` upwards to ``level``, bit by bit (modulo the size if it is
no power of two).  Addresses beyond the last row wrap around, as the row field does.

Presets: ``row`` (one row after the other, RoBaRaCoCh), ``mop4`` (four accesses a bank,
then the next bank group, permuted by the column; MOP4CLXOR of Ramulator 2.1), ``gpu``
(256 B a channel, bank groups and banks permuted by the row, as in accelerators).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from simulator.compiled import hot
from simulator.errors import OptionError, suggest
from simulator.memory.standards import Device

PRESETS = ("mop4", "row", "gpu")
_FIELD = re.compile(r"(?P<level>\w+)(:(?P<bits>\d+))?")
_TERM = re.compile(r"(?P<level>\w+) *\^ *(?P<source>\w+)( *\+ *(?P<shift>\d+))?")


@dataclass(frozen=True)
class Mapping:
    """A mapping for one device and number of channels, as numbers."""

    text: str
    levels: tuple[str, ...]
    """channel, the levels of banks, row, column."""
    field_level: np.ndarray
    """Fields from the least significant."""
    field_size: np.ndarray
    field_shift: np.ndarray
    """log2 of the size, or -1."""
    field_weight: np.ndarray
    terms: np.ndarray
    """(level, source, shift, size) of each XOR term."""
    bank_weight: np.ndarray
    """Level values to a bank number through all channels."""
    access_bytes: int
    rows: int


def preset(name: str, device: Device, channels: int) -> str:
    """The text of a named mapping."""
    inner = [level for level, size in device.sizes if size > 1]
    front = ["channel"] if channels > 1 else []
    if name == "row":
        fields = ["row", *reversed(inner), "column", *front]
        return " ".join(fields)
    if name == "gpu":
        lines = max(256 // device.access_bytes, 1).bit_length() - 1
        low = min(lines, device.columns.bit_length() - 1)
        fields = ["row", "column", *reversed(inner), *front, *([f"column:{low}"] if low else [])]
        shift, terms = 0, []
        for level, size in device.sizes:
            if size > 1:
                terms.append(f"{level} ^ row+{shift}")
                shift += (size - 1).bit_length()
        return "; ".join([" ".join(fields), *terms])
    fields = ["row", "column", *reversed(inner), "column:2", *front]
    shift, terms = 0, []
    for level, size in device.sizes:
        if size > 1:
            terms.append(f"{level} ^ column+{shift}")
            shift += (size - 1).bit_length()
    if shift < (device.columns - 1).bit_length():
        terms.append(f"row ^ column+{shift}")
    return "; ".join([" ".join(fields), *terms])


def parse_mapping(text: str, device: Device, channels: int) -> Mapping:
    """A preset's name or a mapping written out, checked against the device."""
    if text in PRESETS:
        text = preset(text, device, channels)
    elif text.isidentifier():
        raise _wrong(f"unknown mapping '{text}'", suggest(text, PRESETS))
    sizes = {"channel": channels, **dict(device.sizes), "row": device.rows}
    sizes["column"] = device.columns
    levels = tuple(sizes)
    layout, *term_texts = (part.strip() for part in text.split(";"))
    left = dict(sizes)
    fields: list[tuple[int, int, int]] = []
    for word in reversed(layout.split()):
        match = _FIELD.fullmatch(word)
        if match is None or match["level"] not in sizes:
            raise _wrong(f"unknown field '{word}'", suggest(word.split(":")[0], sizes))
        level = match["level"]
        size = left[level] if match["bits"] is None else 2 ** int(match["bits"])
        if left[level] % size or (size == 1 and sizes[level] > 1):
            raise _wrong(
                f"'{word}' does not fit into the {left[level]} left of {level}",
                "give fewer bits, and each level once without a width at most",
            )
        weight = sizes[level] // left[level]
        fields.append((levels.index(level), size, weight))
        left[level] //= size
    for level, rest in left.items():
        if rest > 1:
            raise _wrong(f"{level} has {rest} values without a field", f"add the field '{level}'")
    if levels[fields[-1][0]] != "row":
        raise _wrong("the most significant field is not the row", "begin with 'row'")
    terms = [_parse_term(one, sizes) for one in term_texts if one]
    weights = np.zeros(len(levels), np.int64)
    weight = 1
    for place in range(len(device.sizes), -1, -1):
        weights[place] = weight
        weight *= sizes[levels[place]]
    table = np.array(fields, np.int64)
    power = [size.bit_length() - 1 if size & (size - 1) == 0 else -1 for _, size, _ in fields]
    return Mapping(
        text=text,
        levels=levels,
        field_level=table[:, 0].copy(),
        field_size=table[:, 1].copy(),
        field_shift=np.array(power, np.int64),
        field_weight=table[:, 2].copy(),
        terms=np.array(terms, np.int64).reshape(-1, 4),
        bank_weight=weights,
        access_bytes=device.access_bytes,
        rows=device.rows,
    )


def _parse_term(text: str, sizes: dict[str, int]) -> tuple[int, int, int, int]:
    match = _TERM.fullmatch(text)
    if match is None:
        raise _wrong(f"cannot read '{text}'", "write a term like 'bank_group ^ column+1'")
    names = list(sizes)
    for name in (match["level"], match["source"]):
        if name not in sizes:
            raise _wrong(f"unknown field '{name}'", suggest(name, sizes))
    if match["level"] == "column":
        raise _wrong(f"'{text}' changes the column", "permute channels, banks or rows")
    source = names.index(match["source"])
    return names.index(match["level"]), source, int(match["shift"] or 0), sizes[match["level"]]


def _wrong(message: str, remedy: str) -> OptionError:
    return OptionError(message, where="mapping", remedy=remedy)


def decode(mapping: Mapping, address: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bank (through all channels), row and line (address over access) of each address."""
    count = len(address)
    bank, row = np.empty(count, np.int32), np.empty(count, np.int32)
    line = np.empty(count, np.int64)
    _decode(
        address.astype(np.uint64, copy=False),
        mapping.access_bytes,
        mapping.field_level,
        mapping.field_size,
        mapping.field_shift,
        mapping.field_weight,
        mapping.terms,
        mapping.bank_weight,
        np.zeros(len(mapping.levels), np.int64),
        bank,
        row,
        line,
    )
    return bank, row, line


@hot
def _decode(
    address: np.ndarray,
    access: int,
    level: np.ndarray,
    size: np.ndarray,
    shift: np.ndarray,
    weight: np.ndarray,
    terms: np.ndarray,
    bank_weight: np.ndarray,
    value: np.ndarray,
    bank: np.ndarray,
    row: np.ndarray,
    line: np.ndarray,
) -> None:
    fields, levels = len(level), len(value)
    bits = 0
    while (1 << bits) < access:
        bits += 1
    even = (1 << bits) == access
    for i in range(len(address)):
        left = np.int64(address[i])
        left = left >> bits if even else left // access
        line[i] = left
        for k in range(levels):
            value[k] = 0
        for f in range(fields):
            if shift[f] >= 0:
                part = left & (size[f] - 1)
                left >>= shift[f]
            else:
                part = left % size[f]
                left //= size[f]
            value[level[f]] += part * weight[f]
        for t in range(len(terms)):
            target, modulus = terms[t, 0], terms[t, 3]
            bits_in = value[terms[t, 1]] >> terms[t, 2]
            if modulus & (modulus - 1) == 0:
                value[target] ^= bits_in & (modulus - 1)
            else:
                value[target] = (value[target] + bits_in) % modulus
        number = np.int64(0)
        for k in range(levels - 2):
            number += value[k] * bank_weight[k]
        bank[i] = number
        row[i] = value[levels - 2]
