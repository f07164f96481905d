"""Apps by the certificates that they show, which TLS has verified against client_ca."""

import logging
from collections.abc import Iterable

from cryptography import x509

from hsmgate import config
from hsmgate.domain.certificates import CertificateName, names_of
from hsmgate.gateway.auth import SEEN_AT_MOST, App, Identity, credential_id

log = logging.getLogger(__name__)

_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class CertificateAuthenticator:
    """Tells apps by client certificates."""

    def __init__(self, apps: Iterable[config.App]) -> None:
        self._entries = {
            CertificateName.read(text): (App.of(app), credential_id("certificate", text))
            for app in apps
            for text in app.certificates or ()
        }
        self._seen: dict[bytes, dict[str, Identity]] = {}

    def identities(self, der: bytes) -> dict[str, Identity]:
        """The apps that a verified certificate stands for, by their ids, whether or not it has expired."""
        found = self._seen.get(der)
        if found is None:
            found = self._identities(der)
            if len(self._seen) >= SEEN_AT_MOST:
                del self._seen[next(iter(self._seen))]  # the one that came first
            self._seen[der] = found
        return found

    def _identities(self, der: bytes) -> dict[str, Identity]:
        try:
            certificate = x509.load_der_x509_certificate(der)
            until = certificate.not_valid_after_utc.timestamp()
            known = [self._entries[name] for name in names_of(certificate) if name in self._entries]
        except _UNREADABLE as error:
            log.warning("a client certificate cannot be read: %s", type(error).__name__)
            return {}
        return {app.id: Identity(app, credential, until) for app, credential in reversed(known)}
