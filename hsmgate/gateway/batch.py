"""A batch on its way: items out to signers in runs, results back to their places."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, cast

from hsmgate.domain.capabilities import INLINE_KINDS
from hsmgate.domain.model import KeyType
from hsmgate.errors import ItemError
from hsmgate.ipc.messages import Action, Failure, Operation, Source

if TYPE_CHECKING:
    from hsmgate.gateway.pool import TokenPool

Result = bytes | bool | Failure
"""A signature, or whether one verified, or why there is neither."""


GONE = 499
"""The status of an item whose caller went away before there was a result. It may have been signed; nobody has it."""


Arrival = tuple[Sequence[int], float, str, str, str]


def failure(error: ItemError) -> Failure:
    """The error as an item's result."""
    return Failure(error.status, str(error))


def item_error(failure: Failure) -> ItemError:
    """A failure as the error it was."""
    error = ItemError(failure.text)
    error.status = failure.status
    return error


class Batch:
    """The results of one call. Each place is filled once; what comes for a filled place, or too late, is dropped.

    kids: of the items' keys; None for a key that the caller brought, and until an item's key is found.
    begun, deadline: when it came and when the time is up, by CLOCK_MONOTONIC.
    arrivals: of what was put: which places, when, and the mechanism, the key type and the token of it.
    repeated: whether something came for a filled place.
    """

    __slots__ = ("_done", "_left", "_results", "action", "arrivals", "begun", "deadline", "kids", "over", "repeated")

    def __init__(self, size: int, timeout_seconds: float, action: Action = Action.SIGN) -> None:
        self.kids: list[str | None] = [None] * size
        self.action = action
        self.arrivals: list[Arrival] = []
        self._results: list[Result | None] = [None] * size
        self._left = size
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.begun = time.monotonic()
        self.deadline = self.begun + timeout_seconds
        self.over = False
        self.repeated = False

    def put(
        self,
        indexes: Sequence[int],
        results: Iterable[Result],
        mechanism: str = "",
        key_type: str = "",
        pool: str = "",
    ) -> None:
        """Fill places.

        mechanism: the PKCS#11 name of what was planned for them, empty where nothing was.
        key_type: of their key, empty where there is none.
        pool: the name of the token that it comes from, empty where it comes from none.
        """
        if self.over:
            return
        self.arrivals.append((indexes, time.monotonic(), mechanism, key_type, pool))
        places = self._results
        for index, result in zip(indexes, results, strict=True):
            if places[index] is None:
                places[index] = result
                self._left -= 1
            else:
                self.repeated = True
        if not self._left and not self._done.done():
            self._done.set_result(None)

    def fail(self, indexes: Sequence[int], error: ItemError) -> None:
        """Put the same error in these places."""
        self.put(indexes, [failure(error)] * len(indexes))

    async def wait(self, late: Callable[[], ItemError]) -> Sequence[Result]:
        """All results, in order. Places that are empty when it is given up get `late()`; work on them is in vain."""
        try:
            if self._left:
                await self._done
        finally:
            self.over = True
        if not self._left:
            return cast("list[Result]", self._results)
        too_late = failure(late())
        return [too_late if result is None else result for result in self._results]

    def so_far(self) -> Sequence[Result | None]:
        """The results that are there, in order."""
        return self._results

    def histories(self) -> list[tuple[str | None, float]]:
        """Of every item, in order: the mechanism, if one was planned, and milliseconds until it had its result."""
        histories: list[tuple[str | None, float]] = [(None, _milliseconds(self.begun, time.monotonic()))] * len(
            self.kids
        )
        for indexes, at, mechanism, *_ in reversed(self.arrivals):  # what came first counts
            history = mechanism or None, _milliseconds(self.begun, at)
            for index in indexes:
                histories[index] = history
        return histories

    def give_up(self) -> None:
        """Wait no longer for what is not done."""
        if not self._done.done():
            self._done.set_result(None)


class Work:
    """What is to be done with an item. Items that want the same of the same key share one.

    places: every token that could do it, with what it is called there; empty where there is but one.
    once: the key is used up by signing, so nothing that may have been signed is signed again.
    cost_key: what operations of about the same cost share: a key, or the kind and size of one that a caller brought.
    key_type: of the key, as far as the gateway knows it.
    """

    __slots__ = ("cost_key", "key_type", "once", "operation", "places")

    def __init__(
        self,
        operation: Operation,
        places: "Sequence[tuple[TokenPool, Work]]" = (),
        *,
        once: bool = False,
        key_type: KeyType = KeyType.OTHER,
    ) -> None:
        self.operation = operation
        self.places = places
        self.once = once
        self.key_type = key_type
        self.cost_key = _cost_key(operation)


class Run:
    """Items of one batch with the same work, as the pool carries them.

    indexes: their places in the batch.
    signatures: what is to be verified; empty where there is something to sign.
    deaths: how many signers have died with them in flight; a run that has seen one is of one item.
    wrong: how often a token's signature for it did not verify, likewise.
    second: whether another token has failed on it, likewise.
    """

    __slots__ = ("batch", "deaths", "indexes", "payloads", "second", "signatures", "work", "wrong")

    def __init__(
        self, batch: Batch, work: Work, indexes: list[int], payloads: list[bytes], signatures: list[bytes]
    ) -> None:
        self.batch = batch
        self.work = work
        self.indexes = indexes
        self.payloads = payloads
        self.signatures = signatures
        self.deaths = 0
        self.wrong = 0
        self.second = False

    def __len__(self) -> int:
        return len(self.indexes)

    def split(self, count: int) -> "Run":
        """Take off the first items, as a run of their own."""
        first = Run(self.batch, self.work, self.indexes[:count], self.payloads[:count], self.signatures[:count])
        del self.indexes[:count], self.payloads[:count], self.signatures[:count]
        return first

    def singles(self) -> "list[Run]":
        """A run for every item."""
        if len(self) == 1:
            return [self]
        signatures = [[signature] for signature in self.signatures] or [[] for _ in self.indexes]
        return [
            Run(self.batch, self.work, [index], [payload], signature)
            for index, payload, signature in zip(self.indexes, self.payloads, signatures, strict=True)
        ]

    def fail(self, reason: Failure, token: str) -> None:
        """Put the same failure in every place; token: the name of the one that it comes from."""
        self.batch.put(self.indexes, [reason] * len(self), key_type=self.work.key_type, pool=token)


def _milliseconds(since: float, until: float) -> float:
    return round((until - since) * 1000, 3)


def _cost_key(operation: Operation) -> bytes:
    if operation.source is Source.TOKEN and operation.action is Action.SIGN:
        return operation.key
    kind = operation.obj_type.upper() if operation.obj_type.upper() in INLINE_KINDS else ""
    return f"{operation.action} {operation.source} {kind} {len(operation.key) // 64}".encode()
