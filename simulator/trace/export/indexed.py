"""Capture with real index tensors: mixed execution and sparse adjacencies together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from simulator.trace.export.capture import capture
from simulator.trace.export.mixed import MixedExecution, on_device
from simulator.trace.export.recorder import Recorder
from simulator.trace.export.sparse import quiet, sparse_mode


@contextmanager
def indexed_capture(
    recorder: Recorder, root: Any, *, backward: bool = False, keep_values: bool = True
) -> Iterator[None]:
    """Like :func:`.capture.capture`, with integers computed for real and kept in the trace.

    Without ``keep_values`` they are computed only, which avoids guesses.
    """
    execution = MixedExecution(recorder, keep_values)
    with (
        quiet(),
        capture(recorder, root, backward=backward, execute=execution, on_device=on_device),
        sparse_mode(recorder, execution),
    ):
        yield
