"""The YAML subset: values mean what they look like, everything unusual is refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import AccsimError, HardwareError
from simulator.hardware.leaf import Located
from simulator.hardware.yaml_file import LARGEST_BYTES, parse_scalar, parse_yaml, read_yaml


def values(node: Located) -> object:
    """The plain value of what was read."""
    if isinstance(node.value, dict):
        return {key: values(child) for key, child in node.value.items()}
    return node.value


def test_core_schema_and_lines():
    node = parse_yaml(
        "a: 1\nb: 2.5\nc: true\nd: on\ne: 1:30\nf: '3'\ng: 2024-01-01\nh: 1e3\ni: ~\nj: [1, x]\n",
        "f.yaml",
    )
    assert values(node) == {
        "a": 1,
        "b": 2.5,
        "c": True,
        "d": "on",
        "e": "1:30",
        "f": "3",
        "g": "2024-01-01",
        "h": 1000.0,
        "i": None,
        "j": [1, "x"],
    }
    assert node.value["j"].line == 10


@pytest.mark.parametrize("text", [".nan", ".inf", "0x10", "1_000", "yes", "012abc"])
def test_unusual_numbers_stay_text(text):
    assert parse_scalar(text) == text


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\na: 2\n", "f.yaml:2: key 'a' stands twice"),
        ("a: !!python/object/apply:os.system ['echo hi']\n", "tag"),
        ("a: !!python/name:os.system\n", "tag"),
        ("a: !secret 1\n", "tag"),
        ("!!set {a, b}\n", "tag"),
        ("a: &x {b: 1}\nc: *x\n", "aliases"),
        ("a: {<<: {b: 1}}\n", "extends"),
        ("- 1\n- 2\n", "expected a mapping"),
        ("just text\n", "expected a mapping"),
        ("", "expected a mapping"),
        ("a: [\n", "not valid YAML"),
        ("a: 1\n b: 2\n", "f.yaml:2"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: [{b: 1}]\n", "in a list"),
        ("? [1, 2]\n: 3\n", "as key"),
        ("a: \x07\n", "not valid YAML"),
        ("a: " + "[" * 5000 + "]" * 5000, "f.yaml"),
        ("a: " + "{b: " * 60 + "1" + "}" * 60, "nested too deeply"),
    ],
)
def test_refusals(text, says):
    with pytest.raises(HardwareError) as caught:
        parse_yaml(text, "f.yaml")
    message = str(caught.value)
    assert says in message
    assert message.startswith("f.yaml")
    assert "\n" not in message


def test_a_tag_never_runs_code(tmp_path):
    witness = tmp_path / "witness"
    with pytest.raises(HardwareError):
        parse_yaml(f"a: !!python/object/apply:pathlib.Path.touch [{witness}]\n", "f.yaml")
    assert not witness.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"a: " + b"x" * LARGEST_BYTES, "larger than"), (b"a: \xff\xfe", "not UTF-8")],
)
def test_files(tmp_path, content, says):
    path = tmp_path / "f.yaml"
    path.write_bytes(content)
    with pytest.raises(HardwareError, match=says):
        read_yaml(path)


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(HardwareError, match="cannot read") as caught:
            read_yaml(path)
        assert str(path) in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_in_one_line(text):
    try:
        node = parse_yaml(text, str(Path("f.yaml")))
    except AccsimError as error:
        assert "\n" not in str(error)
    else:
        assert isinstance(node.value, dict)
