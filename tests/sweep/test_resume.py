"""No finished point is lost, whatever is killed; what is kept is not run again."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing import active_children
from pathlib import Path

import pytest

from simulator import cli
from simulator.errors import OutputError
from simulator.sweep import load_sweep, sweep
from simulator.sweep.executors import Place, opener
from simulator.sweep.plan import plan
from simulator.sweep.run import execute
from simulator.sweep.store import Store


def command(path: Path, out: Path, store: Path, *more: str) -> list[str]:
    return ["sweep", str(path), "--out", str(out), "--store", str(store), "--jobs", "2", *more]


def start(arguments: list[str], root: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "simulator.cli", *arguments],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def kept(store: Path) -> int:
    return len(list(store.rglob("*.json")))


def wait_until(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    while not condition() and process.poll() is None:
        time.sleep(0.01)


def table(out: Path) -> bytes:
    return (out / "results.csv").read_bytes()


SMALL = """\
workloads: {decode: {trace: gpt2, phase: decode}}
devices: [pim-gpt]
axes:
  context: [64, 96]
  memory.organization.stacks: [2, 4, 8]
"""


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A folder with a sweep file, and the store and table of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    path = folder / "sweep.yaml"
    path.write_text(SMALL)
    assert cli.main(command(path, folder / "out", folder / "store")) == 0
    return folder


def killed_and_resumed(path, tmp_path, root, signals, draw):
    """Kill one run per signal after one more point and a random delay; then let one finish."""
    store, out = tmp_path / "store", tmp_path / "out"
    for which in signals:
        before = kept(store)
        process = start(command(path, out, store), root)
        wait_until(lambda before=before: kept(store) > before, process)
        time.sleep(draw.random() * 0.3)
        process.send_signal(which)
        process.wait()
        assert kept(store) > before or out.exists()
    assert cli.main(command(path, out, store)) == 0
    return table(out)


def test_a_killed_sweep_goes_on_to_the_same_table(calm, tmp_path, request):
    signals = (signal.SIGKILL, signal.SIGINT)
    draw = random.Random(1)
    root = request.config.rootpath
    again = killed_and_resumed(calm / "sweep.yaml", tmp_path, root, signals, draw)
    assert again == table(calm / "out")


@pytest.mark.slow
def test_ten_random_kills_change_nothing(sweep_file, tmp_path, request):
    path = sweep_file("""\
workloads: {decode: {trace: gpt2, phase: decode}}
devices: [pim-gpt, attacc-bank]
axes: {context: {range: [64, 256], step: 16}, memory.organization.stacks: [2, 4]}
""")
    assert cli.main(command(path, tmp_path / "calm", tmp_path / "calm-store")) == 0
    draw = random.Random(2)
    signals = [draw.choice((signal.SIGKILL, signal.SIGINT, signal.SIGTERM)) for _ in range(10)]
    again = killed_and_resumed(path, tmp_path, request.config.rootpath, signals, draw)
    assert again == table(tmp_path / "calm")


def test_killed_workers_change_nothing(calm, tmp_path):
    path = calm / "sweep.yaml"
    store = Store(tmp_path / "store")
    draw = random.Random(3)
    deaths: list[int] = []

    def shoot() -> None:
        while len(deaths) < 2:
            time.sleep(0.02)
            victims = active_children()
            if victims and kept(store.folder) > len(deaths):
                victim = draw.choice(victims)
                deaths.append(victim.pid)
                os.kill(victim.pid, signal.SIGKILL)

    shooter = threading.Thread(target=shoot, daemon=True)
    shooter.start()
    progress = execute(plan(load_sweep(path)), store, opener("local", 2))
    assert progress.troubles == {}
    assert deaths
    assert cli.main(command(path, tmp_path / "out", store.folder)) == 0
    assert table(tmp_path / "out") == table(calm / "out")


def test_a_full_disk_is_one_line_and_loses_nothing(calm, tmp_path, capsys, monkeypatch):
    path = calm / "sweep.yaml"
    store, out = tmp_path / "store", tmp_path / "out"
    put = Store.put

    def full(self: Store, record: dict) -> None:
        if kept(store) >= 3:
            raise OutputError("cannot write: No space left on device", where=store)
        put(self, record)

    # Workers keep points as well; here it is left to this process, whose disk is full.
    monkeypatch.setattr(Store, "put", full)
    monkeypatch.setattr("simulator.sweep.run.run_points", _without_store)
    assert cli.main(command(path, out, store)) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert len(said.splitlines()) == 1
    assert not out.exists()
    assert kept(store) == 3
    monkeypatch.undo()
    assert cli.main(command(path, out, store)) == 0
    assert table(out) == table(calm / "out")


def _without_store(points, store):
    from simulator.sweep.worker import run_points

    return run_points(points, None)


def nowhere() -> Place:
    raise AssertionError("a kept point was run again")


def test_what_is_kept_is_not_run_again(calm):
    spec = load_sweep(calm / "sweep.yaml")
    done = sweep(spec, store=calm / "store", open_place=nowhere)
    assert (done.frame["status"] == "done").all()


def test_another_sweep_shares_points_however_they_are_written(calm, sweep_file):
    other = """\
workloads: {same: {trace: gpt2, phase: decode, context: 64, batch: 1}}
devices:
  named: {hw: pim-gpt, set: {memory.organization.stacks: 8, controller.clock: 1 GHz}}
  smaller: {hw: pim-gpt, set: {memory.organization.stacks: 2}}
"""
    shared = sweep(load_sweep(sweep_file(other)), store=calm / "store", open_place=nowhere)
    assert (shared.frame["status"] == "done").all()
    assert shared.frame["latency_s"].is_monotonic_increasing


def test_a_damaged_point_is_run_again(calm, tmp_path):
    store = shutil.copytree(calm / "store", tmp_path / "store")
    damaged = min(store.rglob("*.json"))
    damaged.write_text(damaged.read_text()[:100])
    assert cli.main(command(calm / "sweep.yaml", tmp_path / "out", store)) == 0
    assert table(tmp_path / "out") == table(calm / "out")


def test_a_failing_point_is_a_row_and_an_exit_code(sweep_file, tmp_path, capsys):
    path = sweep_file("""\
workloads: {decode: {trace: llama2-7b, phase: decode, context: 64}}
devices: [pim-gpt]
axes: {memory.organization.stacks: [2, 3]}
""")
    assert cli.main(command(path, tmp_path / "out", tmp_path / "store")) == 3
    rows = (tmp_path / "out" / "results.csv").read_text().splitlines()
    assert [",failed," in row for row in rows[1:]] == [True, True]
    assert "does not fit" in rows[1] or "capacity" in rows[1] or "needs" in rows[1]
    assert "no result for" in capsys.readouterr().out
