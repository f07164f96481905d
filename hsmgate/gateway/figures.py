"""What is counted while serving, in plain numbers.

Metrics are made of them once a second (`hsmgate.gateway.metrics`), so that an item pays for an addition and no more.
Figures only grow, so that anyone may look at them (`hsmgate.gateway.history`); who takes them gets what is new.
"""

import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from operator import sub
from typing import TypeVar

from hsmgate.domain.ckm import CKM_NAMES
from hsmgate.errors import TokenFailed
from hsmgate.gateway.batch import GONE, Arrival, Batch, Result
from hsmgate.ipc.messages import Failure

BOUNDS_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets; one more bucket is for what took longer."""

NOTHING = "none"
"""The key type or mechanism of an item that has come to none."""


OTHER = "other"
"""The mechanism of an item whose signer named none that we know: who knows what is in its process."""

_MECHANISMS = {name: name for name in CKM_NAMES} | {"": NOTHING}
_STATUSES = frozenset({200, 400, 403, 404, 409, 422, 429, GONE, 500, 503, 504})

Kind = TypeVar("Kind")


class Tally(Counter[Kind]):
    """Counts of kinds of things."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: Counter[Kind] = Counter()

    def take(self) -> Counter[Kind]:
        """What is new since the last time."""
        new = Counter(self) - self._taken
        self._taken = Counter(self)
        return new


class Durations:
    """How long things took: how many there were for each bucket, and their sum in seconds."""

    __slots__ = ("_taken", "counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.seconds = 0.0
        self._taken = [*self.counts], self.seconds

    def add(self, seconds: float, count: int = 1) -> None:
        """So many took so long, each of them."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += count
        self.seconds += seconds * count

    def take(self) -> tuple[list[int], float]:
        """Counts and sum since the last time."""
        counts, seconds = self._taken
        self._taken = [*self.counts], self.seconds
        return [*map(sub, self.counts, counts)], self.seconds - seconds


class End(StrEnum):
    """Why a signer ended and another took its place."""

    HUNG = "hung"
    CRASHED = "crashed"
    KILLED = "killed"
    TOKEN_LOST = "token_lost"  # noqa: S105 - a word
    DISTRUSTED = "distrusted"
    PROTOCOL = "protocol"
    BUG = "bug"
    EXITED = "exited"
    WORN = "worn"


class StartFault(StrEnum):
    """Why a signer could not be started."""

    PIN = "pin"
    OTHER = "other"


class TokenFigures:
    """What is counted of a token.

    waited: from a batch's begin until its items were sent to a signer; in_signer: from there until they came back.
    ends: of signers. failed_starts: of signers that never were.
    starting: signers that are being started now.
    signed_at: when the token last made a signature, a canary's too, by CLOCK_MONOTONIC.
    """

    def __init__(self) -> None:
        self.waited = Durations()
        self.in_signer = Durations()
        self.ends = Tally[End]()
        self.failed_starts = Tally[StartFault]()
        self.starting = 0
        self.signed_at = -math.inf

    def signed(self) -> None:
        """The token has made a signature."""
        self.signed_at = time.monotonic()

    def unsigned_seconds(self) -> float:
        """How long ago its last signature was."""
        return time.monotonic() - self.signed_at


ItemKind = tuple[str, int, str, str]
"""What was to be done with it, status, key type and mechanism."""


class ItemFigures:
    """What became of items, and how long that took them in all.

    failures: by status and the token that they come from; the empty name stands for none.
    """

    def __init__(self) -> None:
        self.counts = Tally[ItemKind]()
        self.failures: Counter[tuple[int, str]] = Counter()
        self.seconds = Durations()

    def note(self, batch: Batch, results: Sequence[Result | None]) -> None:
        """Count a batch that is over; None stands for what nobody waited for."""
        if _ERRORS.isdisjoint(map(type, results)) and not batch.repeated:
            for indexes, at, mechanism, key_type, _ in batch.arrivals:
                known = _MECHANISMS.get(mechanism, OTHER)
                self.counts[batch.action, 200, key_type or NOTHING, known] += len(indexes)
                self.seconds.add(at - batch.begun, len(indexes))
        else:
            self._note_each(batch, results)

    def _note_each(self, batch: Batch, results: Sequence[Result | None]) -> None:
        nowhere = (), time.monotonic(), "", "", ""
        histories: list[Arrival] = [nowhere] * len(results)
        for arrival in reversed(batch.arrivals):  # what came first counts
            for index in arrival[0]:
                histories[index] = arrival
        for result, (_, at, mechanism, key_type, token) in zip(results, histories, strict=True):
            status = GONE if result is None else result.status if isinstance(result, Failure) else 200
            status = status if status in _STATUSES else TokenFailed.status
            self.counts[batch.action, status, key_type or NOTHING, _MECHANISMS.get(mechanism, OTHER)] += 1
            self.seconds.add(at - batch.begun)
            if status != 200:
                self.failures[status, token] += 1


_ERRORS = frozenset({Failure, type(None)})
