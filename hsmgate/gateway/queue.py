"""What waits for a token's signers, and what goes into the next message.

Messages are sized by time, not by count, by what each key was seen to take. Batches take turns, message by message, and
small ones share a message, so a huge batch neither starves the others nor pays for each item. Short batches go before
longer ones.
"""

import itertools
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hsmgate.gateway.batch import Run, Work
from hsmgate.ipc.frames import KIB
from hsmgate.ipc.messages import Urgency

SHORTEST_MESSAGE_SECONDS = 0.0011
"""What a message should be worth: a signer and the gateway pay for each of them."""

MESSAGE_BYTES = 1024 * KIB

EXPRESS_SECONDS = 0.002
"""A batch that is expected to take no longer goes by express: to it, waiting for longer ones is most of its time."""

ORDINARY_SECONDS = 0.03
"""A batch that is expected to take longer is long: to it, waiting for others is little."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of what waits goes into a message.

    most_seconds: at most so much for each session.
    busy_seconds: what a message should be worth for each session, where all signers are busy.
    whole: whether runs are so short that cutting one costs more than the signer that would get the rest could gain.
    """

    most_seconds: float
    busy_seconds: float
    whole: bool = False


SIZES = {
    Urgency.EXPRESS: Sizes(0.01, 0.005, whole=True),
    Urgency.ORDINARY: Sizes(0.01, 0.005),
    Urgency.LONG: Sizes(ORDINARY_SECONDS, 0.002),
}
"""By the urgency of the batches, the most urgent first."""

UNKNOWN_ITEM_SECONDS = ORDINARY_SECONDS
"""What an item is taken to cost until its key was seen: as much as a message holds, and one alone is no long batch."""

SHORTEST_ITEM_SECONDS = 1e-6

COSTS_AT_MOST = 100_000
"""Keys whose cost is remembered; keys come and go, and a gateway may run for years."""


RISE, FALL = 1 / 8, 1 / 2
"""How far an expectation moves to what was seen. A session that was interrupted saw too much; none sees too little."""


class Costs:
    """What an item of each key takes a session, as a running mean that follows within a few messages."""

    def __init__(self) -> None:
        self._seconds: dict[bytes, float] = {}

    def of(self, work: Work) -> float:
        """The seconds that an item is expected to take."""
        return self._seconds.get(work.cost_key, UNKNOWN_ITEM_SECONDS)

    def learn(self, work: Work, seconds: float) -> None:
        """An item took so long."""
        if len(self._seconds) > COSTS_AT_MOST:
            self._seconds.clear()
        seconds = max(seconds, SHORTEST_ITEM_SECONDS)
        expected = self._seconds.get(work.cost_key, seconds)
        self._seconds[work.cost_key] = expected + (seconds - expected) * (RISE if seconds > expected else FALL)


