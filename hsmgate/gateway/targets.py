"""What an item means: a key, what to do with it, and every token that can."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from hsmgate.domain.envelope import Blob
from hsmgate.domain.model import ONE_TIME, KeyNotes, KeyType, SignParams
from hsmgate.errors import NoSigner, NotPermitted
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Work
from hsmgate.gateway.keyring import Keyring
from hsmgate.gateway.likeness import likeness
from hsmgate.gateway.pool import TokenPool
from hsmgate.gateway.wire import Descriptor, SignItem, VerifyItem
from hsmgate.ipc.messages import Action, Operation, Source

REMEMBERED_AT_MOST = 10_000
"""Targets; callers choose what they ask for (`context` is one's own), so there must be an end."""

_INLINE_TYPES = {"RSA": KeyType.RSA, "EC": KeyType.EC, "DSA": KeyType.DSA, "MLDSA": KeyType.ML_DSA}
"""By the `obj_type` of an inline key. An Edwards key is an "EC" until a signer has parsed it."""

Place = tuple[TokenPool, Work]


class Target:
    """A key and what to do with it.

    kid: None for a key that the caller brought.
    places: the tokens that can do it, never none.
    """

    __slots__ = ("kid", "places")

    def __init__(self, kid: str | None, places: list[Place]) -> None:
        self.kid = kid
        self.places = places

    def shares(self, count: int, to_come: Mapping[TokenPool, int]) -> Iterable[tuple[Place, int]]:
        """So many items over the places: each to where there is the least to do for each session.

        to_come: what is to come for them besides what they have.
        """
        if len(self.places) == 1:
            return ((self.places[0], count),)
        burdens = [_burden(pool, to_come.get(pool, 0)) for pool, _ in self.places]
        shares = [0] * len(burdens)
        for _ in range(count):
            least = min(range(len(burdens)), key=burdens.__getitem__)
            shares[least] += 1
            down, load = burdens[least]
            burdens[least] = down, load + 1 / max(1, self.places[least][0].parallel)
        return (share for share in zip(self.places, shares, strict=True) if share[1])


def _burden(pool: TokenPool, to_come: int) -> tuple[bool, float]:
    down, load = pool.burden()
    return down, load + to_come / max(1, pool.parallel)


class Targets:
    """Finds out what items mean, and remembers it for as long as the keys stay the same.

    reserved: the apps that have a key for themselves, by kid.
    """

    def __init__(self, keyring: Keyring, pools: Sequence[TokenPool]) -> None:
        self._keyring = keyring
        self._pools = pools
        self._known: dict[Hashable, Target] = {}
        self._version = keyring.version
        self.reserved: dict[str, App] = {}

    def reserve(self, kid: str, app: App) -> None:
        """From now on nobody but that app signs with the key, or changes it."""
        self.reserved[kid] = app
        self._known.clear()

    def check_free(self, kid: str, app: App) -> None:
        """Raise NotPermitted where another app has reserved the key."""
        if self.reserved.get(kid, app) is not app:
            raise NotPermitted("key: it signs the heads of the audit log, and nothing else")

    def of(self, item: SignItem, app: App) -> Target:
        """The target of an item, and of all that are like it. Raises ItemError."""
        if isinstance(item, VerifyItem):
            item.to_verify()
        key = app, likeness(item)
        if self._version != self._keyring.version or len(self._known) >= REMEMBERED_AT_MOST:
            self._known.clear()
            self._version = self._keyring.version
        target = self._known.get(key)
        if target is None:
            target = self._read(item, app)
            if target.kid is not None:
                self._known[key] = target
        return target

    def _read(self, item: SignItem, app: App) -> Target:
        descriptor = item.descriptor()
        item.payload()
        params = item.params()
        action = Action.VERIFY if isinstance(item, VerifyItem) else Action.SIGN
        check_may(app, action, f"this app may not {action}")
        if action is Action.SIGN:
            app.grant.rules.check(params)  # before there is a key: the answer is the same for any, there or not
        return self._find(descriptor, params, action, app)

    def _find(self, descriptor: Descriptor, params: SignParams, action: Action, app: App) -> "Target":
        """What is meant by an item, and every token that can do it. Raises ItemError."""
        if descriptor.inline is not None:
            check_may(app, "inline", "key.inline: this app may not bring its own keys")
            value, obj_type = descriptor.inline.read()
            _check_default(app, params, action, KeyType.RSA if obj_type.upper() == "RSA" else KeyType.OTHER)
            operation = Operation(value, params, Source.INLINE, obj_type, action=action)
            pools = taking(self._pools)
            able = [pool for pool in pools if pool.abilities.takes_inline(obj_type)]
            return _anywhere(operation, able or pools, _INLINE_TYPES.get(obj_type.upper(), KeyType.OTHER))
        if descriptor.transient_key is not None:
            check_may(app, "transient", "key.transient_key: this app may not use transient keys")
            blob = descriptor.transient_key
            sealed = Blob.read(blob)
            # Whether it tells its type truly, the signer sees by the seal.
            key_type = sealed.open().type
            _check_default(app, params, action, key_type)
            key_id = sealed.key_id
            operation = Operation(blob, params, Source.TRANSIENT, owner=app.id, action=action)
            knowing = [pool for pool in self._pools if key_id in pool.abilities.wrapping]
            return _anywhere(operation, taking(knowing or self._pools), key_type)
        if descriptor.kid is not None:
            sobject = self._keyring.by_kid(descriptor.kid, app)
        else:
            sobject = self._keyring.by_name(descriptor.name or "", app)
        _check_default(app, params, action, sobject.info.type)
        _check_notes(sobject.info.notes, action)
        if action is Action.SIGN:
            self.check_free(sobject.info.kid, app)
        once = sobject.info.type in ONE_TIME
        places: list[Place] = []
        key_type = sobject.info.type
        able = taking([route.pool for route in sobject.routes])
        for route in sobject.routes:
            if route.pool in able:
                operation = Operation(route.ref, params, action=action)
                places.append((route.pool, Work(operation, places, once=once, key_type=key_type)))
        return Target(sobject.info.kid, places)


def _anywhere(operation: Operation, pools: Sequence[TokenPool], key_type: KeyType) -> Target:
    places: list[Place] = []
    work = Work(operation, places, key_type=key_type)
    places.extend((pool, work) for pool in pools)
    return Target(None, places)


def _check_default(app: App, params: SignParams, action: Action, key_type: KeyType) -> None:
    if action is Action.SIGN:
        app.grant.rules.check_default(params, key_type)


def _check_notes(notes: KeyNotes, action: Action) -> None:
    if not notes.enabled:
        raise NotPermitted("key: it is disabled")
    if notes.operations is not None and action.upper() not in notes.operations:
        raise NotPermitted(f"key: its key_ops do not allow {action.upper()}")


def taking(pools: Sequence[TokenPool]) -> list[TokenPool]:
    """Those that take new work. Raises NoSigner where none of them does."""
    able = [pool for pool in pools if not pool.draining]
    if not able:
        names = ", ".join(pool.name for pool in pools)
        raise NoSigner(f"token {names} is drained and takes nothing new at present; try again")
    return able


def check_may(app: App, operation: str, text: str) -> None:
    """Raise NotPermitted unless the app has that operation."""
    if operation not in app.grant.operations:
        raise NotPermitted(text)
