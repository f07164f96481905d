"""Keys on the token: made, imported, changed and destroyed through the API."""

import asyncio
import base64
import json
import re
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
)

from tests.conformance.tokens import make_nss
from tests.e2e.test_brought_keys import objects
from tests.e2e.test_commands import edited
from tests.e2e.test_verify_and_list import call, listed
from tests.gateway_process import Gateway, b64, serving
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

DATA = {"hash_alg": "SHA256", "data": b64(b"x")}


async def manage(gateway: Gateway, method: str, path: str = "", body: Any = None) -> tuple[int, Any]:
    status, answer = await call(gateway, method, f"/crypto/v1/keys{path}", body)
    return status, json.loads(answer) if answer.startswith(b"{") else answer.decode()


@pytest.mark.parametrize(
    "wanted",
    [
        {"obj_type": "RSA", "key_size": 2048},
        {"obj_type": "EC", "elliptic_curve": "NistP256"},
        {"obj_type": "EC", "elliptic_curve": "SecP256K1"},
        {"obj_type": "EC", "elliptic_curve": "Ed25519"},
    ],
    ids=str,
)
async def test_a_generated_key_signs_at_once_and_is_gone_when_deleted(
    own_gateway: Gateway, own_demo: Demo, wanted: dict[str, Any]
) -> None:
    before = objects(own_demo)
    more = {"name": "made", "key_ops": ["SIGN", "VERIFY", "APPMANAGEABLE"], "description": "by a test"}
    status, sobject = await manage(own_gateway, "POST", "", wanted | more)
    assert status == 201
    assert {member: sobject[member] for member in wanted | more} == wanted | more
    assert uuid.UUID(sobject["kid"]).version == 4
    asked = DATA | {"key": {"name": "made"}}
    answer = await own_gateway.sign_one(asked)
    assert answer["body"]["kid"] == sobject["kid"]
    key = load_der_public_key(base64.b64decode(sobject["pub_key"]))
    verify(key, asked, base64.b64decode(answer["body"]["signature"]))
    (ckaid,) = {ckaid for label, ckaid, _ in own_demo.public_keys() if label == "made"}
    assert ckaid == uuid.UUID(sobject["kid"]).hex
    assert objects(own_demo) == before + 3, "two halves and what is noted of them"
    assert await call(own_gateway, "DELETE", f"/crypto/v1/keys/{sobject['kid']}") == (204, b"")
    assert (await own_gateway.sign_one(asked))["status"] == 404
    assert objects(own_demo) == before


IMPORTED: list[tuple[str, PrivateKeyTypes]] = [
    ("RSA", rsa.generate_private_key(65537, 2048)),
    ("EC", ec.generate_private_key(ec.SECP384R1())),
    ("EC", ed25519.Ed25519PrivateKey.generate()),
]


@pytest.mark.parametrize(("obj_type", "key"), IMPORTED, ids=["RSA", "P-384", "Ed25519"])
async def test_an_imported_key_is_the_key_that_was_sent(
    own_gateway: Gateway, obj_type: str, key: PrivateKeyTypes
) -> None:
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wanted = {"name": "imported", "obj_type": obj_type, "value": b64(der)}
    status, sobject = await manage(own_gateway, "PUT", "", wanted)
    assert status == 201, sobject
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert sobject["pub_key"] == b64(public)
    asked = DATA | {"key": {"kid": sobject["kid"]}}
    verify(key.public_key(), asked, base64.b64decode((await own_gateway.sign_one(asked))["body"]["signature"]))


async def test_several_at_once_make_use_and_destroy_keys(own_gateway: Gateway) -> None:
    async def once(number: int) -> list[int]:
        wanted = {"name": f"together {number}", "obj_type": "EC", "elliptic_curve": "NistP256"}
        made, sobject = await manage(own_gateway, "POST", "", wanted)
        kid = sobject["kid"]
        answer = await own_gateway.sign_one({"key": {"kid": kid}, "hash_alg": "SHA256", "data": b64(b"x")})
        changed, _ = await manage(own_gateway, "PATCH", f"/{kid}", {"name": f"renamed {number}"})
        gone, _ = await manage(own_gateway, "DELETE", f"/{kid}")
        return [made, answer["status"], changed, gone]

    done = [await asyncio.gather(*(once(4 * round_ + lane) for lane in range(4))) for round_ in range(6)]
    assert done == [[[201, 200, 200, 204]] * 4] * 6


async def test_changes_are_kept_on_the_token_and_seen_by_a_replica(own_demo: Demo, tmp_path: Path) -> None:
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as gateway:
        before = next(key for key in await listed(gateway) if key["name"] == "p256")
        path = f"/{before['kid']}"
        changes: dict[str, Any] = {
            "name": "renamed",
            "description": "another",
            "custom_metadata": {"team": "blue", "ünïcode": "✓"},
            "enabled": False,
            "key_ops": ["VERIFY"],
        }
        sobject: dict[str, Any] = {}
        for member, value in changes.items():
            status, sobject = await manage(gateway, "PATCH", path, {member: value})
            assert (status, sobject[member]) == (200, value)
        assert sobject == before | changes
        asked = DATA | {"key": {"name": "renamed"}}
        answer = await gateway.sign_one(asked)
        assert (answer["status"], answer["error"]) == (403, "key: it is disabled")
        await manage(gateway, "PATCH", path, {"enabled": True})
        assert "key_ops" in (await gateway.sign_one(asked))["error"]
        await manage(gateway, "PATCH", path, {"key_ops": ["SIGN"]})
        assert (await gateway.sign_one(asked))["status"] == 200
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log2") as replica:
        _, seen = await manage(replica, "GET", path)
        assert seen == before | changes | {"enabled": True, "key_ops": ["SIGN"]}
    assert {label for label, ckaid, _ in own_demo.public_keys() if ckaid == uuid.UUID(before["kid"]).hex} == {"renamed"}


