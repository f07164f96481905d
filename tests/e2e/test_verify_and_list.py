"""Verifying, hashing, listing, and session tokens."""

import asyncio
import base64
import hashlib
import itertools
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tests.e2e.test_batch_sign import every_good_item, item, pss
from tests.e2e.test_brought_keys import EC_P256, make
from tests.e2e.test_commands import edited
from tests.gateway_process import Gateway, b64, serving
from tests.token_tool import Demo

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def call(
    gateway: Gateway, method: str, path: str, body: Any = None, authorization: str | None = None
) -> tuple[int, bytes]:
    headers = {"Authorization": authorization or f"Basic {gateway.api_key}"}
    async with gateway.client.request(method, gateway.url + path, json=body, headers=headers) as response:
        return response.status, await response.read()


async def verified(gateway: Gateway, items: list[Any]) -> list[dict[str, Any]]:
    status, body = await call(gateway, "POST", "/crypto/v1/keys/batch/verify", items)
    assert status == 200
    answers: list[dict[str, Any]] = json.loads(body)
    assert len(answers) == len(items)
    return answers


async def session(gateway: Gateway) -> str:
    status, body = await call(gateway, "POST", "/sys/v1/session/auth")
    answer = json.loads(body)
    assert (status, answer["token_type"], answer["expires_in"]) == (200, "Bearer", 600)
    assert uuid.UUID(answer["entity_id"])
    return f"Bearer {answer['access_token']}"


EVERY_HASH = ("BLAKE2B256", "BLAKE2B384", "BLAKE2B512", "BLAKE2S256", "RIPEMD160", "SSL3", "STREEBOG256", "STREEBOG512")


async def test_what_was_signed_verifies_and_what_was_changed_does_not(gateway: Gateway) -> None:
    """Signatures of this gateway, which other tests verify by other means."""
    asked = every_good_item()
    for name, mode in itertools.product(EVERY_HASH, (None, {"PSS": {}}, pss("BLAKE2S256"), pss("SHA256"))):
        asked.append(item("rsa2048", name) | ({"mode": mode} if mode else {}))
    asked += [item(key, name) for name in EVERY_HASH for key in ("p256", "p521")]
    answers = await gateway.sign(asked)
    right = [a | {"signature": b["body"]["signature"]} for a, b in zip(asked, answers, strict=True)]
    wrong = [a | {"signature": spoiled(a["signature"])} for a in right]
    for asked_for, expected in ((right, True), (wrong, False)):
        for one, answer in zip(asked_for, await verified(gateway, asked_for), strict=True):
            assert answer["status"] == 200, (one, answer)
            assert answer["body"]["result"] is expected, (one, answer)
            assert uuid.UUID(answer["body"]["kid"])


