"""JWTs against a provider that serves its keys over http, or in a file."""

import asyncio
import dataclasses
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt import get_algorithm_by_name
from jwt.warnings import InsecureKeyLengthWarning

from hsmgate import config
from hsmgate.gateway import key_sets
from hsmgate.gateway.jwts import LEEWAY_SECONDS, JwtAuthenticator, jwt_credential
from hsmgate.gateway.key_sets import FileSource, KeySet, KeysNotHad, Source, UrlSource
from hsmgate.gateway.sessions import IDLE_SECONDS, Sessions
from tests.jwt_provider import (
    AUDIENCE,
    ISSUER,
    SUBJECT,
    Provider,
    forged,
    jwk,
    key_set,
    public_pem,
    serving_keys,
    token,
)

APP_ID = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
APP = config.App(id=APP_ID, name="job", jwt_subjects=[SUBJECT, "other"], jwt_provider="idp")


@pytest.fixture(scope="module")
def keys() -> Provider:
    """Keys take long to make."""
    return Provider()


@pytest_asyncio.fixture
async def provider(keys: Provider) -> AsyncIterator[Provider]:
    async with serving_keys(Provider(dict(keys.keys))) as one:
        yield one


def authenticator(source: Source, **words: Any) -> JwtAuthenticator:
    section = config.JwtProvider(name="idp", issuer=ISSUER, audience=AUDIENCE, jwks="https://idp.test/keys", **words)
    return JwtAuthenticator([APP], [(section, KeySet("idp", source))])


def patient(url: str) -> Source:
    """Asks again whenever there is reason to."""
    return dataclasses.replace(UrlSource(url), retry_seconds=0.0)


async def app_of(one: JwtAuthenticator, text: str) -> str | None:
    identity = await one.identify(text)
    return identity.app.id if identity else None


GOOD = [("ec", "ES256"), ("rsa", "RS256"), ("rsa", "PS512"), ("ed", "EdDSA")]


@pytest.mark.parametrize(("kid", "algorithm"), GOOD)
async def test_a_good_token_is_its_app(provider: Provider, kid: str, algorithm: str) -> None:
    one = authenticator(UrlSource(provider.url))
    for sub in (SUBJECT, "other"):
        assert await app_of(one, provider.token(kid, algorithm, sub=sub)) == APP_ID
    assert await app_of(one, provider.token(kid, algorithm, aud=["x", AUDIENCE])) == APP_ID
    assert provider.asked == 1


NOW = int(time.time())


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": NOW - LEEWAY_SECONDS - 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": NOW + 3600},
        {"iat": NOW + 3600},
        {"iss": ISSUER + "/"},
        {"iss": None},
        {"iss": ""},
        {"aud": "another"},
        {"aud": ["another"]},
        {"aud": None},
        {"aud": []},
        {"sub": None},
        {"sub": ""},
        {"sub": "nobody"},
        {"sub": SUBJECT + " "},
    ],
    ids=lambda wrong: str(wrong).replace(str(NOW + 3600), "in an hour").replace(str(NOW - LEEWAY_SECONDS - 1), "past"),
)
async def test_a_claim_that_is_wrong_or_missing_is_nobody(provider: Provider, wrong: dict[str, Any]) -> None:
    assert await app_of(authenticator(UrlSource(provider.url)), provider.token(**wrong)) is None


async def test_a_token_that_never_expires_can_be_exchanged_for_a_session(provider: Provider) -> None:
    identity = await authenticator(UrlSource(provider.url)).identify(provider.token(exp=10**400))
    assert identity is not None
    _, idle_seconds = await Sessions([]).issue(identity.app.id, identity.credential, identity.until)
    assert idle_seconds == IDLE_SECONDS


