"""A record that breaks a law never becomes a result; one that keeps them does."""

import math
import re

import pytest

from simulator.errors import BoundError
from simulator.results import Result

BROKEN_KERNELS = [
    ({"bound_fs": 61 * 10**9}, "below its bound"),
    ({"start_fs": 5, "issued_fs": 6}, "out of order"),
    ({"end_fs": 0, "start_fs": 7, "issued_fs": 0, "bound_fs": 0}, "out of order"),
    ({"dram_bytes_read": -1}, "DRAM bytes read is -1"),
    ({"bytes_compulsory": -1}, "compulsory bytes is -1"),
    ({"simulated_share": 1.5}, "simulated share 1.5"),
    ({"error_estimate": math.nan}, "error estimate is nan"),
    ({"energy_j": {"dram": -0.1}}, "energy of dram"),
    ({"operations": {"matrix": math.inf}}, "matrix operations is inf"),
    ({"busy_fs": {"dram": -5}}, "busy time of dram"),
]


def test_a_plausible_record_passes(synthetic):
    assert Result(synthetic.decode_step()).latency_s > 0


@pytest.mark.parametrize(("changes", "message"), BROKEN_KERNELS, ids=lambda value: str(value)[:40])
def test_a_broken_kernel_is_refused_by_name(synthetic, changes, message):
    record = synthetic.run([synthetic.kernel(), synthetic.kernel(7, **changes)])
    with pytest.raises(BoundError, match=re.escape(message)) as caught:
        Result(record)
    assert "kernel 7" in str(caught.value)


BROKEN_RUNS = [
    ({"bound_fs": 10**15}, "below the bound"),
    ({"latency_fs": 59 * 10**9, "bound_fs": 0}, "out of order"),
    ({"schema": 0}, "schema 0"),
    ({"energy_j": {"dram": 0.001}}, "more than the device's"),
    ({"energy_j": {"dram": math.nan}}, "spends nan J"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN_RUNS, ids=lambda value: str(value)[:40])
def test_a_broken_run_is_refused(synthetic, changes, message):
    with pytest.raises(BoundError, match=message):
        Result(synthetic.run([synthetic.kernel()], **changes))


def test_no_component_is_busier_than_the_run_is_long(synthetic):
    twice = [synthetic.kernel(i, busy_fs={"dram": 40 * synthetic.US}) for i in range(2)]
    with pytest.raises(BoundError, match=r"component 'dram' is busy 1\.33"):
        Result(synthetic.run(twice))


def test_host_spans_run_forward(synthetic):
    record = synthetic.run([synthetic.kernel()])
    record.host.append(type(record.host[0])("dispatch", 5, 3))
    with pytest.raises(BoundError, match="host span"):
        Result(record)
