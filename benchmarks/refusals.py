"""Whether the time of a refusal tells a key that is not there from one that is another app's.

python -m benchmarks.refusals [CALLS]      CALLS: for each kind of call and of key, 3000 unless told

A gateway over a token with keys that the caller may not use is asked for them, and for as many that are not there, in
turn and in random order, on one connection. How far apart the two of a pair are by chance is found by changing their
places.
"""

import asyncio
import os
import random
import re
import socket
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from hsmgate.gateway.sobjects import ACCOUNT_ID
from hsmgate.provision.demo import make_demo
from tests.gateway_process import Gateway, serving
from tests.token_tool import Demo

CALLS = 3000
KEYS = 100
STARTS = 5
BATCH = 100
CHANGES = 1000
WARM_UP = 20
SIGNATURE = "MAYCAQECAQE="
"""ECDSA's in form, DER SEQUENCE{1, 1}; of no key."""

MINE = 'keys = ["p256"]'


@dataclass(frozen=True, slots=True)
class Key:
    """A key by which it can be asked for: one of another app, or one that is not there."""

    name: str
    kid: str


@dataclass(slots=True)
class Kind:
    """A kind of call: its two requests for each pair of keys, and the seconds that they took.

    missing, foreign: whole HTTP requests; in the control both are for keys that are not there.
    """

    text: str
    missing: list[bytes]
    foreign: list[bytes]
    missing_seconds: list[float] = field(default_factory=list)
    foreign_seconds: list[float] = field(default_factory=list)


