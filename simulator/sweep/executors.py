"""Where points run: processes of this machine, a Dask cluster, jobs of SLURM.

All three are a :class:`concurrent.futures.Executor`; the loop over points knows nothing else.
Dask and submitit are imported when they are asked for (extra ``sweep``).
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from simulator.errors import OptionError, suggest

NAMES = ("local", "dask", "slurm")


@dataclass(frozen=True)
class Place:
    """An executor and how to feed it."""

    executor: Executor
    width: int
    """Batches handed out at once."""
    batch: int
    """Points of one batch."""
    close: Callable[[], None]
    """Stop, without waiting for points in flight."""


def opener(
    name: str,
    jobs: int | None = None,
    address: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    folder: Path = Path("submitit"),
) -> Callable[[], Place]:
    """A function that opens the executor ``name``; again if the first one breaks.

    ``jobs``: processes (local), batches in flight (dask) or jobs (slurm) at once; ``address``: of
    a Dask scheduler; ``parameters``: of submitit (``{"timeout_min": 60}``; ``cluster: local`` runs
    jobs on this machine).
    """
    if name == "local":
        return lambda: _local(jobs or os.cpu_count() or 1)
    if name == "dask":
        if not address:
            raise OptionError(
                "dask needs a scheduler",
                where="--address",
                remedy="give it as --address tcp://HOST:8786",
            )
        distributed = _module("distributed", "dask[distributed]")
        return lambda: _dask(distributed, address, jobs)
    if name == "slurm":
        submitit = _module("submitit", "submitit")
        return lambda: _slurm(submitit, jobs or 64, parameters or {}, folder)
    raise OptionError(f"unknown executor '{name}'", where="--executor", remedy=suggest(name, NAMES))


def _module(name: str, package: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise OptionError(
            f"{name} is not installed", where="--executor", remedy=f"pip install '{package}'"
        ) from error


def _local(jobs: int) -> Place:
    # Spawned workers share nothing with this process but the end of a pipe: when it closes, on
    # purpose or because this process is gone, they end, in the middle of a point if need be.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    executor = ProcessPoolExecutor(jobs, context, _start_worker, (theirs,))

    def close() -> None:
        executor.shutdown(wait=False, cancel_futures=True)
        ours.close()

    return Place(executor, 2 * jobs, 1, close)


def _start_worker(lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one who closes the pipe.

    def watch() -> None:
        with suppress(EOFError, OSError):
            lifeline.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _dask(distributed: Any, address: str, jobs: int | None) -> Place:
    try:
        client = distributed.Client(address, timeout=20, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OptionError(
            f"no Dask scheduler at '{address}'", where="--address", remedy="start dask scheduler"
        ) from error
    executor = client.get_executor(pure=False)
    width = jobs or max(4, 2 * sum(client.nthreads().values()))

    def close() -> None:
        with suppress(Exception):
            executor.shutdown(wait=False, cancel_futures=True)
        client.close()

    return Place(executor, width, 1, close)


def _slurm(submitit: Any, jobs: int, parameters: Mapping[str, Any], folder: Path) -> Place:
    settings = dict(parameters)
    batch = int(settings.pop("batch", 16))
    inner = submitit.AutoExecutor(folder=folder, cluster=settings.pop("cluster", None))
    try:
        inner.update_parameters(**settings)
    except (NameError, TypeError, ValueError) as error:
        raise OptionError(
            f"submitit refuses its parameters: {' '.join(str(error).split()):.200}",
            where="--slurm",
            remedy="use names such as timeout_min=60 or slurm_partition=cpu",
        ) from error
    executor = _Submitit(inner)
    return Place(executor, jobs, batch, executor.cancel)


class _Submitit(Executor):
    """Jobs of submitit as futures: a thread asks after them."""

    PERIOD_S = 0.5

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self._jobs: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._open = True
        threading.Thread(target=self._watch, daemon=True).start()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        job = self._inner.submit(fn, *args, **kwargs)
        with self._lock:
            self._jobs[future] = job
        return future

    def cancel(self) -> None:
        """Cancel all jobs in the queue."""
        self._open = False
        with self._lock:
            for job in self._jobs.values():
                with suppress(Exception):
                    job.cancel()

    def _watch(self) -> None:
        while self._open:
            with self._lock:
                finished = [future for future, job in self._jobs.items() if job.done()]
                jobs = [(future, self._jobs.pop(future)) for future in finished]
            for future, job in jobs:
                try:
                    future.set_result(job.result())
                except Exception as error:
                    future.set_exception(error)
            time.sleep(self.PERIOD_S)


def parse_parameters(given: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` of ``--slurm``; whole numbers are numbers."""
    parameters: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise OptionError(
                f"expected KEY=VALUE, got '{text:.60}'",
                where="--slurm",
                remedy="write it like --slurm timeout_min=60",
            )
        parameters[name] = int(value) if value.isdigit() else value
    return parameters
