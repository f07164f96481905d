"""Credentials: what stands in an Authorization header."""

import base64
import binascii
import hashlib
import re
from collections.abc import Coroutine
from functools import cache
from typing import Any

from hsmgate import config
from hsmgate.gateway.auth import SEEN_AT_MOST, Authenticator
from hsmgate.gateway.callers import bearer_token
from hsmgate.gateway.sessions import Session, Sessions
from tests.fuzz.target import Target

APP_ID = "5d1e1f52-8a3b-4c6d-9e7f-001122334455"
SECRET = "x??>~~s3cret-of-the-app"  # with + and / in its base64
CREDENTIAL = bytes(8)
NOW = 1_800_000_000.0

SECRET_SHA256 = hashlib.sha256(SECRET.encode()).hexdigest()

_APP = config.App(id=APP_ID, name="fuzz", secret_sha256=(SECRET_SHA256,))
_AUTHENTICATOR = Authenticator([_APP])
API_KEY = base64.b64encode(f"{APP_ID}:{SECRET}".encode()).decode()


def check(data: bytes) -> None:
    """Someone only by the right API key or a session token that was issued; the others are nobody."""
    # As aiohttp gives headers.
    authorization = data.decode("utf-8", "surrogateescape")
    app = _AUTHENTICATOR.identify(authorization)
    sessions, token = _session()
    credentials = bearer_token(authorization)
    by_token = finish(sessions.identify(credentials)) if credentials is not None else None
    shown = decoded(authorization.partition(" ")[2])
    if app is not None:
        given_id, _, secret = shown.partition(b":")
        assert (given_id.decode().lower(), secret.decode()) == (APP_ID, SECRET), "a wrong API key was accepted"
    if by_token is not None:
        assert (by_token, shown) == (Session(APP_ID, CREDENTIAL), decoded(token)), (
            "a session token was accepted that nobody issued"
        )
    assert len(_AUTHENTICATOR._seen) <= SEEN_AT_MOST
    assert len(sessions._memories) <= 1
    if credentials is not None and (app is not None or by_token is not None):
        sessions.terminate(credentials)  # as the call of that name does
        assert finish(sessions.identify(token)) == (Session(APP_ID, CREDENTIAL) if by_token is None else None)
        sessions._memories.clear()


@cache
def _session() -> tuple[Sessions, str]:
    """Sessions that have issued one token."""
    sessions = Sessions([], lambda: NOW)
    return sessions, finish(sessions.issue(APP_ID, CREDENTIAL))[0]


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of one that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits")


_NO_DIGIT = re.compile(r"[^A-Za-z0-9+/]")


def decoded(text: str) -> bytes:
    """Base64 as lax as can be: whatever decodes to the right bytes is right."""
    digits = _NO_DIGIT.sub(
        "", text.replace("-", "+").replace("_", "/")
    )  # decoders that are not strict pass over others
    try:
        return base64.b64decode(digits + "=" * (-len(digits) % 4))
    except (binascii.Error, ValueError):
        return b""


def seeds() -> list[bytes]:
    _, token = _session()
    forged = base64.urlsafe_b64encode(decoded(token)[:-1] + b"\0").decode()
    words = ("", "Basic", "Digest x", f"Basic {API_KEY}", f"bearer  {API_KEY.rstrip('=')} ", f"Bearer {token}")
    wrong = base64.b64encode(f"{APP_ID}:wrong".encode()).decode()
    return [word.encode() for word in (*words, f"Bearer {forged}", f"Basic {wrong}", f"Bearer {token[:-4]}")]


TARGET = Target(
    name="tokens",
    reads="Authorization headers: API keys and session tokens",
    promise="an app only by its own key or a token that was issued; nothing of others is kept",
    check=check,
    seeds=seeds,
    words=(b"Basic ", b"Bearer ", b"AQ"),
)