async def test_what_no_key_of_the_provider_signed_is_nobody(provider: Provider) -> None:
    one = authenticator(patient(provider.url))
    stranger = ec.generate_private_key(ec.SECP256R1())
    small = rsa.generate_private_key(65537, 1024)
    provider.keys |= {"small": small}
    with pytest.warns(InsecureKeyLengthWarning):
        small_token = token("small", small, "RS256")
    good = provider.token()
    head, body, seal = good.split(".")
    tried = [
        token("ec", stranger, "ES256"),
        token("unknown", stranger, "ES256"),
        token(None, provider.keys["ec"], "ES256"),
        token("", provider.keys["ec"], "ES256"),
        *(token(kid, provider.keys["ec"], "ES256") for kid in ("../ec", "/etc/passwd", "ec\0", "ec' OR '1'='1", "rsa")),
        small_token,
        *(forged({"alg": name, "kid": "ec"}) for name in ("none", "None", "", "ES256")),
        *(forged({"alg": "HS256", "kid": kid}, public_pem(key)) for kid, key in provider.keys.items()),
        *(forged({"alg": wrong, "kid": "ec"}) for wrong in (None, 1, ["ES256"])),
        forged({"alg": "ES256", "kid": ["ec"]}),
        forged({"alg": "ES256", "kid": "ec", "jwk": jwk("ec", stranger)}),
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{body}.{seal}.{seal}",
        f"{head}.{body[:-2]}AA.{seal}",
        "...",
        ".",
        "\ud800.x.y",
        "W1tb." * 3,
    ]
    for text in tried:
        assert await app_of(one, text) is None, text
    assert await app_of(one, good) == APP_ID


async def test_json_that_is_nested_too_deep_is_nobody(provider: Provider) -> None:
    import base64

    deep = base64.urlsafe_b64encode(b"[" * 6000).decode().rstrip("=")
    assert await app_of(authenticator(UrlSource(provider.url)), f"{deep}.{deep}.x") is None


async def test_only_the_configs_algorithms_will_do_and_only_the_keys_own(provider: Provider) -> None:
    one = authenticator(UrlSource(provider.url), algorithms=["RS256", "ES256"])
    assert await app_of(one, provider.token("rsa", "RS256")) == APP_ID
    assert await app_of(one, provider.token("rsa", "PS256")) is None
    bound = {
        "keys": [jwk("rsa", provider.keys["rsa"]) | {"alg": "PS256"}, jwk("ec", provider.keys["ec"]) | {"use": "enc"}]
    }
    provider.body = json.dumps(bound).encode()
    two = authenticator(UrlSource(provider.url))
    assert await app_of(two, provider.token("rsa", "RS256")) is None
    assert await app_of(two, provider.token("rsa", "PS256")) == APP_ID
    assert await app_of(two, provider.token("ec", "ES256")) is None


async def test_a_token_is_known_again_until_it_expires(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    one = authenticator(UrlSource(provider.url))
    text = provider.token()
    first = await one.identify(text)
    assert first is not None
    assert await one.identify(text) is first
    late = time.time() + 300 + LEEWAY_SECONDS + 1
    monkeypatch.setattr(time, "time", lambda: late)
    assert first.until < late
    # PyJWT has a clock of its own, so it still says yes: what is asked here is that we ask it.
    assert await one.identify(text) is not first


async def test_strangers_do_not_make_us_ask_the_provider_all_the_time(provider: Provider) -> None:
    one = authenticator(UrlSource(provider.url))
    for number in range(50):
        assert await app_of(one, token(f"kid{number}", provider.keys["ec"], "ES256")) is None
    assert provider.asked == 1


async def test_a_new_key_is_asked_for_and_one_that_is_gone_is_gone(provider: Provider) -> None:
    one = authenticator(patient(provider.url))
    old = provider.token()
    assert await app_of(one, old) == APP_ID
    provider.keys["new"] = ec.generate_private_key(ec.SECP256R1())
    del provider.keys["ec"]
    several = await asyncio.gather(*(app_of(one, provider.token("new")) for _ in range(20)))
    assert several == [APP_ID] * 20
    assert provider.asked == 2, "those that ask together share one answer"
    assert await app_of(one, old) is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"{}"),
        (302, b"{}"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"keys": 1}'),
        (200, b"[" * 9000),
        (200, b" " * 600_000),
    ],
    ids=["error", "redirect", "nothing", "no object", "no list", "deep", "huge"],
)
async def test_a_provider_in_trouble_costs_only_those_who_need_it_and_then_only_at_first(
    provider: Provider, caplog: pytest.LogCaptureFixture, status: int, body: bytes
) -> None:
    provider.status, provider.body = status, body
    one = authenticator(patient(provider.url))
    with pytest.raises(KeysNotHad):
        await one.identify(provider.token())
    assert caplog.text.count("idp: its keys cannot be read: ") == 1
    provider.status, provider.body = 200, None
    assert await app_of(one, provider.token()) == APP_ID
    provider.status, provider.body = status, body
    assert await app_of(one, token("unknown", provider.keys["ec"], "ES256")) is None
    assert await app_of(one, provider.token("rsa", "RS256")) == APP_ID


