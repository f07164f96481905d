"""API keys in Authorization headers."""

import base64
import hashlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hsmgate import config
from hsmgate.gateway.auth import SEEN_AT_MOST, Authenticator

APP_ID = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
OTHER_ID = "5d1e1f52-8a3b-4c6d-9e7f-001122334456"
SECRET = "x??>~~s3cret"  # with + and / in its base64, and padding


def app(app_id: str, secret: str) -> config.App:
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return config.App(id=app_id, name=app_id[-1], secret_sha256=(digest,), keys=["rsa*"], operations=["sign"])


AUTHENTICATOR = Authenticator([app(APP_ID, SECRET), app(OTHER_ID, "other")])


def api_key(app_id: str = APP_ID, secret: str = SECRET) -> str:
    return base64.b64encode(f"{app_id}:{secret}".encode()).decode()


URL_SAFE = api_key().translate(str.maketrans("+/", "-_"))


def test_the_key_of_these_tests_needs_padding_and_both_other_characters() -> None:
    assert {"+", "/", "="} <= set(api_key())


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "basic", "BEARER"])
@pytest.mark.parametrize(
    "key",
    [
        api_key(),
        api_key().rstrip("="),
        URL_SAFE,
        URL_SAFE.rstrip("="),
        f"  {api_key()} ",
        api_key(APP_ID.upper()),
    ],
    ids=["standard", "unpadded", "url-safe", "url-safe unpadded", "blanks", "capitals"],
)
def test_an_api_key_tells_its_app(scheme: str, key: str) -> None:
    identified = AUTHENTICATOR.identify(f"{scheme} {key}")
    assert identified is not None
    found = identified.app
    assert (found.id, found.name, found.grant.operations) == (APP_ID, "5", frozenset({"sign"}))
    assert [name for name in ("rsa2048", "p256") if found.grant.covers(name, "kid")] == ["rsa2048"]


NOT_ASCII = b"\xff" + f"{APP_ID}:{SECRET}".encode()


def encoded(text: bytes) -> str:
    return base64.b64encode(text).decode()


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic ",
        api_key(),
        f"Digest {api_key()}",
        f"Basic{api_key()}",
        f"Basic {APP_ID}:{SECRET}",
        f"Basic {api_key()}x",
        f"Basic {api_key()} x",
        f"Basic ={api_key()}",
        f"Bearer {api_key(secret='wrong')}",
        f"Bearer {api_key(secret='')}",
        f"Bearer {api_key(secret=SECRET + ':')}",
        f"Bearer {api_key(secret='other')}",
        f"Bearer {api_key(app_id=APP_ID[:-1] + '7')}",
        f"Bearer {api_key(app_id='')}",
        f"Bearer {encoded(APP_ID.encode())}",
        f"Bearer {encoded(APP_ID.encode() + SECRET.encode())}",
        f"Bearer {encoded(NOT_ASCII)}",
        "Bearer \xfc\ud800",
    ],
)
def test_anything_else_is_nobody(authorization: str) -> None:
    assert AUTHENTICATOR.identify(authorization) is None


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.binary().map(encoded)))
@example("A")
@example("====")
def test_junk_is_nobody(junk: str) -> None:
    for authorization in (junk, f"Basic {junk}", f"Bearer {junk}"):
        assert AUTHENTICATOR.identify(authorization) is None


def test_a_thousand_spellings_of_one_key_leave_room_for_the_others() -> None:
    one = Authenticator([app(APP_ID, SECRET), app(OTHER_ID, "other")])
    for number in range(SEEN_AT_MOST + 10):
        assert one.identify(f"Basic {' ' * number}{api_key()}") is not None
    others = one.identify(f"Basic {api_key(OTHER_ID, 'other')}")
    assert others is not None
    assert one.recognise(f"Basic {api_key(OTHER_ID, 'other')}") is others
    assert len(one._seen) == SEEN_AT_MOST


def test_without_apps_everyone_is_nobody() -> None:
    assert Authenticator([]).identify(f"Basic {api_key()}") is None
