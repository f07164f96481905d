"""Keys that callers bring: inline and transient. They sign, they are gone afterwards, and nobody else reaches them."""

import asyncio
import base64
import json
import re
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_der_public_key,
)

from hsmgate.config import Config
from hsmgate.domain.model import KeyType
from hsmgate.gateway.pin import read_pin
from hsmgate.gateway.pin_file import PinFile
from hsmgate.gateway.signer_process import SignerProcess
from hsmgate.ipc.messages import FromSigner, Generate, Made
from tests.conformance.tokens import make_nss
from tests.e2e.test_commands import edited
from tests.gateway_process import HSMGATE, Gateway, b64, serving
from tests.secrets_scan import NOTES
from tests.token_tool import Demo
from tests.verify import verify

pytestmark = pytest.mark.asyncio(loop_scope="session")

KNOWN_ANSWERS: list[dict[str, Any]] = json.loads((Path(__file__).parents[1] / "vectors/known_answers.json").read_text())
ITEM = {"hash_alg": "SHA256", "data": b64(b"x")}
EC_P256 = {"obj_type": "EC", "elliptic_curve": "NistP256", "transient": True}
GROWTH_AT_MOST = 24 << 20
MANY = "one of many inline keys"
"""A kind of secret of its own, so that they leave room for the others."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def nss(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    token = make_nss(tmp_path_factory.mktemp("brought") / "nss", {"ML-DSA-65": "mldsa65"})
    async with serving(token.config, token.api_key, token.log) as running:
        yield running


def inline_p256(kind: str = "inline key") -> tuple[ec.EllipticCurvePrivateKey, dict[str, Any]]:
    key = ec.generate_private_key(ec.SECP256R1())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    NOTES.private_key(kind, key)
    return key, {"inline": {"value": b64(der), "obj_type": "EC"}}


async def make(gateway: Gateway, wanted: dict[str, Any], api_key: str | None = None) -> tuple[int, Any]:
    headers = {"Authorization": f"Basic {api_key or gateway.api_key}"}
    async with gateway.client.post(gateway.url + "/crypto/v1/keys", json=wanted, headers=headers) as response:
        is_json = response.content_type == "application/json"
        return response.status, await (response.json() if is_json else response.text())


async def transient(gateway: Gateway, **more: Any) -> str:
    status, sobject = await make(gateway, EC_P256 | more)
    assert status == 201, sobject
    blob: str = sobject["transient_key"]
    return blob


@pytest.mark.parametrize("answer", KNOWN_ANSWERS, ids=lambda answer: answer["source"])
async def test_published_vectors_give_the_exact_bytes(gateway: Gateway, nss: Gateway, answer: dict[str, Any]) -> None:
    asked = answer | {"key": {"inline": {"value": answer["key"], "obj_type": answer["obj_type"]}}, "signature": None}
    token = nss if answer["obj_type"] == "MLDSA" else gateway
    signed = await token.sign_one(asked)
    assert signed == {"status": 200, "body": {"signature": answer["signature"]}}


async def test_a_transient_key_signs_on_every_signer_after_a_restart_and_on_a_replica(
    own_demo: Demo, tmp_path: Path
) -> None:
    async with serving(own_demo.config, own_demo.api_key, tmp_path / "log") as first:
        asked: dict[str, Any] = {}
        for wanted in (EC_P256, {"obj_type": "RSA", "key_size": 2048, "transient": True, "key_ops": ["SIGN"]}):
            status, sobject = await make(first, wanted)
            assert status == 201
            assert sobject["origin"] == "Transient"
            key = load_der_public_key(base64.b64decode(sobject["pub_key"]))
            asked = ITEM | {"key": {"transient_key": sobject["transient_key"]}}
            async with serving(own_demo.config, own_demo.api_key, tmp_path / "log2") as replica:
                for gateway in (first, replica):
                    for answer in await gateway.sign([asked] * 300):
                        assert set(answer["body"]) == {"signature"}
                        verify(key, asked, base64.b64decode(answer["body"]["signature"]))
        first.kill_signers(2)
        assert (await first.sign_one(asked))["status"] == 200


async def test_every_flipped_byte_of_a_blob_is_an_item_error(gateway: Gateway) -> None:
    blob = base64.b64decode(await transient(gateway))
    spoiled = [blob[:at] + bytes((blob[at] ^ 1,)) + blob[at + 1 :] for at in range(len(blob))]
    spoiled += [blob[:-1], blob + b"\0", blob[:40]]
    answers = await gateway.sign([ITEM | {"key": {"transient_key": b64(bad)}} for bad in spoiled])
    assert {answer["status"] for answer in answers} <= {400, 404}
    assert all("key.transient_key" in answer["error"] for answer in answers)


async def test_a_blob_is_for_its_app_its_operations_and_its_token(own_demo: Demo, demo: Demo, tmp_path: Path) -> None:
    other_id = "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10"
    app = f"""
