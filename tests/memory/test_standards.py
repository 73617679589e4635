"""Constraint tables: read strictly, evaluated in ticks, one grade in a dozen lines."""

import math

import pytest

from simulator.errors import AccsimError, HardwareError
from simulator.hardware import Description, resolve, validate
from simulator.hardware.yaml_file import read_yaml
from simulator.memory.controller.tables import build_tables, effective
from simulator.memory.policy import issued_commands
from simulator.memory.replay import load_memory, memories
from simulator.memory.spec import MemorySpec
from simulator.memory.standards import COMMANDS, Constraint, compile_device, load_standard
from simulator.memory.standards.table import evaluate
from simulator.paths import hwconfigs, standards

SHIPPED = {
    "ddr4-3200", "ddr5-4800", "ddr5-6400", "lpddr5-6400", "gddr6-14", "gddr6-16", "hbm2-2.0",
    "hbm2-2.4", "hbm2e-3.2", "hbm2e-3.6", "hbm3-5.2", "hbm3-6.4", "hbm3e-8.0", "hbm3e-9.2",
    "hbm3e-9.6", "hbm3e-9.6-12h", "hbm4-8.0",
}  # fmt: skip


def rule(device, text):
    """Latency of the rule written as 'ACT -> RD @ bank'."""
    pair, level = text.split(" @ ")
    one, two = pair.split(" -> ")
    found = [
        r.latency
        for r in device.rules
        if (r.preceding, r.following, r.level) == (one, two, level)
        and r.window == 1
        and not r.sibling
    ]
    return found[0] if found else None


def test_every_promised_memory_is_shipped():
    assert set(memories()) >= SHIPPED


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_tables_fit_the_controller_and_rules_reach_every_command(name):
    device = load_memory(name)[1]
    for refresh in ("none", "all-bank", "per-bank"):
        build_tables(device, issued_commands(device, refresh))
    constrained = {r.following for r in device.rules}
    assert set(device.standard.commands) - {"ACT2", "CAS"} <= constrained
    assert device.banks % device.groups == 0


@pytest.mark.parametrize(
    ("name", "text", "ticks"),
    [
        # Row commands of two clocks are measured from their last one.
        ("hbm2-2.0", "ACT -> RD @ bank", 14 + 1),
        ("hbm2-2.0", "PRE -> ACT @ bank", 14 - 1),
        ("hbm2-2.0", "ACT -> PRE @ channel", 2),
        ("hbm2-2.0", "RD -> RD @ channel", None),
        ("ddr4-3200", "ACT -> RD @ bank", 22),
        ("ddr4-3200", "REFab -> ACT @ rank", 576),
        # Half-clock ticks: 31 clocks are 62 ticks; ACT takes three ticks, RD two.
        ("hbm3-6.4", "ACT -> RD @ bank", 62 + 3 - 2),
        ("hbm3-6.4", "RD -> RD @ channel", 2),
        ("ddr5-4800", "RD -> RD @ channel", 8),
        ("lpddr5-6400", "WR -> RD @ bank_group", 9 + 4 + 10),
    ],
)
def test_latencies_in_ticks(name, text, ticks):
    assert rule(load_memory(name)[1], text) == ticks


def test_hbm3_tells_stack_ids_apart_and_hbm2_does_not():
    siblings = {r.latency for r in load_memory("hbm3-6.4")[1].rules if r.sibling}
    assert siblings == {6}
    assert not any(r.sibling for r in load_memory("hbm2-2.0")[1].rules)


def test_implied_rules_are_dropped_and_binding_ones_kept():
    device = load_memory("hbm2-2.0")[1]
    kept = effective(device, device.standard.commands)
    pairs = {(r.preceding, r.following, r.level) for r in kept}
    assert ("ACT", "ACT", "bank_group") not in pairs  # tRRD_L equals tRRD_S.
    assert ("RD", "RD", "bank_group") in pairs
    assert len(kept) < len(device.rules)


def test_a_speed_grade_is_a_dozen_lines(tmp_path):
    """The example of the controller's README: DDR4-2400 from DDR4-3200."""
    text = (
        "extends: ddr4-3200\ntitle: DDR4-2400R, one channel\n"
        "source: JESD79-4\nquality: jedec\n"
        "data_rate: 2.4 Gb/s\nclock: 1200 MHz\n"
        "timing: {read_latency: 16 ck, write_latency: 12 ck, rcd_read: 16 ck, rcd_write: 16 ck,\n"
        "  precharge: 16 ck, ras: 39 ck, rc: 55 ck, rrd_l: 6 ck, faw: 26 ck, ccd_l: 6 ck,\n"
        "  write_recovery: 18 ck, read_to_precharge: 9 ck, wtr_s: 3 ck, wtr_l: 9 ck, rtw: 10 ck}\n"
    )
    path = tmp_path / "ddr4-2400.yaml"
    path.write_text(text)
    assert len(text.splitlines()) <= 12
    device = load_memory(str(path))[1]
    assert device.ticks["refresh_interval"] == 9360
    assert device.peak_bytes_per_s == pytest.approx(19.2e9)


def test_shipped_grades_are_short():
    for path in (hwconfigs() / "memory").glob("*.yaml"):
        if "extends" in read_yaml(path).value:
            assert len(path.read_text().splitlines()) <= 45, path


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("ACT -> ACT >= faw", "cannot read constraint"),
        ("ACT -> ACK @ bank >= faw", "unknown command 'ACK'.*did you mean 'ACT'"),
        ("ACT -> ACT @ rank >= faw, window 0", "cannot read"),
        ("ACT -> ACT @ rank >= faw * 2", "cannot read"),
    ],
)
def test_bad_lines_are_refused(line, complaint):
    with pytest.raises(ValueError, match=complaint):
        Constraint.parse(line)


def test_expressions_are_sums_of_known_timings():
    assert evaluate("a + b - 2", {"a": 3, "b": 4}) == 5
    with pytest.raises(HardwareError, match="needs the timing 'write_latencz'"):
        evaluate("write_latencz", {"write_latency": 1})
    with pytest.raises(HardwareError):
        evaluate("a + 1.5", {"a": 1})


def test_missing_protocol_and_timing_are_told():
    spec = validate(resolve("ddr4-3200", ["protocol=null"]), MemorySpec)
    with pytest.raises(AccsimError, match="names no command protocol"):
        compile_device(spec)
    spec = validate(resolve("hbm3-6.4", ["timing.ccd_r=null"]), MemorySpec)
    with pytest.raises(AccsimError, match="needs the timing 'ccd_r'"):
        compile_device(spec)
    with pytest.raises(AccsimError, match="did you mean 'hbm2'"):
        load_standard("hbm2x")


def test_every_standard_names_its_source_and_commands_are_numbered_alike():
    from simulator.memory.controller import layout

    for path in standards().glob("*.yaml"):
        assert "source" in read_yaml(path).value
    numbers = [layout.ACT, layout.PRE, layout.RD, layout.WR, layout.REFPB, layout.PREAB]
    assert [COMMANDS[n] for n in numbers] == ["ACT", "PRE", "RD", "WR", "REFpb", "PREab"]
    assert [COMMANDS[n] for n in (layout.REFAB, layout.ACT2, layout.CAS)] == [
        "REFab",
        "ACT2",
        "CAS",
    ]
    assert math.log2(layout.FILTER).is_integer()
    assert isinstance(resolve("hbm2-2.0"), Description)
