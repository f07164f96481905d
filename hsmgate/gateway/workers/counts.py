"""What the workers of a gateway count together: a table in memory that all of them have.

    header   how many rows are in use, and for each worker how many items wait for a signer there, and how many
             connections it has, with one more, or 0 while it lets nobody in
    rows     one for each app with limits: its id, what it has left, and for each worker how many items are in flight

Whoever reads and writes holds a lock on that row, or on the header: a lock of the file's (fcntl(2)), which ends with
the process that has it. What a dead worker had in flight is in a column of its own, so that it can be given back.
"""

import asyncio
import contextlib
import fcntl
import mmap
import os
import uuid
from collections.abc import Callable, Iterator

ROWS = 65_536
"""Apps with limits that are ever seen; those that come later share the last row. A row costs memory once it is used."""

REFRESH_SECONDS = 0.05
"""How old the number of waiting items may be that other workers see."""

_ID = 2  # words of 8 bytes
_ITEMS, _AT, _IN_FLIGHT = _ID, _ID + 1, _ID + 2


class Counts:
    """The table. It is made before the workers are started; each has its own index."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._index = 0
        self._connections = 1 + workers
        self._header = self._connections + workers
        self._row = _IN_FLIGHT + workers
        self._file = os.memfd_create("hsmgate-counts")
        os.ftruncate(self._file, 8 * (self._header + ROWS * self._row))
        memory = memoryview(mmap.mmap(self._file, 0))
        self._numbers = memory.cast("Q")
        self._reals = memory.cast("d")
        self._rows: dict[tuple[int, int], int] = {}

    @property
    def place(self) -> tuple[int, int]:
        """Which worker this process is, from 1, and how many there are."""
        return self._index + 1, self._workers

    def become(self, index: int) -> None:
        """From now on this process is the worker with that index."""
        self._index = index

    def give_back(self, index: int) -> None:
        """That worker is gone, and nothing waits or is in flight there any more."""
        self._numbers[1 + index] = 0
        self._numbers[self._connections + index] = 0
        for row in range(self._numbers[0]):
            start = self._start(row)
            with self._locked(start):
                self._numbers[start + _IN_FLIGHT + index] = 0

    def reserve(self, count: int, waiting: int, most: int) -> int:
        """How many of so many items may wait here, where others wait already, if at most `most` may wait in all."""
        with self._locked(0):
            self._numbers[1 + self._index] = waiting
            room = max(0, most - sum(self._numbers[1 : self._connections]))
            granted = min(count, room)
            self._numbers[1 + self._index] = waiting + granted
        return granted

    def note_waiting(self, waiting: int) -> None:
        """So many items wait here now."""
        with self._locked(0):
            self._numbers[1 + self._index] = waiting

    def note_connections(self, count: int | None) -> None:
        """So many connections are here now; None where nobody is let in any more."""
        self._numbers[self._connections + self._index] = 0 if count is None else count + 1

    def crowded(self) -> bool:
        """Whether here are more connections than with another worker, by more than an eighth."""
        others = [count for count in self._numbers[self._connections : self._header] if count]
        least = min(others, default=0)
        return self._numbers[self._connections + self._index] > least + least // 8

    @contextlib.contextmanager
    def row(self, app_id: str) -> Iterator["Row"]:
        """The row of an app; nobody else reads or writes it meanwhile."""
        start = self._start(self._find(app_id))
        with self._locked(start):
            yield Row(self._numbers, self._reals, start, self._index, self._workers)

    def _find(self, app_id: str) -> int:
        both = uuid.UUID(app_id).int
        key = (both >> 64, both & (1 << 64) - 1)
        row = self._rows.get(key)
        if row is None:
            with self._locked(0):
                row = self._learn(key)
        return row

    def _learn(self, key: tuple[int, int]) -> int:
        """Read the rows that others have begun, and begin one for the app if it is in none."""
        used = self._numbers[0]
        for row in range(len(self._rows), used):
            start = self._start(row)
            self._rows[self._numbers[start], self._numbers[start + 1]] = row
        if key not in self._rows:
            if used == ROWS:
                return ROWS - 1
            start = self._start(used)
            self._numbers[start], self._numbers[start + 1] = key
            self._numbers[0] = used + 1
            self._rows[key] = used
        return self._rows[key]

    def _start(self, row: int) -> int:
        return self._header + row * self._row

    @contextlib.contextmanager
    def _locked(self, start: int) -> Iterator[None]:
        fcntl.lockf(self._file, fcntl.LOCK_EX, 8, 8 * start)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 8, 8 * start)


class Row:
    """What an app has left, as all workers see it.

    items: that may come.
    at: when that was so, 0 in a new row.
    """

    def __init__(
        self, numbers: "memoryview[int]", reals: "memoryview[float]", start: int, index: int, workers: int
    ) -> None:
        self._numbers = numbers
        self._reals = reals
        self._start = start
        self._index = index
        self._workers = workers
        self.items: float = reals[start + _ITEMS]
        self.at: float = reals[start + _AT]

    def in_flight(self) -> int:
        """With all workers."""
        first = self._start + _IN_FLIGHT
        return sum(self._numbers[first : first + self._workers])

    def put(self, items: float, at: float, in_flight: int) -> None:
        """Note what is left, and so many items more that are in flight here."""
        self._reals[self._start + _ITEMS] = items
        self._reals[self._start + _AT] = at
        self._numbers[self._start + _IN_FLIGHT + self._index] += in_flight


class WaitingRoom:
    """How many items may wait for a signer, over all workers where there are several.

    waiting: how many there are in this process.
    """

    def __init__(self, waiting: Callable[[], int], counts: Counts | None) -> None:
        self._waiting = waiting
        self._counts = counts
        self._timer: asyncio.TimerHandle | None = None

    def let_in(self, count: int, most: int) -> int:
        """How many of so many items may wait, or be signed at once."""
        if self._counts is None:
            return most - self._waiting()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REFRESH_SECONDS, self._refresh)
        return self._counts.reserve(count, self._waiting(), most)

    def _refresh(self) -> None:
        """Tell the others how many are still there, until there are none."""
        assert self._counts is not None  # noqa: S101 - else there is no timer
        waiting = self._waiting()
        self._counts.note_waiting(waiting)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(REFRESH_SECONDS, self._refresh) if waiting else None
