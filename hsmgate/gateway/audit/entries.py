"""From a batch and its results to the record of it. No payload, key or signature goes in: only hashes of payloads."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from hsmgate.domain.audit import records
from hsmgate.domain.audit.records import Entry, time_text
from hsmgate.errors import BadItem, TooMany
from hsmgate.gateway.auth import App
from hsmgate.gateway.batch import Batch, Result
from hsmgate.gateway.keyring import is_kid
from hsmgate.gateway.wire import SignItem
from hsmgate.ipc.messages import Action, Failure


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, from where, in which request."""

    app: App
    request: str
    address: str


def batch_record(
    caller: Caller, items: Sequence[SignItem | BadItem], batch: Batch, results: Sequence[Result], *, verify: bool
) -> records.Batch:
    """The record of a batch."""
    return records.Batch(
        time=time_text(time.time() - (time.monotonic() - batch.begun)),
        action=Action.VERIFY if verify else Action.SIGN,
        request=caller.request,
        app=caller.app.id,
        app_name=caller.app.name,
        address=caller.address,
        items=_entries(items, batch, results),
    )


def call_record(caller: Caller, action: str, kid: str | None, status: int) -> records.Call:
    """The record of a call about keys or sessions that is answered now."""
    return records.Call(
        time=time_text(time.time()),
        action=action,
        request=caller.request,
        app=caller.app.id,
        app_name=caller.app.name,
        address=caller.address,
        kid=kid,
        status=status,
    )


def _entries(items: Sequence[SignItem | BadItem], batch: Batch, results: Sequence[Result]) -> list[Entry]:
    entries: list[Entry] = []
    add = entries.append
    for item, kid, result, (mechanism, ms) in zip(items, batch.kids, results, batch.histories(), strict=True):
        # Nearly all are like this, and there may be tens of thousands in a second.
        if type(result) is bytes and kid is not None and not isinstance(item, BadItem):
            payload, of = (item.data, "data") if item.hash is None else (item.hash, "hash")
            digest = sha256(payload or b"").hexdigest()
            add(Entry(kid=kid, mechanism=mechanism, sha256=digest, of=of, status=200, ms=ms))
        else:
            add(_entry(item, kid, result, mechanism, ms))
    return entries


def _entry(item: SignItem | BadItem, kid: str | None, result: Result, mechanism: str | None, ms: float) -> Entry:
    status = result.status if isinstance(result, Failure) else 200
    if status == TooMany.status:  # an app may send as many of these as it likes: they are to be short, and quickly made
        return Entry(status=status)
    if isinstance(item, BadItem):
        return Entry(status=status, ms=ms)
    digest, of = _digest(item)
    kid, key = (kid, None) if kid is not None else _asked(item)
    verified = result if isinstance(result, bool) else None
    return Entry(kid=kid, key=key, mechanism=mechanism, sha256=digest, of=of, status=status, verified=verified, ms=ms)


def _digest(item: SignItem) -> tuple[str | None, str | None]:
    """SHA-256 of the item's bytes, and which member they are; nothing where it has not exactly one."""
    if item.data is None:
        return (None, None) if item.hash is None else (sha256(item.hash).hexdigest(), "hash")
    return (sha256(item.data).hexdigest(), "data") if item.hash is None else (None, None)


def _asked(item: SignItem) -> tuple[str | None, str | None]:
    """What an item without a kid of ours asked for: a kid, or a key that came with it."""
    key = item.key
    if key is None:
        return None, None
    if key.inline is not None:
        return None, "inline"
    if key.transient_key is not None:
        return None, "transient"
    return (key.kid.lower() if key.kid is not None and is_kid(key.kid) else None), None
