"""The whole HTTP side in one process: what a connection brings, up to signers that are played."""

import asyncio
import functools
import itertools
import json
import logging
import re
from typing import Any

from hsmgate import config
from hsmgate.gateway.app import Application
from hsmgate.gateway.current import Current
from hsmgate.gateway.services import Services
from hsmgate.gateway.signing import BatchSigner
from tests.fuzz.batch import TARGET as BATCH
from tests.fuzz.made_keys import CONFIG_APP, bodies, played_tokens
from tests.fuzz.target import Target
from tests.fuzz.tokens import API_KEY

BATCH_PATHS = (b"/crypto/v1/keys/batch/sign", b"/crypto/v1/keys/batch/verify")
FINE = frozenset({200, 201, 204, 400, 401, 403, 404, 405, 408, 409, 413, 417, 422, 501})
"""501 is for what nobody makes: an imported transient key."""
TURNS_AT_MOST = 2000


class _Transport(asyncio.Transport):
    """It keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class _Server:
    """The application as `hsmgate serve` has it, on a loop that runs while there is something to do."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.run_until_complete(self._start())

    async def _start(self) -> None:
        keyring, pools = played_tokens()
        server = config.Server(max_items=100, max_body=4096, published_keys=["p256"])
        token = config.Token(name="one", module="m", uri="pkcs11:token=one", pin_source="file:pin")
        whole = config.Config(server=server, token=[token], app=[CONFIG_APP])
        self.services = Services.of(whole, BatchSigner(keyring, pools, Current(server)))
        application = Application(self.services)
        self.running = application.running()  # for as long as the process
        await self.running.__aenter__()
        self.server = application.server(lingering_seconds=0.0)
        self.own_tasks = len(asyncio.all_tasks()) - 1  # this one ends

    def receive(self, data: bytes) -> bytes:
        """What is answered to a connection that brings this and then hangs up."""
        return self.loop.run_until_complete(self._receive(data))

    async def _receive(self, data: bytes) -> bytes:
        protocol, transport = self.server(), _Transport()
        protocol.connection_made(transport)
        protocol.data_received(data)
        await self._rest()
        # What a task of the listener does each second.
        assert not self.services.connections._slow(self.server.connections)
        protocol.connection_lost(None)
        await self._rest()
        assert len(asyncio.all_tasks()) == self.own_tasks + 1, "a task is left behind"
        assert not self.server.connections
        return bytes(transport.sent)

    async def _rest(self) -> None:
        """Wait until nobody else has anything to do at once."""
        for _ in range(TURNS_AT_MOST):
            await asyncio.sleep(0)
            if not getattr(self.loop, "_ready"):  # noqa: B009 - there is no other way to ask
                return
        raise AssertionError("the loop does not come to rest")


@functools.cache
def _server() -> _Server:
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)  # it logs each malformed request
    return _Server()


def with_length(data: bytes) -> bytes:
    """With the body's length in the place of `: ?`, so that what is changed in a body does not end at its length."""
    head, end, body = data.partition(b"\r\n\r\n")
    return head.replace(b": ?", b": %d" % len(body)) + end + body


def check(data: bytes) -> None:
    """Answers that are no 500, and of items neither."""
    answered = _server().receive(with_length(data))
    path = data.partition(b" ")[2]
    for number, (status, text) in enumerate(answers(answered)):
        assert status in FINE, (status, text[:200])
        if status == 200 and number == 0 and path.startswith(BATCH_PATHS):
            assert all(200 <= answer["status"] < 500 for answer in json.loads(text)), text[:1000]


def answers(answered: bytes) -> list[tuple[int, bytes]]:
    """The status and the body of every answer."""
    starts = [match.start() for match in _STATUS.finditer(answered)]
    assert starts[:1] in ([], [0]), answered[:200]
    parts = [answered[start:end] for start, end in itertools.pairwise([*starts, len(answered)])]
    found = [(int(part.split(b" ", 2)[1]), part.partition(b"\r\n\r\n")[2]) for part in parts]
    return [(status, text) for status, text in found if status != 100]


