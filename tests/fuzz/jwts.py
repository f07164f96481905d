"""JWTs: what callers bring, and what a provider that is theirs in part might sign for them."""

import base64
import hashlib
import hmac
import json
import math
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import jwt
from jwt.algorithms import get_default_algorithms

from hsmgate import config
from hsmgate.gateway.auth import SEEN_AT_MOST, Identity
from hsmgate.gateway.jwts import LEEWAY_SECONDS, JwtAuthenticator
from hsmgate.gateway.sessions import Sessions
from tests.fuzz.key_sets import PROVIDER, provider_keys, read_keys
from tests.fuzz.target import Target
from tests.fuzz.tokens import APP_ID, finish
from tests.jwt_provider import AUDIENCE, ISSUER, SUBJECT, forged, key_set, make_keys, public_pem

APP = config.App(id=APP_ID, name="job", jwt_subjects=[SUBJECT, "other"], jwt_provider="idp")
ALGORITHMS = {"ed": "EdDSA", "ec": "ES256", "rsa": "RS256"}
FOREVER = 4_000_000_000
SPLIT = b"\n"


def check(data: bytes) -> None:
    """The first byte says whether the others are a token, or header and claims that one of the keys signs."""
    signer, rest = (data[0] if data else 0) % 64, data[1:]
    if signer < 16:
        text = rest.decode("utf-8", "surrogateescape")
    else:
        text = signed(rest, "rsa" if signer == 63 else ("ed", "ec")[signer % 2])
    one = _authenticator()
    identity = finish(one.identify(text))
    assert finish(one.identify(text)) == identity, "asked again it is another"
    assert len(one._seen) <= SEEN_AT_MOST
    if identity is not None:
        check_identity(identity, text, provider_made() if signer < 16 else None)


def check_identity(identity: Identity, text: str, made: frozenset[str] | None) -> None:
    """It may be one. made: what the provider has signed, None where it was signed just now."""
    header, claims = (json.loads(_decoded(part)) for part in text.split(".")[:2])
    assert made is None or text.rpartition(".")[0] in made, "a JWT was accepted that nobody signed"
    assert ALGORITHMS[header["kid"]][:2] == header["alg"][:2] or header["alg"][:2] == "PS"
    assert claims["iss"] == ISSUER
    assert claims["aud"] == AUDIENCE or (isinstance(claims["aud"], list) and AUDIENCE in claims["aud"])
    assert (identity.app.id, claims["sub"] in (SUBJECT, "other")) == (APP_ID, True)
    now = time.time()
    assert all(int(claims[name]) <= now + LEEWAY_SECONDS for name in ("nbf", "iat") if name in claims)
    assert now < identity.until <= int(claims["exp"]) + LEEWAY_SECONDS
    assert math.isfinite(identity.until)
    finish(_sessions().issue(identity.app.id, identity.credential, identity.until))


def signed(words: bytes, kid: str) -> str:
    """Header and claims, apart by a line end, as that key signs them."""
    header, _, claims = words.partition(SPLIT)
    text = f"{_encoded(header)}.{_encoded(claims)}"
    algorithm = get_default_algorithms()[ALGORITHMS[kid]]
    return f"{text}.{_encoded(algorithm.sign(text.encode(), provider_keys()[kid]))}"


@cache
def _authenticator() -> JwtAuthenticator:
    return JwtAuthenticator([APP], [(PROVIDER, read_keys(json.dumps(key_set(provider_keys())).encode()))])


@cache
def _sessions() -> Sessions:
    return Sessions([])


def good_token(kid: str = "ed", **other: Any) -> str:
    return jwt.encode(_claims(**other), provider_keys()[kid], ALGORITHMS[kid], {"kid": kid})


def _claims(**other: Any) -> dict[str, Any]:
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": FOREVER} | other


@cache
def _tokens() -> tuple[str, ...]:
    """Good ones, as the provider makes them."""
    made = [good_token(kid) for kid in ALGORITHMS]
    made += [good_token(aud=["x", AUDIENCE], iat=1, nbf=1.5, jti="j"), good_token(sub="other", exp=float(FOREVER))]
    made.append(jwt.encode(_claims(), provider_keys()["rsa"], "PS512", {"kid": "rsa"}))
    return tuple(made)


@cache
def provider_made() -> frozenset[str]:
    return frozenset(token.rpartition(".")[0] for token in _tokens())


