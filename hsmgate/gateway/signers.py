"""A ready signer as the pool sees it: what it holds, how much more it takes, and whether it hangs."""

import asyncio
import itertools
import time
from dataclasses import dataclass, field

from hsmgate.gateway.batch import Item
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.ipc.messages import Failure, Operation

MESSAGES_PER_SESSION = 2
"""One that is worked on and one that is there when it is done."""


@dataclass(slots=True)
class Message:
    """A message in flight. `started` is when a session can have begun with it, by the signer's order of work."""

    items: list[Item]
    operations: list[Operation]
    expected_seconds: float
    started: float | None = None


@dataclass(slots=True)
class Asked:
    """Something that was asked of it alone, a new key mostly: when, and who waits."""

    answer: "asyncio.Future[bytes | Failure]"
    at: float = field(default_factory=lambda: time.monotonic())  # noqa: PLW0108 - looked up anew each time

    def give(self, result: bytes | Failure) -> None:
        """Answer, if somebody still waits."""
        if not self.answer.done():
            self.answer.set_result(result)


@dataclass(slots=True, eq=False)
class Signer:
    """A ready signer and what it holds. While it runs a suspect it gets nothing else."""

    process: SignerProcess
    sessions: int
    in_flight: dict[int, Message] = field(default_factory=dict)
    asked: dict[int, Asked] = field(default_factory=dict)
    alone: bool = False
    answered: bool = False
    last_made: float = 0.0

    def made(self, number: int, result: bytes | Failure) -> None:
        """Answer who asked for it."""
        self.last_made = time.monotonic()
        asked = self.asked.pop(number, None)
        if asked is not None:
            asked.give(result)

    @property
    def idle(self) -> bool:
        """Whether it has nothing to lose."""
        return not self.in_flight and not self.asked

    @property
    def room(self) -> int:
        """How many messages it would take now."""
        busy = len(self.in_flight) + MESSAGES_PER_SESSION * len(self.asked)
        return 0 if self.alone else self.sessions * MESSAGES_PER_SESSION - busy

    def mark_started(self) -> None:
        """Note which messages its sessions have got to: the first ones, one for each session."""
        for message in itertools.islice(self.in_flight.values(), self.sessions):
            if message.started is None:
                message.started = time.monotonic()

    def overdue(self, operation_timeout: float) -> bool:
        """Whether a session has been at one message, or one new key, for longer than any call may take.

        A new key may have waited behind messages, so it gets the time twice.
        """
        first_asked = next(iter(self.asked.values()), None)
        if first_asked is not None:
            since = max(first_asked.at, self.last_made)
            if time.monotonic() - since > 2 * operation_timeout:
                return True
        oldest = next(iter(self.in_flight.values()), None)
        if oldest is None or oldest.started is None:
            return False
        return time.monotonic() - oldest.started > operation_timeout + 10 * oldest.expected_seconds
