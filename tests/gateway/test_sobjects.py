"""Transient keys as sobjects: what may be asked for, and what clients read."""

import base64
import json
import re
import time
import uuid
from typing import Any

import msgspec
import pytest

from hsmgate.domain.curves import CURVES
from hsmgate.domain.envelope import TransientKey, sealed, to_seal
from hsmgate.domain.model import KeyType
from hsmgate.errors import BadItem, ItemError, Unsupported
from hsmgate.gateway.sobjects import (
    RSA_BITS,
    TRANSIENT_SECONDS,
    SobjectRequest,
    describe_transient,
    order,
    read_request,
)
from hsmgate.gateway.wire import BadBody
from hsmgate.ipc.messages import Generate

OWNER = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
CREATED = 1_768_469_400  # 2026-01-15, 09:30:00 UTC
WEIERSTRASS = [curve for curve in CURVES.values() if not curve.name.startswith("Ed")]


def request(**members: Any) -> SobjectRequest:
    return read_request(json.dumps({"transient": True} | members).encode())


def blob(kind: KeyType = KeyType.RSA, variant: str | None = None, bits: int = 2048) -> bytes:
    expires = CREATED + TRANSIENT_SECONDS
    key = TransientKey(OWNER, kind, variant, bits, b"\xfb\xff spki", ["SIGN"], expires, 0x210B, b"wrapped")
    return sealed(to_seal(bytes(16), key), bytes(32))


def described(blob: bytes, **members: Any) -> dict[str, Any]:
    """The sobject as a client decodes it."""
    sobject: dict[str, Any] = json.loads(msgspec.json.encode(describe_transient(blob, **members)))
    return sobject


@pytest.mark.parametrize("bits", RSA_BITS)
@pytest.mark.parametrize("obj_type", ["RSA", "rsa"])
def test_an_rsa_key_is_ordered_by_its_size(bits: int, obj_type: str) -> None:
    before = int(time.time())
    ordered = order(request(obj_type=obj_type, key_size=bits), OWNER)
    assert ordered == Generate(0, OWNER, KeyType.RSA, "", bits, ["SIGN", "VERIFY"], ordered.expires)
    assert before + TRANSIENT_SECONDS <= ordered.expires <= time.time() + TRANSIENT_SECONDS


@pytest.mark.parametrize("curve", WEIERSTRASS, ids=lambda curve: curve.name)
def test_an_ec_key_is_ordered_by_its_curve(curve: Any) -> None:
    ordered = order(request(obj_type="EC", elliptic_curve=curve.name, key_size=1), OWNER)
    assert ordered == Generate(0, OWNER, KeyType.EC, curve.name, curve.bits, ["SIGN", "VERIFY"], ordered.expires)


@pytest.mark.parametrize(
    ("key_ops", "operations"),
    [(None, ["SIGN", "VERIFY"]), ([], []), (["SIGN"], ["SIGN"]), (["EXPORT", "SIGN"], ["EXPORT", "SIGN"])],
)
def test_the_operations_are_those_asked_for_or_the_usual(key_ops: list[str] | None, operations: list[str]) -> None:
    assert order(request(obj_type="RSA", key_size=2048, key_ops=key_ops), OWNER).operations == operations


