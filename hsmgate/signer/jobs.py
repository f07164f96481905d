"""Messages as tasks that sessions share, and their answers put together by whoever is the last to finish."""

import threading
from collections.abc import Iterator

from hsmgate.ipc.messages import Failure, Part, Sign, Signed
from hsmgate.signer.items import Items, SignedTogether
from hsmgate.signer.prepared import Prepared


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
        self._unfinished: Iterator[SignedTogether] | None = None
        self._counting = threading.Lock()

    @property
    def left(self) -> bool:
        """Whether there is something for a thread that comes to it."""
        return self.items.left or self._unfinished is not None

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

    def put_off(self, unfinished: Iterator[SignedTogether], seconds: float) -> None:
        """Leave what was signed and is not finished to whoever comes next, after having been at that for so long."""
        self.seconds += seconds
        self._unfinished = unfinished

    def take_unfinished(self) -> Iterator[SignedTogether] | None:
        """What was put off, to be gone on with; nobody else gets it."""
        if self._unfinished is None:  # as nearly always
            return None
        with self._counting:
            unfinished, self._unfinished = self._unfinished, None
        return unfinished
