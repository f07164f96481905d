"""Blobs of transient keys."""

import contextlib
import hashlib
import hmac
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hsmgate.domain.envelope import LARGEST_BLOB, TRANSIENT_TYPES, Blob, TransientKey, sealed, to_seal
from hsmgate.domain.model import KeyType
from hsmgate.domain.times import LATEST
from hsmgate.errors import BadItem

KEY_ID = bytes(range(16))
KEY = TransientKey(
    owner="5d1e1f52-8a3b-4c6d-9e7f-001122334455",
    type=KeyType.EC,
    variant="NistP256",
    bits=256,
    public_key=b"spki",
    operations=["SIGN", "VERIFY"],
    expires=2**31,
    mechanism=0x210B,
    wrapped=b"wrapped key",
)
BODY_AT = 4 + 16 + 32

keys = st.builds(
    TransientKey,
    owner=st.text(),
    type=st.sampled_from(sorted(TRANSIENT_TYPES)),
    variant=st.none() | st.text(),
    bits=st.integers(0, 2**16),
    public_key=st.binary(),
    operations=st.lists(st.text()),
    expires=st.integers(0, LATEST),
    mechanism=st.integers(0, 2**32),
    wrapped=st.binary(),
)


def seal(message: bytes) -> bytes:
    return hmac.digest(b"the token's", message, hashlib.sha256)


def blob_of(key: TransientKey) -> bytes:
    message = to_seal(KEY_ID, key)
    return sealed(message, seal(message))


def is_whole(blob: Blob) -> bool:
    return hmac.compare_digest(seal(blob.sealed), blob.seal)


BLOB = blob_of(KEY)


@settings(deadline=None)
@given(keys)
def test_what_was_sealed_comes_out(key: TransientKey) -> None:
    blob = Blob.read(blob_of(key))
    assert (blob.key_id, blob.seal, blob.sealed) == (KEY_ID, seal(to_seal(KEY_ID, key)), to_seal(KEY_ID, key))
    assert is_whole(blob)
    assert blob.open() == key


def test_a_blob_has_the_layout_of_its_description() -> None:
    assert (BLOB[:4], BLOB[4:20], len(BLOB[20:52])) == (b"hgt1", KEY_ID, 32)
    assert msgspec.msgpack.decode(BLOB[52:]) == list(msgspec.structs.astuple(KEY))


def test_no_bit_of_a_blob_can_be_flipped_unseen() -> None:
    for at in range(8 * len(BLOB)):
        flipped = (int.from_bytes(BLOB, "big") ^ 1 << at).to_bytes(len(BLOB), "big")
        with contextlib.suppress(BadItem):
            assert not is_whole(Blob.read(flipped)), f"bit {at}"


@pytest.mark.parametrize(
    "blob",
    [
        *(b"", b"h", b"hgt1", BLOB[: BODY_AT - 1], BLOB[:BODY_AT], b"hgt2" + BLOB[4:], b"\0" + BLOB),
        BLOB + bytes(LARGEST_BLOB + 1 - len(BLOB)),
    ],
    ids=lambda blob: f"{len(blob)} {blob[:4]!r}",
)
def test_what_cannot_be_a_blob_is_a_bad_item(blob: bytes) -> None:
    with pytest.raises(BadItem, match=r"^key\.transient_key: not a transient key of this service$"):
        Blob.read(blob)


def test_the_largest_blob_is_one() -> None:
    assert Blob.read(BLOB.ljust(LARGEST_BLOB, b"\0")).key_id == KEY_ID


@settings(deadline=None)
@given(st.binary() | st.builds(lambda size, junk: BLOB[BODY_AT:][:size] + junk, st.integers(0, 99), st.binary()))
@example(BLOB[BODY_AT:] + b"\0")
@example(b"\x91" * 10_000)
@example(msgspec.msgpack.encode([*msgspec.structs.astuple(KEY)[:-1]]))
@example(msgspec.msgpack.encode([*msgspec.structs.astuple(KEY)[:3], "256", *msgspec.structs.astuple(KEY)[4:]]))
@example(BLOB[BODY_AT:].replace(b"SIGN", b"SIG\xff"))
@example(BLOB[BODY_AT:].replace(b"EC", b"XX"))
def test_a_body_is_a_key_or_a_bad_item(body: bytes) -> None:
    blob = BLOB[:BODY_AT] + body
    try:
        key = Blob.read(blob).open()
    except BadItem as error:
        assert str(error).startswith("key.transient_key: ")  # noqa: PT017 - either way is right
        assert body != BLOB[BODY_AT:]
    else:
        assert isinstance(key, TransientKey)


@pytest.mark.parametrize(
    "claim",
    [
        *({"type": kind, "variant": None} for kind in KeyType if kind not in TRANSIENT_TYPES),
        *({"expires": seconds} for seconds in (-1, LATEST + 1, 2**63)),
    ],
    ids=str,
)
def test_what_no_transient_key_can_be_is_a_bad_item(claim: dict[str, Any]) -> None:
    # Found by fuzzing: whoever asked what such a blob is got a 500.
    with pytest.raises(BadItem, match=r"^key\.transient_key: made by another version of this service$"):
        Blob.read(blob_of(msgspec.structs.replace(KEY, **claim))).open()


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(b"hgt1".__add__))
def test_any_bytes_are_a_blob_or_a_bad_item(data: bytes) -> None:
    with contextlib.suppress(BadItem):
        assert Blob.read(data).open()


def test_a_transient_key_does_not_show_its_wrapped_key() -> None:
    shown = f"{KEY} {KEY!r} {[KEY]}"
    assert KEY.owner in shown
    assert "wrapped" not in shown
