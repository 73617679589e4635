"""Composition: extends, references, overrides, and provenance through all of them."""

import pytest

from simulator.errors import AccsimError, HardwareError, OptionError
from simulator.hardware import resolve, validate
from simulator.hardware.compose import parse_override
from simulator.memory.spec import MemorySpec


def test_extending_changes_only_what_it_says(write):
    write()
    child = write(
        "extends: ./small.yaml\nsource: elsewhere\nquality: derived\n"
        "timing: {faw: 20 ns}\norganization: {stacks: 3}\n",
        "child.yaml",
    )
    description = resolve(child)
    base = resolve(child.parent / "small.yaml")
    changed = {path for path in base.provenance if base.value(path) != description.value(path)}
    assert changed == {"timing.faw", "organization.stacks", "name"}
    assert description.provenance["timing.faw"].source == "elsewhere"
    assert description.provenance["timing.faw"].file == str(child)
    assert description.provenance["timing.rc"].source == "made up"
    assert [path.name for path in description.files] == ["child.yaml", "small.yaml"]


def test_a_value_may_carry_its_own_source(write):
    marks = resolve(write()).provenance
    own, block = marks["energy.write"], marks["energy.read"]
    assert (own.source, own.quality, own.note) == ("a table", "measured", "one part")
    assert (block.source, block.quality, block.note) == ("made up", "guess", None)
    assert resolve(write()).value("energy.write") == "2.6 pJ/bit"


def test_references_by_name_and_with_changes(write):
    write()
    device = "kind: gpu\nmemory: "
    by_name = resolve(write(device + "./small.yaml\n", "a.yaml"))
    changed = resolve(write(device + "{use: ./small.yaml, timing: {faw: 20 ns}}\n", "b.yaml"))
    assert by_name.value("memory.name") == "small"
    assert by_name.value("memory.timing.faw") == "16 ns"
    assert changed.value("memory.timing.faw") == "20 ns"
    assert changed.value("memory.timing.rc") == by_name.value("memory.timing.rc")


def test_an_extending_file_touches_or_replaces_the_memory(write):
    write()
    write("kind: gpu\nmemory: {use: hbm2-2.0, timing: {rc: 99 ns}}\n", "base.yaml")
    touched = resolve(
        write("extends: ./base.yaml\nmemory: {timing: {faw: 20 ns}}\n", "touched.yaml")
    )
    replaced = resolve(write("extends: ./base.yaml\nmemory: ./small.yaml\n", "replaced.yaml"))
    assert touched.value("memory.name") == "hbm2-2.0"
    assert (touched.value("memory.timing.rc"), touched.value("memory.timing.faw")) == (
        "99 ns",
        "20 ns",
    )
    assert replaced.value("memory.name") == "small"
    assert replaced.value("memory.timing.rc") == "48 ns"


def test_overrides_win_and_say_so():
    description = resolve("a100-sxm-80gb", ["chip.sms=64", "memory=hbm3-5.2", "l2.ways = 8"])
    assert description.value("chip.sms") == 64
    assert description.value("memory.name") == "hbm3-5.2"
    assert description.value("l2.ways") == 8
    assert description.provenance["chip.sms"].quality == "override"
    assert description.digest != resolve("a100-sxm-80gb").digest


def test_override_order_does_not_matter_for_the_memory():
    one = resolve("a100-sxm-80gb", ["memory.organization.stacks=4", "memory=hbm3-5.2"])
    two = resolve("a100-sxm-80gb", ["memory=hbm3-5.2", "memory.organization.stacks=4"])
    assert one.digest == two.digest


def test_the_digest_follows_values_not_places(write, tmp_path):
    first = resolve(write())
    (tmp_path / "other").mkdir()
    moved = tmp_path / "other" / "small.yaml"
    moved.write_text("# a comment\n" + write().read_text())
    assert resolve(moved).digest == first.digest
    assert resolve(write(), ["timing.faw=17 ns"]).digest != first.digest


@pytest.mark.parametrize(
    ("text", "value"),
    [("a.b=3", 3), ("a.b=3.5", 3.5), ("a.b=true", True), ("a.b=3 GHz", "3 GHz"), ("a.b==", "=")],
)
def test_override_values_are_yaml_scalars(text, value):
    keys, leaf = parse_override(text)
    assert keys == ("a", "b")
    assert leaf.value == value


@pytest.mark.parametrize("text", ["", "a", "=3", "a..b=3", ".a=3", "a.=3"])
def test_bad_overrides(text):
    with pytest.raises(OptionError, match="--set"):
        parse_override(text)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("timing=3", "is a block"),
        ("timing.faw.x=3", "is a value and has no key 'x'"),
        ("timing.fow=3 ns", "unknown key 'fow'; did you mean 'faw'?"),
        ("tming.faw=3 ns", "unknown key 'tming'; did you mean 'timing'?"),
        ("organization.rows=many", "expected a whole number, got 'many'"),
        ("organization.rows=-3", "more than 0"),
        ("organization.rows=1.5", "whole number"),
        ("organization.row=1 KB", "did you mean 'kB'?"),
        ("organization.row=1000", "has no unit"),
        ("clock=1 GB", "'GB' is a unit of size"),
        ("clock=.nan GHz", "expected a frequency"),
        ("mapping.hashed=maybe", "true or false"),
        ("timing.refresh.mode=sometimes", "unknown value 'sometimes'"),
    ],
)
def test_overrides_are_checked_like_values(write, override, says):
    with pytest.raises(AccsimError) as caught:
        validate(resolve(write(), [override]), MemorySpec)
    assert says in str(caught.value)
    assert f"--set {override}" in str(caught.value)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.yaml": "extends: ./a.yaml\n"}, "circle"),
        ({"a.yaml": "extends: ./b.yaml\n", "b.yaml": "extends: ./a.yaml\n"}, "circle"),
        ({"a.yaml": "kind: gpu\nmemory: ./b.yaml\n", "b.yaml": "memory: ./b.yaml\n"}, "circle"),
        ({"a.yaml": "extends: ./none.yaml\n"}, "cannot read"),
        ({"a.yaml": "extends: a100-80gb\n"}, "did you mean 'a100-sxm-80gb'?"),
        ({"a.yaml": "extends: [1]\n"}, "must name a description"),
        ({"a.yaml": "kind: gpu\nmemory: hbm2e\n"}, "did you mean 'hbm2e-3.2'?"),
        ({"a.yaml": "kind: gpu\nmemory: 3\n"}, "must name a description"),
        ({"a.yaml": "kind: gpu\nmemory: ./b.yaml\n", "b.yaml": "kind: gpu\n"}, "kind 'memory'"),
        ({"a.yaml": "title: x\n"}, "missing key 'kind'"),
        ({"a.yaml": "kind: gpus\n"}, "did you mean 'gpu'?"),
        ({"a.yaml": "kind: gpu\nquality: guesss\n"}, "did you mean 'guess'?"),
        ({"a.yaml": "kind: gpu\nsource: 3\n"}, "expected text"),
        ({"a.yaml": "kind: gpu\nx: {value: 1, sauce: y}\n"}, "did you mean 'source'?"),
        ({"a.yaml": "kind: gpu\nx: {value: {y: 1}}\n"}, "single value"),
    ],
)
def test_composition_errors(write, files, says):
    for name, text in files.items():
        write(text, name)
    with pytest.raises(HardwareError) as caught:
        resolve(write(files["a.yaml"], "a.yaml"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
