"""Dask and SLURM's stand-in give the table that local processes give, killed workers or not."""

import os
import signal
import threading
import time

import pytest

from simulator.errors import OptionError
from simulator.sweep import load_sweep, sweep
from simulator.sweep.executors import opener, parse_parameters

SMALL = """\
workloads: {decode: {trace: gpt2, phase: decode}}
devices: [pim-gpt]
axes: {context: [64, 80, 96, 112], memory.organization.stacks: [2, 4]}
"""


@pytest.fixture
def local(sweep_file, tmp_path):
    path = sweep_file(SMALL)
    return path, sweep(load_sweep(path), jobs=1, store=tmp_path / "local").frame.to_csv()


@pytest.fixture
def distributed():
    return pytest.importorskip("distributed", reason="the extra 'sweep' has Dask")


@pytest.fixture
def submitit():
    return pytest.importorskip("submitit", reason="the extra 'sweep' has submitit")


def test_dask_workers_may_be_killed(distributed, local, tmp_path):
    path, expected = local
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=tmp_path / "dask",
    ) as cluster:
        store = tmp_path / "dask-store"
        first = next(iter(cluster.workers.values()))

        def shoot() -> None:
            while not list(store.rglob("*.json")):
                time.sleep(0.02)
            os.kill(first.pid, signal.SIGKILL)

        threading.Thread(target=shoot, daemon=True).start()
        found = sweep(
            load_sweep(path),
            store=store,
            open_place=opener("dask", address=cluster.scheduler_address),
        )
    assert found.frame.to_csv() == expected


def test_submitit_runs_batches(submitit, local, tmp_path):
    path, expected = local
    parameters = {"cluster": "local", "batch": 3, "timeout_min": 5}
    found = sweep(
        load_sweep(path),
        store=tmp_path / "slurm-store",
        open_place=opener("slurm", 2, parameters=parameters, folder=tmp_path / "jobs"),
    )
    assert found.frame.to_csv() == expected


def test_an_unknown_executor_is_refused():
    with pytest.raises(OptionError, match="unknown executor 'slrum'"):
        opener("slrum")


def test_dask_needs_an_address():
    with pytest.raises(OptionError, match="--address"):
        opener("dask")


def test_parameters_are_numbers_or_text():
    assert parse_parameters(["timeout_min=60", "slurm_partition=cpu"]) == {
        "timeout_min": 60,
        "slurm_partition": "cpu",
    }
    with pytest.raises(OptionError, match="KEY=VALUE"):
        parse_parameters(["timeout"])
