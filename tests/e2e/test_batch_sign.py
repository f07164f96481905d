"""POST /crypto/v1/keys/batch/sign: signatures that verify, and errors that cost one item."""

import asyncio
import base64
import itertools
import json
import os
from typing import Any

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from tests.gateway_process import Gateway, b64
from tests.token_tool import Demo
from tests.verify import HASHES, digest, verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

RSA = ("rsa2048", "rsa3072", "rsa4096")
EC = ("p256", "p384", "p521", "secp256k1")
KEYS = (*RSA, *EC, "ed25519")

MESSAGE = b64(b"attack at dawn")


def item(name: str, hash_alg: Any = "SHA256", **members: Any) -> dict[str, Any]:
    return {"key": {"name": name}, "hash_alg": hash_alg, "data": MESSAGE} | members


def pss(mgf: str) -> dict[str, Any]:
    return {"PSS": {"mgf": {"mgf1": {"hash": mgf}}}}


@pytest.fixture(scope="session")
def public_keys(demo: Demo) -> dict[str, PublicKeyTypes]:
    return {label: key for label, _, key in demo.public_keys()}


def check(public_keys: dict[str, PublicKeyTypes], asked: dict[str, Any], answer: dict[str, Any]) -> None:
    assert answer["status"] == 200, (asked, answer)
    assert set(answer) == {"status", "body"}
    verify(public_keys[asked["key"]["name"]], asked, base64.b64decode(answer["body"]["signature"], validate=True))


def every_good_item() -> list[dict[str, Any]]:
    """Each key with each hash, as data and as hash; for RSA each padding with equal and different MGF hashes."""
    modes: list[dict[str, Any] | None] = [None, {"PKCS1_V15": {}}, {"PSS": {}}, pss("SHA1"), pss("SHA256")]
    modes.append(pss("SHA3_384"))
    items: list[dict[str, Any]] = []
    for name, hash_alg, prehashed in itertools.product((*RSA, *EC), HASHES, (False, True)):
        signed = {"hash": b64(digest(hash_alg, name.encode()))} if prehashed else {"data": b64(name.encode())}
        asked = {"key": {"name": name}, "hash_alg": hash_alg, **signed}
        items += [asked | ({"mode": mode} if mode else {}) for mode in (modes if name in RSA else [None])]
    return items + [{"key": {"name": "ed25519"}, "data": b64(os.urandom(length))} for length in range(20)]


