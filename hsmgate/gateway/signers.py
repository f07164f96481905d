"""A ready signer as the pool sees it: what it holds, how much more it takes, and whether it hangs."""

import asyncio
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from hsmgate.gateway.batch import Run
from hsmgate.gateway.figures import End
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.ipc.messages import Failure, Urgency

MESSAGES_AT_MOST = 2
"""Of each urgency: one that its sessions work on and one that is there when it is done."""

WORN_AFTER_OBJECTS = 100_000
"""Keys that callers brought, after which a signer is replaced: modules keep a little of each until they end."""


@dataclass(slots=True)
class Message:
    """A message in flight.

    parts: the runs of each of its parts. counts: how many items each of them has.
    expected_seconds: for all its items on all the sessions.
    sent: when it was sent. started: when a session can have begun with it, by the signer's order of work.
    """

    parts: list[list[Run]]
    counts: list[int]
    expected_seconds: float
    urgency: Urgency
    sent: float
    started: float | None = None

    def runs(self) -> Iterator[Run]:
        """All its runs."""
        return itertools.chain.from_iterable(self.parts)

    def __len__(self) -> int:
        return sum(self.counts)


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
    """A ready signer and what it holds.

    alone: it runs a suspect, and gets nothing else meanwhile.
    retiring: it gets nothing any more.
    distrusted: it gave a wrong signature, so its end is nobody else's fault.
    answered: it has answered a message since it began.
    killed_for: why the gateway has killed it, None where it has not.
    listing_since: when it was asked for the keys, if it has not answered yet.
    emptied: set when it was to retire and holds nothing any more.
    """

    process: SignerProcess
    sessions: int
    in_flight: dict[int, Message] = field(default_factory=dict)
    asked: dict[int, Asked] = field(default_factory=dict)
    alone: bool = False
    retiring: bool = False
    distrusted: bool = False
    answered: bool = False
    killed_for: End | None = None
    last_made: float = 0.0
    listing_since: float | None = None
    listing_seconds: float = 0.0
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    _brought: int = 0
    _held: list[int] = field(default_factory=lambda: [0] * len(Urgency))  # its messages in flight, by urgency

    def sent(self, number: int, message: Message, *, alone: bool = False) -> None:
        """It has got a message; alone: and nothing else meanwhile."""
        self.in_flight[number] = message
        self._held[message.urgency] += 1
        self.alone = alone
        self.mark_started()

    def answered_to(self, number: int) -> None:
        """It has answered that message."""
        self._held[self.in_flight.pop(number).urgency] -= 1
        self.alone = False
        self.answered = True
        self.mark_started()

    def made(self, number: int, result: bytes | Failure) -> None:
        """Answer who asked for it."""
        self.last_made = time.monotonic()
        asked = self.asked.pop(number, None)
        if asked is not None:
            asked.give(result)

    def kill(self, reason: End) -> None:
        """End it, wherever it is."""
        self.killed_for = reason
        self.process.kill()

    def note_listing(self) -> None:
        """It was asked for the keys."""
        if self.listing_since is None:
            self.listing_since = time.monotonic()

    def note_listed(self, seconds: float) -> None:
        """It gave them, and took so long."""
        self.listing_since = None
        self.listing_seconds = seconds

    def note_brought(self, objects: int) -> None:
        """Count the objects that are made in the module for keys that callers bring."""
        self._brought += objects

    def note_emptied(self) -> None:
        """Say so if it was to retire and has nothing left."""
        if self.retiring and self.idle:
            self.emptied.set()

    @property
    def worn(self) -> bool:
        """Whether it has made so many objects that another should take its place."""
        return self._brought >= WORN_AFTER_OBJECTS

    @property
    def idle(self) -> bool:
        """Whether it has nothing to lose."""
        return not self.in_flight and not self.asked

    @property
    def items_in_hand(self) -> int:
        """How many items it holds."""
        return sum(map(len, self.in_flight.values()))

    @property
    def busy_with_express(self) -> bool:
        """Whether all its sessions have something to do, and what goes before all else is among it."""
        return self._held[Urgency.EXPRESS] > 0 and self.items_in_hand >= self.sessions

    def soon_done_with_express(self, seconds: float) -> bool:
        """Whether it is busy with that, expected to be done with all it holds in so long, and would take more."""
        if not self.busy_with_express or self.room(Urgency.EXPRESS) <= 0:
            return False
        return sum(message.expected_seconds for message in self.in_flight.values()) <= seconds

    def done_in(self, now: float) -> float:
        """In how many seconds it is expected to be done with all it holds. now: by CLOCK_MONOTONIC."""
        seconds = sum([message.expected_seconds for message in self.in_flight.values()])
        first = next(iter(self.in_flight.values()), None)
        if first is not None and first.started is not None:
            seconds -= min(first.expected_seconds, now - first.started)
        return seconds

    def free_for(self, urgency: Urgency) -> bool:
        """Whether it would begin at once with what is so urgent."""
        return not any(self._held[urgency:])

    def room(self, urgency: Urgency) -> int:
        """How many messages of that urgency it would take now."""
        if self.alone or self.retiring or self.distrusted:
            return 0
        if len(self.asked) >= self.sessions:  # whoever makes a key keeps a session from signing
            return 0
        return MESSAGES_AT_MOST - self._held[urgency]

    def mark_started(self) -> None:
        """Note which message its sessions have got to: the first."""
        first = next(iter(self.in_flight.values()), None)
        if first is not None and first.started is None:
            first.started = time.monotonic()

    def overdue(self, operation_timeout: float) -> bool:
        """Whether a session has been at one message, one new key, or the list of keys, for longer than it may take.

        A new key may have waited behind messages, so it gets the time twice.
        """
        now = time.monotonic()
        first_asked = next(iter(self.asked.values()), None)
        if first_asked is not None and now - max(first_asked.at, self.last_made) > 2 * operation_timeout:
            return True
        if self.listing_since is not None:
            allowed = operation_timeout + 10 * self.listing_seconds
            if now - self.listing_since > allowed:
                return True
        oldest = next(iter(self.in_flight.values()), None)
        if oldest is None or oldest.started is None:
            return False
        return now - oldest.started > operation_timeout + 10 * oldest.expected_seconds
