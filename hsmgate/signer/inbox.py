"""What there is to do for the sessions' threads, and how they come by it."""

import queue
import select
import threading
from collections import deque

from hsmgate.ipc.messages import ListKeys, Open, Order, Sign, ToSigner
from hsmgate.signer.items import Bell
from hsmgate.signer.jobs import Job, Task
from hsmgate.signer.link import Link

Work = Task | Order
"""What a session's thread does."""

EXPRESS_IN_A_ROW = 8
"""After so many express tasks comes one of the others, if there is one."""

ATTEND_SECONDS = 0.5
"""How long something may lie on the socket because all threads have something to do that they do not leave."""


class Lanes:
    """Work that waits: what is express goes first, but not for ever. Threads may use it together."""

    def __init__(self, bell: Bell) -> None:
        """bell: to ring while something waits that is express."""
        self._express: deque[Work] = deque()
        self._ordinary: deque[Work] = deque()
        self._in_a_row = 0
        self._bell = bell

    def put(self, work: Work, *, threads: int = 1, express: bool = False) -> None:
        """Let it wait for so many threads."""
        (self._express if express else self._ordinary).extend((work,) * threads)
        if express:
            self._bell.urgent = 1

    def put_back(self, task: Task) -> None:
        """Let the rest of a task that is not express wait for a thread, before all others."""
        self._ordinary.appendleft(task)

    def take(self) -> Work | None:
        """Something to do, None where nothing waits."""
        while self._express or self._ordinary:
            express = bool(self._express) and (self._in_a_row < EXPRESS_IN_A_ROW or not self._ordinary)
            self._in_a_row = self._in_a_row + 1 if express else 0
            try:
                return (self._express if express else self._ordinary).popleft()
            except IndexError:
                continue  # another thread was faster in this lane
            finally:
                self._bell.urgent = 0
                if self._express:  # looked at after it was said that there is none: `put` does it the other way round
                    self._bell.urgent = 1
        return None


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

    def get(self) -> Work:
        """Wait for something to do. Raises FrameError, or OSError where the gateway has hung up."""
        if self.bell.heard:
            self._read_if_nobody_does()
        work = self._lanes.take()
        if work is None:
            with self._reading:
                while (work := self._lanes.take()) is None:
                    self._read()
        return work

    def put_back(self, task: Task) -> None:
        """Let the rest of a task that is not express wait for a thread, before all others."""
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
                self._lanes.put(task, threads=threads, express=message.express)
        elif isinstance(message, ListKeys):
            self.listing.put(message)
        elif not isinstance(message, Open):
            self._lanes.put(message)