BAD_ITEMS: list[tuple[Any, int, str]] = [
    (1, 400, "not an object"),
    (None, 400, "not an object"),
    ([], 400, "not an object"),
    ({}, 400, "key"),
    (item("p256", key=None), 400, "key"),
    (item("p256", key={}), 400, "key"),
    (item("p256", key={"kid": None}), 400, "key"),
    (item("p256", key={"name": "p256", "kid": "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10"}), 400, "key"),
    (item("p256", key={"kid": "p256"}), 400, "key.kid"),
    (item("p256", key={"kid": 7}), 400, "key.kid"),
    (item("p256", key="p256"), 400, "key"),
    (item("p256", key={"kid": "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10"}), 404, "key"),
    (item("no such key"), 404, "key"),
    (item("\ud800"), 400, "key.name"),
    (item("a\0b"), 400, "key.name"),
    (item(""), 400, "key.name"),
    (item(" \n"), 400, "key.name"),
    (item("x" * 5000), 400, "key.name"),
    (item("p256", key={"name": 5}), 400, "key.name"),
    (item("p256", key={"transient_key": "AAAA"}), 400, "key.transient_key"),
    (item("p256", key={"transient_key": "!"}), 400, "key.transient_key"),
    (item("p256", key={"inline": {"value": "AAAA", "obj_type": "RSA"}}), 400, "key.inline.value"),
    (item("p256", key={"inline": {"value": "AAAA"}}), 400, "key.inline.obj_type"),
    (item("p256", key={"inline": {"obj_type": "RSA"}}), 400, "key.inline.value"),
    (item("p256", key={"inline": {"value": "AAAA", "obj_type": "AES"}}), 400, "key.inline.obj_type"),
    (item("p256", key={"inline": {"value": "AAAA", "obj_type": "KCDSA"}}), 422, "key.inline.obj_type"),
    (item("p256", key={"inline": {"value": "AAAA", "obj_type": "\ud800"}}), 400, "key.inline.obj_type"),
    (item("p256", key={"inline": "AAAA"}), 400, "key.inline"),
    (item("p256", data=None), 400, "hash, data"),
    (item("p256", hash=b64(bytes(32))), 400, "hash, data"),
    (item("p256", data="*"), 400, "data"),
    (item("p256", data="-_8="), 400, "data"),
    (item("p256", data="aGk"), 400, "data"),
    (item("p256", data=5), 400, "data"),
    (item("p256", data=None, hash=b64(bytes(31))), 400, "hash"),
    (item("p256", data=None, hash=""), 400, "hash"),
    (item("p256", "SHA257"), 400, "hash_alg"),
    (item("p256", ""), 400, "hash_alg"),
    (item("p256", hash_alg=None), 400, "hash_alg"),
    (item("p256", hash_alg=256), 400, "hash_alg"),
    (item("p256", "\ud800"), 400, "hash_alg"),
    (item("p256", "x" * 100_000), 400, "hash_alg"),
    (item("p256", mode={"PKCS1_V15": {}}), 400, "mode"),
    (item("rsa2048", mode={"PKCS1_V16": {}}), 400, "mode"),
    (item("rsa2048", mode={}), 400, "mode"),
    (item("rsa2048", mode="PSS"), 400, "mode"),
    (item("rsa2048", mode={"PSS": {}, "PKCS1_V15": {}}), 400, "mode"),
    (item("rsa2048", mode={"PSS": {"mgf": {}}}), 400, "mode.PSS.mgf"),
    (item("rsa2048", mode={"PSS": {"mgf": {"mgf1": {}}}}), 400, "mode.PSS.mgf.mgf1.hash"),
    (item("rsa2048", mode=pss("MD4")), 400, "mode.PSS.mgf.mgf1.hash"),
    (item("rsa2048", mode={"variant": "PURE"}), 400, "mode"),
    (item("rsa2048", mode={"variant": "\ud800"}), 400, "mode.variant"),
    (item("rsa2048", mode=pss("\ud800")), 400, "mode.PSS.mgf.mgf1.hash"),
    (item("rsa2048", context=b64(bytes(256))), 400, "context"),
    (item("rsa2048", mode=pss("SHA256"), deterministic_signature=True), 422, "deterministic_signature"),
    (item("p256", deterministic_signature=True), 422, "deterministic_signature"),
    (item("p256", deterministic_signature="yes"), 400, "deterministic_signature"),
    (item("rsa2048", context="AAAA"), 400, "context"),
    (item("ed25519", data=None, hash=b64(bytes(64))), 422, "hash"),
]


async def test_every_key_hash_and_padding_gives_a_signature_that_verifies(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    items = every_good_item()
    for asked, answer in zip(items, await gateway.sign(items), strict=True):
        check(public_keys, asked, answer)


async def test_a_thousand_items_with_a_hundred_bad_ones_are_all_answered_in_order(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    good = itertools.cycle(every_good_item())
    bad = itertools.cycle(BAD_ITEMS)
    items: list[Any] = []
    expected: list[tuple[int, str] | None] = []
    for number in range(1000):
        if number % 10 == 3:
            wrong, status, member = next(bad)
            items.append(wrong)
            expected.append((status, member))
        else:
            items.append(next(good))
            expected.append(None)
    for asked, error, answer in zip(items, expected, await gateway.sign(items), strict=True):
        if error is None:
            check(public_keys, asked, answer)
        else:
            assert set(answer) == {"status", "error"}
            assert (answer["status"], answer["error"].partition(error[1])[1]) == error, (asked, answer)


@pytest.mark.parametrize(("wrong", "status", "member"), BAD_ITEMS)
async def test_a_bad_item_has_its_own_error_and_its_neighbour_is_signed(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes], wrong: Any, status: int, member: str
) -> None:
    good = item("p256")
    bad_answer, good_answer = await gateway.sign([wrong, good])
    assert bad_answer["status"] == status
    assert member in bad_answer["error"]
    check(public_keys, good, good_answer)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"null", 400),
        (b"{}", 400),
        (b'"text"', 400),
        (b"[", 400),
        (b"\xff\xfe[\x00]\x00", 400),
        (b"[" * 100_000, 400),
        (b'[{"key":' * 50_000 + b"1" + b"}]" * 50_000, 400),
        (json.dumps([{}] * 10_001).encode(), 413),
        (b"[" + b" " * (16 << 20) + b"]", 413),
        (b"[" + b"0," * 8_000_000 + b"0]", 413),
    ],
    ids=["empty", "null", "object", "string", "half", "utf-16", "deep", "deep and whole", "many", "large", "numbers"],
)
async def test_a_bad_body_fails_the_call_in_plain_text(gateway: Gateway, body: bytes, status: int) -> None:
    answered, text = await gateway.post(body)
    assert answered == status, text
    assert text
    assert b"{" not in text
    assert (await gateway.post(b"[]")) == (200, b"[]")


