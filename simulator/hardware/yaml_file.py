"""A strict, small subset of YAML, read with line numbers.

Mappings, lists and scalars with the YAML 1.2 core meaning of null, true, false and
numbers, so that ``on``, ``1:30`` or a date stay text.  Refused with file and line:
duplicate keys, keys that are not text, tags, anchors and aliases, several
documents, files over 1 MB, nesting over 50 levels.  Not a general YAML reader.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import HardwareError
from simulator.hardware.leaf import Located, Scalar

LARGEST_BYTES = 1_000_000
DEEPEST = 50

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}

_PLAIN_TAGS = ("map", "seq", "str", "null", "bool", "int", "float", "timestamp", "value", "merge")
"""What values without an explicit tag resolve to; their text is read by the rules above."""

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path) -> Located:
    """The mapping in a YAML file."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise HardwareError(
                f"file is larger than {LARGEST_BYTES:,} bytes",
                where=path,
                remedy="a hardware description is a short YAML file",
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HardwareError(
            f"cannot read: {error.strerror}",
            where=path,
            remedy="give an existing YAML file or a name from 'accsim hw list'",
        ) from None
    except UnicodeDecodeError as error:
        raise HardwareError(
            f"not UTF-8 text (byte {error.start})", where=path, remedy="save it as UTF-8 YAML"
        ) from None
    return parse_yaml(text, str(path))


@lru_cache(maxsize=64)
def parse_yaml(text: str, file: str) -> Located:
    """The mapping in YAML text; ``file`` names it in errors. Do not change what it returns:
    variants of a device read the same few files over and over, and each is parsed once."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except (yaml.MarkedYAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = file if mark is None else f"{file}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "nested too deeply"
        raise HardwareError(
            f"not valid YAML: {problem}", where=where, remedy="check indentation and colons"
        ) from None
    except yaml.YAMLError as error:
        raise HardwareError(
            f"not valid YAML: {error}", where=file, remedy="remove special characters"
        ) from None
    if not isinstance(node, yaml.MappingNode):
        raise HardwareError(
            "expected a mapping of keys to values", where=file, remedy="write 'kind: gpu' and so on"
        )
    return _construct(node, file, set(), 0)


def parse_scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _construct(node: Any, file: str, seen: set[int], depth: int) -> Located:
    line = node.start_mark.line + 1
    where = f"{file}:{line}"
    if id(node) in seen:
        raise HardwareError(
            "YAML aliases are not supported", where=where, remedy="write the values out"
        )
    if depth > DEEPEST:
        raise HardwareError("nested too deeply", where=where, remedy="flatten the description")
    seen.add(id(node))
    _refuse_tag(node, where)
    if isinstance(node, yaml.ScalarNode):
        # A quoted or block scalar is text whatever it looks like.
        return Located(node.value if node.style else parse_scalar(node.value), line)
    if isinstance(node, yaml.SequenceNode):
        items = [_construct(item, file, seen, depth + 1) for item in node.value]
        return Located([_list_item(item, file) for item in items], line)
    entries: dict[str, Located] = {}
    for key_node, value_node in node.value:
        key = _key(key_node, file)
        if key in entries:
            raise HardwareError(
                f"key '{key}' stands twice in one mapping",
                where=f"{file}:{key_node.start_mark.line + 1}",
                remedy=f"remove one (the first is on line {entries[key].line})",
            )
        entries[key] = _construct(value_node, file, seen, depth + 1)
    return Located(entries, line)


def _list_item(item: Located, file: str) -> Any:
    if isinstance(item.value, dict):
        raise HardwareError(
            "expected a plain value in a list, got a mapping",
            where=f"{file}:{item.line}",
            remedy="use named keys instead of a list",
        )
    return item.value


def _key(node: Any, file: str) -> str:
    where = f"{file}:{node.start_mark.line + 1}"
    _refuse_tag(node, where)
    if not isinstance(node, yaml.ScalarNode) or not node.value or node.value == "<<":
        raise HardwareError(
            "expected a plain word as key", where=where, remedy="use 'extends:' to reuse a file"
        )
    return str(node.value)


def _refuse_tag(node: Any, where: str) -> None:
    prefix, _, name = node.tag.rpartition(":")
    if prefix != "tag:yaml.org,2002" or name not in _PLAIN_TAGS:
        raise HardwareError(
            f"YAML tag '{node.tag:.60}' is not allowed", where=where, remedy="write a plain value"
        )
