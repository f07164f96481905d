"""What there is to do for the sessions' threads, and how they come by it."""

import queue
import select
import threading
from collections import deque
from typing import NamedTuple

from hsmgate.ipc.messages import ListKeys, Open, Order, Sign, ToSigner, Urgency
from hsmgate.signer.items import Bell
from hsmgate.signer.jobs import Job, Task
from hsmgate.signer.link import Link

Work = Task | Order
"""What a session's thread does."""

IN_A_ROW = {Urgency.EXPRESS: 8, Urgency.ORDINARY: 1}
"""After so many tasks comes one that is less urgent, if there is one."""

LONG_PATIENCE = 4
"""A long task that comes to its turn so, while ordinary ones wait, has it for so many times as long as usual."""

_MOST_URGENT_FIRST = sorted(Urgency, reverse=True)

ATTEND_SECONDS = 0.5
"""How long something may lie on the socket because all threads have something to do that they do not leave."""


class Turn(NamedTuple):
    """Something to do. patience: for how many times as long as usual not to look for what is more urgent."""

    work: Work
    patience: int = 1


class Lanes:
    """Work that waits: what is more urgent goes first, but not for ever. Threads may use it together."""

    def __init__(self, bell: Bell) -> None:
        """bell: to say how urgent the most urgent is that waits."""
        self._waiting: list[deque[Work]] = [deque() for _ in Urgency]
        self._in_a_row = [0 for _ in Urgency]
        self._bell = bell

    def put(self, work: Work, *, threads: int = 1, urgency: Urgency = Urgency.ORDINARY) -> None:
        """Let it wait for so many threads."""
        self._waiting[urgency].extend((work,) * threads)
        self._ring()

    def put_back(self, task: Task) -> None:
        """Let the rest of a task wait for a thread, before all others that are no more urgent."""
        self._waiting[task.job.message.urgency].appendleft(task)

    def take(self) -> Turn | None:
        """Something to do, None where nothing waits."""
        while (chosen := self._choose()) is not None:
            owed = chosen is Urgency.LONG and bool(self._waiting[Urgency.ORDINARY])
            self._in_a_row[chosen] += 1
            for more_urgent in range(chosen + 1, len(self._in_a_row)):
                self._in_a_row[more_urgent] = 0
            try:
                return Turn(self._waiting[chosen].popleft(), LONG_PATIENCE if owed else 1)
            except IndexError:
                continue  # another thread was faster in this lane
            finally:
                self._ring()
        return None

    def _choose(self) -> Urgency | None:
        """The most urgent that has not had its turns; if all have, the least urgent that waits."""
        chosen = None
        for urgency in _MOST_URGENT_FIRST:
            if self._waiting[urgency]:
                chosen = urgency
                if self._in_a_row[urgency] < IN_A_ROW.get(urgency, 0):
                    break
        return chosen

    def _ring(self) -> None:
        """Say how urgent the most urgent is that waits.

        Each lane is looked at after it was said that there is nothing in it or above. Who puts something there at the
        same time does so before saying it, so one of the two says the right thing last.
        """
        self._bell.urgent = Urgency.LONG
        for urgency in (Urgency.ORDINARY, Urgency.EXPRESS):
            if self._waiting[urgency]:
                self._bell.urgent = urgency


class Inbox:
    """Work for the sessions' threads, which read it themselves: whoever has nothing to do waits at the socket.

    A thread that only reads would be one more to wake for each message, which takes as long as a signature. Instead,
    while all have something to do, they look now and then whether something has come, and the main thread attends.

    bell: what they look at. listing: what is for the thread that reads the keys.
    """

    def __init__(self, link: Link, sessions: int) -> None:
        self.bell = Bell(0, link.fd, 0)
        self.listing: queue.SimpleQueue[ListKeys] = queue.SimpleQueue()
        self._lanes = Lanes(self.bell)
        self._link = link
        self._sessions = sessions
        self._reading = threading.Lock()

    def get(self) -> Turn:
        """Wait for something to do. Raises FrameError, or OSError where the gateway has hung up."""
        if self.bell.heard:
            self._read_if_nobody_does()
        turn = self._lanes.take()
        if turn is None:
            with self._reading:
                while (turn := self._lanes.take()) is None:
                    self._read()
        return turn

    def put_back(self, task: Task) -> None:
        """Let the rest of a task wait for a thread, before all others that are no more urgent."""
        self._lanes.put_back(task)

    def attend(self) -> None:
        """Read what nobody has come to read for a while, until the gateway hangs up. Raises FrameError or OSError."""
        gone, come = select.poll(), select.poll()
        gone.register(self._link.fd, select.POLLRDHUP)
        come.register(self._link.fd, select.POLLIN)
        while not gone.poll(1000 * ATTEND_SECONDS):
            if come.poll(0):
                self._read_if_nobody_does()

    def _read_if_nobody_does(self) -> None:
        self.bell.heard = 0  # before it is read: what comes after that is to be heard of again
        if self._reading.acquire(blocking=False):
            try:
                self._read(wait=False)
            finally:
                self._reading.release()

    def _read(self, *, wait: bool = True) -> None:
        for message in self._link.receive(wait=wait):
            self._sort(message)

    def _sort(self, message: ToSigner) -> None:
        if isinstance(message, Sign):
            for task in Job(message).tasks:
                threads = min(self._sessions, len(task.results))
                self._lanes.put(task, threads=threads, urgency=message.urgency)
        elif isinstance(message, ListKeys):
            self.listing.put(message)
        elif not isinstance(message, Open):
            self._lanes.put(message)
