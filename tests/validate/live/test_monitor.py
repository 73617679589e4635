"""Clock and power from NVML and nvidia-smi, neither of which is here."""

import subprocess
import sys
from types import SimpleNamespace

import pytest

from simulator.validate.live import monitor
from simulator.validate.live.monitor import NvidiaSmi, Nvml, Reading, monitor_of


class NvmlError(Exception):
    pass


def nvml(**changes):
    """A pynvml whose board draws 250 W at 1980 MHz."""

    def unsupported(handle):
        raise NvmlError

    usual = {
        "NVMLError": NvmlError,
        "NVML_CLOCK_SM": 1,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
        "nvmlDeviceGetClockInfo": lambda handle, domain: {1: 1980}[domain],
        "nvmlDeviceGetPowerUsage": lambda handle: 250_000,
        "nvmlDeviceGetEnforcedPowerLimit": lambda handle: 700_000,
        "nvmlDeviceGetTotalEnergyConsumption": unsupported,
    }
    return SimpleNamespace(**{**usual, **changes})


@pytest.fixture
def with_nvml(monkeypatch):
    def put(module):
        monkeypatch.setitem(sys.modules, "pynvml", module)
        monkeypatch.setattr(monitor, "find_spec", lambda name: module)

    return put


def test_nvml_speaks_in_thousandths_and_may_not_know(with_nvml):
    with_nvml(nvml())
    board = monitor_of("GPU-1")
    assert isinstance(board, Nvml)
    assert board.read() == Reading(1980, 250, 700)
    assert board.joules() is None
    with_nvml(nvml(nvmlDeviceGetTotalEnergyConsumption=lambda handle: 12_345))
    assert monitor_of("GPU-1").joules() == 12.345


def test_without_a_driver_the_program_is_asked(with_nvml):
    def broken():
        raise NvmlError

    with_nvml(nvml(nvmlInit=broken))
    assert isinstance(monitor_of("GPU-1"), NvidiaSmi)
    with_nvml(None)
    assert isinstance(monitor_of("GPU-1"), NvidiaSmi)


@pytest.mark.parametrize(
    ("answer", "reading"),
    [
        ("1980, 251.30, 700.00\n", Reading(1980, 251.3, 700)),
        ("1980, [N/A], 700.00\n", Reading(1980, None, 700)),
        ("No devices were found\n", Reading(None, None, None)),
    ],
)
def test_what_the_program_prints(monkeypatch, answer, reading):
    def run(command, **options):
        assert command[:3] == ["nvidia-smi", "-i", "GPU-1"]
        return SimpleNamespace(stdout=answer)

    monkeypatch.setattr(subprocess, "run", run)
    assert NvidiaSmi("GPU-1").read() == reading
    assert NvidiaSmi("GPU-1").joules() is None


def test_no_program_is_no_reading(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert NvidiaSmi("GPU-1").read() == Reading(None, None, None)
