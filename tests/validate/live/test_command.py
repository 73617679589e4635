"""``accsim calibrate --live``: what it asks of the machine, what it leaves behind."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from simulator import cli
from simulator.system.specs import load_hardware
from simulator.validate.live import measure, pytorch
from simulator.validate.live.timer import GpuAtHand

GPU = "a100-sxm-80gb"


@pytest.fixture
def at_hand(monkeypatch, fake_timer):
    """``at_hand(timer)`` is this machine's GPU."""

    def put(timer=None):
        timer = timer or fake_timer()
        monkeypatch.setattr(pytorch, "open_timer", lambda seed: timer)
        monkeypatch.setattr(measure, "time", SimpleNamespace(monotonic=timer.clock))
        return timer

    return put


def calibrate(*arguments):
    return cli.main(["calibrate", "--hw", GPU, *map(str, arguments)])


def test_without_torch_it_says_what_is_missing(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("simulator.validate.live.pytorch.find_spec", lambda name: None)
    assert calibrate("--live", "--data", tmp_path / "own") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "PyTorch is not installed" in line and "pip install 'accsim[live]'" in line
    assert list(tmp_path.iterdir()) == []


def test_another_gpu_than_described_is_refused(capsys, at_hand, fake_timer, tmp_path):
    device = GpuAtHand("NVIDIA H100 PCIe", 114, 80 << 30, "bf16")
    at_hand(fake_timer(device=device))
    assert calibrate("--live", "--data", tmp_path / "own") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "has 108 SMs, this machine's NVIDIA H100 PCIe 114" in line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data", "own"], "no file to write"),
        (["--live", "--data", "own", "-o", "mine.txt"], "is not a .yaml file"),
        (["--live", "--data", "own", "-o", "absent/mine.yaml"], "no folder 'absent'"),
        (["--live", "--data", "own", "-o", "m.yaml", "--parameter", "l2.usabel"], "l2.usable"),
        (["--live", "--data", "own", "--hw", "flightllm-u280"], "is not a GPU"),
        (["--live", "--data", "a_file"], "cannot make the folder"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    capsys, at_hand, tmp_path, monkeypatch, arguments, complaint
):
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    timer = at_hand()
    assert calibrate(*arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line and not timer.asked
    assert [path.name for path in tmp_path.iterdir()] == ["a_file"]


def test_it_measures_goes_on_and_fits(capsys, at_hand, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = at_hand()
    assert calibrate("--live", "--data", "own", "--budget", "30") == 0
    told = capsys.readouterr()
    assert f"{len(first.asked)} of " in told.err and "left for another run" in told.err
    assert 60 < len(first.asked) < 120 and told.out == ""
    second = at_hand()
    arguments = ["--live", "--data", "own", "--budget", "90", "-o", "own.fit.yaml"]
    arguments += ["--parameter", "launch.product_ramp", "--rows", "12", "--score-rows", "4"]
    assert calibrate(*arguments, "--iterations", "1") == 0
    assert f"{len(first.asked)} were there before" in capsys.readouterr().err
    asked = [(point.file, str(point.columns)) for point in first.asked + second.asked]
    assert len(set(asked)) == len(asked)
    text = Path("own.fit.yaml").read_text()
    assert "Data: folder 'own', gemm on a100-sxm-80gb" in text
    assert load_hardware("own.fit.yaml").name == "own.fit"
