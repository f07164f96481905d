"""Attacks by what is sent before anybody knows who calls: HTTP itself."""

import asyncio
import contextlib
import io
import json
from urllib.parse import urlsplit

from hsmgate.gateway.audit.verify import verify
from tests.attacks.stage import Stage, attack, item

HIDDEN = b"GET /sys/v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"0\r\n\r\n" + HIDDEN

AMBIGUOUS = {
    "Content-Length and Transfer-Encoding": (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n" % len(CHUNKED),
        CHUNKED,
    ),
    "two lengths": (b"Content-Length: 2\r\nContent-Length: %d\r\n" % (2 + len(HIDDEN)), b"[]" + HIDDEN),
    "a list of lengths": (b"Content-Length: 2, %d\r\n" % (2 + len(HIDDEN)), b"[]" + HIDDEN),
    "a length with a sign": (b"Content-Length: +2\r\n", b"[]" + HIDDEN),
    "a negative length": (b"Content-Length: -1\r\n", b"[]" + HIDDEN),
    "a length of 2^64 and 2": (b"Content-Length: 18446744073709551618\r\n", b"[]" + HIDDEN),
    "another coding": (b"Transfer-Encoding: xchunked\r\n", CHUNKED),
    "chunked not last": (b"Transfer-Encoding: chunked, identity\r\n", CHUNKED),
    "two codings": (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
    "a blank before the colon": (b"Transfer-Encoding : chunked\r\n", CHUNKED),
    "a folded line": (b"Transfer-Encoding:\r\n chunked\r\n", CHUNKED),
    "a tab in the name": (b"Transfer-Encoding\t: chunked\r\n", CHUNKED),
    "a bare line feed": (b"Content-Length: 2\nTransfer-Encoding: chunked\n", b"[]" + HIDDEN),
    "a chunk size with a sign": (b"Transfer-Encoding: chunked\r\n", b"+2\r\n[]\r\n" + CHUNKED),
    "a chunk size of 2^64": (b"Transfer-Encoding: chunked\r\n", b"10000000000000000\r\n[]\r\n" + CHUNKED),
    "a chunk without its end": (b"Transfer-Encoding: chunked\r\n", b"2\r\n[]XX0\r\n\r\n" + HIDDEN),
    "a NUL in a value": (b"Content-Length: 2\r\nX: a\0b\r\n", b"[]" + HIDDEN),
}
"""Requests in which one may see two where another sees one: header lines, and what comes after the head."""


def post(stage: Stage, lines: bytes, body: bytes) -> bytes:
    key = stage.keys["all"].encode()
    head = b"POST /crypto/v1/keys/batch/sign HTTP/1.1\r\nHost: x\r\nAuthorization: Basic " + key + b"\r\n"
    return head + lines + b"\r\n" + body


@attack("Request smuggling: 17 heads and chunkings that two servers may read as one request or as two")
async def smuggling(stage: Stage) -> str:
    closed = 0
    for name, (lines, body) in AMBIGUOUS.items():
        got = await stage.raw(post(stage, lines, body))
        assert b"hsmgate_version" not in got, (name, got)
        closed += got.startswith((b"HTTP/1.1 400", b"HTTP/1.0 400"))
    return f"400 for {closed} of {len(AMBIGUOUS)} and the connection ends; no hidden request was answered"


@attack("Heads that are huge: 1 MiB of one header, 20,000 headers, a path of 1 MiB, a chunk extension of 1 MiB")
async def huge_heads(stage: Stage) -> str:
    before = stage.memory_mib
    long = b"x" * (1 << 20)
    statuses = set()
    for sent in (
        post(stage, b"X: " + long + b"\r\n", b""),
        post(stage, b"".join(b"X-%d: y\r\n" % number for number in range(20_000)), b""),
        b"GET /" + long + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        post(stage, b"Transfer-Encoding: chunked\r\n", b"2;" + long + b"\r\n[]\r\n0\r\n\r\n"),
    ):
        statuses.add((await stage.raw(sent))[9:12].decode())
    grown = stage.memory_mib - before
    assert statuses <= {"400", "413", "431", "200", ""}, statuses
    assert grown < 50
    return f"refused, or the extension passed over; {max(0, grown)} MiB more memory"


@attack("20,000 requests down one connection, of which no answer is taken")
async def pipelining(stage: Stage) -> str:
    address = urlsplit(stage.gateway.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(HIDDEN * 20_000)
    _, longest, grown = await stage.beside(asyncio.sleep(1.5))
    writer.transport.abort()
    assert grown < 100
    return (
        f"reading stops while answers are not taken: {grown} MiB more; {longest:.1f} s at most for a neighbour's item"
    )


TRICKS = (
    "GET /crypto/v1/keys/{}/",
    "GET //crypto/v1/keys/{}",
    "GET /crypto/v1/keys/./{}",
    "GET /crypto/v1/keys/%7B{}%7D",
    "GET /crypto/v1/keys/{}%00",
    "GET /crypto/v1/keys/{};a",
    "GET /crypto/v1/x/../keys/{}",
    "GET /crypto/v1/keys/urn:uuid:{}",
    "GET /CRYPTO/v1/keys/{}",
    "GET http://x/crypto/v1/keys/{}",
    "HEAD /crypto/v1/keys/{}",
    "TRACE /crypto/v1/keys/{}",
    "OPTIONS /crypto/v1/keys/{}",
)
"""Method and path, with another app's kid."""


@attack(
    "Another app's key by tricks of the path and the method: dots, slashes, %-signs, X-Original-URL, method overrides"
)
async def paths(stage: Stage) -> str:
    key = stage.keys["mine"]
    foreign = stage.kids["rsa2048"]
    more = f"X-Original-URL: /sys/v1/version\r\nX-HTTP-Method-Override: GET\r\nAuthorization: Basic {key}\r\n"
    for trick in TRICKS:
        got = await stage.raw(
            f"{trick.format(foreign)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n".encode()
        )
        assert got[9:12] in (b"400", b"403", b"404", b"405"), (trick, got[:100])
        assert b"pub_key" not in got
    return f"400, 404 or 405 for all {len(TRICKS)}"


@attack("Lines for the audit log: line breaks, quotes, NUL and half UTF-8 in X-Request-Id, names, kids and paths")
async def log_injection(stage: Stage) -> str:
    evil = 'x\n{"type":"close","seq":1}\r\n"'
    for name in (evil, "\0", "\u2028", "p256\x1b[2J", '"'):
        assert (await stage.items("mine", [item(name), item("", key={"kid": name})]))[0]["status"] in (400, 404)
    for path in ("%0A%7B%22type%22:%22close%22%7D", "%FF%FE", "%22%00", "x" * 4000):
        assert (await stage.call("all", "DELETE", f"/crypto/v1/keys/{path}"))[0] in (400, 404)
    for sent in (b'a"b', b"a\tb", b"\xff\xfe", b"x" * 200):
        got = await stage.raw(
            post(stage, b"Connection: close\r\nContent-Length: 2\r\nX-Request-Id: " + sent + b"\r\n", b"[]")
        )
        assert sent not in got
    lines = [line for file in sorted(stage.audit.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    assert all({"type", "seq", "prev"} <= set(json.loads(line)) for line in lines)
    assert not any(word in b"\n".join(lines) for word in (b"xxxx", b"[2J", b"\\u0000"))
    with contextlib.redirect_stdout(io.StringIO()):
        assert verify(sorted(stage.audit.glob("*.jsonl")), [])
    return "nothing of it is in the log, which verifies"
