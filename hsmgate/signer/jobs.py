"""A message cut into pieces for the sessions, and its answer put together by whoever is the last to finish."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from hsmgate.ipc.messages import Failure, Part, Sign, Signed, Source

PIECES_PER_SESSION = 4
"""So many pieces that no session is idle for long while others still work on the message."""


class Job:
    """A message that sessions work on together."""

    def __init__(self, message: Sign, sessions: int) -> None:
        self.message = message
        self._results: list[list[bytes | bool | Failure]] = [[b""] * len(part.payloads) for part in message.parts]
        self._seconds = [0.0] * len(message.parts)
        self._finishing = threading.Lock()
        self.pieces = [*self._cut(sessions)]
        self._left = len(self.pieces)

    def _cut(self, sessions: int) -> Iterator["Piece"]:
        share = sum(len(part.payloads) for part in self.message.parts) / sessions
        for number, part in enumerate(self.message.parts):
            # A key that a caller brought has to be made an object in every session that signs with it.
            pieces = PIECES_PER_SESSION if part.operation.source is Source.TOKEN and sessions > 1 else 1
            size = max(1, round(share / pieces))
            for start in range(0, len(part.payloads), size):
                yield Piece(self, number, part, self._results[number], start, min(start + size, len(part.payloads)))

    def finish(self, piece: "Piece", seconds: float) -> Signed | None:
        """Note that a piece is done, and how long that took. The answer to the message, if it was the last."""
        with self._finishing:
            self._seconds[piece.number] += seconds
            self._left -= 1
            return None if self._left else Signed(self.message.id, self._results, self._seconds)


@dataclass(slots=True)
class Piece:
    """The items from `start` to before `stop` of a part, and the list that their results go into."""

    job: Job
    number: int
    part: Part
    results: list[bytes | bool | Failure]
    start: int
    stop: int
