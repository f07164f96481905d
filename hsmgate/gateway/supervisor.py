"""Keeps a token's signers alive: starts them, watches them, kills those that hang, starts them again with back-off.

It knows processes and time, and nothing of what they sign.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.model import KeyInfo
from hsmgate.errors import ItemError, PinRefused, SignerStartError
from hsmgate.gateway.ends import WHY, end_of
from hsmgate.gateway.figures import End, StartFault
from hsmgate.gateway.logs import fields
from hsmgate.gateway.pin import again_seconds, read_pin
from hsmgate.gateway.pin_file import PinFile, Pins
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.gateway.signers import Signer
from hsmgate.gateway.starts import Backoff, start_patiently
from hsmgate.ipc.messages import Keys
from hsmgate.secret import Secret

log = logging.getLogger(__name__)

TURN_SECONDS = 5.0
"""How long the start of one token may keep another waiting. Where it takes longer it hangs, and is in nobody's way."""

KEYS_SECONDS = 2.0
"""How often the keys are read, so that what others do to the token is noticed."""

KEYS_SHARE = 0.05
"""The part of one session's time that reading keys may take; where it takes longer it is done less often."""

WATCH_SECONDS = 0.25

PROVE_AFTER_SECONDS = 10.0
"""A token that has made no signature for so long, since nobody asked or none came of it, is asked for a canary."""

PROVE_SECONDS = 1.0

LOOK_SECONDS = 0.05
"""How often somebody who waits for it looks whether a pool has grown or is empty."""


