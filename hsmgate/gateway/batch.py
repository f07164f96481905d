"""A batch on its way: items out to signers, results back to their places."""

import asyncio
from collections.abc import Callable, Sequence

from hsmgate.errors import ItemError
from hsmgate.ipc.messages import Failure, Operation

Result = bytes | bool | Failure
"""A signature, or whether one verified, or why there is neither."""


def failure(error: ItemError) -> Failure:
    """The error as an item's result."""
    return Failure(error.status, str(error))


def item_error(failure: Failure) -> ItemError:
    """A failure as the error it was."""
    error = ItemError(failure.text)
    error.status = failure.status
    return error


class Batch:
    """The results of one call. Each place is filled once; what comes for a filled place, or too late, is dropped."""

    __slots__ = ("_done", "_left", "_results", "over")

    def __init__(self, size: int) -> None:
        self._results: list[Result | None] = [None] * size
        self._left = size
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = False

    def put(self, index: int, result: Result) -> None:
        """Fill a place."""
        if self.over or self._results[index] is not None:
            return
        self._results[index] = result
        self._left -= 1
        if not self._left and not self._done.done():
            self._done.set_result(None)

    async def wait(self, timeout_seconds: float, late: Callable[[], ItemError]) -> Sequence[Result]:
        """All results, in order. Places that are empty when the time is up get `late()`; work on them is in vain."""
        try:
            if self._left:
                await asyncio.wait((self._done,), timeout=timeout_seconds)
        finally:
            self.over = True
        too_late = failure(late())
        return [too_late if result is None else result for result in self._results]


class Item:
    """One place of a batch, as the pool carries it.

    signature: what is to be verified; empty where there is something to sign.
    once: its key is used up by signing, so it must not run twice.
    deaths: how many signers have died with this item in flight.
    """

    __slots__ = ("batch", "deaths", "index", "once", "operation", "payload", "signature")

    def __init__(
        self,
        batch: Batch,
        index: int,
        operation: Operation,
        payload: bytes,
        signature: bytes = b"",
        *,
        once: bool = False,
    ) -> None:
        self.batch = batch
        self.index = index
        self.operation = operation
        self.payload = payload
        self.signature = signature
        self.once = once
        self.deaths = 0

    def answer(self, result: Result) -> None:
        """Put the result in its place."""
        self.batch.put(self.index, result)
