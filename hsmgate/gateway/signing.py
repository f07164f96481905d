"""The use case: a batch comes in, every item gets an answer."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from hsmgate import config
from hsmgate.domain.envelope import Blob
from hsmgate.domain.model import ONE_TIME, KeyNotes, SignParams
from hsmgate.errors import BadItem, DeadlinePassed, ItemError, NoSigner, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Item, Result, Work, failure
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.wire import Descriptor, SignItem, VerifyItem
from hsmgate.ipc.messages import Action, Generate, Manage, Operation, Source


class BatchSigner:
    """Signs and verifies batches with the keys of a keyring, through their pools."""

    def __init__(self, keyring: Keyring, pools: Sequence[TokenPool], server: config.Server) -> None:
        self._keyring = keyring
        self._pools = pools
        self._server = server

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
        return any(pool.signers for pool in self._pools)

    async def run(self, items: Sequence[SignItem | BadItem], app: App) -> tuple[list[str | None], Sequence[Result]]:
        """The kid and the result of every item, in order; keys that callers bring have no kid.

        A VerifyItem is verified, any other signed.
        """
        batch = Batch(len(items), self._server.request_timeout)
        kids: list[str | None] = [None] * len(items)
        orders = _Orders(self._find, app)
        room = self._server.max_waiting - sum(pool.waiting for pool in self._pools)
        for index, item in enumerate(items):
            try:
                if isinstance(item, BadItem):
                    raise item
                if room <= 0:
                    raise NoSigner(f"too many items are waiting (max_waiting is {self._server.max_waiting})")
                kids[index] = orders.take(batch, index, item)
            except ItemError as error:
                batch.put(index, failure(error))
                continue
            room -= 1
        for pool, pool_items in orders.by_pool.items():
            pool.submit(pool_items)
        return kids, await batch.wait(lambda: self._late(orders.by_pool))

    def _find(self, descriptor: Descriptor, params: SignParams, action: Action, app: App) -> "_Target":
        """What is meant by an item, and every token that can do it. Raises ItemError."""
        if descriptor.inline is not None:
            _check_may(app, "inline", "key.inline: this app may not bring its own keys")
            value, obj_type = descriptor.inline.read()
            operation = Operation(value, params, Source.INLINE, obj_type, action=action)
            return _anywhere(operation, [pool for pool in self._pools if pool.takes_inline(obj_type)] or self._pools)
        if descriptor.transient_key is not None:
            _check_may(app, "transient", "key.transient_key: this app may not use transient keys")
            blob = descriptor.transient_key
            key_id = Blob.read(blob).key_id
            operation = Operation(blob, params, Source.TRANSIENT, owner=app.id, action=action)
            return _anywhere(operation, [pool for pool in self._pools if pool.has_wrapping_key(key_id)] or self._pools)
        if descriptor.kid is not None:
            sobject = self._keyring.by_kid(descriptor.kid, app)
        else:
            sobject = self._keyring.by_name(descriptor.name or "", app)
        _check_notes(sobject.info.notes, action)
        once = sobject.info.type in ONE_TIME
        places: list[tuple[TokenPool, Work]] = []
        for route in sobject.routes:
            places.append((route.pool, Work(Operation(route.ref, params, action=action), places, once=once)))
        return _Target(sobject.info.kid, places)

    async def manage(self, pool: TokenPool, order: Manage) -> None:
        """Change the keys of a token. Raises ItemError."""
        timeout = self._server.request_timeout
        try:
            await asyncio.wait_for(pool.orders.manage(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not done within {timeout:g} s") from None

    async def generate(self, order: Generate, app: App) -> bytes:
        """The blob of a new transient key. Raises ItemError."""
        _check_may(app, "transient", "transient: this app may not make transient keys")
        able = [pool for pool in self._pools if pool.wraps_keys()]
        timeout = self._server.request_timeout
        try:
            pool = min(able or self._pools, key=lambda pool: pool.burden())
            return await asyncio.wait_for(pool.orders.generate(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not made within {timeout:g} s") from None

    def _late(self, pools: Iterable[TokenPool]) -> ItemError:
        seconds = self._server.request_timeout
        if any(pool.signers for pool in pools):
            return DeadlinePassed(f"not signed within {seconds:g} s")
        return NoSigner(f"no signer could be had within {seconds:g} s")


@dataclass(frozen=True, slots=True)
class _Target:
    """A key and what to do with it, on every token that can: never none."""

    kid: str | None
    places: list[tuple[TokenPool, Work]]


def _anywhere(operation: Operation, pools: Sequence[TokenPool]) -> _Target:
    places: list[tuple[TokenPool, Work]] = []
    work = Work(operation, places)
    places.extend((pool, work) for pool in pools)
    return _Target(None, places)


class _Orders:
    """The items of one batch on their way to the pools. What items have in common is found out once."""

    def __init__(self, find: Callable[[Descriptor, SignParams, Action, App], _Target], app: App) -> None:
        self.by_pool: dict[TokenPool, list[Item]] = {}
        self._find = find
        self._app = app
        self._found: dict[object, _Target] = {}

    def take(self, batch: Batch, index: int, item: SignItem) -> str | None:
        """Take an item in. The kid of its key, if that is one of the tokens'. Raises ItemError."""
        descriptor = item.descriptor()
        payload = item.payload()
        params = item.params()
        signature, action = b"", Action.SIGN
        if isinstance(item, VerifyItem):
            signature, action = item.to_verify(), Action.VERIFY
        _check_may(self._app, action, f"this app may not {action}")
        key = (descriptor.kid, descriptor.name, params, action)
        target = self._found.get(key)
        if target is None:
            target = self._find(descriptor, params, action, self._app)
            if target.kid is not None:
                self._found[key] = target
        pool, work = target.places[0] if len(target.places) == 1 else self._least_busy(target)
        self.by_pool.setdefault(pool, []).append(Item(batch, index, work, payload, signature))
        return target.kid

    def _least_busy(self, target: _Target) -> tuple[TokenPool, Work]:
        """The place with the least to do, what this batch brings included."""

        def burden(place: tuple[TokenPool, Work]) -> tuple[bool, float]:
            down, load = place[0].burden()
            return down, load + len(self.by_pool.get(place[0], ())) / max(1, place[0].parallel)

        return min(target.places, key=burden)


def _check_notes(notes: KeyNotes, action: Action) -> None:
    if not notes.enabled:
        raise NotPermitted("key: it is disabled")
    if notes.operations is not None and action.upper() not in notes.operations:
        raise NotPermitted(f"key: its key_ops do not allow {action.upper()}")


def _check_may(app: App, operation: str, text: str) -> None:
    if operation not in app.grant.operations:
        raise NotPermitted(text)