def _wrong() -> Iterator[str]:
    """Signed by the provider, or looking so, and none of them good."""
    keys = provider_keys()
    yield from (good_token(exp=1), good_token(nbf=FOREVER), good_token(aud="else"), good_token(sub="nobody"))
    yield forged({"alg": "none", "kid": "rsa"})
    yield forged({"alg": "HS256", "kid": "rsa"}, public_pem(keys["rsa"]))
    stranger = make_keys()["ed"]
    for header in ({"kid": "ed"}, {"kid": "?"}, {"kid": "ed", "jku": "https://evil.test"}, {"kid": ["ed"]}):
        made = (
            _encoded(json.dumps({"alg": "EdDSA", **header}).encode()) + "." + _encoded(json.dumps(_claims()).encode())
        )
        yield f"{made}.{_encoded(get_default_algorithms()['EdDSA'].sign(made.encode(), stranger))}"
    good = _tokens()[0]
    yield from (good.rpartition(".")[0] + ".", good + "A", good[:-2], "..", good.replace(".", "..", 1), f" {good}")
    confused = hmac.digest(b"", b"", hashlib.sha256)
    yield f"{good.rpartition('.')[0]}.{_encoded(confused)}"


def _words() -> Iterator[bytes]:
    """Header and claims to be signed."""
    claims = json.dumps(_claims())
    for kid, algorithm in ALGORITHMS.items():
        number = {"ed": 16, "ec": 17, "rsa": 63}[kid]
        yield bytes((number,)) + json.dumps({"alg": algorithm, "kid": kid}).encode() + SPLIT + claims.encode()
    for header in (
        {"jku": "https://evil.test", "x5u": "u", "jwk": {"kty": "oct", "k": "AA"}, "x5c": ["AA"]},
        {"crit": ["exp"], "b64": False},
        {"typ": "JWT", "cty": "JWT", "zip": "DEF"},
    ):
        words = {"alg": "EdDSA", "kid": "ed", **header}
        yield b"\x10" + json.dumps(words).encode() + SPLIT + claims.encode()
    head = b'\x10{"alg":"EdDSA","kid":"ed"}' + SPLIT
    for old, new in (
        (str(FOREVER), "1" + "0" * 400),
        (str(FOREVER), "9" * 5000),
        (str(FOREVER), "1e999"),
        (str(FOREVER), "NaN"),
        (str(FOREVER), f'"{FOREVER}"'),
        (str(FOREVER), "true"),
        (f'"{SUBJECT}"', f'["{SUBJECT}"]'),
        (f'"{SUBJECT}"', "7"),
        (f'"{SUBJECT}"', '"\\ud800"'),
        (f'"{AUDIENCE}"', f'["{AUDIENCE}", 7]'),
        (f'"{AUDIENCE}"', f'{{"{AUDIENCE}": 1}}'),
        ("{", '{"iat": -1e308, "nbf": "0", '),
        ("{", '{"jti": {}, "exp": 1, '),
    ):
        yield head + claims.replace(old, new, 1).encode()
    yield b'\x10{"alg":"EdDSA","kid":"ed","x":' + b"[" * 3000 + b"]" * 3000 + b"}" + SPLIT + claims.encode()
    yield head + b'{"iss": ' + b"[" * 3000


def seeds() -> list[bytes]:
    return [b"\0" + token.encode() for token in (*_tokens(), *_wrong())] + [*_words()]


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


TARGET = Target(
    name="jwts",
    reads="JWTs, strangers' and such as the provider signs with anything in them",
    promise="an app only by what the provider's key has signed, for us, for a subject of the app's, and in time",
    check=check,
    seeds=seeds,
    words=(
        *(
            b'"alg"',
            b'"kid"',
            b'"exp"',
            b'"nbf"',
            b'"iat"',
            b'"iss"',
            b'"aud"',
            b'"sub"',
            b'"jti"',
            b'"crit"',
            b'"b64"',
        ),
        *(b'"none"', b'"HS256"', b'"EdDSA"', b'"ES256"', b'"PS256"', b'"jku"', b'"jwk"', b'"x5u"', b'"zip"', b'"ed"'),
        *(b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"{}", b"[]", b'"\\ud800"', b"eyJ", b".", b"\n"),
        *(b'"hsmgate"', b'"other"', str(FOREVER).encode(), b"9" * 30),
    ),
    longest=8190,  # of a header, for aiohttp
)
