"""Keeps a token's signers alive: starts them, watches them, kills those that hang, starts them again with back-off.

It knows processes and time, and nothing of what they sign.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hsmgate import config
from hsmgate.errors import PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.pin import again_seconds, read_pin
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Signer
from hsmgate.ipc.messages import Keys
from hsmgate.secret import Secret

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
        self._pin_file = PinFile()
        self._backoff = Backoff()
        self._pause_seconds = 0.0
        self._short = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys_took_seconds = 0.0

    async def start(self) -> None:
        """Start the first signer and return when it is ready; the others follow by themselves.

        Raises PinRefused, TokenMisconfigured or SignerStartError.
        """
        self._join(await start_patiently(self.token, self._folder, self._pin_file))
        self.start_later()

    def start_later(self) -> None:
        """Bring the signers up without waiting for the first."""
        self._short.set()
        for work in (self._grow(), self._watch(), self._list_keys()):
            self._do(work)

    async def stop(self) -> None:
        """End all signers. What they hold is not signed any more."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(signer.process.stop() for signer in self.pool.signers))
        self._pin_file.close()

    async def _grow(self) -> None:
        """Start signers while there are too few, one at a time: tokens dislike a crowd, and one probe is enough.

        Those that are worn are counted out, and retire when their successors are there.
        """
        name = self.token.name
        while True:
            if sum(not signer.worn for signer in self.pool.signers) >= self.token.signers:
                self.pool.retire_worn()
                self._short.clear()
                await self._short.wait()
            await asyncio.sleep(self._pause_seconds)
            try:
                process = await self._start_one()
            except (SignerStartError, OSError) as error:
                self._pause_seconds = self._backoff.next_seconds()
                log.warning("token %s: no signer: %s; next try in %.1f s", name, error, self._pause_seconds)
            else:
                self._pause_seconds = 0.0
                self._join(process)

    async def _start_one(self) -> SignerProcess:
        """Start a signer, with a PIN that was not refused. Raises SignerStartError or OSError."""
        name = self.token.name
        while True:
            pin = await read_pin(self.token.pin_source, self._folder)
            try:
                able = self.pool.abilities.capabilities
                return await SignerProcess.start(self.token, self._folder, pin, self._pin_file, able)
            except PinRefused as error:
                log.error("token %s: %s. It is not tried again before pin_source holds another", name, error)
                self.pool.give_up(f"token {name}: the PIN was refused")
                await self._other_pin(pin)

    def _join(self, process: SignerProcess) -> None:
        signer = self.pool.join(process)
        log.info("token %s: signer %d is ready", self.token.name, process.pid)
        self._do(self._attend(signer))

    async def _attend(self, signer: Signer) -> None:
        """Wait for the end of a signer, and see that another follows."""
        emptied = asyncio.ensure_future(signer.emptied.wait())
        ended = asyncio.ensure_future(signer.process.ended())
        try:
            await asyncio.wait((emptied, ended), return_when=asyncio.FIRST_COMPLETED)
            if emptied.done():
                await signer.process.stop()
            how = await ended
        finally:
            emptied.cancel()
            ended.cancel()
        orphans = self.pool.leave(signer)
        if signer.retiring and not orphans:
            log.info("token %s: signer %d has retired", self.token.name, signer.process.pid)
        else:
            if signer.answered:
                self._backoff.reset()
            self._pause_seconds = self._backoff.next_seconds()
            log.warning(
                "token %s: signer %d ended (%s) with %d items in hand; the next starts in %.1f s",
                *(self.token.name, signer.process.pid, how, orphans, self._pause_seconds),
            )
        self._short.set()

    async def _other_pin(self, refused: Secret) -> None:
        """Wait for another PIN in the source: each try of a wrong one brings the token nearer to locking itself."""
        while True:
            await asyncio.sleep(again_seconds(self.token.pin_source))
            with contextlib.suppress(SignerStartError):
                if await read_pin(self.token.pin_source, self._folder) != refused:
                    return

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for signer in self.pool.overdue(self.token.operation_timeout):
                log.error("token %s: signer %d hangs in a call; it is killed", self.token.name, signer.process.pid)
                signer.process.kill()
            if any(signer.worn and not signer.retiring for signer in self.pool.signers):
                self._short.set()
            self.pool.let_go()

    async def _list_keys(self) -> None:
        while True:
            await asyncio.sleep(max(KEYS_SECONDS, self._keys_took_seconds / KEYS_SHARE))
            self.pool.orders.list_keys()

    def _keys_came(self, on_keys: Callable[[TokenPool, Keys], None]) -> Callable[[TokenPool, Keys], None]:
        def came(pool: TokenPool, keys: Keys) -> None:
            self._keys_took_seconds = keys.seconds
            on_keys(pool, keys)

        return came

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def start_patiently(token: config.Token, folder: Path, pin_file: PinFile) -> SignerProcess:
    """A token's first signer, tried again where that may help.

    Raises PinRefused, TokenMisconfigured or, after FIRST_START_TRIES, SignerStartError.
    """
    backoff = Backoff()
    tries = 1
    while True:
        try:
            pin = await read_pin(token.pin_source, folder)
            return await SignerProcess.start(token, folder, pin, pin_file)
        except (PinRefused, TokenMisconfigured):
            raise
        except SignerStartError:
            if tries == FIRST_START_TRIES:
                raise
        tries += 1
        await asyncio.sleep(backoff.next_seconds())
