"""The use case: a batch comes in, every item gets an answer."""

from collections.abc import Sequence

from hsmgate import config
from hsmgate.errors import BadItem, DeadlinePassed, ItemError, NoSigner, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Item, Result, failure
from hsmgate.gateway.keyring import Keyring, Sobject
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.wire import SignItem
from hsmgate.ipc.messages import Operation


class BatchSigner:
    """Signs batches with the keys of a keyring, through their pools."""

    def __init__(self, keyring: Keyring, pools: Sequence[TokenPool], server: config.Server) -> None:
        self._keyring = keyring
        self._pools = pools
        self._server = server

    def ready(self) -> bool:
        """Whether something could be signed now."""
        return any(pool.signers for pool in self._pools)

    async def sign(self, items: Sequence[SignItem | BadItem], app: App) -> tuple[list[str | None], Sequence[Result]]:
        """The kid and the result of every item, in order."""
        batch = Batch(len(items))
        kids: list[str | None] = [None] * len(items)
        work: dict[TokenPool, list[Item]] = {}
        room = self._server.max_waiting - sum(pool.waiting for pool in self._pools)
        for index, item in enumerate(items):
            try:
                sobject, operation, payload, pool = self._prepare(item, app)
                if room <= 0:
                    raise NoSigner(f"too many items are waiting (max_waiting is {self._server.max_waiting})")
            except ItemError as error:
                batch.put(index, failure(error))
                continue
            room -= 1
            kids[index] = sobject.info.kid
            work.setdefault(pool, []).append(Item(batch, index, operation, payload))
        for pool, pool_items in work.items():
            pool.submit(pool_items)
        timeout = self._server.request_timeout
        return kids, await batch.wait(timeout, lambda: self._late(work))

    def _prepare(self, item: SignItem | BadItem, app: App) -> tuple[Sobject, Operation, bytes, TokenPool]:
        """What to sign, with what, how, where. Raises ItemError."""
        if isinstance(item, BadItem):
            raise item
        descriptor = item.descriptor()
        payload = item.payload()
        params = item.params()
        if "sign" not in app.grant.operations:
            raise NotPermitted("this app may not sign")
        if descriptor.kid is not None:
            sobject = self._keyring.by_kid(descriptor.kid, app)
        else:
            sobject = self._keyring.by_name(descriptor.name or "", app)
        route = sobject.route()
        return sobject, Operation(route.ref, params), payload, route.pool

    def _late(self, work: dict[TokenPool, list[Item]]) -> ItemError:
        seconds = self._server.request_timeout
        if any(pool.signers for pool in work):
            return DeadlinePassed(f"not signed within {seconds:g} s")
        return NoSigner(f"no signer could be had within {seconds:g} s")