async def test_a_provider_that_is_away_is_a_503_until_it_is_there() -> None:
    away = authenticator(patient("http://127.0.0.1:1/keys"))
    with pytest.raises(KeysNotHad):
        await away.identify(token("ec", ec.generate_private_key(ec.SECP256R1()), "ES256"))


async def test_a_provider_that_does_not_answer_is_not_waited_for_long(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_sets, "TIMEOUT_SECONDS", 0.1)
    never = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        with pytest.raises(KeysNotHad):
            await authenticator(UrlSource(url)).identify(provider.token())
        never.set()


async def test_odd_members_of_a_key_set_are_passed_over(provider: Provider) -> None:
    odd: list[Any] = [
        1,
        {},
        {"kid": 1, "kty": "EC"},
        {"kid": "x", "kty": "oct", "k": "AAAA"},
        {"kid": "ec", "kty": "RSA"},
    ]
    provider.body = json.dumps({"keys": [*odd, *key_set(provider.keys)["keys"]]}).encode()
    one = authenticator(UrlSource(provider.url))
    assert await app_of(one, provider.token()) == APP_ID
    assert await app_of(one, forged({"alg": "HS256", "kid": "x"}, b"\0\0\0")) is None


@pytest.mark.parametrize("kid", ["rsa", "ec", "ed"])
async def test_a_private_key_that_is_published_is_passed_over(provider: Provider, kid: str) -> None:
    algorithm = {"rsa": "RS256", "ec": "ES256", "ed": "EdDSA"}[kid]
    private = get_algorithm_by_name(algorithm).to_jwk(provider.keys[kid], as_dict=True)
    provider.body = json.dumps({"keys": [{**private, "kid": kid, "key_ops": ["sign", "verify"]}]}).encode()
    assert await app_of(authenticator(UrlSource(provider.url)), provider.token(kid, algorithm)) is None


async def test_a_file_is_read_again_when_it_changes(keys: Provider, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    source = FileSource(file, fresh_seconds=0.01, retry_seconds=0.0)
    key_file = KeySet("idp", source)
    section = config.JwtProvider(name="idp", issuer=ISSUER, audience=AUDIENCE, jwks="file:keys.json")
    one = JwtAuthenticator([APP], [(section, key_file)])
    text = keys.token()
    key_file.start()
    try:
        with pytest.raises(KeysNotHad):
            await one.identify(text)
        file.write_text(json.dumps(key_set(keys.keys)))
        assert await app_of(one, text) == APP_ID
        file.write_text('{"keys": []}')
        async with asyncio.timeout(5):
            while await one.identify(text):
                await asyncio.sleep(0.01)
    finally:
        key_file.stop()


def test_what_stands_for_a_jwt_in_sessions_is_another_when_its_provider_is_trusted_otherwise() -> None:
    words: dict[str, Any] = {"name": "idp", "issuer": ISSUER, "audience": AUDIENCE, "jwks": "file:keys.json"}
    first = config.JwtProvider(**words, algorithms=["ES256", "RS256"])
    alike = config.JwtProvider(**(words | {"name": "other"}), algorithms=["RS256", "ES256"])
    others: list[dict[str, Any]] = [
        {"issuer": "https://x"},
        {"audience": "x"},
        {"jwks": "file:x"},
        {"algorithms": ["ES256"]},
    ]
    made = {jwt_credential(config.JwtProvider(**({**first.model_dump()} | other)), SUBJECT) for other in others}
    assert jwt_credential(first, SUBJECT) == jwt_credential(alike, SUBJECT)
    assert len(made | {jwt_credential(first, SUBJECT), jwt_credential(first, "x")}) == 6
