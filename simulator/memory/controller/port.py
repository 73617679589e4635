"""Channels for a caller with its own clock: offer requests, advance to a tick, get departures.

One call serves a batch: a caller hands over what it knows up to its next interaction and
advances once.  Requests are taken in the order they are offered, each not before its
earliest tick; a full queue holds back those behind it.
"""

from __future__ import annotations

import numpy as np

from simulator.memory.controller import layout
from simulator.memory.controller.kernel import kernel
from simulator.memory.controller.layout import Requests, Settings, Sizes, Tables


class Port:
    """Channels behind one ordered stream of requests."""

    def __init__(
        self,
        sizes: Sizes,
        settings: Settings,
        tables: Tables,
        first_refresh: int,
        tries: int,
        *,
        specialise: bool = False,
    ) -> None:
        self._fixed = sizes, settings, tables
        self._tries = tries
        self._kernel = kernel(sizes if specialise else None)
        self._state = layout.make_state(sizes, 0, first_refresh)
        empty = np.zeros(0, np.int64)
        self._requests = layout.make_requests(empty, empty, empty, empty, empty)
        self._waiting = np.zeros(0, np.int64)

    @property
    def tick(self) -> int:
        """How far time has come."""
        return int(self._state.run[layout.R_TICK])

    @property
    def idle(self) -> bool:
        """Whether everything offered has been served."""
        return not len(self._waiting)

    def offer(
        self,
        bank: np.ndarray,
        row: np.ndarray,
        line: np.ndarray,
        write: np.ndarray,
        earliest: np.ndarray,
    ) -> np.ndarray:
        """Append requests; returns their numbers."""
        run = self._state.run
        first, count = int(run[layout.R_COUNT]), len(bank)
        self._make_room(first + count)
        entry = self._requests.entry
        place = slice(first, first + count)
        entry[place, layout.Q_BANK] = bank
        entry[place, layout.Q_ROW] = row
        entry[place, layout.Q_WRITE] = write
        self._requests.line[place] = line
        self._requests.earliest[place] = earliest
        run[layout.R_COUNT] = first + count
        run[layout.R_FINISHED] = 0
        numbers = np.arange(first, first + count)
        self._waiting = np.concatenate([self._waiting, numbers])
        return numbers

    def advance(self, until: int) -> tuple[np.ndarray, np.ndarray]:
        """Run to ``until`` or to the end of what was offered.

        Returns numbers and departure ticks of requests decided since the last call: when a
        read's data is complete, which may lie ahead, or when a write was issued.
        """
        self._kernel(*self._fixed, self._state, self._requests, self._tries, until, False)
        departs = self._requests.depart[self._waiting]
        decided = departs >= 0
        numbers = self._waiting[decided]
        self._waiting = self._waiting[~decided]
        return numbers, departs[decided]

    def counters(self) -> np.ndarray:
        """(channel, counters): the ``N_*`` columns of the layout."""
        return self._state.channel[:, : layout.COUNTER_COLUMNS].copy()

    def _make_room(self, count: int) -> None:
        room = len(self._requests.line) - 1
        if count <= room:
            return
        more = max(2 * room, count, 1024) - room

        def longer(array: np.ndarray, fill: int) -> np.ndarray:
            rest = np.full((more, *array.shape[1:]), fill, array.dtype)
            return np.concatenate([array, rest])

        old = self._requests
        self._requests = Requests(
            entry=longer(old.entry, 0),
            line=longer(old.line, 0),
            arrive=longer(old.arrive, -1),
            depart=longer(old.depart, -1),
            earliest=longer(old.earliest, 0),
        )