@pytest.mark.parametrize(
    ("asked", "status", "member"),
    [
        (("POST", "", {"obj_type": "RSA", "key_size": 2048}), 400, "name"),
        (("POST", "", {"name": "p256", "obj_type": "RSA", "key_size": 2048}), 409, "name"),
        (("POST", "", {"name": " ", "obj_type": "RSA", "key_size": 2048}), 400, "name"),
        (("POST", "", {"name": "a", "obj_type": "RSA"}), 400, "key_size"),
        (("POST", "", {"name": "a", "obj_type": "EC", "elliptic_curve": "X25519"}), 400, "elliptic_curve"),
        (("POST", "", {"name": "a", "obj_type": "AES", "key_size": 256}), 422, "obj_type"),
        (("POST", "", {"name": "a", "obj_type": "MLDSA"}), 400, "mldsa"),
        (("POST", "", {"name": "a", "obj_type": "MLDSA", "mldsa": {"param_set": "MlDsa65"}}), 422, "obj_type"),
        (("PUT", "", {"name": "a", "obj_type": "RSA"}), 400, "value"),
        (("PUT", "", {"name": "a", "obj_type": "RSA", "value": "AAAA"}), 400, "value"),
        (("PUT", "", {"name": "a", "obj_type": "AES", "value": "AAAA"}), 400, "obj_type"),
        (("PUT", "", {"name": "a", "value": "AAAA"}), 400, "obj_type"),
        (
            ("POST", "", {"obj_type": "EC", "elliptic_curve": "NistP256"} | {"name": "a", "description": "x" * 16_384}),
            400,
            "description, custom_metadata",
        ),
        (
            (
                "POST",
                "",
                {"obj_type": "EC", "elliptic_curve": "NistP256"}
                | {"name": "a", "custom_metadata": {str(n): "x" for n in range(5000)}},
            ),
            400,
            "description",
        ),
        (("PATCH", "/nonsense", {}), 400, "key.kid"),
        (("PATCH", f"/{uuid.uuid4()}", {}), 404, "key"),
        (("PATCH", f"/{uuid.uuid4()}", []), 400, ""),
        (("DELETE", f"/{uuid.uuid4()}", None), 404, "key"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_changes_nothing(
    gateway: Gateway, asked: tuple[str, str, Any], status: int, member: str
) -> None:
    before = await listed(gateway)
    answered, text = await manage(gateway, *asked)
    assert (answered, text.startswith(member)) == (status, True), text
    assert await listed(gateway) == before


async def test_only_apps_with_manage_change_keys(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, (', "manage"', ""))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        kid = (await listed(gateway))[0]["kid"]
        wanted = {"name": "a", "obj_type": "RSA", "key_size": 2048}
        for method, path, body in (("POST", "", wanted), ("PUT", "", wanted), ("PATCH", f"/{kid}", {})):
            assert (await manage(gateway, method, path, body))[0] == 403
        assert (await manage(gateway, "DELETE", f"/{kid}"))[0] == 403
        assert len(await listed(gateway)) == 8


async def test_ml_dsa_keys_are_made_where_the_token_can(tmp_path: Path) -> None:
    token = make_nss(tmp_path / "nss", {})
    async with serving(token.config, token.api_key, token.log) as gateway:
        wanted = {"name": "pq", "obj_type": "MLDSA", "mldsa": {"param_set": "MlDsa65"}}
        status, sobject = await manage(gateway, "POST", "", wanted)
        assert status == 201, sobject
        assert sobject["mldsa"] == {"param_set": "MlDsa65"}
        assert re.fullmatch(r"\d{8}T\d{6}Z", sobject["created_at"])
        # NSS keeps no data objects on its token, so what needs one is refused, not dropped.
        status, text = await manage(gateway, "PATCH", f"/{sobject['kid']}", {"enabled": False})
        assert (status, "data objects" in text) == (422, True)
        status, text = await manage(gateway, "POST", "", wanted | {"name": "off", "enabled": False})
        assert (status, "data objects" in text) == (422, True)
        assert [key["name"] for key in await listed(gateway)] == ["pq"]
        answer = await gateway.sign_one({"key": {"name": "pq"}, "data": b64(b"x")})
        public = load_der_public_key(base64.b64decode(sobject["pub_key"]))
        public.verify(base64.b64decode(answer["body"]["signature"]), b"x")  # type: ignore[union-attr, call-arg]
        assert (await manage(gateway, "DELETE", f"/{sobject['kid']}"))[0] == 204
