"""JWTs of identity providers (RFC 7519, with the advice of RFC 8725): who may be which app.

The provider is found by `iss`, its key by `kid`; the algorithm is one of the provider's list, and of the key's type. A
token must have exp, iss, aud and sub. `sub` says which app it is.
"""

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from hsmgate import config
from hsmgate.domain.times import LATEST
from hsmgate.gateway.auth import SEEN_AT_MOST, App, Identity, credential_id
from hsmgate.gateway.key_sets import Jwk, KeySet

LEEWAY_SECONDS = 10
"""By so much the provider's clock may differ from ours."""

_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
"""The key type of an algorithm (RFC 7518, section 3.1; RFC 8037, section 3.1), by its first letters."""

_CLAIMS = ["exp", "iss", "aud", "sub"]


@dataclass(frozen=True, slots=True)
class _Provider:
    config: config.JwtProvider
    keys: KeySet
    apps: dict[str, App]  # by subject


@dataclass(frozen=True, slots=True)
class _Seen:
    identity: Identity
    keys: KeySet
    version: object


def jwt_credential(provider: config.JwtProvider, subject: str) -> bytes:
    """What stands for a provider's JWTs of that subject, as long as the config trusts them in the same way."""
    words = provider.issuer, provider.audience, provider.jwks, *sorted(provider.algorithms)
    return credential_id("jwt", *words, subject)


class JwtAuthenticator:
    """Tells apps by JWTs."""

    def __init__(self, apps: Iterable[config.App], providers: Iterable[tuple[config.JwtProvider, KeySet]]) -> None:
        subjects: dict[str | None, dict[str, App]] = defaultdict(dict)
        for app in apps:
            if app.jwt_subjects:
                subjects[app.jwt_provider].update(dict.fromkeys(app.jwt_subjects, App.of(app)))
        self._providers = {
            provider.issuer: _Provider(provider, keys, subjects[provider.name]) for provider, keys in providers
        }
        self._seen: dict[bytes, _Seen] = {}

    async def identify(self, token: str) -> Identity | None:
        """The app whose token that is, or None. Raises KeysNotHad where that cannot be told."""
        digest = hashlib.sha256(token.encode("utf-8", "replace")).digest()
        seen = self._seen.get(digest)
        if seen and seen.version is seen.keys.version and time.time() < seen.identity.until:
            return seen.identity
        found = await self._identify(token)
        if found is None:
            self._seen.pop(digest, None)
            return None
        if len(self._seen) >= SEEN_AT_MOST:
            del self._seen[next(iter(self._seen))]  # the one that came first
        self._seen[digest] = found
        return found.identity

    async def _identify(self, token: str) -> _Seen | None:
        try:
            claimed = jwt.decode_complete(token, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            return None
        issuer, header = claimed["payload"].get("iss"), claimed["header"]
        provider = self._providers.get(issuer) if isinstance(issuer, str) else None
        algorithm, kid = header.get("alg"), header.get("kid")
        if provider is None or algorithm not in provider.config.algorithms or not isinstance(kid, str):
            return None
        key = await provider.keys.find(kid, _KEY_TYPES[algorithm[:2]])
        version = provider.keys.version
        payload = _verified(token, key, algorithm, provider.config) if key else None
        app = provider.apps.get(payload["sub"]) if payload else None
        if payload is None or app is None:
            return None
        credential = jwt_credential(provider.config, payload["sub"])
        until = min(int(payload["exp"]) + LEEWAY_SECONDS, LATEST)
        return _Seen(Identity(app, credential, until), provider.keys, version)


def _verified(token: str, key: Jwk, algorithm: str, provider: config.JwtProvider) -> dict[str, Any] | None:
    """The claims of a token that is right in every way, or None."""
    if key.get("alg", algorithm) != algorithm:
        return None
    try:
        return jwt.decode(
            token,
            jwt.PyJWK(key, algorithm),
            [algorithm],
            {"require": _CLAIMS, "enforce_minimum_key_length": True},
            audience=provider.audience,
            issuer=provider.issuer,
            leeway=LEEWAY_SECONDS,
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError, UnsupportedAlgorithm):
        return None
