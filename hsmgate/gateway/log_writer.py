"""Writes the log in a thread of its own: whoever does not take it, a full pipe or a slow disk, keeps nobody waiting."""

import logging
import os
import queue
import threading
import time

WAITING_AT_MOST = 4 * 1024 * 1024
"""Characters that wait to be written; what comes beyond that is lost, and how much that was is logged."""

CLOSE_SECONDS = 1.0
"""For what still waits when the process ends."""

log = logging.getLogger(__name__)


class LogWriter:
    """A stream for whole lines. Threads may write at the same time.

    fd: where they go. It is written to past Python's own buffers, whose locks would be held for as long as that takes.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._texts: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._counting = threading.Lock()
        self._waiting = 0
        self._lost = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        """Let it be written, soon and in its turn."""
        with self._counting:
            if self._waiting > WAITING_AT_MOST:
                self._lost += text.count("\n")
                return
            self._waiting += len(text)
        self._texts.put(text)

    def flush(self) -> None:
        """Nothing to do: it is written soon in any case."""

    def close(self) -> None:
        """Wait until all is written, but not for long."""
        until = time.monotonic() + CLOSE_SECONDS
        while self._waiting and time.monotonic() < until:
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            text = self._texts.get()
            _write(self._fd, text)
            with self._counting:
                self._waiting -= len(text)
                lost, self._lost = (self._lost, 0) if not self._waiting else (0, self._lost)
            if lost:
                log.warning("%d lines of the log are lost: they were not taken in time", lost)


def _write(fd: int, text: str) -> None:
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:  # there is nowhere to say so
        return
