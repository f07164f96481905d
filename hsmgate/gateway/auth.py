"""Who is calling: API keys, as `Basic` or `Bearer` credentials.

An API key is base64("<app uuid>:<secret>") (contract: dsm-wire, API key). The config knows only the secret's SHA-256.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from hsmgate import config
from hsmgate.domain.policy import Grant

_NOBODY = bytes(32)

SEEN_AT_MOST = 1000
"""Headers that were right are known again by their hash; one app can write its own in more than one way."""


@dataclass(frozen=True, slots=True, eq=False)
class App:
    """A caller that has shown who it is. Configured anew it is another, with the same id."""

    id: str
    name: str
    grant: Grant


class Authenticator:
    """Tells apps by their credentials."""

    def __init__(self, apps: Iterable[config.App]) -> None:
        self._apps = {app.id: (App(app.id, app.name, app.grant()), bytes.fromhex(app.secret_sha256)) for app in apps}
        self._seen: dict[bytes, App] = {}  # by the hash of a header that was right

    def app(self, app_id: str) -> App | None:
        """The app of that id."""
        known = self._apps.get(app_id)
        return known[0] if known else None

    def identify(self, authorization: str | None) -> App | None:
        """The app that an Authorization header's value stands for, or None.

        An unknown app costs as much as a wrong secret, and the comparison takes the same time for any secret.
        """
        header = hashlib.sha256((authorization or "").encode("utf-8", "replace")).digest()
        app = self._seen.get(header)
        if app is None:
            app = self._identify(authorization or "")
            if app is not None and len(self._seen) < SEEN_AT_MOST:
                self._seen[header] = app
        return app

    def _identify(self, authorization: str) -> App | None:
        scheme, _, credentials = authorization.partition(" ")
        if scheme.lower() not in ("basic", "bearer"):
            return None
        app_id, colon, secret = _decode(credentials.strip()).partition(b":")
        known = self._apps.get(app_id.decode("ascii", "replace").lower())
        expected = known[1] if known else _NOBODY
        same = hmac.compare_digest(hashlib.sha256(secret).digest(), expected)
        return known[0] if known and same and colon else None


def _decode(credentials: str) -> bytes:
    """The bytes of either base64 alphabet, with or without padding; none where it is neither."""
    standard = credentials.translate(_URL_SAFE_TO_STANDARD).rstrip("=")
    try:
        return base64.b64decode(standard + "=" * (-len(standard) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""


_URL_SAFE_TO_STANDARD = str.maketrans("-_", "+/")
