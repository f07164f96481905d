"""Batch bodies: from JSON to what goes to a signer, and back to JSON."""

import json
from collections.abc import Callable, Sequence
from functools import cache

from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import KeyInfo
from hsmgate.errors import BadItem, ItemError
from hsmgate.gateway.answers import write_answer
from hsmgate.gateway.batch import Result, failure
from hsmgate.gateway.likeness import groups
from hsmgate.gateway.targets import Targets
from hsmgate.gateway.wire import (
    BadBody,
    SignItem,
    VerifyItem,
    read_descriptor,
    read_item,
    read_items,
    read_verify_items,
)
from hsmgate.ipc.messages import Action, Part, Sign, decode_to_signer, encode
from tests.fuzz.made_keys import ABLE, APP, WORDS, b64, bodies, played_tokens
from tests.fuzz.target import Target, check_text

Read = Callable[[bytes], Sequence[SignItem | BadItem]]


def check(data: bytes) -> None:
    """A BadBody, or as many answers as items: a 4xx, or what a signer understands."""
    read_them: tuple[Read, ...] = (read_items, read_verify_items)
    for read in read_them:
        try:
            items = read(data)
        except BadBody as error:
            check_text(str(error), data)
            break
        good = [item for item in items if not isinstance(item, BadItem)]
        places = [place for group in groups(good, [*range(len(good))]) for place in group.indexes]
        assert sorted(places) == [*range(len(good))]
        answers = [_answer(item) for item in items]
        written = json.loads(write_answer([kid for kid, _ in answers], [result for _, result in answers]))
        assert len(written) == len(items)
        assert all(answer["status"] == 200 or answer["error"] for answer in written)
    for read_one in (lambda: read_item(data, VerifyItem), lambda: read_descriptor(data).check()):
        try:
            read_one()
        except (BadBody, BadItem) as error:
            check_text(str(error))


@cache
def _token() -> tuple[Targets, dict[str, KeyInfo]]:
    keyring, pools = played_tokens()
    return Targets(keyring, pools), {sobject.info.kid: sobject.info for sobject in keyring.all_of(APP)}


def _answer(item: SignItem | BadItem) -> tuple[str | None, Result]:
    """What becomes of an item before a signer has it, and what a signer decides of it before the token has it."""
    try:
        if isinstance(item, BadItem):
            raise item
        targets, keys = _token()
        aim = targets.of(item, APP)
        payload = item.payload()
        (((_, work), _),) = aim.shares(1, {})
        signatures = [item.to_verify()] if isinstance(item, VerifyItem) else []
        sent = Sign(1, [Part(work.operation, [payload], signatures)], 1.0)
        assert decode_to_signer(encode(sent)) == sent
        if aim.kid is not None and work.operation.action is Action.SIGN:
            plan(work.operation.params, keys[aim.kid], ABLE).prepare(payload)
    except ItemError as error:
        assert 400 <= error.status < 500, error
        _check_error(error, item)
        return None, failure(error)
    return aim.kid, b"signature" if work.operation.action is Action.SIGN else True


def _check_error(error: ItemError, item: SignItem | BadItem) -> None:
    """It names a member, and says nothing of what is secret in the item."""
    secrets: list[bytes | None] = []
    if isinstance(item, SignItem):
        secrets = [item.data, item.hash]
        if item.key is not None:
            secrets += [item.key.transient_key, item.key.inline.value if item.key.inline else None]
    check_text(str(error), *secrets, *(b64(secret) for secret in secrets if secret))


TARGET = Target(
    name="batch",
    reads="batch bodies: JSON to items, keys and plans, and the answers back to JSON",
    promise="the call's 400, or an answer for each item: a 4xx, or what a signer understands",
    check=check,
    seeds=bodies,
    words=WORDS,
    longest=2048,
)
