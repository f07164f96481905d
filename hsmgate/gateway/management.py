"""The use case: keys on a token are made, imported, changed and destroyed, by apps that may `manage`.

A new key is made on the first token of the config that is not drained. A change goes to every token that has the key.
"""

import contextlib
import time
import uuid

import msgspec
from msgspec import structs

from hsmgate.domain.model import KeyInfo, KeyNotes
from hsmgate.errors import AmbiguousKey, BadItem, NoSuchKey, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.keyring import Sobject, check_name
from hsmgate.gateway.signing import BatchSigner
from hsmgate.gateway.sobjects import SobjectRequest, key_to_make
from hsmgate.gateway.targets import taking
from hsmgate.ipc.messages import Change, Manage

LOOKS = 3
"""How often the token's keys are read for a new key that is not among them."""

MOST_NOTES = 16 * 1024
"""Bytes of a key's description and metadata: signers read those of all keys, and tell them in one message."""


class KeyManager:
    """Changes keys through the pools of a signer."""

    def __init__(self, signer: BatchSigner) -> None:
        self._signer = signer

    async def generate(self, wanted: SobjectRequest, app: App) -> KeyInfo:
        """A new key on the token. Raises ItemError."""
        _check_may(app)
        key_type, variant, bits = key_to_make(wanted)
        order = self._new(wanted, app, Change.GENERATE)
        return await self._make(structs.replace(order, key_type=key_type, variant=variant, bits=bits), app)

    async def import_(self, wanted: SobjectRequest, app: App) -> KeyInfo:
        """A key on the token that was made elsewhere. Raises ItemError."""
        _check_may(app)
        if not wanted.value:
            raise BadItem("value: missing")
        if not wanted.obj_type:
            raise BadItem("obj_type: missing")
        order = self._new(wanted, app, Change.IMPORT)
        return await self._make(structs.replace(order, key=wanted.value, obj_type=wanted.obj_type), app)

    async def update(self, kid: str, wanted: SobjectRequest, app: App) -> KeyInfo:
        """The key, changed as far as `wanted` says. Raises ItemError."""
        _check_may(app)
        sobject = self._signer.keyring.by_kid(kid, app)
        self._signer.check_free(sobject.info.kid, app)
        info, notes = sobject.info, sobject.info.notes
        if wanted.name is not None and wanted.name != info.name:
            self._check_name(wanted.name, app)
        changed = KeyNotes(
            created_at=notes.created_at,
            enabled=notes.enabled if wanted.enabled is None else wanted.enabled,
            operations=notes.operations if wanted.key_ops is None else [*wanted.key_ops],
            description=notes.description if wanted.description is None else wanted.description,
            metadata=notes.metadata if wanted.custom_metadata is None else wanted.custom_metadata,
        )
        _check_size(changed)
        _check_taking(sobject)
        for route in sobject.routes:
            order = Manage(0, Change.UPDATE, info.kid, route.ref, name=wanted.name, notes=changed)
            await self._signer.manage(route.pool, order)
        return self._signer.keyring.by_kid(kid, app).info

    async def destroy(self, kid: str, app: App) -> None:
        """The key is gone. Raises ItemError."""
        _check_may(app)
        sobject = self._signer.keyring.by_kid(kid, app)
        self._signer.check_free(sobject.info.kid, app)
        _check_taking(sobject)
        for route in sobject.routes:
            await self._signer.manage(route.pool, Manage(0, Change.DESTROY, sobject.info.kid, route.ref))

    def _new(self, wanted: SobjectRequest, app: App, change: Change) -> Manage:
        if wanted.name is None:
            raise BadItem("name: missing")
        self._check_name(wanted.name, app)
        kid = uuid.uuid4()
        notes = KeyNotes(
            created_at=int(time.time()),
            enabled=wanted.enabled is not False,
            operations=None if wanted.key_ops is None else [*wanted.key_ops],
            description=wanted.description or "",
            metadata=wanted.custom_metadata or {},
        )
        _check_size(notes)
        return Manage(0, change, str(kid), ckaid=kid.bytes, name=wanted.name, notes=notes)

    def _check_name(self, name: str, app: App) -> None:
        check_name(name, "name")
        # First, or the answer would tell which names others have taken.
        if not app.grant.covers(name, ""):
            raise NotPermitted("name: this app may not use keys of that name")
        if self._signer.keyring.has_name(name):
            raise AmbiguousKey("name: there is a key of that name")

    async def _make(self, order: Manage, app: App) -> KeyInfo:
        pool = taking(self._signer.pools)[0]
        await self._signer.manage(pool, order)
        for _ in range(LOOKS):
            # Some tokens hide a new object from who reads while another one is written.
            with contextlib.suppress(NoSuchKey):
                return self._signer.keyring.by_kid(order.kid, app).info
            await self._signer.look(pool)
        return self._signer.keyring.by_kid(order.kid, app).info


def _check_taking(sobject: Sobject) -> None:
    """Raise NoSigner where a token with the key is drained: it would not have the change."""
    for route in sobject.routes:
        taking([route.pool])


def _check_size(notes: KeyNotes) -> None:
    size = len(msgspec.json.encode(notes))
    if size > MOST_NOTES:
        raise BadItem(
            f"description, custom_metadata, key_ops: {size} bytes together, but at most {MOST_NOTES} are allowed"
        )


def _check_may(app: App) -> None:
    if "manage" not in app.grant.operations:
        raise NotPermitted("this app may not manage keys")