[[app]]
id = "{other_id}"
name = "other"
secret_sha256 = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
operations = ["sign", "transient"]
"""
    config = edited(own_demo, ("\n[[app]]", app + "\n[[app]]"))
    other_key = b64(f"{other_id}:secret".encode())
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        mine = ITEM | {"key": {"transient_key": await transient(gateway)}}
        assert (await gateway.sign_one(mine))["status"] == 200
        status, body = await gateway.post([mine], {"Authorization": f"Basic {other_key}"})
        assert status == 200
        assert json.loads(body) == [{"status": 403, "error": "key.transient_key: it belongs to another app"}]
        no_sign = ITEM | {"key": {"transient_key": await transient(gateway, key_ops=["VERIFY"])}}
        assert (await gateway.sign_one(no_sign))["status"] == 403
        elsewhere = make_demo(tmp_path / "elsewhere")
        async with serving(elsewhere.config, elsewhere.api_key, tmp_path / "log2") as another_token:
            answer = await another_token.sign_one(mine)
            assert (answer["status"], "another token" in answer["error"]) == (404, True)


def make_demo(folder: Path) -> Demo:
    subprocess.run([*HSMGATE, "init", str(folder)], check=True, stdout=subprocess.DEVNULL)
    return Demo(folder)


async def test_an_expired_blob_is_refused(demo: Demo, gateway: Gateway) -> None:
    """Made by a signer that was told an hour of the past: nobody else can seal such a blob."""
    owner = base64.b64decode(gateway.api_key).decode().partition(":")[0]
    config = Config.load(demo.config)
    token = config.token[0]
    pin = await read_pin(token.pin_source, config.folder)
    signer = await SignerProcess.start(token, config.folder, pin, PinFile())
    made: asyncio.Future[FromSigner] = asyncio.get_running_loop().create_future()
    signer.listen(made.set_result)
    signer.send(Generate(1, owner, KeyType.EC, "NistP256", 256, ["SIGN"], int(time.time()) - 3600))
    answer = await made
    await signer.stop()
    assert isinstance(answer, Made)
    assert isinstance(answer.result, bytes)
    refused = await gateway.sign_one(ITEM | {"key": {"transient_key": b64(answer.result)}})
    assert (refused["status"], refused["error"]) == (404, "key.transient_key: it has expired")


@pytest.mark.parametrize(
    ("wanted", "status", "member"),
    [
        ({}, 400, "obj_type"),
        ({"transient": True}, 400, "obj_type"),
        ({"transient": True, "obj_type": "RSA"}, 400, "key_size"),
        ({"transient": True, "obj_type": "RSA", "key_size": 100}, 400, "key_size"),
        ({"transient": True, "obj_type": "RSA", "key_size": "2048"}, 400, "key_size"),
        ({"transient": True, "obj_type": "EC"}, 400, "elliptic_curve"),
        ({"transient": True, "obj_type": "EC", "elliptic_curve": "Ed25519"}, 422, "elliptic_curve"),
        ({"transient": True, "obj_type": "AES", "key_size": 256}, 422, "obj_type"),
        (EC_P256 | {"key_ops": ["FLY"]}, 400, "key_ops"),
        ([], 400, ""),
    ],
)
async def test_what_cannot_be_made_is_refused_in_plain_text(
    gateway: Gateway, wanted: Any, status: int, member: str
) -> None:
    answered, text = await make(gateway, wanted)
    assert answered == status
    assert text.startswith(member)


async def test_an_app_that_may_not_bring_keys_is_told_so(own_demo: Demo, tmp_path: Path) -> None:
    config = edited(own_demo, ('"inline", "transient", ', ""))
    async with serving(config, own_demo.api_key, tmp_path / "log") as gateway:
        assert (await make(gateway, EC_P256))[0] == 403
        answer = await gateway.sign_one(ITEM | {"key": inline_p256()[1]})
        assert (answer["status"], answer["error"].partition(":")[0]) == (403, "key.inline")


@pytest.mark.timeout(300)
async def test_ten_thousand_brought_keys_leave_memory_flat_and_nothing_on_the_token(
    own_demo: Demo, own_gateway: Gateway
) -> None:
    """Each inline key is another; the transient key is one, unwrapped again for each message."""
    blob = await transient(own_gateway)  # which makes the token's two secret keys for it, if it is the first
    before = objects(own_demo)
    warm_up = [ITEM | {"key": inline_p256(MANY)[1]} for _ in range(500)]
    warm_up += [ITEM | {"key": {"transient_key": blob}}] * 500
    assert {answer["status"] for answer in await own_gateway.sign(warm_up)} == {200}
    signers = [psutil.Process(pid) for pid in own_gateway.signers()]
    memory = [signer.memory_info().rss for signer in signers]
    for _ in range(10):
        items = [ITEM | {"key": inline_p256(MANY)[1]} for _ in range(1000)]
        items += [ITEM | {"key": {"transient_key": blob}}] * 1000
        assert {answer["status"] for answer in await own_gateway.sign(items)} == {200}
    grown = [signer.memory_info().rss - was for signer, was in zip(signers, memory, strict=True)]
    assert max(grown) < GROWTH_AT_MOST, grown
    assert objects(own_demo) == before


def objects(demo: Demo) -> int:
    return len(re.findall(r"^\w.* [Oo]bject\b", demo.tool("-l", "--list-objects"), re.MULTILINE))


async def test_no_descriptor_reaches_a_key_that_another_request_brought(gateway: Gateway) -> None:
    """While inline keys are on the token, ask for everything that they could be found by."""
    key, descriptor = inline_p256()
    value = base64.b64decode(descriptor["inline"]["value"])
    assert isinstance(load_der_private_key(value, None), ec.EllipticCurvePrivateKey)
    busy = asyncio.create_task(gateway.sign([ITEM | {"key": descriptor}] * 3000))
    tries = [{"name": " "}, {"name": "\0"}, {"name": ""}, {"kid": "00000000-0000-0000-0000-000000000000"}]
    while not busy.done():
        answers = await gateway.sign([ITEM | {"key": wanted} for wanted in tries])
        assert {answer["status"] for answer in answers} <= {400, 404}
    for answer in await busy:
        verify(key.public_key(), ITEM, base64.b64decode(answer["body"]["signature"]))
