"""Who is calling: API keys, as `Basic` or `Bearer` credentials.

An API key is base64("<app uuid>:<secret>") (contract: dsm-wire, API key). The config knows only the secret's SHA-256,
or two while the key is being replaced.
"""

import base64
import binascii
import hashlib
import hmac
import math
from collections.abc import Iterable
from dataclasses import dataclass

from hsmgate import config
from hsmgate.config.credentials import MOST_SECRETS
from hsmgate.domain.policy import Grant

_NOBODY = bytes(32)

SEEN_AT_MOST = 1000
"""Credentials that were right are known again by their hash; one app can write its own in more than one way."""


@dataclass(frozen=True, slots=True, eq=False)
class App:
    """A caller that has shown who it is. Configured anew it is another, with the same id."""

    id: str
    name: str
    grant: Grant

    @classmethod
    def of(cls, app: config.App) -> "App":
        """The app as the config has it."""
        return cls(app.id, app.name, app.grant())


@dataclass(frozen=True, slots=True)
class Identity:
    """An app, and by what it was known.

    credential: 8 bytes for the place in the config that let it in. While the config has it, its sessions are good.
    until: when the credential itself ends, in seconds since 1970.
    """

    app: App
    credential: bytes
    until: float = math.inf


def credential_id(kind: str, *values: str) -> bytes:
    """What stands for a credential of the config, in an Identity and in session tokens."""
    return hashlib.sha256("\0".join((kind, *values)).encode()).digest()[:8]


class Authenticator:
    """Tells apps by their API keys."""

    def __init__(self, apps: Iterable[config.App]) -> None:
        self._apps = {app.id: (App.of(app), [bytes.fromhex(secret) for secret in app.secret_sha256]) for app in apps}
        self._seen: dict[bytes, Identity] = {}  # by the hash of a header that was right

    def app(self, app_id: str) -> App | None:
        """The app of that id."""
        known = self._apps.get(app_id)
        return known[0] if known else None

    def identify(self, authorization: str) -> Identity | None:
        """The app that an Authorization header's value stands for, or None.

        An unknown app costs as much as a wrong secret, and the comparison takes the same time for any secret.
        """
        identity = self._identify(authorization)
        if identity is not None:
            if len(self._seen) >= SEEN_AT_MOST:
                del self._seen[next(iter(self._seen))]  # the one that came first
            self._seen[_header(authorization)] = identity
        return identity

    def recognise(self, authorization: str) -> Identity | None:
        """The same, if that very value was right before; None says nothing."""
        return self._seen.get(_header(authorization))

    def _identify(self, authorization: str) -> Identity | None:
        app_id, secret = split_api_key(authorization)
        app, expected = self._apps.get(app_id, (None, []))
        digest = hashlib.sha256(secret).digest()
        padded = expected + [_NOBODY] * (MOST_SECRETS - len(expected))
        same = [hmac.compare_digest(digest, one) for one in padded][: len(expected)]
        return Identity(app, credential_id("key", digest.hex())) if app and any(same) else None


def _header(authorization: str) -> bytes:
    return hashlib.sha256(authorization.encode("utf-8", "replace")).digest()


def split_api_key(authorization: str) -> tuple[str, bytes]:
    """App id and secret of an Authorization header's value; both empty where it holds no API key."""
    scheme, _, credentials = authorization.partition(" ")
    if scheme.lower() not in ("basic", "bearer"):
        return "", b""
    app_id, colon, secret = _decode(credentials.strip()).partition(b":")
    return (app_id.decode("ascii", "replace").lower(), secret) if colon else ("", b"")


def _decode(credentials: str) -> bytes:
    """The bytes of either base64 alphabet, with or without padding; none where it is neither."""
    standard = credentials.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
