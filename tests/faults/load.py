"""Mixed batches on eight connections, for as long as it is told to; every answer is judged and counted."""

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from tests.faults.items import Mixer
from tests.faults.judge import Asked, Judge, Verdict
from tests.faults.tally import Call, Tally
from tests.gateway_process import BATCH_SIGN, Gateway

CONNECTIONS = 8

PAUSE_SECONDS = 0.05
"""Before a connection's next batch, where the last had an error: clients that got one do not come back at once."""

ACCEPTED_SECONDS = 0.05
"""A call that was on its way for so long when the gateway was told to stop was accepted, and is owed an answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came to a call; the status is None where nothing came."""

    sent: float
    answered: float
    status: int | None
    body: bytes = b""
    retry_after: bool = False

    @property
    def good(self) -> bool:
        """Whether there is no error in it."""
        return self.status == 200 and b'"error"' not in self.body


class Load:
    """The load on a gateway, from entering to leaving it.

    patience: the seconds after which a call counts as unanswered; more than the gateway allows itself.
    stopping: when the gateway was told to stop; calls that came later may be turned away.
    """

    def __init__(self, gateway: Gateway, mixer: Mixer, judge: Judge, patience: float) -> None:
        self.tally = Tally()
        self.mixer = mixer
        self.stopping: float | None = None
        self._gateway = gateway
        self._judge = judge
        self._timeout = aiohttp.ClientTimeout(total=patience)
        self._stopped = False
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin, for the first time or again."""
        self._stopped = False
        for _ in range(CONNECTIONS):
            self._spawn(self._keep_posting())

    async def stop(self) -> None:
        """Send nothing more, and wait until all that was sent is answered and judged."""
        self._stopped = True
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def post(self, asked: Sequence[Asked], body: bytes | None = None) -> Verdict:
        """Post a batch and count what comes back; `body` is the batch, where it was written before."""
        return await self._count(asked, await self._post(body or write(asked)))

    async def _keep_posting(self) -> None:
        while not self._stopped:
            asked = self.mixer.batch()
            answer = await self._post(write(asked))
            self._spawn(self._count(asked, answer))
            if not answer.good:
                await asyncio.sleep(PAUSE_SECONDS)

    async def _post(self, body: bytes) -> Answer:
        headers = {"Authorization": f"Basic {self._gateway.api_key}", "Content-Type": "application/json"}
        url = self._gateway.url + BATCH_SIGN
        sent = time.monotonic()
        try:
            async with self._gateway.client.post(url, data=body, headers=headers, timeout=self._timeout) as response:
                text = await response.read()
                return Answer(sent, time.monotonic(), response.status, text, "Retry-After" in response.headers)
        except (aiohttp.ClientError, TimeoutError, OSError):
            return Answer(sent, time.monotonic(), None)

    async def _count(self, asked: Sequence[Asked], answer: Answer) -> Verdict:
        came_late = self.stopping is not None and answer.sent > self.stopping - ACCEPTED_SECONDS
        if answer.status is None and came_late:
            self.tally.turned_away += 1
            return Verdict()
        verdict = await self._judge.judge(asked, answer.status, answer.body)
        refused = verdict.errors["503"] == len(asked)
        call = Call(answer.sent, answer.answered, verdict.verified, refused=refused, retry_after=answer.retry_after)
        self.tally.add(verdict, len(asked), call)
        return verdict

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def write(asked: Sequence[Asked]) -> bytes:
    """A batch as it is posted."""
    return json.dumps([item for _, item in asked]).encode()
