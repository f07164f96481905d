"""What waits for a token's signers, and what goes into the next message.

Messages are sized by time, not by count: about MESSAGE_SECONDS of signing, by what each key was seen to take. Batches
take turns, message by message, and small ones share a message, so a huge batch neither starves the others nor pays for
each item.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence

from hsmgate.gateway.batch import Item
from hsmgate.ipc.frames import KIB

MESSAGE_SECONDS = 0.005
SHORTEST_MESSAGE_SECONDS = 0.0005
MESSAGE_BYTES = 1024 * KIB
UNKNOWN_ITEM_SECONDS = 0.005
"""What an item is taken to cost until its key was seen."""

COSTS_AT_MOST = 100_000
"""Keys whose cost is remembered; keys come and go, and a gateway may run for years."""


class Costs:
    """What an item of each key takes, as a running mean that follows within a few messages."""

    def __init__(self) -> None:
        self._seconds: dict[bytes, float] = {}

    def of(self, item: Item) -> float:
        """The seconds that the item is expected to take."""
        return self._seconds.get(item.work.cost_key, UNKNOWN_ITEM_SECONDS)

    def learn(self, items: Sequence[Item], indexes: Sequence[int], seconds: Sequence[float]) -> None:
        """Take in what a message took: `seconds` for each of its operations, `indexes` says which is an item's."""
        if len(self._seconds) > COSTS_AT_MOST:
            self._seconds.clear()
        if len(seconds) == 1:
            self._follow(items[0].work.cost_key, seconds[0] / len(items))
            return
        counts = Counter(indexes)
        for index, item in dict(zip(indexes, items, strict=True)).items():
            self._follow(item.work.cost_key, seconds[index] / counts[index])

    def _follow(self, key: bytes, seen: float) -> None:
        self._seconds[key] = (self._seconds.get(key, seen) + seen) / 2


class WaitingItems:
    """Items in the order in which they will be sent: a queue for each batch, and the batches take turns.

    suspects: items that a signer died with; each runs alone.
    """

    def __init__(self, costs: Costs) -> None:
        self.suspects: deque[Item] = deque()
        self._turns: deque[deque[Item]] = deque()
        self._costs = costs
        self._count = 0

    def __len__(self) -> int:
        return self._count + len(self.suspects)

    @property
    def ordinary(self) -> bool:
        """Whether there are items that need not run alone."""
        return bool(self._turns)

    def add(self, items: Iterable[Item]) -> None:
        """Let these items of one batch wait."""
        turn = deque(items)
        if turn:
            self._turns.append(turn)
            self._count += len(turn)

    def add_first(self, items: Iterable[Item]) -> None:
        """Let these items wait no longer than they have already."""
        turn = deque(items)
        if turn:
            self._turns.appendleft(turn)
            self._count += len(turn)

    def sift(self, keep: Callable[[list[Item]], list[Item]]) -> None:
        """Keep, of each batch, the items that `keep` gives back."""
        turns, self._turns, self._count = self._turns, deque(), 0
        suspects, self.suspects = self.suspects, deque()
        for turn in turns:
            self.add(keep([*turn]))
        self.suspects.extend(keep([*suspects]))

    def take(self, sessions: int) -> list[Item]:
        """The items of the next message: those of the batch whose turn it is, then of the next, until it is enough.

        An even share for each of the sessions, so that all end at about the same time, but never more than
        MESSAGE_SECONDS' worth.
        """
        share = len(self) // max(1, sessions)
        taken: list[Item] = []
        seconds, size = 0.0, 0
        while self._turns and size < MESSAGE_BYTES and seconds < MESSAGE_SECONDS:
            if len(taken) >= share and seconds >= SHORTEST_MESSAGE_SECONDS:
                break
            item = self._turns[0].popleft()
            self._count -= 1
            if not item.batch.over:
                taken.append(item)
                size += len(item.payload) + len(item.work.operation.key)
                seconds += self._costs.of(item)
            if not self._turns[0]:
                self._turns.popleft()
        if self._turns and taken and self._turns[0][0].batch is taken[-1].batch:
            self._turns.rotate(-1)  # it had its turn
        return taken