class Lane:
    """Runs in the order in which they will be sent: a queue for each batch, and the batches take turns.

    count: how many items there are.
    """

    def __init__(self, costs: Costs, sizes: Sizes) -> None:
        self._sizes = sizes
        self._turns: deque[deque[Run]] = deque()
        self._costs = costs
        self.count = 0

    def __len__(self) -> int:
        return self.count

    @property
    def batches(self) -> int:
        """How many batches have items in it."""
        return len(self._turns)

    @property
    def seconds(self) -> float:
        """What a session is expected to take for what waits, if it all is like the first."""
        return self.count * self._costs.of(self._turns[0][0].work) if self.count else 0.0

    def add(self, runs: Iterable[Run]) -> None:
        """Let these items of one batch wait."""
        turn = deque(runs)
        if turn:
            self._turns.append(turn)
            for run in turn:
                self.count += len(run.indexes)

    def add_first(self, run: Run) -> None:
        """Let these items wait no longer than they have already."""
        self._turns.appendleft(deque((run,)))
        self.count += len(run)

    def sift(self, keep: Callable[[list[Run]], list[Run]]) -> None:
        """Keep, of each batch, the runs that `keep` gives back."""
        turns, self._turns, self.count = self._turns, deque(), 0
        for turn in turns:
            self.add(keep([*turn]))

    def take(self, share: int, sessions: int, *, busy: bool = False) -> list[Run]:
        """The items of the next message: those of the batch whose turn it is, then of the next, until it is enough.

        So many as are a signer's share, but not less than a message is worth, and never more than it may hold.

        busy: whether signers have something to do already, so that there is less hurry to give each a part of it.
        """
        sizes = self._sizes
        budget = sizes.most_seconds * sessions
        worth = sizes.busy_seconds * sessions if busy else SHORTEST_MESSAGE_SECONDS
        share = max(1, share)
        taken: list[Run] = []
        count, seconds, size = 0, 0.0, 0
        while self._turns and size < MESSAGE_BYTES and seconds < budget:
            if count >= share and seconds >= worth:
                break
            run = self._turns[0].popleft()
            whole = fit = len(run.indexes)
            self.count -= whole
            if not run.batch.over:
                cost = self._costs.of(run.work)
                if not sizes.whole:
                    enough = max(share - count, math.ceil((worth - seconds) / cost))
                    if busy and (fit - enough) * cost < SHORTEST_MESSAGE_SECONDS * sessions:
                        enough = fit  # the rest would not be worth a message
                    fit = min(enough, math.ceil((budget - seconds) / cost), fit)
                fit, bytes_ = _that_fit(run.payloads, fit, MESSAGE_BYTES - size)
                if fit < whole:
                    rest, run = run, run.split(fit)
                    self._turns[0].appendleft(rest)
                    self.count += whole - fit
                taken.append(run)
                count += fit
                seconds += fit * cost
                size += len(run.work.operation.key) + bytes_
            if not self._turns[0]:
                self._turns.popleft()
        if self._turns and taken and self._turns[0][0].batch is taken[-1].batch:
            self._turns.rotate(-1)  # it had its turn
        return taken


class WaitingItems:
    """All that waits: shorter batches in lanes of their own, so that they need not queue behind longer ones.

    lanes: by urgency, the most urgent first.
    suspects: items that a signer died with; each runs alone.
    """

    def __init__(self, costs: Costs) -> None:
        self.suspects: deque[Run] = deque()
        self.lanes = {urgency: Lane(costs, sizes) for urgency, sizes in SIZES.items()}
        self._costs = costs

    def __len__(self) -> int:
        express, ordinary, long = self.lanes.values()
        return express.count + ordinary.count + long.count + len(self.suspects)

    def add(self, runs: Sequence[Run]) -> None:
        """Let these items of one batch wait."""
        self._lane(runs).add(runs)

    def add_first(self, run: Run) -> None:
        """Let these items wait no longer than they have already."""
        self._lane((run,)).add_first(run)

    def sift(self, keep: Callable[[list[Run]], list[Run]]) -> None:
        """Keep, of each batch, the runs that `keep` gives back."""
        suspects, self.suspects = self.suspects, deque()
        for lane in self.lanes.values():
            lane.sift(keep)
        self.suspects.extend(keep([*suspects]))

    def _lane(self, runs: Sequence[Run]) -> Lane:
        """Where these items of one batch wait, by how long they are expected to take."""
        seconds = 0.0
        for run in runs:
            seconds += len(run.indexes) * self._costs.of(run.work)
        express, ordinary, long = self.lanes.values()
        if seconds <= EXPRESS_SECONDS:
            return express
        return ordinary if seconds <= ORDINARY_SECONDS else long


def _that_fit(payloads: list[bytes], count: int, size: int) -> tuple[int, int]:
    """How many of the first items have at most so many bytes, and one more. And how many bytes these have."""
    if count == 1:
        return 1, len(payloads[0])
    sizes = [*map(len, itertools.islice(payloads, count))]
    total = sum(sizes)
    if total > size:
        count = 1 + sum(1 for _ in itertools.takewhile(lambda so_far: so_far < size, itertools.accumulate(sizes)))
        total = sum(sizes[:count])
    return count, total
