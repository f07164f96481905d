"""Who is calling, by whichever credential: API key, session token, JWT or client certificate.

An Authorization header that is wrong is wrong, whatever certificate comes with it.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from hsmgate import config
from hsmgate.gateway.auth import Authenticator, Identity, credential_id, split_api_key
from hsmgate.gateway.client_certificates import CertificateAuthenticator, ClientCertificate
from hsmgate.gateway.jwts import JwtAuthenticator, jwt_credential
from hsmgate.gateway.key_sets import KeySet, source_of
from hsmgate.gateway.reload import Party, Takeover
from hsmgate.gateway.sessions import Session, Sessions
from hsmgate.gateway.tls import ClientCa


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows: the Authorization header's value, and on demand the connection's certificate."""

    authorization: str | None
    certificate: Callable[[], ClientCertificate | None]


@dataclass(frozen=True, slots=True)
class _Known:
    """What one config says of callers. The next config has its own, so what was remembered ends with its config."""

    keys: Authenticator
    certificates: CertificateAuthenticator
    jwts: JwtAuthenticator
    credentials: dict[str, frozenset[bytes]]  # by app id; but for those of certificates

    @classmethod
    def of(
        cls,
        loaded: config.Config,
        key_sets: Mapping[tuple[str, str], KeySet],
        client_ca: Callable[[], ClientCa],
    ) -> Self:
        providers = {provider.name: provider for provider in loaded.jwt_provider}
        return cls(
            Authenticator(loaded.app),
            CertificateAuthenticator(loaded.app, client_ca),
            JwtAuthenticator(loaded.app, [(one, key_sets[one.name, one.jwks]) for one in loaded.jwt_provider]),
            {app.id: frozenset(_credentials(app, providers.get(app.jwt_provider or ""))) for app in loaded.app},
        )

    def lets_in(self, session: Session) -> bool:
        """Whether what the session was given for would still let its app in."""
        app_id, credential = session
        return credential in self.credentials.get(app_id, ()) or credential in self.certificates.credentials(app_id)


def _credentials(app: config.App, provider: config.JwtProvider | None) -> Iterator[bytes]:
    """What stands for the app's API keys and JWTs in sessions."""
    yield from (credential_id("key", secret) for secret in app.secret_sha256)
    if provider is not None:
        yield from (jwt_credential(provider, subject) for subject in app.jwt_subjects or ())


class Callers:
    """Tells who calls, by the config as it is now.

    client_ca: says what client certificates are verified against now.
    """

    def __init__(self, loaded: config.Config, sessions: Sessions, client_ca: Callable[[], ClientCa]) -> None:
        self._sessions = sessions
        self._client_ca = client_ca
        self._key_sets: dict[tuple[str, str], KeySet] = {}
        self._running = False
        self.party = Party(frozenset({"app", "jwt_provider"}), self._prepare)
        self._prepare(loaded)()

    def start(self) -> None:
        """Read the key sets of identity providers from now on."""
        self._running = True
        for key_set in self._key_sets.values():
            key_set.start()

    def stop(self) -> None:
        """Not any more."""
        for key_set in self._key_sets.values():
            key_set.stop()

    def _prepare(self, loaded: config.Config) -> Takeover:
        places = [(provider.name, provider.jwks) for provider in loaded.jwt_provider]
        # A set that stays keeps what it has: its provider may be away just now.
        key_sets = {
            (name, jwks): self._key_sets.get((name, jwks)) or KeySet(name, source_of(jwks, loaded.folder))
            for name, jwks in places
        }
        known = _Known.of(loaded, key_sets, self._client_ca)
        return lambda: self._take(known, key_sets)

    def _take(self, known: _Known, key_sets: dict[tuple[str, str], KeySet]) -> None:
        for place, old in self._key_sets.items():
            if place not in key_sets:
                old.stop()
        self._known, self._key_sets = known, key_sets
        if self._running:
            self.start()

    def recognise(self, authorization: str) -> Identity | None:
        """Who that is, if it was an API key before; None says nothing. Most calls need no more."""
        return self._known.keys.recognise(authorization)

    async def identify(self, shown: Shown, *, by_session: bool = True) -> Identity | None:
        """Who that is, or None. by_session: whether a session token will do. Raises KeysNotHad."""
        if shown.authorization is None:
            return self._by_certificate(shown.certificate(), None)
        token = bearer_token(shown.authorization)
        if token is not None and "." in token:  # which is in no base64
            return await self._by_jwt(token)
        identity = self._known.keys.identify(shown.authorization)
        if identity is not None:
            return identity
        if token is None:
            app_id, secret = split_api_key(shown.authorization)
            return self._by_certificate(shown.certificate(), app_id) if app_id and not secret else None
        return await self._by_session(token) if by_session else None

    def _by_certificate(self, shown: ClientCertificate | None, app_id: str | None) -> Identity | None:
        """The app whose certificate that is: the one of that id, or else the only one."""
        identities = self._known.certificates.identities(shown) if shown else {}
        if app_id is None and len(identities) == 1:
            (app_id,) = identities
        identity = identities.get(app_id or "")
        # TLS looked at the date when the connection, or the session that it resumes, began.
        return identity if identity and time.time() < identity.until else None

    async def _by_jwt(self, token: str) -> Identity | None:
        while True:
            known = self._known
            identity = await known.jwts.identify(token)
            if known is self._known:  # else the config changed meanwhile
                return identity

    async def _by_session(self, token: str) -> Identity | None:
        session = await self._sessions.identify(token)
        if session is None or not self._known.lets_in(session):
            return None
        app = self._known.keys.app(session.app_id)
        return Identity(app, session.credential) if app else None


def bearer_token(authorization: str) -> str | None:
    """The token of a Bearer credential (RFC 6750, section 2.1)."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else None
