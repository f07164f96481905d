"""The strict decoder takes what the contract shows and nothing else: one that takes anything would prove nothing."""

import json
from typing import Any

import pytest

from tests.clients import strict
from tests.clients.strict import Answer, Failed, Undecodable

KID = "8f1c7a30-0002-4b6e-9a51-1b2c3d4e5f60"
# dsm-wire.md, section 3.5.
P256: dict[str, Any] = {
    "acct_id": "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10",
    "created_at": "20260115T093000Z",
    "creator": {"app": "5d1e1f52-7a1f-4f0e-8d53-0a6b8a7c9e21"},
    "custom_metadata": {},
    "description": "",
    "deterministic_signatures": False,
    "enabled": True,
    "group_id": "c6a1b0de-33f1-4a51-9a6d-7f5d0c9b8a77",
    "key_ops": ["SIGN", "VERIFY", "APPMANAGEABLE"],
    "lastused_at": "19700101T000000Z",
    "never_exportable": True,
    "origin": "FortanixHSM",
    "public_only": False,
    "state": "Active",
    "kid": KID,
    "name": "ec-p256",
    "obj_type": "EC",
    "elliptic_curve": "NistP256",
    "key_size": 256,
    "pub_key": "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEhTeean1uJtRTzOCA5R9BVsSkDkmtEqaZgB7Yu2vSqd4HyjwCkuUU1KQ5"
    "taQjMQRiMx4jDd6uxBdMGJPcu4klsw==",
}
SUCCESS: dict[str, Any] = {"status": 200, "body": {"kid": KID, "signature": "AQI="}}
FAILURE: dict[str, Any] = {"status": 404, "error": "no such key"}
SESSION: dict[str, Any] = {"token_type": "Bearer", "expires_in": 600, "access_token": "a_token", "entity_id": KID}
VERSION: dict[str, Any] = {"version": "4.2.0", "api_version": "v1", "server_mode": "Software", "fips_level": None}


def answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, {}, json.dumps(value).encode())


def test_what_the_contract_shows_is_read() -> None:
    assert strict.body(answer([P256]), strict.sobjects) == [P256]
    read = strict.body(answer([SUCCESS, FAILURE]), strict.batch(strict.signature, 2))
    assert read == [SUCCESS["body"], Failed(404, "no such key")]
    assert strict.body(answer([{**SUCCESS, "error": None}]), strict.batch(strict.signature, 1)) == [SUCCESS["body"]]
    assert strict.body(answer(SESSION), strict.session) == SESSION
    assert strict.body(answer(VERSION), strict.version) == VERSION
    strict.empty(Answer(204, {}, b""))
    assert strict.error(Answer(404, {"content-type": "text/plain"}, b"no such key")) == Failed(404, "no such key")


@pytest.mark.parametrize(
    "wrong",
    [
        *({"acct_id": None}, {"acct_id": "account"}, {"created_at": "2026-01-15T09:30:00Z"}, {"lastused_at": None}),
        *({"lastused_at": 0}, {"created_at": "20261315T093000Z"}, {"creator": {"system": KID}}, {"creator": {}}),
        *({"creator": None}, {"enabled": None}, {"enabled": 1}, {"key_ops": None}, {"key_ops": ["ENCAPSULATE"]}),
        *({"key_size": None}, {"key_size": "256"}, {"key_size": True}, {"obj_type": "MLDSA"}, {"origin": "PKCS11"}),
        *({"public_only": None}, {"kid": "ec-p256"}, {"kid": None}, {"transient_key": "AQI="}, {"state": "active"}),
        *({"pub_key": P256["pub_key"].rstrip("=")}, {"pub_key": "AQI="}, {"elliptic_curve": None}, {"links": {}}),
        *({"elliptic_curve": "Ed448"}, {"rsa": {"key_size": 2048}}, {"custom_metadata": {"a": 1}}, {"group_id": "g"}),
        {"rsa": {"key_size": 2048, "encryption_policy": None, "signature_policy": [{}]}},
    ],
    ids=str,
)
def test_an_sobject_that_a_client_cannot_read_is_noticed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        strict.body(answer({**P256, **wrong}), strict.sobject)


REQUIRED = ("acct_id", "created_at", "creator", "enabled", "key_ops", "key_size", "lastused_at", "obj_type", "origin")


@pytest.mark.parametrize("name", [*REQUIRED, "public_only", "kid"])
def test_a_member_that_is_missing_is_noticed(name: str) -> None:
    with pytest.raises(Undecodable):
        strict.body(answer({member: value for member, value in P256.items() if member != name}), strict.sobject)


@pytest.mark.parametrize(
    "item",
    [
        *(
            {**SUCCESS, "status": 201},
            {**SUCCESS, "status": "200"},
            {**SUCCESS, "error": ""},
            {**FAILURE, "status": 200},
        ),
        *(
            {**FAILURE, "status": 65536},
            {**FAILURE, "error": {"text": "no"}},
            {**FAILURE, "error": ""},
            {"status": 200},
        ),
        *({**FAILURE, "body": {"signature": "AQI="}}, {"body": SUCCESS["body"]}, {**SUCCESS, "body": {"kid": KID}}),
        *({**SUCCESS, "body": {"signature": sent}} for sent in ("AQI", "A-==", "AQI=\n", "AQJ=", None)),
        *({**SUCCESS, "body": {"kid": "key", "signature": "AQI="}}, {**FAILURE, "error": strict.APPROVAL}, None),
    ],
    ids=str,
)
def test_an_item_that_a_client_cannot_read_is_noticed(item: Any) -> None:
    with pytest.raises(Undecodable):
        strict.body(answer([item]), strict.batch(strict.signature, 1))


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"items": []}', b'[{"status": 200, "status": 200, "body": {"signature": ""}}]', b"[NaN]"],
)
def test_a_batch_that_is_no_array_of_its_length_is_noticed(content: bytes) -> None:
    with pytest.raises(Undecodable):
        strict.body(Answer(200, {}, content), strict.batch(strict.signature, 1))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"token_type": "bearer"}, {"expires_in": None}, {"expires_in": 600.0}, {"expires_in": 1 << 31}),
        *({"access_token": "a token"}, {"entity_id": "demo"}, {"allowed_mfa_methods": None, "entity_id": None}),
    ],
    ids=str,
)
def test_a_session_that_a_client_cannot_read_is_noticed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        strict.body(answer({**SESSION, **wrong}), strict.session)


@pytest.mark.parametrize(
    "wrong", [{"version": "4.2"}, {"version": "4.1.9"}, {"server_mode": "Hsm"}, {"api_version": 1}, {"fips_level": "3"}]
)
def test_a_version_that_a_client_cannot_read_is_noticed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Undecodable):
        strict.body(answer({**VERSION, **wrong}), strict.version)


def test_what_is_not_empty_is_noticed() -> None:
    for status, content in ((204, b"{}"), (200, b""), (404, b"")):
        with pytest.raises(Undecodable):
            strict.empty(Answer(status, {}, content))


@pytest.mark.parametrize(
    ("status", "kind", "content"),
    [(200, "text/plain", b"fine"), (404, "application/json", b"no"), (404, "text/plain", b'{"error": "no"}')],
)
def test_an_error_that_is_not_plain_text_is_noticed(status: int, kind: str, content: bytes) -> None:
    with pytest.raises(Undecodable):
        strict.error(Answer(status, {"content-type": kind}, content))
