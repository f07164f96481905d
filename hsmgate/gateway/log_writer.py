"""Writes the log in a thread of its own: whoever does not take it, a full pipe or a slow disk, keeps nobody waiting."""

import logging
import os
import queue
import select
import stat
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

WAITING_AT_MOST = 4 * 1024 * 1024
"""Characters that wait to be written; what comes beyond that is lost, and how much that was is logged."""

PIPE_CHARACTERS = select.PIPE_BUF
"""Of lines written at once, ASCII where they are many: into more, lines of other processes could come (PIPE_BUF)."""

FILE_CHARACTERS = 256 * 1024
"""The same for a file, where any write is one. After each the thread waits for the interpreter, and others for it."""

CLOSE_SECONDS = 1.0
"""For what still waits when the process ends."""

log = logging.getLogger(__name__)


class LogWriter:
    """A stream for whole lines. Threads may write at the same time.

    fd: where they go. It is written to past Python's own buffers, whose locks would be held for as long as that takes.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._at_once = FILE_CHARACTERS if stat.S_ISREG(os.fstat(fd).st_mode) else PIPE_CHARACTERS
        self._lines: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
        self._counting = threading.Lock()
        self._waiting = 0
        self._lost = 0
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def write(self, text: str) -> None:
        """Let it be written, soon and in its turn."""
        self.write_lines((text,))

    def write_lines(self, lines: Sequence[str]) -> None:
        """Let these be written, likewise, as many at once as may be."""
        with self._counting:
            if self._waiting > WAITING_AT_MOST:
                self._lost += sum(line.count("\n") for line in lines)
                return
            self._waiting += sum(map(len, lines))
        self._lines.put(lines)

    def flush(self) -> None:
        """Nothing to do: it is written soon in any case."""

    def close(self) -> None:
        """Wait until all is written, but not for long."""
        until = time.monotonic() + CLOSE_SECONDS
        while self._waiting and time.monotonic() < until:
            time.sleep(0.001)

    def _run(self) -> None:
        while True:
            lines = self._lines.get()
            for block in blocks(lines, self._at_once):
                _write(self._fd, block)
            with self._counting:
                self._waiting -= sum(map(len, lines))
                lost, self._lost = (self._lost, 0) if not self._waiting else (0, self._lost)
            if lost:
                log.warning("%d lines of the log are lost: they were not taken in time", lost)


def blocks(lines: Iterable[str], at_once: int) -> Iterator[str]:
    """The lines in blocks of at most so many characters; a longer line is one by itself."""
    block: list[str] = []
    size = 0
    for line in lines:
        if block and size + len(line) > at_once:
            yield "".join(block)
            block, size = [], 0
        block.append(line)
        size += len(line)
    yield "".join(block)


def _write(fd: int, text: str) -> None:
    rest = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:  # there is nowhere to say so
        return
