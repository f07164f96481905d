"""The use case: a batch comes in, every item gets an answer."""

import asyncio
from collections.abc import Collection, Coroutine, Iterable, Sequence
from typing import cast

from hsmgate.config import Config
from hsmgate.domain.policy import Limits
from hsmgate.errors import BadItem, DeadlinePassed, ItemError, NoSigner
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Result, Run
from hsmgate.gateway.current import TAKEN, Current
from hsmgate.gateway.deadlines import Deadlines
from hsmgate.gateway.figures import ItemFigures
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.likeness import Group, groups
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.quotas import Quotas, SharedQuotas
from hsmgate.gateway.reload import Party, Takeover
from hsmgate.gateway.targets import Targets, check_may, taking
from hsmgate.gateway.wire import SignItem, VerifyItem
from hsmgate.gateway.workers.counts import Counts, WaitingRoom
from hsmgate.ipc.messages import Action, Generate, Manage


class BatchSigner:
    """Signs and verifies batches with the keys of a keyring, through their pools.

    figures: what is counted of them.
    place: which of several gateway processes this is, from 1, and how many there are.
    """

    def __init__(
        self, keyring: Keyring, pools: Sequence[TokenPool], current: Current, counts: Counts | None = None
    ) -> None:
        """pools: those of all tokens; they may come and go, and the keyring's version tells.

        counts: what is counted together with other workers, if there are any.
        """
        self._keyring = keyring
        self._pools = pools
        self._targets = Targets(keyring, pools)
        self._quotas = Quotas() if counts is None else SharedQuotas(counts)
        self._room = WaitingRoom(lambda: sum([pool.waiting for pool in self._pools]), counts)
        self._current = current
        self._deadlines = Deadlines()
        self._stopping = False
        self.place = (1, 1) if counts is None else counts.place
        self.figures = ItemFigures()

    @property
    def current(self) -> Current:
        """The limits that it goes by."""
        return self._current

    @property
    def party(self) -> Party:
        """Takes new limits and new apps."""
        return Party(TAKEN, self._prepare)

    @property
    def pools(self) -> Sequence[TokenPool]:
        """The pools of all tokens."""
        return self._pools

    @property
    def keyring(self) -> Keyring:
        """The keys of all tokens."""
        return self._keyring

    def ready(self) -> bool:
        """Whether something could be signed now."""
        return any(pool.signers and not pool.draining for pool in self._pools)

    def batch(self, size: int, action: Action = Action.SIGN) -> Batch:
        """A place for the results of so many items. Its time runs."""
        return Batch(size, self._current.server.request_timeout, action)

    def reserve(self, kid: str, app: App) -> None:
        """From now on nobody but that app signs with the key, or changes it."""
        self._targets.reserve(kid, app)

    @property
    def reserved(self) -> Collection[str]:
        """The kids of the keys that are reserved."""
        return self._targets.reserved

    def check_free(self, kid: str, app: App) -> None:
        """Raise NotPermitted where another app has reserved the key."""
        self._targets.check_free(kid, app)

    def run(
        self, batch: Batch, items: Sequence[SignItem | BadItem], app: App
    ) -> Coroutine[None, None, Sequence[Result]]:
        """The result of every item, in order; their kids are the batch's.

        A VerifyItem is verified, any other signed.
        """
        limits = app.grant.limits
        return self._run(batch, items, app) if limits is None else self._run_admitted(batch, items, app, limits)

    async def _run_admitted(
        self, batch: Batch, items: Sequence[SignItem | BadItem], app: App, limits: Limits
    ) -> Sequence[Result]:
        with self._quotas.admit(app, limits, items) as admitted:
            return await self._run(batch, admitted, app)

    async def _run(self, batch: Batch, items: Sequence[SignItem | ItemError], app: App) -> Sequence[Result]:
        runs = self._runs(batch, items, app)
        for pool, pool_runs in runs.items():
            pool.submit(pool_runs)
        try:
            self._deadlines.add(batch)
            results = await batch.wait(lambda: self._late(batch, runs))
        except asyncio.CancelledError:
            self.figures.note(batch, batch.so_far())
            raise
        finally:
            self._deadlines.remove(batch)
        self.figures.note(batch, results)
        return results

    def _runs(self, batch: Batch, items: Sequence[SignItem | ItemError], app: App) -> dict[TokenPool, list[Run]]:
        """The items as runs for the pools of their keys. Items that come to none have their failure."""
        runs: dict[TokenPool, list[Run]] = {}
        counts: dict[TokenPool, int] = {}
        most = self._current.server.max_waiting
        room = max(0, self._room.let_in(len(items), most))
        for group in _groups(batch, items):
            try:
                target = self._targets.of(group.sample, app)
            except ItemError as error:
                batch.fail(group.indexes, error)
                continue
            let_in = group.take(room) if room < len(group.indexes) else group
            if let_in is not group:
                batch.fail(group.indexes, NoSigner(f"too many items are waiting (max_waiting is {most})"))
            count = len(let_in.indexes)
            if not count:
                continue
            room -= count
            for index in let_in.indexes:
                batch.kids[index] = target.kid
            for (pool, work), share in target.shares(count, counts):
                its = let_in.take(share) if share < len(let_in.indexes) else let_in
                runs.setdefault(pool, []).append(Run(batch, work, its.indexes, its.payloads, its.signatures))
                counts[pool] = counts.get(pool, 0) + share
        return runs

    def stop(self) -> None:
        """Answer what is still open, with an error where there is no result yet."""
        self._stopping = True
        self._deadlines.give_up_all()

    async def manage(self, pool: TokenPool, order: Manage) -> None:
        """Change the keys of a token. Raises ItemError."""
        timeout = self._current.server.request_timeout
        try:
            await asyncio.wait_for(pool.orders.manage(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not done within {timeout:g} s") from None
        if pool not in self._pools:
            await self.look(pool)

    async def look(self, pool: TokenPool) -> None:
        """Have a token's keys read again; of one that leaves, those of all that stay, which may be its successor's."""
        pools = [pool] if pool in self._pools else self._pools
        await asyncio.gather(*(one.orders.look() for one in pools if one.signers))

    async def generate(self, order: Generate, app: App) -> bytes:
        """The blob of a new transient key. Raises ItemError."""
        check_may(app, "transient", "transient: this app may not make transient keys")
        pools = taking(self._pools)
        able = [pool for pool in pools if pool.abilities.wraps_keys()]
        timeout = self._current.server.request_timeout
        try:
            pool = min(able or pools, key=lambda pool: pool.burden())
            return await asyncio.wait_for(pool.orders.generate(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not made within {timeout:g} s") from None

    def _late(self, batch: Batch, pools: Iterable[TokenPool]) -> ItemError:
        seconds = batch.deadline - batch.begun
        if self._stopping:
            return NoSigner("the gateway was stopped before it was signed; try again")
        if any(pool.signers for pool in pools):
            return DeadlinePassed(f"not signed within {seconds:g} s")
        return NoSigner(f"no signer could be had within {seconds:g} s")

    def _prepare(self, loaded: Config) -> Takeover:
        apps = frozenset(app.id for app in loaded.app)

        def take() -> None:
            self._current.server = loaded.server
            self._quotas.forget_others(apps)
            self._keyring.forget_callers()

        return take


_GOOD = frozenset({SignItem, VerifyItem})


def _groups(batch: Batch, items: Sequence[SignItem | ItemError]) -> Iterable[Group]:
    """The items in groups that want the same. Those that are errors already have their failure."""
    if _GOOD.issuperset(map(type, items)):  # as nearly all are
        return groups(cast("Sequence[SignItem]", items), [*range(len(items))])
    good: list[SignItem] = []
    indexes: list[int] = []
    for index, item in enumerate(items):
        if isinstance(item, ItemError):
            batch.fail((index,), item)
        else:
            good.append(item)
            indexes.append(index)
    return groups(good, indexes)
