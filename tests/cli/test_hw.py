"""``accsim hw``: what is listed and what a description shows."""

import json

import pytest

from simulator import cli
from simulator.hardware import catalogue


def output(capsys, *arguments: str) -> str:
    """Standard output of a command that must succeed."""
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def test_list_names_every_description(capsys):
    text = output(capsys, "hw", "list")
    rows = json.loads(output(capsys, "hw", "list", "--json"))
    assert [row["name"] for row in rows] == [entry.name for entry in catalogue()]
    assert all(row["name"] in text and row["title"] in text for row in rows)


@pytest.mark.parametrize("name", [entry.name for entry in catalogue()])
def test_show_prints_every_value_with_quality_and_its_source(capsys, name):
    text = output(capsys, "hw", "show", name)
    document = json.loads(output(capsys, "hw", "show", name, "--json"))
    assert document["name"] == name
    for path, mark in document["provenance"].items():
        value = document["values"]
        for key in path.split(".") if "*" not in path else []:
            value = value[key]
        if "*" in path:
            continue
        key = path.rpartition(".")[2]
        assert any(
            line.split()[:1] == [key] and str(value) in line and mark["quality"] in line
            for line in text.splitlines()
        ), path
        assert mark["source"] in text


def test_show_has_the_derived_peaks(capsys):
    text = output(capsys, "hw", "show", "a100-sxm-80gb")
    assert "2.039 TB/s" in text
    peaks = json.loads(output(capsys, "hw", "show", "a100-sxm-80gb", "--json"))["peaks"]
    assert peaks["matrix bfloat16"]["value"] == pytest.approx(312e12, rel=1e-3)


def test_show_applies_overrides(capsys):
    arguments = ("hw", "show", "a100-sxm-80gb", "--set", "chip.sms=54", "--json")
    document = json.loads(output(capsys, *arguments))
    assert document["values"]["chip"]["sms"] == 54
    assert document["provenance"]["chip.sms"]["quality"] == "override"
    assert document["peaks"]["matrix bfloat16"]["value"] == pytest.approx(156e12, rel=1e-3)


def test_show_reads_a_file(capsys, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("extends: h100-sxm\nchip: {sms: 78, source: test, quality: guess}\n")
    document = json.loads(output(capsys, "hw", "show", str(path), "--json"))
    assert document["name"] == "mine"
    assert document["values"]["chip"]["sms"] == 78
    assert document["provenance"]["chip.sms"]["source"] == "test"
    assert document["provenance"]["chip.clock"]["quality"] == "datasheet"


def test_two_runs_print_the_same_bytes(capsys):
    first = output(capsys, "hw", "show", "flightllm-u280", "--json")
    assert output(capsys, "hw", "show", "flightllm-u280", "--json") == first
