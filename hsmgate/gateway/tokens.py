"""The tokens of the config: opened at the start, and coming and going while the others serve."""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hsmgate import config
from hsmgate.domain.capabilities import Capabilities
from hsmgate.errors import AuditError, ConfigError, PinRefused, SignerStartError, TokenMisconfigured
from hsmgate.gateway.audit.heads import find_head_key
from hsmgate.gateway.current import Current
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.logs import fields
from hsmgate.gateway.pin import take_variables
from hsmgate.gateway.pin_file import Pins
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.reload import Takeover
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.supervisor import LOOK_SECONDS, Supervisor
from hsmgate.gateway.workers.counts import Counts
from hsmgate.ipc.messages import Keys

log = logging.getLogger(__name__)

OTHERS_SECONDS = 10.0
"""How long a gateway that could serve, since one token is there, waits at the start for those that are being opened."""

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
        self._head_key = loaded.audit.head_key if loaded.audit is not None else None
        for token, pool in zip(loaded.token, self._pools, strict=True):
            pool.draining, pool.required = token.drain, token.required
        self.signer = BatchSigner(self._keyring, self._pools, Current(loaded.server), common.counts)

    async def start(self) -> None:
        """Open the tokens, and return when there is enough to serve with: what is missing then goes on being tried.

        Those of one store are opened one after the other: SoftHSM does not like several processes that start at once.
        Raises PinRefused, TokenMisconfigured or SignerStartError where no token can be opened.
        """
        alone = len(self._serving) == 1
        of_store: dict[tuple[str, frozenset[tuple[str, str]]], asyncio.Task[None]] = {}
        openings: dict[str, asyncio.Task[None]] = {}
        for supervisor in self._serving:
            store = supervisor.token.module, frozenset(supervisor.token.env.items())
            of_store[store] = supervisor.begin(of_store.get(store), alone=alone)
            openings[supervisor.token.name] = of_store[store]
        pending = {*openings.values()}
        while pending and not self._enough():
            _, pending = await asyncio.wait(pending, timeout=LOOK_SECONDS)
        if pending:
            await asyncio.wait(pending, timeout=OTHERS_SECONDS)
        reasons = {name: reason for name, one in openings.items() if one.done() and (reason := one.exception())}
        if len(reasons) == len(openings) and not any(pool.signers for pool in self._pools):
            raise _gravest(reasons)
        for name in (name for name, opening in openings.items() if not opening.done()):
            log.warning("token %s is still being opened; it is not waited for", name, extra=fields(token=name))

    def _enough(self) -> bool:
        """Whether a token is there, and the one that the audit log wants."""
        if self._head_key is not None:
            try:
                find_head_key(self._keyring, self._head_key)
            except AuditError:
                return False
        return any(pool.signers for pool in self._pools)

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
        if self._serving == next_ones and [(pool.draining, pool.required) for pool in self._pools] == [
            (token.drain, token.required) for token in loaded.token
        ]:
            return lambda: None
        return lambda: self._take(next_ones, loaded.token)

    def _take(self, next_ones: Sequence[Supervisor], tokens: Sequence[config.Token]) -> None:
        gone = [supervisor for supervisor in self._serving if supervisor not in next_ones]
        figures = {supervisor.pool.name: supervisor.pool.figures for supervisor in self._serving}
        for supervisor in next_ones:
            supervisor.pool.figures = figures.get(supervisor.pool.name, supervisor.pool.figures)
        self._serving, self._coming = [*next_ones], []
        self._pools[:] = [supervisor.pool for supervisor in next_ones]
        self._keyring.serve({supervisor.pool: supervisor.keys for supervisor in next_ones})
        for pool, token in zip(self._pools, tokens, strict=True):
            if token.drain and not pool.draining:
                pool.drain()
            pool.draining, pool.required = token.drain, token.required
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
    return one.model_copy(update={"drain": other.drain, "required": other.required}) == other


def _gravest(reasons: Mapping[str, BaseException]) -> SignerStartError:
    """Why no token could be opened: of what is wrong with each, the kind that most wants an operator."""
    text = "; ".join(f"token {name}: {_words(reason)}" for name, reason in reasons.items())
    for kind in (PinRefused, TokenMisconfigured):
        if any(isinstance(reason, kind) for reason in reasons.values()):
            return kind(text)
    return SignerStartError(text)


def _problem(coming: _Coming) -> str | None:
    """Why the token could not be opened, None where it could."""
    error = coming.opening.exception()
    return None if error is None else f"token {coming.supervisor.token.name}: {_words(error)}"


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, SignerStartError | OSError) else type(error).__name__
