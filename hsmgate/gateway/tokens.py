"""The tokens of the config: opened at the start, and coming and going while the others serve."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.errors import ConfigError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.logs import fields
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.pin_file import Pins
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.reload import Takeover
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.supervisor import Supervisor
from hsmgate.gateway.workers.counts import Counts
from hsmgate.ipc.messages import Keys

log = logging.getLogger(__name__)

STRENGTH_SECONDS = 5.0
"""How long a token that has its first signer may take for the others, before it takes the place of another."""


@dataclass(frozen=True, slots=True)
class Common:
    """What the workers of a gateway have in common, if there are several: what they count, and the PINs refused."""

    counts: Counts | None = None
    pins: Pins | None = None


ALONE = Common()


@dataclass(slots=True, eq=False)
class _Coming:
    """A token that is being opened, for a config that is not taken over yet."""

    supervisor: Supervisor
    opening: asyncio.Task[None]


class Tokens:
    """All tokens. A token whose section of the config has changed is one that comes and one that leaves.

    words: what of the config it goes by, as a SlowParty of the Reloader.
    signer: signs with the keys of those that serve.
    """

    words = frozenset({"token", "server.verify_signatures"})

    def __init__(self, loaded: config.Config, common: Common = ALONE) -> None:
        self._folder = loaded.folder
        self._pins = common.pins or Pins()
        self._keyring = Keyring()
        self._pools: list[TokenPool] = []
        self._coming: list[_Coming] = []
        self._one_at_a_time = asyncio.Lock()
        self._leaving: set[asyncio.Task[None]] = set()
        self._serving = [self._supervisor(token) for token in loaded.token]
        self._pools += [supervisor.pool for supervisor in self._serving]
        for token, pool in zip(loaded.token, self._pools, strict=True):
            pool.draining = token.drain
        self.signer = BatchSigner(self._keyring, self._pools, Current(loaded.server), common.counts)

    async def start(self) -> None:
        """Start the signers of every token. One that cannot be had is waited for, unless there is no other.

        Raises PinRefused, TokenMisconfigured or SignerStartError.
        """
        away: list[tuple[Supervisor, SignerStartError]] = []
        for supervisor in self._serving:
            try:
                await supervisor.start()
            except (PinRefused, TokenMisconfigured) as error:
                raise type(error)(f"token {supervisor.token.name}: {error}") from error
            except SignerStartError as error:
                away.append((supervisor, error))
        for supervisor, reason in away:
            if len(away) == len(self._serving):
                raise SignerStartError(f"token {supervisor.token.name}: {reason}") from reason
            name = supervisor.token.name
            text = "token %s is down: %s; it is tried again while the others serve"
            log.error(text, name, reason, extra=fields(token=name))
            supervisor.start_later()

    async def stop(self) -> None:
        """End all signers."""
        await self.give_up()
        leaving = [*self._leaving]
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)
        await asyncio.gather(*(supervisor.stop() for supervisor in self._serving))

    async def prepare(self, loaded: config.Config) -> Takeover:
        """Open what is new. Raises ConfigError where a token cannot be opened, or one must not go.

        Cancelled, it goes on opening, until another config does without that token or `give_up` is called.
        """
        take_variables(token.pin_source for token in loaded.token)
        tokens = [token for token in loaded.token if _find(token, self._serving) is None]
        for one in self._coming:
            if not any(_same(one.supervisor.token, token) for token in tokens):
                self._end(one)
        self._coming = [one for one in self._coming if any(_same(one.supervisor.token, token) for token in tokens)]
        for token in tokens:
            if _find(token, [one.supervisor for one in self._coming]) is None:
                supervisor = self._supervisor(token, self._known_of(token))
                self._coming.append(_Coming(supervisor, asyncio.create_task(self._open(supervisor))))
        if self._coming:
            await asyncio.wait([one.opening for one in self._coming])
        problems = [problem for one in self._coming if (problem := _problem(one)) is not None]
        if problems:
            raise ConfigError(problems)
        return self._takeover(loaded)

    async def give_up(self) -> None:
        """End the tokens that were opened for a config that is not taken over."""
        coming, self._coming = self._coming, []
        for one in coming:
            self._end(one)

    def _takeover(self, loaded: config.Config) -> Takeover:
        there = [*self._serving, *(one.supervisor for one in self._coming)]
        next_ones = [supervisor for token in loaded.token if (supervisor := _find(token, there)) is not None]
        kids = {key.kid for supervisor in next_ones for key in supervisor.keys}
        if not kids.issuperset(self.signer.reserved):
            raise ConfigError(["audit.head_key: no token would have it any more"])
        drained = [token.drain for token in loaded.token]
        if self._serving == next_ones and [pool.draining for pool in self._pools] == drained:
            return lambda: None
        return lambda: self._take(next_ones, drained)

    def _take(self, next_ones: Sequence[Supervisor], drained: Sequence[bool]) -> None:
        gone = [supervisor for supervisor in self._serving if supervisor not in next_ones]
        figures = {supervisor.pool.name: supervisor.pool.figures for supervisor in self._serving}
        for supervisor in next_ones:
            supervisor.pool.figures = figures.get(supervisor.pool.name, supervisor.pool.figures)
        self._serving, self._coming = [*next_ones], []
        self._pools[:] = [supervisor.pool for supervisor in next_ones]
        self._keyring.serve({supervisor.pool: supervisor.keys for supervisor in next_ones})
        for pool, drain in zip(self._pools, drained, strict=True):
            if drain and not pool.draining:
                pool.drain()
            pool.draining = drain
        for supervisor in gone:
            supervisor.pool.drain()
            self._leave(self._retire(supervisor))

    async def _open(self, supervisor: Supervisor) -> None:
        async with self._one_at_a_time:  # some tokens fail when processes start at once
            await supervisor.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STRENGTH_SECONDS):
                await supervisor.grown()

    def _end(self, coming: _Coming) -> None:
        coming.opening.cancel()
        self._leave(self._bury(coming))

    async def _bury(self, coming: _Coming) -> None:
        await asyncio.gather(coming.opening, return_exceptions=True)
        await coming.supervisor.stop()

    async def _retire(self, supervisor: Supervisor) -> None:
        name = supervisor.token.name
        log.info("token %s leaves: it does what it has, and takes nothing new", name)
        try:
            await supervisor.drain()
        finally:
            await supervisor.stop()
        log.info("token %s has left", name)

    def _leave(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    def _supervisor(self, token: config.Token, known: Capabilities | None = None) -> Supervisor:
        return Supervisor(token, self._folder, self._keys_came, self._pins, known)

    def _known_of(self, token: config.Token) -> Capabilities | None:
        """What the token was seen to do, where it is one that serves already and only its signers are to be others."""
        place = token.module, token.uri, token.env, token.init_args
        for supervisor in self._serving:
            one = supervisor.token
            if (one.module, one.uri, one.env, one.init_args) == place:
                return supervisor.pool.abilities.capabilities
        return None

    def _keys_came(self, pool: TokenPool, keys: Keys) -> None:
        if pool in self._pools:  # not yet, while it is being opened; not any more, while it leaves
            self._keyring.update(pool, keys)


def _find(token: config.Token, supervisors: Sequence[Supervisor]) -> Supervisor | None:
    """The one whose signers were started as that section says."""
    return next((supervisor for supervisor in supervisors if _same(supervisor.token, token)), None)


def _same(one: config.Token, other: config.Token) -> bool:
    return one.model_copy(update={"drain": other.drain}) == other


def _problem(coming: _Coming) -> str | None:
    """Why the token could not be opened, None where it could."""
    error = coming.opening.exception()
    if error is None:
        return None
    reason = str(error) if isinstance(error, SignerStartError | OSError) else type(error).__name__
    return f"token {coming.supervisor.token.name}: {reason}"