_STATUS = re.compile(rb"HTTP/\d\.\d \d{3} [A-Z]")


def request(method: str, path: str, body: bytes = b"", *more: str) -> bytes:
    """A request with credentials."""
    lines = (f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: Basic {API_KEY}", "Content-Length: ?", *more)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


KID = "0a1b2c3d-0000-4000-8000-000000000002"
ONE = f"/crypto/v1/keys/{KID}"
_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/crypto/v1/keys?limit=2&sort=name:desc&with_metadata=true&start=a", {}),
    ("GET", "/crypto/v1/keys?offset=1&obj_type=RSA&name=rsa", {}),
    (
        "POST",
        "/crypto/v1/keys",
        {"transient": True, "obj_type": "EC", "elliptic_curve": "NistP256", "key_ops": ["SIGN"]},
    ),
    ("POST", "/crypto/v1/keys", {"name": "new", "obj_type": "RSA", "key_size": 2048, "custom_metadata": {"a": "b"}}),
    ("PUT", "/crypto/v1/keys", {"name": "new", "obj_type": "EC", "value": "MAA="}),
    ("POST", "/crypto/v1/keys/info", {"name": "p256"}),
    ("GET", ONE, {}),
    ("PATCH", ONE, {"description": "x", "enabled": False}),
    ("DELETE", ONE, {}),
    ("POST", f"{ONE}/sign", {"hash_alg": "SHA256", "data": "aGk="}),
    ("POST", f"{ONE}/verify", {"hash_alg": "SHA256", "data": "aGk=", "signature": "aGk="}),
    ("POST", "/crypto/v1/digest", {"alg": "SHA256", "data": "aGk="}),
    ("POST", "/sys/v1/session/auth", {}),
    ("POST", "/sys/v1/session/refresh", {}),
    ("POST", "/sys/v1/session/terminate", {}),
    ("GET", "/crypto/v1/pubkey/x/p256", {}),
    ("GET", "/sys/v1/health", {}),
    ("GET", "/sys/v1/version", {}),
    ("GET", "/openapi.json", {}),
]


def seeds() -> list[bytes]:
    batches = [
        request("POST", path.decode(), body)
        for number, body in enumerate(bodies())
        for path in BATCH_PATHS[number % 2 :][:1]
    ]
    calls = [request(method, path, json.dumps(body).encode() if body else b"") for method, path, body in _CALLS]
    chunked = request("POST", BATCH_PATHS[0].decode(), b"2\r\n[]\r\n0\r\n\r\n").replace(
        b"Content-Length: ?", b"Transfer-Encoding: chunked"
    )
    odd = [
        request("POST", BATCH_PATHS[0].decode(), b"x" * 1000, "Content-Encoding: deflate"),
        request("POST", BATCH_PATHS[0].decode(), b"[]", "Expect: 100-continue", "Content-Type: text/plain; charset=x"),
        request("POST", BATCH_PATHS[0].decode(), b"[]" + b" " * 2000),
        request("GET", "/sys/v1/version") + request("GET", "/sys/v1/health"),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ]
    return [*batches, *calls, chunked, *odd]


TARGET = Target(
    name="http",
    reads="what a connection brings: HTTP, every route, credentials and bodies, up to the signers' answers",
    promise="answers that are no 500, of items neither; no task and no connection stays behind",
    check=check,
    seeds=seeds,
    words=(
        *(b"POST ", b"GET ", b"PUT ", b"PATCH ", b"DELETE ", b" HTTP/1.1\r\n", b"\r\n\r\n", *BATCH_PATHS),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Content-Encoding: gzip\r\n",
            b"Expect: 100-continue\r\n",
            b"%00",
            b"%ff",
        ),
        *BATCH.words,
    ),
    longest=3000,
)