def spoiled(signature: str) -> str:
    raw = bytearray(base64.b64decode(signature))
    raw[len(raw) // 2] ^= 4
    return b64(bytes(raw))


@pytest.mark.parametrize("name", ["p256", "rsa2048", "ed25519"])
@pytest.mark.parametrize("signature", [b"", b"\0", b"\x30\x00", bytes(64), bytes(256), bytes(5000)])
async def test_a_malformed_signature_is_a_wrong_one(gateway: Gateway, name: str, signature: bytes) -> None:
    (answer,) = await verified(gateway, [item(name) | {"signature": b64(signature)}])
    assert (answer["status"], answer["body"]["result"]) == (200, False)


@pytest.mark.parametrize(
    ("wrong", "status", "member"),
    [
        (item("p256"), 400, "signature"),
        (item("p256", signature="!"), 400, "signature"),
        (item("no such key", signature="AAAA"), 404, "key"),
        (item("p256", "SHA257", signature="AAAA"), 400, "hash_alg"),
        (item("p256", data=None, hash="AAAA", signature="AAAA"), 400, "hash"),
        (item("p256", mode={"PSS": {}}, signature="AAAA"), 400, "mode"),
        (5, 400, "object"),
    ],
)
async def test_a_bad_item_to_verify_is_its_own_error(gateway: Gateway, wrong: Any, status: int, member: str) -> None:
    bad, good = await verified(gateway, [wrong, item("p256", signature="AAAA")])
    assert (bad["status"], member in bad["error"]) == (status, True)
    assert good["body"]["result"] is False


async def test_a_curve_that_no_library_here_knows_is_verified_on_the_token(
    own_gateway: Gateway, own_demo: Demo
) -> None:
    own_demo.make_key("odd", "EC:brainpoolP320r1", "01")
    asked = item("odd")
    async with asyncio.timeout(5):
        while (answer := await own_gateway.sign_one(asked))["status"] != 200:
            await asyncio.sleep(0.05)
    signature = answer["body"]["signature"]
    right, wrong = asked | {"signature": signature}, asked | {"signature": signature, "data": b64(b"other")}
    answers = await verified(own_gateway, [right, wrong, asked | {"signature": "AAAA"}])
    assert [answer["body"]["result"] for answer in answers] == [True, False, False]


async def test_brought_keys_verify_too_private_or_public(gateway: Gateway) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    asked = item("-", key={"inline": {"value": b64(private), "obj_type": "EC"}})
    signature = (await gateway.sign_one(asked))["body"]["signature"]
    _, sobject = await make(gateway, EC_P256)
    transient = item("-", key={"transient_key": sobject["transient_key"]})
    by_transient = (await gateway.sign_one(transient))["body"]["signature"]
    answers = await verified(
        gateway,
        [
            asked | {"signature": signature},
            asked | {"key": {"inline": {"value": b64(public), "obj_type": "EC"}}, "signature": signature},
            transient | {"signature": by_transient},
            transient | {"signature": signature},
        ],
    )
    assert [answer["body"] for answer in answers] == [{"result": True}] * 3 + [{"result": False}]


async def test_single_calls_have_the_items_status_and_body(gateway: Gateway) -> None:
    status, body = await call(gateway, "POST", "/crypto/v1/sign", item("p384"))
    signed = json.loads(body)
    assert (status, set(signed)) == (200, {"kid", "signature"})
    nameless = {"hash_alg": "SHA256", "data": item("p384")["data"]}
    for path, asked in (("verify", item("p384")), (f"keys/{signed['kid']}/verify", nameless)):
        status, body = await call(gateway, "POST", f"/crypto/v1/{path}", asked | {"signature": signed["signature"]})
        assert (status, json.loads(body)) == (200, {"kid": signed["kid"], "result": True})
    assert (await call(gateway, "POST", f"/crypto/v1/keys/{signed['kid']}/sign", nameless))[0] == 200
    wrong: list[tuple[str, Any, int]] = [
        ("sign", item("nothing"), 404),
        ("sign", [], 400),
        (f"keys/{signed['kid']}/sign", item("p384"), 400),
        ("keys/nonsense/sign", nameless, 400),
        (f"keys/{uuid.uuid4()}/sign", nameless, 404),
    ]
    for path, asked, status in wrong:
        answered, text = await call(gateway, "POST", f"/crypto/v1/{path}", asked)
        assert answered == status
        assert text
        assert b"{" not in text


async def test_digests(gateway: Gateway) -> None:
    for data in (b"", b"hi", bytes(100_000)):
        status, body = await call(gateway, "POST", "/crypto/v1/digest", {"alg": "Sha256", "data": b64(data)})
        assert (status, json.loads(body)) == (200, {"digest": b64(hashlib.sha256(data).digest())})
    wrongs: list[Any] = [{}, {"alg": "SHA256"}, {"alg": "SHA257", "data": ""}, {"alg": 1, "data": ""}, [], None]
    for wrong in wrongs:
        assert (await call(gateway, "POST", "/crypto/v1/digest", wrong))[0] == 400


async def listed(gateway: Gateway, query: str = "") -> list[dict[str, Any]]:
    status, body = await call(gateway, "GET", f"/crypto/v1/keys{query}")
    assert status == 200
    keys: list[dict[str, Any]] = json.loads(body)
    return keys


async def test_listing_pages_sorts_and_selects(gateway: Gateway) -> None:
    every = await listed(gateway)
    kids = [key["kid"] for key in every]
    assert len(every) == 8
    assert kids == sorted(kids)
    names = [key["name"] for key in await listed(gateway, "?sort=name:desc")]
    assert names == sorted(names, reverse=True)
    pages = [await listed(gateway, f"?limit=3&offset={offset}&sort=kid%3Aasc") for offset in (0, 3, 6, 9)]
    assert [key["kid"] for page in pages for key in page] == kids
    assert [key["kid"] for key in await listed(gateway, f"?start={kids[4]}")] == kids[5:]
    by_name = sorted(names)
    assert [key["name"] for key in await listed(gateway, f"?sort=name:asc&start={by_name[2]}")] == by_name[3:]
    assert {key["obj_type"] for key in await listed(gateway, "?obj_type=RSA")} == {"RSA"}
    assert [key["name"] for key in await listed(gateway, "?name=p521&show_pub_key=false")] == ["p521"]
    assert await listed(gateway, "?name=nothing") == []
    _, body = await call(gateway, "GET", "/crypto/v1/keys?with_metadata=true&obj_type=EC&limit=1")
    assert json.loads(body)["metadata"] == {"total_count": 8, "filtered_count": 5}
    for wrong in ("?limit=x", "?offset=-1", "?sort=colour"):
        assert (await call(gateway, "GET", f"/crypto/v1/keys{wrong}"))[0] == 400


async def test_a_key_is_shown_by_kid_and_by_descriptor(gateway: Gateway, demo: Demo) -> None:
    public = {label: key for label, _, key in demo.public_keys()}
    for key in await listed(gateway):
        by_kid = await call(gateway, "GET", f"/crypto/v1/keys/{key['kid']}")
        by_info = await call(gateway, "POST", "/crypto/v1/keys/info?", {"name": key["name"]})
        assert by_kid == by_info == (200, json.dumps(key, separators=(",", ":")).encode())
        der = public[key["name"]].public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert key["pub_key"] == b64(der)
    _, sobject = await make(gateway, EC_P256)
    status, body = await call(gateway, "POST", "/crypto/v1/keys/info", {"transient_key": sobject["transient_key"]})
    assert (status, json.loads(body)["pub_key"]) == (200, sobject["pub_key"])
    for wrong, status in (({"name": "nothing"}, 404), ({}, 400), ({"kid": "x"}, 400), ({"name": 5}, 400), ([], 400)):
        assert (await call(gateway, "POST", "/crypto/v1/keys/info", wrong))[0] == status


async def test_an_app_sees_only_its_keys(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ('keys = ["*"]', 'keys = ["rsa*"]'))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        assert {key["name"] for key in await listed(gateway)} == {"rsa2048", "rsa3072", "rsa4096"}
        assert (await call(gateway, "POST", "/crypto/v1/keys/info", {"name": "p256"}))[0] == 404


async def test_strict_listing_hides_what_old_clients_cannot_decode(own_demo: Demo, tmp_path: Path) -> None:
    own_demo.make_key("odd", "EC:brainpoolP256r1")
    for strict, names in (("false", {"odd"}), ("true", set[str]())):
        config = edited(own_demo, ("[server]\n", f"[server]\nstrict_listing = {strict}\n"))
        async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
            keys = await listed(gateway)
            assert {key["name"] for key in keys} & {"odd"} == names
            assert len(keys) == 8 + len(names)
            assert (await gateway.sign_one(item("odd")))["status"] == 200


async def test_published_public_keys_are_for_everyone_and_no_others(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ("[server]\n", '[server]\npublished_keys = ["p*"]\n'))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        keys = {key["name"]: key for key in await listed(gateway)}
        account = keys["p256"]["acct_id"]
        async with gateway.client.get(f"{gateway.url}/crypto/v1/pubkey/{account}/p256") as response:
            assert response.status == 200
            assert await response.json() == {keys["p256"]["kid"]: keys["p256"]["pub_key"]}
        for acct_id, name in ((account, "rsa2048"), (account, "nothing"), (uuid.uuid4(), "p256"), ("x", "p256")):
            async with gateway.client.get(f"{gateway.url}/crypto/v1/pubkey/{acct_id}/{name}") as response:
                assert (response.status, await response.text()) == (404, "no such key")


async def test_a_session_token_works_until_it_is_terminated(gateway: Gateway) -> None:
    token, other = await session(gateway), await session(gateway)
    assert (await call(gateway, "GET", "/crypto/v1/keys", None, token))[0] == 200
    assert await call(gateway, "POST", "/sys/v1/session/refresh", None, token) == (204, b"")
    assert await call(gateway, "POST", "/sys/v1/session/terminate", None, token) == (204, b"")
    for path in ("/sys/v1/session/refresh", "/sys/v1/session/terminate"):
        assert (await call(gateway, "POST", path, None, token))[0] == 401
    assert (await call(gateway, "POST", "/sys/v1/session/refresh", None, other))[0] == 204
    for wrong in (other[:-1], other + "A", "Bearer " + b64(bytes(73)), other.replace("Bearer", "Basic")):
        assert (await call(gateway, "POST", "/sys/v1/session/refresh", None, wrong))[0] == 401
    assert (await call(gateway, "POST", "/sys/v1/session/auth", None, other))[0] == 401


async def test_a_session_token_is_good_on_a_replica_and_after_a_restart(own_demo: Demo, tmp_path: Path) -> None:
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as first:
        token = await session(first)
        async with serving(own_demo.config, own_demo.api_key, tmp_path / "log2") as replica:
            assert (await call(replica, "GET", "/crypto/v1/keys", None, token))[0] == 200
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log3") as again:
        assert (await call(again, "GET", "/crypto/v1/keys", None, token))[0] == 200
    without = own_demo.folder / "without.toml"
    own = base64.b64decode(own_demo.api_key).decode().partition(":")[0]
    without.write_text(own_demo.config.read_text().replace(own, str(uuid.uuid4())))
    async with serving(without, own_demo.api_key, tmp_path / "log4") as without_the_app:
        assert (await call(without_the_app, "GET", "/crypto/v1/keys", None, token))[0] == 401
