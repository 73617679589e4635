"""Clock and power of a GPU while it works: NVML by ``pynvml``, or the ``nvidia-smi`` program.

On boards since Ampere NVML's watts are a mean over the last second, its energy counter since
Volta counts millijoules, so that a difference of two readings is exact to its refresh (tens of ms):
https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol

QUERY = "clocks.sm,power.draw,enforced.power.limit"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the board tells; None where it or its driver does not."""

    clock_mhz: float | None
    watts: float | None
    limit_w: float | None


class Monitor(Protocol):
    """A board's own instruments."""

    method: str

    def read(self) -> Reading: ...

    def joules(self) -> float | None:
        """Since some time in the past; None where there is no counter."""
        ...


class Nvml:
    """NVML. Raises its error if there is no driver or no such GPU."""

    method = "nvml"

    def __init__(self, uuid: str) -> None:
        import pynvml

        self._nvml: Any = pynvml
        pynvml.nvmlInit()
        self._handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)

    def _ask(self, question: Callable[..., int], *arguments: int) -> float | None:
        try:
            return float(question(self._handle, *arguments))
        except self._nvml.NVMLError:
            return None

    def read(self) -> Reading:
        nvml = self._nvml
        return Reading(
            self._ask(nvml.nvmlDeviceGetClockInfo, nvml.NVML_CLOCK_SM),
            _thousandth(self._ask(nvml.nvmlDeviceGetPowerUsage)),
            _thousandth(self._ask(nvml.nvmlDeviceGetEnforcedPowerLimit)),
        )

    def joules(self) -> float | None:
        return _thousandth(self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption))


class NvidiaSmi:
    """The program; a reading takes tens of milliseconds."""

    method = "nvidia_smi"

    def __init__(self, uuid: str) -> None:
        self._uuid = uuid

    def read(self) -> Reading:
        command = ["nvidia-smi", "-i", self._uuid, f"--query-gpu={QUERY}"]
        command.append("--format=csv,noheader,nounits")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
        except (OSError, subprocess.SubprocessError):
            return Reading(None, None, None)
        clock, watts, limit = map(_number, (*done.stdout.split(",", 2), "", "")[:3])
        return Reading(clock, watts, limit)

    def joules(self) -> float | None:
        return None


def monitor_of(uuid: str) -> Monitor:
    """The monitor of a GPU by its UUID (``GPU-...``)."""
    if find_spec("pynvml") is not None:
        import pynvml

        try:
            return Nvml(uuid)
        except pynvml.NVMLError:
            pass
    return NvidiaSmi(uuid)


def _number(cell: str) -> float | None:
    """``[N/A]`` is none."""
    try:
        return float(cell)
    except ValueError:
        return None


def _thousandth(value: float | None) -> float | None:
    return None if value is None else value / 1e3
