"""The use case: a batch comes in, every item gets an answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from hsmgate import config
from hsmgate.domain.envelope import Blob
from hsmgate.domain.model import ONE_TIME, KeyNotes, SignParams
from hsmgate.errors import BadItem, DeadlinePassed, ItemError, NoSigner, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Item, Result, failure
from hsmgate.gateway.keyring import Keyring, Sobject
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
        batch = Batch(len(items))
        kids: list[str | None] = [None] * len(items)
        work: dict[TokenPool, list[Item]] = {}
        room = self._server.max_waiting - sum(pool.waiting for pool in self._pools)
        for index, item in enumerate(items):
            try:
                target = self._prepare(item, app)
                if room <= 0:
                    raise NoSigner(f"too many items are waiting (max_waiting is {self._server.max_waiting})")
            except ItemError as error:
                batch.put(index, failure(error))
                continue
            room -= 1
            kids[index] = target.kid
            carried = Item(batch, index, target.operation, target.payload, target.signature, once=target.once)
            work.setdefault(target.pool, []).append(carried)
        for pool, pool_items in work.items():
            pool.submit(pool_items)
        timeout = self._server.request_timeout
        return kids, await batch.wait(timeout, lambda: self._late(work))

    def _prepare(self, item: SignItem | BadItem, app: App) -> "_Target":
        """What to do, with what, where. Raises ItemError."""
        if isinstance(item, BadItem):
            raise item
        descriptor = item.descriptor()
        payload = item.payload()
        params = item.params()
        signature, action = b"", Action.SIGN
        if isinstance(item, VerifyItem):
            signature, action = item.to_verify(), Action.VERIFY
        _check_may(app, action, f"this app may not {action}")
        pool, operation, sobject = self._route(descriptor, params, app)
        if action is Action.VERIFY:
            operation = structs.replace(operation, action=action)
        if sobject is None:
            return _Target(pool, operation, payload, signature)
        _check_notes(sobject.info.notes, action)
        once = sobject.info.type in ONE_TIME
        return _Target(pool, operation, payload, signature, sobject.info.kid, once)

    def _route(
        self, descriptor: Descriptor, params: SignParams, app: App
    ) -> tuple[TokenPool, Operation, Sobject | None]:
        """The pool of a token that can, and the operation with its key. Raises ItemError."""
        if descriptor.inline is not None:
            _check_may(app, "inline", "key.inline: this app may not bring its own keys")
            value, obj_type = descriptor.inline.read()
            able = [pool for pool in self._pools if pool.takes_inline(obj_type)]
            return self._least_busy(able or self._pools), Operation(value, params, Source.INLINE, obj_type), None
        if descriptor.transient_key is not None:
            _check_may(app, "transient", "key.transient_key: this app may not use transient keys")
            blob = descriptor.transient_key
            key_id = Blob.read(blob).key_id
            able = [pool for pool in self._pools if pool.has_wrapping_key(key_id)]
            operation = Operation(blob, params, Source.TRANSIENT, owner=app.id)
            return self._least_busy(able or self._pools), operation, None
        if descriptor.kid is not None:
            sobject = self._keyring.by_kid(descriptor.kid, app)
        else:
            sobject = self._keyring.by_name(descriptor.name or "", app)
        route = sobject.route()
        return route.pool, Operation(route.ref, params), sobject

    async def manage(self, pool: TokenPool, order: Manage) -> None:
        """Change the keys of a token. Raises ItemError."""
        timeout = self._server.request_timeout
        try:
            await asyncio.wait_for(pool.manage(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not done within {timeout:g} s") from None

    async def generate(self, order: Generate, app: App) -> bytes:
        """The blob of a new transient key. Raises ItemError."""
        _check_may(app, "transient", "transient: this app may not make transient keys")
        able = [pool for pool in self._pools if pool.wraps_keys()]
        timeout = self._server.request_timeout
        try:
            return await asyncio.wait_for(self._least_busy(able or self._pools).generate(order), timeout)
        except TimeoutError:
            raise DeadlinePassed(f"not made within {timeout:g} s") from None

    def _least_busy(self, pools: Sequence[TokenPool]) -> TokenPool:
        return min(pools, key=lambda pool: (pool.fault is not None, pool.waiting))

    def _late(self, work: dict[TokenPool, list[Item]]) -> ItemError:
        seconds = self._server.request_timeout
        if any(pool.signers for pool in work):
            return DeadlinePassed(f"not signed within {seconds:g} s")
        return NoSigner(f"no signer could be had within {seconds:g} s")


@dataclass(frozen=True, slots=True)
class _Target:
    """Where an item goes, and as what."""

    pool: TokenPool
    operation: Operation
    payload: bytes
    signature: bytes
    kid: str | None = None
    once: bool = False


def _check_notes(notes: KeyNotes, action: Action) -> None:
    if not notes.enabled:
        raise NotPermitted("key: it is disabled")
    if notes.operations is not None and action.upper() not in notes.operations:
        raise NotPermitted(f"key: its key_ops do not allow {action.upper()}")


def _check_may(app: App, operation: str, text: str) -> None:
    if operation not in app.grant.operations:
        raise NotPermitted(text)
