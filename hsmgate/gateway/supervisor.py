"""Keeps a token's signers alive: starts them, watches them, kills those that hang, starts them again with back-off.

It knows processes and time, and nothing of what they sign. A refused PIN ends it: each try would bring the token nearer
to locking itself.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path

from hsmgate import config
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.ipc.messages import Keys

log = logging.getLogger(__name__)

FIRST_START_TRIES = 3
"""SoftHSM fails a few starts in a hundred when processes start at once, and succeeds the next time."""

KEYS_SECONDS = 2.0
"""How often the keys are read, so that what others do to the token is noticed."""

KEYS_SHARE = 0.05
"""The part of one session's time that reading keys may take; where it takes longer it is done less often."""

WATCH_SECONDS = 0.25


class Backoff:
    """How long to wait before the next try.

    Not at all, then FIRST_SECONDS, then twice as long each time, up to LONGEST_SECONDS.
    """

    FIRST_SECONDS = 0.1
    LONGEST_SECONDS = 5.0
    JITTER = 0.1

    def __init__(self) -> None:
        self._next = 0.0

    def reset(self) -> None:
        """All is well again."""
        self._next = 0.0

    def next_seconds(self) -> float:
        """Count one more failure and say how long to wait."""
        now = self._next
        self._next = min(self.LONGEST_SECONDS, max(self.FIRST_SECONDS, 2 * now))
        return now * random.uniform(1 - self.JITTER, 1 + self.JITTER)  # noqa: S311 - no secret


class Supervisor:
    """The signers of one token."""

    def __init__(self, token: config.Token, folder: Path, on_keys: Callable[[TokenPool, Keys], None]) -> None:
        self.token = token
        self.pool = TokenPool(token.name, token.sessions, self._keys_came(on_keys))
        self._folder = folder
        self._starting = asyncio.Lock()  # one at a time: tokens dislike a crowd
        self._tasks: list[asyncio.Task[None]] = []
        self._keys_took_seconds = 0.0

    async def start(self) -> None:
        """Start the first signer and return when it is ready; the others follow by themselves.

        Raises PinRefused, TokenMisconfigured or SignerStartError.
        """
        first = await start_patiently(self.token, self._folder)
        self._tasks = [
            asyncio.create_task(self._keep(first if number == 0 else None)) for number in range(self.token.signers)
        ]
        self._tasks += [asyncio.create_task(self._watch()), asyncio.create_task(self._list_keys())]

    async def stop(self) -> None:
        """End all signers. What they hold is not signed any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(signer.process.stop() for signer in self.pool.signers))

    async def _keep(self, process: SignerProcess | None) -> None:
        """One signer's life after life."""
        backoff = Backoff()
        name = self.token.name
        while True:
            try:
                process = process or await self._start_one()
            except PinRefused as error:
                log.error("token %s: %s. It is not tried again: put the PIN right and restart", name, error)
                self.pool.give_up(f"token {name}: the PIN was refused")
                return
            except (SignerStartError, OSError) as error:
                pause = backoff.next_seconds()
                log.warning("token %s: no signer: %s; next try in %.1f s", name, error, pause)
                await asyncio.sleep(pause)
                continue
            signer = self.pool.join(process)
            log.info("token %s: signer %d is ready", name, process.pid)
            how = await process.ended()
            orphans = self.pool.leave(signer)
            if signer.answered:
                backoff.reset()
            pause = backoff.next_seconds()
            log.warning(
                "token %s: signer %d ended (%s) with %d items in hand; the next starts in %.1f s",
                *(name, process.pid, how, orphans, pause),
            )
            process = None
            await asyncio.sleep(pause)

    async def _start_one(self) -> SignerProcess:
        async with self._starting:
            if self.pool.fault is not None:
                raise PinRefused(self.pool.fault)
            return await SignerProcess.start(self.token, self._folder, self.pool.capabilities)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for signer in self.pool.overdue(self.token.operation_timeout):
                log.error("token %s: signer %d hangs in a call; it is killed", self.token.name, signer.process.pid)
                signer.process.kill()

    async def _list_keys(self) -> None:
        while True:
            await asyncio.sleep(max(KEYS_SECONDS, self._keys_took_seconds / KEYS_SHARE))
            self.pool.list_keys()

    def _keys_came(self, on_keys: Callable[[TokenPool, Keys], None]) -> Callable[[TokenPool, Keys], None]:
        def came(pool: TokenPool, keys: Keys) -> None:
            self._keys_took_seconds = keys.seconds
            on_keys(pool, keys)

        return came


async def start_patiently(token: config.Token, folder: Path) -> SignerProcess:
    """A token's first signer, tried again where that may help.

    Raises PinRefused, TokenMisconfigured or, after FIRST_START_TRIES, SignerStartError.
    """
    backoff = Backoff()
    tries = 1
    while True:
        try:
            return await SignerProcess.start(token, folder)
        except (PinRefused, TokenMisconfigured):
            raise
        except SignerStartError:
            if tries == FIRST_START_TRIES:
                raise
        tries += 1
        await asyncio.sleep(backoff.next_seconds())
