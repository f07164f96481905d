"""The load: items with one key, first as many as there are sessions, then more than they can do."""

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import structs

from hsmgate.domain.digests import find_digest
from hsmgate.domain.model import ONE_TIME, KeyInfo, KeyType
from hsmgate.errors import CommandError
from hsmgate.gateway.auth import App
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.wire import SignItem
from hsmgate.ipc.messages import Failure

BATCH_SECONDS = 0.05
"""What a batch is to be worth: the end of the measurement cuts none short, and none is all overhead."""

BATCHES_AT_ONCE = 3
MOST_ITEMS = 1000
MESSAGE_BYTES = 32

_HASHED = (KeyType.RSA, KeyType.EC, KeyType.DSA)
_DEFAULT_HASH = "SHA256"


class ItemSource:
    """Items to sign, each over other bytes, which nobody chose."""

    def __init__(self, key: KeyInfo, hash_name: str | None, padding: str | None) -> None:
        """hash_name, padding: the contract's words; None for what the key's type wants.

        Raises BadItem for an unknown hash, CommandError for a key that each signature uses up a part of.
        """
        if key.type in ONE_TIME:
            raise CommandError("a one-time key has only so many signatures: they are not to be wasted on this")
        hash_name = hash_name or (_DEFAULT_HASH if key.type in _HASHED else None)
        members: dict[str, Any] = {"key": {"kid": key.kid}, "hash_alg": hash_name}
        if padding is not None:
            members["mode"] = {padding: {}}
        self._member = "data" if hash_name is None else "hash"
        self._bytes = MESSAGE_BYTES if hash_name is None else find_digest(hash_name, "hash").size
        self._pattern = msgspec.convert(members, SignItem)

    def take(self, count: int) -> list[SignItem]:
        """So many."""
        return [structs.replace(self._pattern, **{self._member: os.urandom(self._bytes)}) for _ in range(count)]


@dataclass(slots=True)
class Tally:
    """What became of items.

    seconds: how long each call took that went well.
    failed: how many items did not, and why the first of them did not.
    """

    seconds: list[float]
    done: int = 0
    failed: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """items_per_second: with more to do than it can. median_ms, p99_ms: with one item for each session to do."""

    items_per_second: float
    median_ms: float
    p99_ms: float
    failed: int
    reason: str


class Load:
    """Signs through the pools as calls of one app would, and counts."""

    def __init__(self, signer: BatchSigner, source: ItemSource, app: App) -> None:
        self._signer = signer
        self._source = source
        self._app = app

    async def sign_one(self) -> None:
        """Raise CommandError where the key cannot sign so: nothing is to be measured then."""
        tally = Tally([])
        await self._call(1, tally)
        if tally.failed:
            raise CommandError(tally.reason)

    async def measure(self, parallel: int, seconds: float) -> Figures:
        """Half of the time for each. parallel: how many items the pool signs at a time."""
        single = await self._keep(parallel, 1, seconds / 2)
        rate = single.done / (seconds / 2)
        size = min(MOST_ITEMS, max(2 * parallel, int(rate * BATCH_SECONDS)))
        started = time.monotonic()
        full = await self._keep(BATCHES_AT_ONCE, size, seconds / 2)
        took = time.monotonic() - started
        milliseconds = sorted(1000 * one for one in single.seconds) or [0.0]
        return Figures(
            items_per_second=round(full.done / took, 1),
            median_ms=round(statistics.median(milliseconds), 3),
            p99_ms=round(milliseconds[int(0.99 * (len(milliseconds) - 1))], 3),
            failed=single.failed + full.failed,
            reason=single.reason or full.reason,
        )

    async def _keep(self, callers: int, size: int, seconds: float) -> Tally:
        """So many callers for so long, each with one call of so many items after the other."""
        tally = Tally([])
        end = time.monotonic() + seconds

        async def call_on() -> None:
            while time.monotonic() < end:
                await self._call(size, tally)

        await _together(call_on, callers)
        return tally

    async def _call(self, size: int, tally: Tally) -> None:
        items = self._source.take(size)
        started = time.monotonic()
        results = await self._signer.run(self._signer.batch(size), items, self._app)
        failures = [result for result in results if isinstance(result, Failure)]
        tally.done += size - len(failures)
        tally.failed += len(failures)
        if failures:
            tally.reason = tally.reason or failures[0].text
            await asyncio.sleep(0.01)  # what is refused at once would be asked again at once
        else:
            tally.seconds.append(time.monotonic() - started)


async def _together(work: Callable[[], Coroutine[Any, Any, None]], count: int) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(work())
