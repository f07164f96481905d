"""Messages cut into pieces for the sessions, and their answers put together by whoever is the last to finish."""

import math
import queue
import threading
from collections import deque
from collections.abc import Iterator, Sized
from dataclasses import dataclass

from hsmgate.ipc.messages import Failure, Order, Part, Sign, Signed, Source

PIECES_PER_SESSION = 4
"""So many pieces that no session is idle for long while others still work on the message."""


class Job:
    """A message that sessions work on together."""

    def __init__(self, message: Sign, sessions: int) -> None:
        self.message = message
        self._results: list[list[bytes | bool | Failure]] = [[b""] * len(part.payloads) for part in message.parts]
        self._seconds = [0.0] * len(message.parts)
        self._mechanisms = [""] * len(message.parts)
        self._finishing = threading.Lock()
        self.pieces = [*self._cut(sessions)]
        self._left = len(self.pieces)

    def _cut(self, sessions: int) -> Iterator["Piece"]:
        share = sum(len(part.payloads) for part in self.message.parts) / sessions
        for number, part in enumerate(self.message.parts):
            size = len(part.payloads) if sessions == 1 else max(1, round(share / PIECES_PER_SESSION))
            if part.operation.source is not Source.TOKEN:
                # A key that a caller brought has to be made an object for every piece that is signed with it.
                size = max(1, math.ceil(share))
            for start in range(0, len(part.payloads), size):
                yield Piece(self, number, part, self._results[number], start, min(start + size, len(part.payloads)))

    def note(self, piece: "Piece", seconds: float, mechanism: str = "") -> Signed | None:
        """Note how long was worked on a piece, and by what. The answer to the message, if this was the last of it."""
        with self._finishing:
            self._seconds[piece.number] += seconds
            self._mechanisms[piece.number] = mechanism or self._mechanisms[piece.number]
            self._left -= piece.done
            return None if self._left else Signed(self.message.id, self._results, self._seconds, self._mechanisms)


@dataclass(slots=True)
class Piece:
    """Items of a part that are left to do, from `start` to before `stop`, and the list for the results of the part."""

    job: Job
    number: int
    part: Part
    results: list[bytes | bool | Failure]
    start: int
    stop: int

    @property
    def done(self) -> bool:
        """Whether nothing of it is left."""
        return self.start == self.stop


Work = Piece | Order
"""What a session's thread does."""

EXPRESS_IN_A_ROW = 8
"""After so many pieces of express messages comes one of the others, if there is one."""


class Lanes:
    """Work for the sessions' threads: what is express goes first, but not for ever. Threads may use it together."""

    def __init__(self) -> None:
        self._express: deque[Work] = deque()
        self._ordinary: deque[Work] = deque()
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for everything that waits in a lane
        self._in_a_row = 0

    def put(self, work: Work, *, express: bool = False) -> None:
        """Let it wait for a thread."""
        (self._express if express else self._ordinary).append(work)
        self._tickets.put(None)

    @property
    def urgent(self) -> Sized:
        """What is express and waits, to see whether there is something."""
        return self._express

    def put_back(self, piece: Piece) -> None:
        """Let the rest of a piece that is not express wait, before all others."""
        self._ordinary.appendleft(piece)
        self._tickets.put(None)

    def get(self) -> Work:
        """Wait for something to do."""
        self._tickets.get()
        while True:
            express = bool(self._express) and (self._in_a_row < EXPRESS_IN_A_ROW or not self._ordinary)
            self._in_a_row = self._in_a_row + 1 if express else 0
            try:
                return (self._express if express else self._ordinary).popleft()
            except IndexError:
                continue  # another thread was faster in this lane; there is something in the other
