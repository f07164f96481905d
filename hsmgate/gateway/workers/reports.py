"""What workers tell the arbiter, over a pipe that all of them have."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

_RECORD = struct.Struct("=iBB")
"""Process id, what is reported, and an exit code. So short a write is never mixed with another (pipe(7))."""


class What(IntEnum):
    """READY: it can sign. RELOADED: a load of the config that was asked for is over. FAILED: it could not start.

    TAKEN: it has taken a config over, which is in the common folder.
    """

    READY = 1
    RELOADED = 2
    FAILED = 3
    TAKEN = 4


@dataclass(frozen=True, slots=True)
class Report:
    """A worker's process id, what it reports, and the exit code that goes with a failure."""

    pid: int
    what: What
    code: int = 0


class Reports:
    """The pipe. It is made before the workers are started."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self.reading, False)

    def send(self, what: What, code: int = 0) -> None:
        """A worker reports."""
        os.write(self._writing, _RECORD.pack(os.getpid(), what, code))

    def receive(self) -> Iterator[Report]:
        """What has come, for the arbiter."""
        while True:
            try:
                data = os.read(self.reading, _RECORD.size)
            except BlockingIOError:
                return
            pid, what, code = _RECORD.unpack(data)
            yield Report(pid, What(what), code)