@pytest.mark.parametrize(
    ("members", "kind", "member"),
    [
        ({}, BadItem, "obj_type: missing"),
        ({"obj_type": ""}, BadItem, "obj_type: missing"),
        ({"obj_type": "AES", "key_size": 256}, Unsupported, "obj_type"),
        ({"obj_type": "MLDSA"}, Unsupported, "obj_type"),
        ({"obj_type": "RSA"}, BadItem, "key_size"),
        ({"obj_type": "RSA", "key_size": 2047}, BadItem, "key_size"),
        ({"obj_type": "RSA", "key_size": -1}, BadItem, "key_size"),
        ({"obj_type": "RSA", "key_size": 2**62}, BadItem, "key_size"),
        ({"obj_type": "EC"}, BadItem, "elliptic_curve"),
        ({"obj_type": "EC", "elliptic_curve": "P-256"}, BadItem, "elliptic_curve"),
        ({"obj_type": "EC", "elliptic_curve": "X25519"}, BadItem, "elliptic_curve"),
        ({"obj_type": "EC", "elliptic_curve": "Ed25519"}, Unsupported, "elliptic_curve"),
        ({"obj_type": "EC", "elliptic_curve": "Ed448"}, Unsupported, "elliptic_curve"),
    ],
    ids=str,
)
def test_a_key_that_cannot_be_made_is_refused_by_its_member(
    members: dict[str, Any], kind: type[ItemError], member: str
) -> None:
    with pytest.raises(ItemError, match=f"^{member}(: |$)") as caught:
        order(request(**members), OWNER)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        *((body, "the body is not JSON") for body in (b"", b"{", b"\xff", b'{"name": "\xff"}', b"{}{}", b"NaN")),
        *((body, "it wants ") for body in (b"null", b"[]", b"1", b'"RSA"')),
        (b'{"obj_type": 1}', "obj_type: it wants a string, not a number"),
        (b'{"transient": "true"}', "transient: it wants true or false, not a string"),
        (b'{"transient": 1}', "transient: it wants true or false, not a number"),
        (b'{"key_size": "2048"}', "key_size: it wants a number, not a string"),
        (b'{"key_size": 2048.5}', "key_size: "),
        (b'{"elliptic_curve": {}}', "elliptic_curve: it wants a string, not "),
        (b'{"key_ops": "SIGN"}', "key_ops: "),
        (b'{"key_ops": ["SIGN", "sign"]}', "key_ops[1]: "),
        (b'{"key_ops": [1]}', "key_ops[0]: "),
        (b'{"name": "%s"}' % (b"a" * 4097), "name: "),
    ],
)
def test_a_body_of_wrong_types_is_a_bad_body(body: bytes, complaint: str) -> None:
    with pytest.raises(BadBody) as caught:
        read_request(body)
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("body", [b'{"name": "\\ud800"}', b"[" * 100_000, b'{"new":' + b"[" * 100_000])
def test_what_no_one_can_read_is_a_bad_body(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_request(body)


def test_nulls_and_unknown_members_are_passed_over() -> None:
    members = ("obj_type", "transient", "name", "description", "key_size", "elliptic_curve", "key_ops", "new")
    assert read_request(json.dumps(dict.fromkeys(members)).encode()) == SobjectRequest()


SOBJECTS = pytest.mark.parametrize("key", [blob(), blob(KeyType.EC, "NistP256", 256)], ids=["RSA", "EC"])


@SOBJECTS
def test_a_sobject_has_all_that_decoders_require(key: bytes) -> None:
    sobject = described(key, name="k", description="d")
    assert uuid.UUID(sobject["acct_id"])
    assert sobject["creator"] == {"app": OWNER}
    assert (sobject["created_at"], sobject["deactivation_date"]) == ("20260115T093000Z", "20260116T093000Z")
    assert re.fullmatch(r"\d{8}T\d{6}Z", sobject["lastused_at"])
    assert (sobject["enabled"], sobject["public_only"], sobject["never_exportable"]) == (True, False, True)
    assert (sobject["key_ops"], sobject["origin"], sobject["state"]) == (["SIGN"], "Transient", "Active")
    assert (sobject["name"], sobject["description"], sobject["custom_metadata"]) == ("k", "d", {})
    assert base64.b64decode(sobject["pub_key"], validate=True) == b"\xfb\xff spki"
    assert base64.b64decode(sobject["transient_key"], validate=True) == key


def test_what_is_of_one_kind_of_key_only_is_in_its_sobject_only() -> None:
    rsa, ec = described(blob()), described(blob(KeyType.EC, "NistP256", 256))
    assert (rsa["obj_type"], rsa["key_size"]) == ("RSA", 2048)
    assert rsa["rsa"] == {"key_size": 2048, "encryption_policy": [], "signature_policy": [{}]}
    assert (ec["obj_type"], ec["key_size"], ec["elliptic_curve"]) == ("EC", 256, "NistP256")
    assert "rsa" not in ec
    assert "elliptic_curve" not in rsa


@SOBJECTS
def test_no_member_is_null_and_a_transient_key_has_no_kid(key: bytes) -> None:
    sobject = described(key)
    assert None not in sobject.values()
    assert {"kid", "name", "links"}.isdisjoint(sobject)
    assert sobject["description"] == ""
