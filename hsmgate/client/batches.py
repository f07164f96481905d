"""Batches of items to sign or verify, cut to what a gateway takes at a time (docs/api.md, Batch sign)."""

import asyncio
from collections.abc import Sequence

import msgspec

from hsmgate.client.client import Client
from hsmgate.errors import ClientError, Refused

SIGN = "/crypto/v1/keys/batch/sign"
VERIFY = "/crypto/v1/keys/batch/verify"

TOO_LARGE = 413
LATER = frozenset({429, 503})
"""Statuses of items that may be done at another time."""

FRUITLESS_AT_MOST = 5
"""How often in a row it is tried again without one item more done."""


class _Body(msgspec.Struct, frozen=True):
    kid: str | None = None
    signature: bytes | None = None
    result: bool | None = None


class Answer(msgspec.Struct, frozen=True):
    """What became of an item: its body, or its error."""

    status: int
    body: _Body = _Body()
    error: str | None = None


class Batches:
    """Calls with many items each. It learns from refusals how large a batch may be.

    most_items, most_bytes: what a batch is to have; a gateway may take less.
    """

    def __init__(self, client: Client, path: str) -> None:
        self.most_items = 1000
        self.most_bytes = 4 * 1024 * 1024
        self._client = client
        self._path = path

    async def run(self, items: Sequence[bytes]) -> list[Answer]:
        """The answer to each item, which is JSON; what can be done later only is tried again for as long as it helps.

        Raises ClientError.
        """
        answers: list[Answer] = [Answer(0)] * len(items)
        left = [*range(len(items))]
        fruitless = 0
        while left:
            got, seconds = await self._send([items[index] for index in left])
            for index, answer in zip(left, got, strict=True):
                answers[index] = answer
            later = [index for index in left if answers[index].status in LATER]
            fruitless = fruitless + 1 if len(later) == len(left) else 0
            left = later if fruitless < FRUITLESS_AT_MOST else []
            if left:
                await asyncio.sleep(seconds or 1.0)
        return answers

    async def _send(self, items: Sequence[bytes]) -> tuple[list[Answer], float]:
        """One round of answers, and the seconds after which to come again."""
        if len(items) > self.most_items:
            return await self._halves(items)
        try:
            body, seconds = await self._client.call("POST", self._path, b"[" + b",".join(items) + b"]")
        except Refused as error:
            if error.status != TOO_LARGE:
                raise
            if len(items) == 1:
                return [Answer(error.status, error=str(error))], 0.0
            self.most_items = len(items) // 2
            self.most_bytes = min(self.most_bytes, sum(map(len, items)) // 2)
            return await self._halves(items)
        answers = self._client.decode(body, list[Answer])
        if len(answers) != len(items):
            raise ClientError(f"{self._client.address}: {len(answers)} answers to {len(items)} items")
        return answers, seconds

    async def _halves(self, items: Sequence[bytes]) -> tuple[list[Answer], float]:
        middle = len(items) // 2
        first, seconds = await self._send(items[:middle])
        second, more = await self._send(items[middle:])
        return first + second, max(seconds, more)
