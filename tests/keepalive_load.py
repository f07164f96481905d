"""Callers that sign one item after the other, each on a keep-alive connection of its own, and count what fails.

Every signature is verified; one that does not is raised out of the load.
"""

import asyncio
import base64
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from tests.gateway_process import b64
from tests.token_tool import Demo
from tests.verify import verify

KEY = "p256"
ITEM = {"key": {"name": KEY}, "hash_alg": "SHA256", "data": b64(b"x")}


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
async def load(url: str, demo: Demo, callers: int = 6, slow_callers: int = 2) -> AsyncIterator[Tally]:
    """So many callers without a pause, and so many that wait for half a second between their calls."""
    tally = Tally()
    done = asyncio.Event()
    public_key = next(key for label, _, key in demo.public_keys() if label == KEY)
    target = _Target(f"{url}/crypto/v1/sign", demo.api_key, public_key)
    pauses = [0.0] * callers + [0.5] * slow_callers
    tasks = [asyncio.create_task(_call(target, pause, tally, done)) for pause in pauses]
    try:
        yield tally
    finally:
        done.set()
        await asyncio.gather(*tasks)


@dataclass(frozen=True)
class _Target:
    """Where to sign, and what must verify it."""

    url: str
    api_key: str = field(repr=False)
    public_key: PublicKeyTypes


async def _call(target: _Target, pause: float, tally: Tally, done: asyncio.Event) -> None:
    async def opened(*_: Any) -> None:
        tally.connections += 1

    trace = aiohttp.TraceConfig()
    trace.on_connection_create_end.append(opened)
    headers = {"Authorization": f"Basic {target.api_key}"}
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, trace_configs=[trace]) as client:
        while not done.is_set():
            error = await _sign(client, target)
            if error is not None:
                tally.failed[error] += 1
                if await _sign(client, target) is None:
                    tally.recovered += 1
            tally.signed += error is None
            await asyncio.sleep(pause)


async def _sign(client: aiohttp.ClientSession, target: _Target) -> str | None:
    """What went wrong with one call, if anything did."""
    try:
        async with client.post(target.url, json=ITEM) as response:
            if response.status != 200:
                return f"status {response.status}"
            signature = (await response.json())["signature"]
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__
    verify(target.public_key, ITEM, base64.b64decode(signature))
    return None
