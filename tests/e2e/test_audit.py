"""The audit log of a gateway that really signs, and `hsmgate audit verify`."""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from hsmgate.errors import AuditError
from tests.e2e.audited import (
    DIGEST,
    ITEM,
    SECRET,
    audited,
    call,
    files,
    good_signature,
    head_key,
    judge,
    records,
    records_of,
    run,
)
from tests.gateway_process import HSMGATE, Gateway, b64
from tests.secrets_scan import NOTES
from tests.token_tool import Demo


def inline() -> tuple[bytes, dict[str, Any]]:
    key = ec.generate_private_key(ec.SECP256R1())
    NOTES.private_key("inline key", key)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return der, {"inline": {"value": b64(der), "obj_type": "EC"}}


@pytest.mark.asyncio(loop_scope="session")
async def test_what_was_done_is_on_record_and_no_secret_is(own_demo: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    der, key = inline()
    words = 'fsync = "batch"', 'head_key = "p384"', "head_interval = 0.2", 'rotate_size = "16KiB"'
    async with audited(own_demo, folder, *words) as gateway:
        wanted = {"obj_type": "EC", "elliptic_curve": "NistP256"}
        transient = (await call(gateway, "POST", "/crypto/v1/keys", wanted | {"transient": True}, 201))["transient_key"]
        made = await call(gateway, "POST", "/crypto/v1/keys", wanted | {"name": "new"}, 201)
        await call(gateway, "DELETE", f"/crypto/v1/keys/{made['kid']}", None, 204)
        await call(gateway, "POST", "/crypto/v1/keys", wanted, 400)
        signing = await call(gateway, "POST", "/crypto/v1/keys/info", {"name": "p384"}, 200)
        await call(gateway, "DELETE", f"/crypto/v1/keys/{signing['kid']}", None, 403)
        token = (await call(gateway, "POST", "/sys/v1/session/auth", None, 200))["access_token"]
        await call(gateway, "POST", "/sys/v1/session/auth", None, 401, Authorization="Basic nobody")
        unknown = "0f2c8a44-5a57-4c0e-9d4b-6a2f6c1d3b10"
        mixed = [
            ITEM,
            ITEM | {"hash": b64(hashlib.sha256(SECRET).digest()), "data": None},
            ITEM | {"key": {"name": "rsa2048"}, "mode": {"PSS": {}}},
            ITEM | {"key": key},
            ITEM | {"key": {"transient_key": transient}},
            ITEM | {"key": {"kid": unknown.upper()}},
            ITEM | {"key": {"name": "p384"}},
            ITEM | {"hash": b64(b"both")},
            1,
        ]
        answers = await call(gateway, "POST", "/crypto/v1/keys/batch/sign", mixed, 200)
        statuses = [200, 200, 200, 200, 200, 404, 403, 400, 400]
        assert [answer["status"] for answer in answers] == statuses
        signature = answers[0]["body"]["signature"]
        await call(gateway, "POST", "/crypto/v1/verify", ITEM | {"signature": signature}, 200)
        await call(gateway, "POST", "/crypto/v1/verify", ITEM | {"signature": b64(b"no")}, 200)
        assert all(
            answer["status"] == 200
            for batch in await asyncio.gather(*(gateway.sign([ITEM] * 10) for _ in range(20)))
            for answer in batch
        )
        good, said = judge(files(folder))
        assert good, said
        assert "is being written" in said
        await gateway.client.close()
        assert await gateway.stop() == 0

    batch, right, wrong, *many = records(folder, "batch")
    kid = answers[0]["body"]["kid"]
    assert {name: batch[name] for name in ("action", "request", "app_name", "address")} == {
        "action": "sign",
        "request": "mine",
        "app_name": "demo",
        "address": "127.0.0.1",
    }
    told = [{name: value for name, value in entry.items() if name != "ms"} for entry in batch["items"]]
    signed = {"kid": kid, "mechanism": "CKM_ECDSA", "sha256": DIGEST, "of": "data", "status": 200}
    brought = {name: value for name, value in signed.items() if name != "kid"}
    refused = {"sha256": DIGEST, "of": "data"}
    assert told == [
        signed,
        signed | {"sha256": hashlib.sha256(hashlib.sha256(SECRET).digest()).hexdigest(), "of": "hash"},
        signed | {"kid": answers[2]["body"]["kid"], "mechanism": "CKM_RSA_PKCS_PSS"},
        brought | {"key": "inline"},
        brought | {"key": "transient"},
        refused | {"kid": unknown, "status": 404},
        refused | {"status": 403},
        {"status": 400},
        {"status": 400},
    ]
    assert all(0 < entry["ms"] < 60_000 for entry in batch["items"])
    assert [line["items"][0]["verified"] for line in (right, wrong)] == [True, False]
    assert {line["items"][0]["mechanism"] for line in (right, wrong)} == {"CKM_ECDSA"}
    assert {line["action"] for line in (right, wrong)} == {"verify"}
    assert [len(line["items"]) for line in many] == [10] * 20
    assert len({line["request"] for line in many}) == 20
    assert [(line["action"], line.get("kid"), line["status"]) for line in records(folder, "call")] == [
        ("generate", None, 201),
        ("generate", made["kid"], 201),
        ("delete", made["kid"], 204),
        ("generate", None, 400),
        ("delete", signing["kid"], 403),
        ("session", None, 200),
    ]
    assert len(files(folder)) > 1
    written = b"".join(file.read_bytes() for file in files(folder))
    api_secret = base64.b64decode(own_demo.api_key).partition(b":")[2]
    for secret in (SECRET, der, base64.b64decode(transient), base64.b64decode(signature), api_secret):
        assert secret not in written
        assert b64(secret).encode() not in written
    assert token.encode() not in written
    heads_verify_and_tampering_is_found(own_demo, folder)


def heads_verify_and_tampering_is_found(demo: Demo, folder: Path) -> None:
    key, pem = head_key(demo, "p384")
    for head in records(folder, "head"):
        text = " ".join(
            [
                "hsmgate audit head",
                *(str(head[name]) for name in ("chain", "covers", "hash", "time", "kid", "algorithm")),
            ]
        )
        key.verify(base64.b64decode(head["signature"]), text.encode(), ECDSA(SHA256()))
    code, said = run("audit", "verify", "--key", pem, *files(folder))
    assert (code, said.splitlines()[-1]) == (0, "all is well"), said
    other = demo.folder / "other.pem"
    other.write_bytes(
        ec.generate_private_key(ec.SECP256R1())
        .public_key()
        .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    assert "the head's signature does not verify" in judge(files(folder), other)[1]
    last = files(folder)[-1]
    whole = last.read_bytes()
    for changed, where in (
        (whole.replace(b'"close"', b'"clone"'), "it is no record"),
        (b"".join(whole.splitlines(keepends=True)[:-1]), "cut off: the head that vouches for the close is missing"),
        (b"".join(whole.splitlines(keepends=True)[:-2]), "not closed"),
        (b"", "it is empty"),
    ):
        last.write_bytes(changed)
        good, said = judge(files(folder), pem)
        assert not good
        assert where in said
    last.write_bytes(whole)


@pytest.mark.asyncio(loop_scope="session")
async def test_kill_9_and_two_gateways_in_one_folder(own_demo: Demo, tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    words = 'head_key = "p521"', "head_interval = 0.2"
    async with audited(own_demo, folder, *words, name="killed") as gateway:
        await gateway.sign([ITEM])
        await the_head_key_is_lost(gateway, own_demo)
        busy = asyncio.create_task(gateway.sign([ITEM] * 2000))
        await asyncio.sleep(0.05)
        gateway.process.send_signal(signal.SIGKILL)
        with contextlib.suppress(Exception):
            await busy
        await gateway.process.wait()
    (dead,) = files(folder)
    with dead.open("ab") as file:
        file.write(b'{"type":"batch","seq":3,')  # as a machine that loses its power may leave it
    good, said = judge([dead])
    assert not good
    assert "a torn line" in said
    assert "the chain is not closed: its process died, or its end was cut off" in said

    async with contextlib.AsyncExitStack() as stack:
        two = [audited(own_demo, folder, name=name) for name in ("one", "two")]
        gateways = await asyncio.gather(*(stack.enter_async_context(context) for context in two))
        await asyncio.gather(*(gateway.sign([ITEM] * 10) for gateway in gateways for _ in range(10)))
        for gateway in gateways:
            await gateway.client.close()
            assert await gateway.stop() == 0
    assert len(files(folder)) == 3
    good, said = judge(files(folder))
    assert good, said
    assert "a torn line" in said
    assert "is not closed, its process died" in said
    assert sum(len(line["items"]) for line in records_of(files(folder)[1:])) == 200

    lines = dead.read_bytes().splitlines(keepends=True)
    dead.write_bytes(b"".join(lines[:-2]))
    good, said = judge(files(folder))
    assert not good
    assert "cut off: chain" in said


async def the_head_key_is_lost(gateway: Gateway, demo: Demo) -> None:
    """Signing goes on without heads, and the log says so."""
    demo.delete_key("p521")
    async with asyncio.timeout(20):
        while "the audit log's head is not signed" not in gateway.log.read_text():
            assert (await gateway.sign_one(ITEM))["status"] == 200
            await asyncio.sleep(0.1)


@pytest.mark.asyncio(loop_scope="session")
async def test_who_comes_by_a_unix_socket_has_no_address(own_demo: Demo, tmp_path: Path) -> None:
    folder, path = tmp_path / "audit", tmp_path / "gate.sock"
    config = own_demo.folder / "unix.toml"
    config.write_text("\n".join([own_demo.config.read_text(), "[audit]", f'folder = "{folder}"', ""]))
    process = await asyncio.create_subprocess_exec(
        *(*HSMGATE, "serve", "--config", str(config), "--listen", f"unix:{path}"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    await process.stdout.readline()
    headers = {"Authorization": f"Basic {own_demo.api_key}", "X-Forwarded-For": "192.0.2.1"}
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as client,
        client.post("http://gate/crypto/v1/sign", json=ITEM, headers=headers) as response,
    ):
        good_signature(own_demo, (await response.json())["signature"])
    process.terminate()
    assert await process.wait() == 0
    (batch,) = records(folder, "batch")
    assert batch["address"] == "unix"


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        ("check", ['folder = "a"', 'head_key = "nobody"'], "problem: audit.head_key: key: no such key"),
        ("serve", ['folder = "pin"'], "hsmgate: audit.folder: "),
    ],
)
def test_a_log_that_cannot_be_is_said_at_start(demo: Demo, words: list[str], said: str, command: str) -> None:
    config = demo.folder / "wrong.toml"
    config.write_text("\n".join([demo.config.read_text(), "[audit]", *words, ""]))
    code, printed = run(command, "--config", config)
    assert code == 1
    assert said in printed
    assert not [*demo.folder.glob("a/*")]


def test_what_cannot_be_read_is_one_clear_line(tmp_path: Path) -> None:
    code, said = run("audit", "verify", tmp_path / "nothing")
    assert (code, said.count("\n")) == (1, 1)
    (tmp_path / "binary").write_bytes(os.urandom(500) + b"\n")
    assert "does not begin with an open record" in judge([tmp_path / "binary"])[1]
    with pytest.raises(AuditError, match="not a public key"):
        judge([tmp_path / "binary"], tmp_path / "binary")
