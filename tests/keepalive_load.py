"""Callers that sign one item after the other, each on a keep-alive connection of its own, and count what fails."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.gateway_process import b64

ITEM = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": b64(b"x")}


@dataclass
class Tally:
    """What became of the calls.

    failed: by kind of error, those that were not answered with a signature.
    recovered: of these, the calls that had one when their caller tried again, once.
    connections: that were opened.
    """

    signed: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    connections: int = 0

    async def reach(self, more: int) -> None:
        """Wait until so many more calls have been answered."""
        goal = self.signed + more
        async with asyncio.timeout(60):
            while self.signed < goal:
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def load(url: str, api_key: str, callers: int = 6, slow_callers: int = 2) -> AsyncIterator[Tally]:
    """So many callers without a pause, and so many that wait for half a second between their calls."""
    tally = Tally()
    done = asyncio.Event()
    pauses = [0.0] * callers + [0.5] * slow_callers
    tasks = [asyncio.create_task(_call(url, api_key, pause, tally, done)) for pause in pauses]
    try:
        yield tally
    finally:
        done.set()
        await asyncio.gather(*tasks)


async def _call(url: str, api_key: str, pause: float, tally: Tally, done: asyncio.Event) -> None:
    async def opened(*_: Any) -> None:
        tally.connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opened)
    headers = {"Authorization": f"Basic {api_key}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, trace_configs=[trace]) as client:
        url = f"{url}/crypto/v1/sign"
        while not done.is_set():
            error = await _sign(client, url)
            if error is not None:
                tally.failed[error] += 1
                if await _sign(client, url) is None:
                    tally.recovered += 1
            tally.signed += error is None
            await asyncio.sleep(pause)


async def _sign(client: aiohttp.ClientSession, url: str) -> str | None:
    """What went wrong with one call, if anything did."""
    try:
        async with client.post(url, json=ITEM) as response:
            await response.read()
            return None if response.status == 200 else f"status {response.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__
