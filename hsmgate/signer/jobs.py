"""Messages as tasks that sessions share, and their answers put together by whoever is the last to finish."""

import queue
import threading
from collections import deque

from hsmgate.ipc.messages import Failure, Order, Part, Sign, Signed
from hsmgate.signer.items import Items
from hsmgate.signer.prepared import Prepared
from hsmgate.signer.structs import ULONG


class Job:
    """A message that sessions work on together."""

    def __init__(self, message: Sign) -> None:
        self.message = message
        self.tasks = [Task(self, number, part) for number, part in enumerate(message.parts)]
        self._left = len(self.tasks)
        self._finishing = threading.Lock()

    def finish(self) -> Signed | None:
        """A task is done. The answer to the message, if this was the last."""
        with self._finishing:
            self._left -= 1
            if self._left:
                return None
        tasks = self.tasks
        results, seconds = [task.results for task in tasks], [task.seconds for task in tasks]
        return Signed(self.message.id, results, seconds, [task.mechanism for task in tasks])


class Task:
    """A part of a message. Any number of sessions' threads may be at it.

    results: of the items, as they become known.
    plan: how its items were prepared to be signed together, and in which generation of handles; None until they are.
    seconds: for how long threads were at it, all together. mechanism: the name of what it was done with, if it was.
    """

    def __init__(self, job: Job, number: int, part: Part) -> None:
        self.job = job
        self.number = number
        self.part = part
        self.items = Items(len(part.payloads), job.message.deadline)
        self.results: list[bytes | bool | Failure] = [b""] * len(part.payloads)
        self.plan: tuple[Prepared, int] | None = None
        self.planning = threading.Lock()
        self.seconds = 0.0
        self.mechanism = ""
        self._threads = 0
        self._counting = threading.Lock()

    def join(self) -> bool:
        """Begin to work on it, unless nothing is left to do."""
        with self._counting:
            joined = self.items.left
            self._threads += joined
        return joined

    def leave(self, seconds: float, mechanism: str) -> bool:
        """End, after so long. Whether all items were taken, and all others who had some have left before."""
        with self._counting:
            self._threads -= 1
            self.seconds += seconds
            self.mechanism = mechanism or self.mechanism
            return not self._threads and not self.items.left


Work = Task | Order
"""What a session's thread does."""

EXPRESS_IN_A_ROW = 8
"""After so many express tasks comes one of the others, if there is one."""


class Lanes:
    """Work for the sessions' threads: what is express goes first, but not for ever. Threads may use it together.

    urgent: not 0 while something waits that is express.
    """

    def __init__(self) -> None:
        self._express: deque[Work] = deque()
        self._ordinary: deque[Work] = deque()
        self._tickets: queue.SimpleQueue[None] = queue.SimpleQueue()  # one for everything that waits in a lane
        self._in_a_row = 0
        self.urgent = ULONG(0)

    def put(self, work: Work, *, threads: int = 1, express: bool = False) -> None:
        """Let it wait for so many threads."""
        lane = self._express if express else self._ordinary
        for _ in range(threads):
            lane.append(work)
            if express:
                self.urgent.value = 1
            self._tickets.put(None)

    def put_back(self, task: Task) -> None:
        """Let the rest of a task that is not express wait for a thread, before all others."""
        self._ordinary.appendleft(task)
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
            finally:
                self.urgent.value = 0
                if self._express:  # looked at after it was said that there is none: `put` does it the other way round
                    self.urgent.value = 1
