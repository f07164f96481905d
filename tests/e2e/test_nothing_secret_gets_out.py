"""What callers send comes back in no error and goes into no log, however wrong it is and wherever it stands."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway_process import BATCH_SIGN, Gateway, b64
from tests.secrets_scan import NOTES, Notes

pytestmark = pytest.mark.asyncio(loop_scope="session")

SENT = "sent by a caller, 4711?>~"
ENCODED = b64(SENT.encode())
STRANGER = base64.b64encode(f"5d1e1f52-8a3b-4c6d-9e7f-001122334455:{SENT.encode().hex()}".encode()).decode()
GOOD: dict[str, Any] = {"key": {"name": "p256"}, "hash_alg": "SHA256", "data": ENCODED}


def items() -> Iterator[dict[str, Any]]:
    """What is wrong, each time with something of the caller's in it."""
    for wrong in (SENT, [SENT], {SENT: SENT}, ENCODED[:-1]):
        for member in ("data", "hash", "context", "hash_alg", "mode", "deterministic_signature", "key"):
            yield GOOD | {"data" if member == "hash" else "none": None, member: wrong}
    for key in (
        {"kid": SENT},
        {"name": SENT},
        {"transient_key": ENCODED},
        {"transient_key": SENT},
        {"inline": {"value": ENCODED, "obj_type": "RSA"}},
        {"inline": {"value": ENCODED, "obj_type": SENT}},
        {"inline": {"value": SENT, "obj_type": "EC"}},
        {"inline": {"value": [SENT], "obj_type": "EC"}},
    ):
        yield GOOD | {"key": key}
    yield GOOD | {"key": {"name": "rsa2048"}, "mode": {"PSS": {"mgf": {"mgf1": {"hash": SENT}}}}}
    yield GOOD | {"key": {"name": "rsa2048"}, "mode": {"variant": SENT}}
    yield {"key": {"name": "p256"}, "hash_alg": "SHA256", "hash": ENCODED}


def calls() -> Iterator[tuple[str, str, bytes]]:
    """Method, path and body of calls that fail."""
    for body in (SENT, f"[{SENT}", f'["{SENT}"]', json.dumps(SENT), f'{{"a":"{SENT}\\udc00"}}', f"\0{SENT}"):
        for path in (BATCH_SIGN, "/crypto/v1/sign", "/crypto/v1/digest", "/crypto/v1/keys/info", "/crypto/v1/keys"):
            yield "POST", path, body.encode("utf-8", "surrogatepass")
    for member in ("value", "obj_type", "name", "key_ops", "custom_metadata", "elliptic_curve"):
        for value in (ENCODED, [ENCODED], 5):
            wanted = {"name": "never made", "obj_type": "RSA", "value": ENCODED, member: value}
            yield "PUT", "/crypto/v1/keys", json.dumps(wanted).encode()


async def test_errors_and_logs_hold_nothing_of_what_was_sent(gateway: Gateway) -> None:
    mine = Notes()
    mine.secret("what was sent", SENT)
    mine.secret("the API key", gateway.api_key)
    already = gateway.log.stat().st_size
    asked = [*items()]
    for answer in await gateway.sign(asked):
        assert answer["status"] != 200
        mine.sight("an item's error", answer["error"])
    authorized = {"Authorization": f"Basic {gateway.api_key}"}
    for method, path, body in calls():
        async with gateway.client.request(method, gateway.url + path, data=body, headers=authorized) as response:
            assert response.status < 500, (method, path, body)
            mine.sight(f"{method} {path}", f"{response.headers}{await response.text()}")
    for header in (f"Basic {STRANGER}", f"Bearer {STRANGER}", f"Bearer {SENT}", f"{SENT}", f"Basic {gateway.api_key}x"):
        answered, text = await gateway.post([GOOD], {"Authorization": header})
        assert answered == 401
        mine.sight("an answer to a stranger", text)
    for request in (
        f"GET /{SENT} HTTP/1.1\r\nAuthorization: Basic {gateway.api_key}\r\n{SENT}\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Basic {gateway.api_key}\0\r\n\r\n",
        f"POST {BATCH_SIGN} HTTP/1.1\r\nHost: a\r\nContent-Length: {SENT}\r\n\r\n{SENT}",
        f"POST {BATCH_SIGN} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{SENT}\r\n",
        f"{SENT}\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: {SENT * 1000}\r\n\r\n",
    ):
        mine.sight("an answer to what is no HTTP", await raw(gateway.url, request.encode()))
    mine.sight("the log", gateway.log.read_bytes()[already:])
    assert not [*mine.found(None)]
    NOTES.secret("what was sent", SENT)


async def raw(url: str, request: bytes) -> bytes:
    """The answer to bytes, without its body's end being waited for."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read(65536)
    except ConnectionError:
        return b""
    finally:
        writer.close()