class Supervisor:
    """The signers of one token.

    keys: what it has, as it was told last.
    """

    def __init__(
        self,
        token: config.Token,
        folder: Path,
        on_keys: Callable[[TokenPool, Keys], None],
        pins: Pins,
        capabilities: Capabilities | None = None,
    ) -> None:
        """pins: what is known of PINs that were refused. capabilities: what the token was seen to do before."""
        self.token = token
        self.pool = TokenPool(token.name, token.sessions, self._keys_came(on_keys))
        self.pool.abilities.capabilities = capabilities
        self.pool.wanted = token.signers
        self._folder = folder
        self._pin_file = PinFile(pins)
        self._backoff = Backoff()
        self._pause_seconds = 0.0
        self._short = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys_took_seconds = 0.0
        self._down_since: float | None = None
        self.keys: Sequence[KeyInfo] = ()

    async def start(self) -> None:
        """Start the first signer and return when it is ready; the others follow by themselves.

        Raises PinRefused, TokenMisconfigured or SignerStartError.
        """
        able = self.pool.abilities.capabilities
        self.pool.figures.starting = 1
        try:
            first = await start_patiently(self.token, self._folder, self._pin_file, able, self._note_failed_try)
        finally:
            self.pool.figures.starting = 0
        self._join(first)
        self._start_rest()

    def _note_failed_try(self, error: SignerStartError) -> None:
        self.pool.figures.failed_starts[StartFault.OTHER] += 1
        name = self.token.name
        log.warning("token %s: a signer did not start: %s; it is tried again", name, error, extra=fields(token=name))

    def begin(self, before: "asyncio.Task[None] | None", *, alone: bool) -> "asyncio.Task[None]":
        """Start as `start` does, after another that is not to be started at the same time.

        alone: there is no other token to serve meanwhile. Else a token that cannot be had is tried again and again.
        """
        return self._do(self._begin(before, alone=alone))

    async def _begin(self, before: "asyncio.Task[None] | None", *, alone: bool) -> None:
        if before is not None:
            await asyncio.wait((before,), timeout=TURN_SECONDS)
        try:
            await self.start()
        except (SignerStartError, OSError) as error:
            if not alone:
                name = self.token.name
                log.error("token %s is down: %s", name, error, extra=fields(token=name))
                self._start_rest()
            raise

    def _start_rest(self) -> None:
        """Bring up the signers that are missing, and watch those that are there."""
        self._short.set()
        if not self.pool.signers:
            self._down_since = time.monotonic()
        for work in (self._grow(), self._watch(), self._list_keys(), self._prove()):
            self._do(work)

    async def grown(self) -> None:
        """Wait until all signers are there."""
        while len(self.pool.signers) < self.token.signers:  # noqa: ASYNC110 - rare, and else the pool had more to do
            await asyncio.sleep(LOOK_SECONDS)

    async def drain(self) -> None:
        """Take no new work, and wait until all is done that there was."""
        self.pool.drain()
        while not self.pool.empty:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(LOOK_SECONDS)

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
                self.pool.figures.failed_starts[StartFault.OTHER] += 1
                self._pause_seconds = self._backoff.next_seconds()
                log.warning(
                    "token %s: a signer did not start: %s; next try in %.1f s",
                    *(name, error, self._pause_seconds),
                    extra=fields(token=name),
                )
            else:
                self._pause_seconds = 0.0
                self._join(process)

    async def _start_one(self) -> SignerProcess:
        """Start a signer, with a PIN that was not refused. Raises SignerStartError or OSError."""
        name = self.token.name
        while True:
            pin = await read_pin(self.token.pin_source, self._folder)
            self.pool.figures.starting = 1
            try:
                able = self.pool.abilities.capabilities
                return await SignerProcess.start(self.token, self._folder, pin, self._pin_file, able)
            except PinRefused as error:
                self.pool.figures.failed_starts[StartFault.PIN] += 1
                text = "token %s: %s. It is not tried again before pin_source holds another"
                log.error(text, name, error, extra=fields(token=name))
                self.pool.give_up(f"token {name}: the PIN was refused")
            finally:
                self.pool.figures.starting = 0
            await self._other_pin(pin)

    def _join(self, process: SignerProcess) -> None:
        name = self.token.name
        signer = self.pool.join(process)
        log.info("token %s: signer %d is ready", name, process.pid, extra=fields(token=name, signer=process.pid))
        if self._down_since is not None:
            seconds = time.monotonic() - self._down_since
            log.warning("token %s is up again after %.1f s", name, seconds, extra=fields(token=name))
            self._down_since = None
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
        name, pid = self.token.name, signer.process.pid
        reason = end_of(signer, orphans)
        self.pool.figures.ends[reason] += 1
        about = fields(token=name, signer=pid, reason=reason)
        if reason is End.WORN:
            log.info("token %s: signer %d has retired; another has its place", name, pid, extra=about)
        else:
            if signer.answered:
                self._backoff.reset()
            self._pause_seconds = self._backoff.next_seconds()
            log.warning(
                "token %s: signer %d ended: %s (%s), with %d items in hand; the next starts in %.1f s",
                *(name, pid, WHY[reason], how, orphans, self._pause_seconds),
                extra=about,
            )
        if not self.pool.signers and self._down_since is None:
            self._down_since = time.monotonic()
            log.error("token %s is down: it has no signer", name, extra=about)
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
                name, pid = self.token.name, signer.process.pid
                about = fields(token=name, signer=pid)
                log.error("token %s: signer %d hangs in a call; it is killed", name, pid, extra=about)
                signer.kill(End.HUNG)
            if any(signer.worn and not signer.retiring for signer in self.pool.signers):
                self._short.set()
            self.pool.let_go()

    async def _list_keys(self) -> None:
        while True:
            await asyncio.sleep(max(KEYS_SECONDS, self._keys_took_seconds / KEYS_SHARE))
            self.pool.orders.list_keys()

    async def _prove(self) -> None:
        """See that the token still signs where nothing else has shown it, for ever."""
        while True:
            await asyncio.sleep(PROVE_SECONDS)
            if self.pool.signers and self.pool.figures.unsigned_seconds() > PROVE_AFTER_SECONDS:
                with contextlib.suppress(ItemError):
                    await self.pool.orders.prove()
                    self.pool.figures.signed()

    def _keys_came(self, on_keys: Callable[[TokenPool, Keys], None]) -> Callable[[TokenPool, Keys], None]:
        def came(pool: TokenPool, keys: Keys) -> None:
            self.keys = keys.keys
            self._keys_took_seconds = keys.seconds
            on_keys(pool, keys)

        return came

    def _do(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