def main(calls: int) -> None:
    """Measure and print."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        make_demo(Path(folder) / "demo")
        kinds = asyncio.run(_measure(Demo(Path(folder) / "demo"), calls))
    print(f"{'microseconds':27}{'not there':>18}{'not its own':>18}{'apart':>8}{'by chance':>11}{'p':>7}")
    for kind in kinds:
        apart, chance, p = _compare(kind.missing_seconds, kind.foreign_seconds)
        spread = f"{_spread(kind.missing_seconds):>18}{_spread(kind.foreign_seconds):>18}"
        print(f"{kind.text:27}{spread}{apart * 1e6:>+8.2f}{chance * 1e6:>11.2f}{p:>7.3f}")
    count = f"{len(kinds[-1].missing_seconds)} calls of each (first: {len(kinds[0].missing_seconds)})"
    print(f"Load of the last minute, {os.cpu_count()} cores: {load:.1f} before, {os.getloadavg()[0]:.1f} at the end.")
    print(f"Median (quartiles), {count}. Apart: median of the difference between two that were asked in turn.")
    print("By chance: 95 % are nearer if places are changed at random; p: the share that is as far apart as was seen.")
    print(f"Of {len(kinds)} kinds one has p < {1 / len(kinds):.2f} by chance.")


async def _measure(demo: Demo, calls: int) -> list[Kind]:
    async with serving(demo.config, demo.api_key, demo.folder / "serve.log") as gateway:
        foreign = [await _make_key(gateway, number) for number in range(KEYS)]
    config = demo.folder / "refusals.toml"
    config.write_text(re.sub(r"(?m)^keys = .*$", MINE, demo.config.read_text()))
    firsts: list[Kind] = []
    for _ in range(STARTS):
        async with serving(config, demo.api_key, demo.folder / "serve.log") as gateway:
            kinds = [*_kinds(gateway, foreign)]
            for kind in kinds[:2]:  # each key is asked for once by its name and once by its kid
                _ask(gateway, [kind], kinds[-1], KEYS, in_turn=True)
            firsts += kinds[:2]
    async with serving(config, demo.api_key, demo.folder / "serve.log") as gateway:
        kinds = [*_kinds(gateway, foreign)]
        _ask(gateway, kinds, kinds[-1], calls, in_turn=False)
    return [_together(firsts[0::2]), _together(firsts[1::2]), *kinds]


async def _make_key(gateway: Gateway, number: int) -> Key:
    name = _name(number)
    wanted = {"name": name, "obj_type": "EC", "elliptic_curve": "NistP256"}
    headers = {"Authorization": f"Basic {gateway.api_key}"}
    async with gateway.client.post(f"{gateway.url}/crypto/v1/keys", json=wanted, headers=headers) as response:
        assert response.status == 201, await response.text()
        return Key(name, (await response.json())["kid"])


def _name(number: int) -> str:
    return f"key-{number:04}-{random.getrandbits(32):08x}"


def _kinds(gateway: Gateway, foreign: list[Key]) -> Iterator[Kind]:
    """All kinds of call, the control last."""
    missing = [Key(_name(number), str(uuid.uuid4())) for number in range(KEYS)]
    others = [Key(_name(number), str(uuid.uuid4())) for number in range(KEYS)]

    def kind(text: str, method: str, path: str, body: str = "", besides: list[Key] = foreign) -> Kind:
        template = _request(gateway, method, path, body)
        return Kind(text, [_of(template, key) for key in missing], [_of(template, key) for key in besides])

    by_name, by_kid = '"key":{"name":"{name}"},', '"key":{"kid":"{kid}"},'
    rest = '"hash_alg":"SHA256","data":"aGVsbG8="'
    sign, batch = "/crypto/v1/sign", "/crypto/v1/keys/batch/sign"
    yield kind("sign, by name", "POST", sign, f"{{{by_name}{rest}}}")
    yield kind("sign, by kid", "POST", sign, f"{{{by_kid}{rest}}}")
    yield kind("sign, kid in the path", "POST", "/crypto/v1/keys/{kid}/sign", f"{{{rest}}}")
    yield kind(f"batch of {BATCH}, by name", "POST", batch, f"[{','.join([f'{{{by_name}{rest}}}'] * BATCH)}]")
    yield kind(f"batch of {BATCH}, by kid", "POST", batch, f"[{','.join([f'{{{by_kid}{rest}}}'] * BATCH)}]")
    verify, verify_batch = "/crypto/v1/verify", "/crypto/v1/keys/batch/verify"
    signed = f'{rest},"signature":"{SIGNATURE}"'
    yield kind("verify, by name", "POST", verify, f"{{{by_name}{signed}}}")
    yield kind("verify, by kid", "POST", verify, f"{{{by_kid}{signed}}}")
    yield kind("verify, kid in the path", "POST", "/crypto/v1/keys/{kid}/verify", f"{{{signed}}}")
    yield kind(f"verify {BATCH}, by name", "POST", verify_batch, f"[{','.join([f'{{{by_name}{signed}}}'] * BATCH)}]")
    yield kind(f"verify {BATCH}, by kid", "POST", verify_batch, f"[{','.join([f'{{{by_kid}{signed}}}'] * BATCH)}]")
    yield kind("show, by kid", "GET", "/crypto/v1/keys/{kid}")
    yield kind("info, by name", "POST", "/crypto/v1/keys/info", '{"name":"{name}"}')
    yield kind("destroy, by kid", "DELETE", "/crypto/v1/keys/{kid}")
    yield kind("change, by kid", "PATCH", "/crypto/v1/keys/{kid}", '{"enabled":false}')
    new = '{"name":"{name}","obj_type":"EC","elliptic_curve":"NistP256"}'
    yield kind("make a key of that name", "POST", "/crypto/v1/keys", new)
    yield kind("public key, by name", "GET", f"/crypto/v1/pubkey/{ACCOUNT_ID}/{{name}}")
    yield kind("control: neither is there", "POST", sign, f"{{{by_name}{rest}}}", others)


def _request(gateway: Gateway, method: str, path: str, body: str) -> tuple[str, str]:
    """Its head and its body, with {name} and {kid} in them."""
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {gateway.api_key}\r\n"
    return head, body


def _of(template: tuple[str, str], key: Key) -> bytes:
    head, body = (part.replace("{name}", key.name).replace("{kid}", key.kid) for part in template)
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def _ask(gateway: Gateway, kinds: list[Kind], warm_up: Kind, calls: int, *, in_turn: bool) -> None:
    """Ask for pairs of keys, and note the seconds. Raises AssertionError where the two are answered differently.

    in_turn: each pair once, not one at random.
    """
    address = urlsplit(gateway.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in warm_up.foreign[:WARM_UP]:
            _call(connection, request)
        for number in range(calls):
            for kind in random.sample(kinds, len(kinds)):
                pair = number % KEYS if in_turn else random.randrange(KEYS)  # noqa: S311 - no secret
                asked = [(kind.missing[pair], kind.missing_seconds), (kind.foreign[pair], kind.foreign_seconds)]
                answers = []
                for request, seconds in random.sample(asked, 2):
                    took, answer = _call(connection, request)
                    seconds.append(took)
                    answers.append(answer)
                assert answers[0] == answers[1], (kind.text, answers)


def _call(connection: socket.socket, request: bytes) -> tuple[float, bytes]:
    """The seconds until the answer was there, and the answer without its date and id."""
    started = time.perf_counter()
    connection.sendall(request)
    answer = connection.recv(65536)
    while not _whole(answer):
        more = connection.recv(65536)
        assert more, "the gateway hung up"
        answer += more
    took = time.perf_counter() - started
    return took, re.sub(rb"\r\n(Date|X-Request-Id): [^\r]*", b"", answer)


def _whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) == int(length[1])


def _together(kinds: list[Kind]) -> Kind:
    """The first calls of that kind, of several gateways."""
    missing = [seconds for kind in kinds for seconds in kind.missing_seconds]
    foreign = [seconds for kind in kinds for seconds in kind.foreign_seconds]
    return Kind(f"{kinds[0].text}, first", [], [], missing, foreign)


def _compare(one: list[float], other: list[float]) -> tuple[float, float, float]:
    """How far apart they are, how far by chance (95 %), and how often by chance as far as they are."""
    differences = [b - a for a, b in zip(one, other, strict=True)]
    apart = statistics.median(differences)
    by_chance = sorted(
        abs(statistics.median(d if random.getrandbits(1) else -d for d in differences)) for _ in range(CHANGES)
    )
    return apart, by_chance[int(0.95 * CHANGES)], sum(by >= abs(apart) for by in by_chance) / CHANGES


def _spread(seconds: list[float]) -> str:
    lower, middle, upper = statistics.quantiles(seconds, n=4)
    return f"{middle * 1e6:.0f} ({lower * 1e6:.0f}-{upper * 1e6:.0f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS)
