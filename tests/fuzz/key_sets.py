"""What an identity provider answers when it is asked for its keys."""

import contextlib
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

import jwt

from hsmgate import config
from hsmgate.gateway import key_sets as gateway
from hsmgate.gateway.jwts import JwtAuthenticator
from hsmgate.gateway.key_sets import KeySet, KeysNotHad, Source, source_of
from tests.fuzz.target import Target, check_text
from tests.fuzz.tokens import APP_ID, decoded, finish
from tests.jwt_provider import AUDIENCE, ISSUER, SUBJECT, Key, key_set, make_keys

SECRET = "pr0vider-secret"
PROVIDER = config.JwtProvider(name="idp", issuer=ISSUER, audience=AUDIENCE, jwks="https://idp.test/keys")
APP = config.App(id=APP_ID, name="job", jwt_subjects=[SUBJECT], jwt_provider="idp")
ALGORITHMS = {"ed": ["EdDSA"], "ec": ["ES256"], "rsa": ["RS256", "PS256"]}


@dataclass(frozen=True, slots=True)
class _Answered:
    """Where the bytes are that came."""

    content: bytes
    fresh_seconds: float = math.inf
    retry_seconds: float = 0.0

    async def read(self) -> bytes:
        return self.content


class _Logged(logging.Handler):
    """It keeps the lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextlib.contextmanager
def _listening() -> Iterator[_Logged]:
    """What is logged meanwhile, which goes nowhere else."""
    logger, logged = logging.getLogger(gateway.__name__), _Logged()
    logger.addHandler(logged)
    logger.propagate = False
    try:
        yield logged
    finally:
        logger.removeHandler(logged)
        logger.propagate = True


def read_keys(content: bytes) -> KeySet:
    """The key set that those bytes are, read for good: it is asked for no more."""
    keys = KeySet("idp", source_of("https://idp.test/keys", Path()))
    give_keys(keys, content)
    return keys


def give_keys(keys: KeySet, content: bytes) -> None:
    """Have it read those bytes, and ask for no more."""
    keys._source = cast("Source", _Answered(content))
    finish(keys._read())
    keys._read_at = math.inf


def check(data: bytes) -> None:
    """Keys that tokens can be tried with, or none; a line in the log that says nothing of what came."""
    with _listening() as logged:
        keys = read_keys(data)
    for line in logged.lines:
        check_text(line, SECRET)
    assert len(logged.lines) == (keys.version is None)
    one = JwtAuthenticator([APP], [(PROVIDER, keys)])
    there = {kid for kid, _ in keys._keys or ()}
    for kid, token in _tokens():
        if keys.version is not None and kid not in there:
            continue
        try:
            identity = finish(one.identify(token))
        except KeysNotHad:
            assert keys.version is None
            break
        else:
            assert keys.version is not None
            assert identity is None or _has_key(data, kid), "a key verified that the provider does not have"


def _has_key(data: bytes, kid: str) -> bool:
    """Whether the key's own numbers stand there."""
    made = key_set(provider_keys())["keys"][[*ALGORITHMS].index(kid)]
    found = json.loads(data)["keys"]
    member = "n" if kid == "rsa" else "x"
    return any(isinstance(key, dict) and _same(key.get(member), made[member]) for key in found)


def _same(value: object, right: str) -> bool:
    return isinstance(value, str) and decoded(value).lstrip(b"\0") == decoded(right).lstrip(b"\0")


@cache
def provider_keys() -> dict[str, Key]:
    made = make_keys()
    return {kid: made[kid] for kid in ALGORITHMS}


@cache
def _tokens() -> list[tuple[str, str]]:
    """Good ones, of every key."""
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": 4_000_000_000}
    return [
        (kid, jwt.encode(claims, key, algorithm, {"kid": kid}))
        for kid, key in provider_keys().items()
        for algorithm in ALGORITHMS[kid]
    ]


def _keys() -> Iterator[dict[str, Any]]:
    """Each key, spoiled."""
    right = key_set(provider_keys())["keys"]
    for key in right:
        for member in key:
            yield {name: value for name, value in key.items() if name != member}
            spoiled: list[Any] = [None, 7, [], "", SECRET, "AA", "A" * 3000]
            yield from ({**key, member: value} for value in spoiled)
        yield from ({**key, "alg": "none"}, {**key, "use": "enc"}, {**key, "key_ops": ["sign"]}, {**key, "d": "AA"})
    for kid, private in provider_keys().items():
        published = jwt.get_algorithm_by_name(ALGORITHMS[kid][0]).to_jwk(private, as_dict=True)
        yield {**published, "kid": kid, "key_ops": ["sign", "verify"]}


def seeds() -> list[bytes]:
    good = key_set(provider_keys())
    single = [json.dumps({"keys": [key]}).encode() for key in (*good["keys"], *_keys())]
    odd = [b"", b"{}", b"[]", b'{"keys": {}}', b'{"keys": [null, 1, []]}', b"\xff", b'{"keys": ' + b"[" * 2000]
    odd += [b'{"keys": [{"kid": "\\ud800", "kty": "EC"}]}', f'"{SECRET}"'.encode(), f"{SECRET}: ".encode()]
    return [json.dumps(good).encode(), *single, *odd]


TARGET = Target(
    name="key_sets",
    reads="what an identity provider answers: its keys",
    promise="keys, or none and a log line that says nothing of what came; only a key that is there verifies",
    check=check,
    seeds=seeds,
    words=(
        *(
            b'"keys"',
            b'"kid"',
            b'"kty"',
            b'"use"',
            b'"sig"',
            b'"key_ops"',
            b'"verify"',
            b'"alg"',
            b'"crv"',
            b'"x"',
            b'"y"',
        ),
        *(
            b'"n"',
            b'"e"',
            b'"d"',
            b'"oct"',
            b'"RSA"',
            b'"EC"',
            b'"OKP"',
            b'"Ed25519"',
            b'"Ed448"',
            b'"P-521"',
            b'"AQAB"',
        ),
        *(b"null", b"[]", b"{}", b"1e999", b'"\\ud800"', b'"ed"', b'"ec"', b'"rsa"', SECRET.encode()),
    ),
)