async def test_nulls_and_unknown_members_are_as_if_absent(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    key = {"kid": None, "name": "rsa2048", "transient_key": None, "inline": None, "other": 1}
    asked = item("rsa2048", hash=None, mode=None, deterministic_signature=None, context=None, key=key, later=[{}])
    check(public_keys, asked, await gateway.sign_one(asked))


async def test_no_content_type_is_needed_and_the_answer_says_json(gateway: Gateway) -> None:
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.post(
        gateway.url + "/crypto/v1/keys/batch/sign",
        data=json.dumps([item("p256")]).encode() + b"\n",
        headers=headers,
        skip_auto_headers=["Content-Type", "Accept", "User-Agent"],
    ) as response:
        assert response.status == 200
        assert response.content_type == "application/json"


async def test_a_kid_finds_the_key_that_its_name_finds(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    kid = (await gateway.sign_one(item("p384")))["body"]["kid"]
    for written in (kid, kid.upper()):
        asked = item("p384", key={"kid": written})
        answer = await gateway.sign_one(asked)
        check(public_keys, asked | {"key": {"name": "p384"}}, answer)
        assert answer["body"]["kid"] == kid


async def test_a_hundred_batches_of_a_hundred_from_twenty_connections_verify_and_memory_stays_flat(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    processes = [psutil.Process(pid) for pid in (gateway.process.pid, *gateway.signers())]

    async def round_of_batches() -> int:
        limit = asyncio.Semaphore(20)

        async def one(number: int) -> None:
            items = [item(KEYS[number % 8] if count % 25 == 0 else "p256") for count in range(100)]
            async with limit:
                answers = await gateway.sign(items)
            for asked, answer in zip(items, answers, strict=True):
                check(public_keys, asked, answer)

        await asyncio.gather(*(one(number) for number in range(100)))
        return sum(process.memory_info().rss for process in processes)

    warm = await round_of_batches()
    grown = await round_of_batches() - warm
    assert grown < 16 << 20, f"{grown} bytes more after the second round"


@pytest.mark.parametrize(
    "credentials",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Bearer abc",
        "Digest x",
        "Basic " + b64(b"0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10:secret"),
    ],
)
async def test_no_call_without_credentials(gateway: Gateway, credentials: str | None) -> None:
    headers = {} if credentials is None else {"Authorization": credentials}
    status, text = await gateway.post([item("p256")], headers)
    assert status == 401
    assert b"credentials" in text


async def test_an_api_key_is_taken_as_basic_and_as_bearer_in_either_alphabet(gateway: Gateway) -> None:
    url_safe = gateway.api_key.translate(str.maketrans("+/", "-_")).rstrip("=")
    for credentials in (f"Bearer {gateway.api_key}", f"basic {url_safe}"):
        assert (await gateway.post([], {"Authorization": credentials})) == (200, b"[]")


async def test_a_malformed_header_is_not_quoted_in_the_log(gateway: Gateway) -> None:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /crypto/v1/keys/batch/sign HTTP/1.1\r\nAuthorization: Basic s3cret\x01value\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()
    assert "s3cret" not in gateway.log.read_text()


async def test_version_and_health_want_no_credentials(gateway: Gateway) -> None:
    async with gateway.client.get(gateway.url + "/sys/v1/version") as response:
        version = await response.json()
        assert response.status == 200
    assert version["server_mode"] == "Software"
    assert all(part.isdigit() for part in version["version"].split("."))
    async with gateway.client.get(gateway.url + "/sys/v1/health") as response:
        assert (response.status, await response.read()) == (204, b"")


async def test_short_batches_between_long_ones_all_have_their_signatures(
    gateway: Gateway, public_keys: dict[str, PublicKeyTypes]
) -> None:
    long = [item("rsa2048", data=b64(b"long %d" % n)) for n in range(300)] + [item("p384")] * 100
    signing = asyncio.gather(*(gateway.sign(long) for _ in range(2)))
    for number in range(60):
        short = [item("p256", data=b64(b"short %d" % number)), item("rsa2048", "SHA257")]
        good, bad = await gateway.sign(short)
        check(public_keys, short[0], good)
        assert bad["status"] == 400
    for answers in await signing:
        for asked, answer in zip(long, answers, strict=True):
            check(public_keys, asked, answer)
