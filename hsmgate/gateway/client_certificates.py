"""Apps by the certificates that they show, which TLS has verified against client_ca.

What is in that file may change while connections last, and sessions that a certificate was shown for. Connections end
when something is taken out of it, since nobody here could say whose certificates that had verified; sessions whenever
it is another.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from cryptography import x509

from hsmgate import config
from hsmgate.domain.certificates import CertificateName, names_of
from hsmgate.gateway.auth import SEEN_AT_MOST, App, Identity, credential_id
from hsmgate.gateway.tls import ClientCa

log = logging.getLogger(__name__)

_UNREADABLE = (
    ValueError,
    TypeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class ClientCertificate(NamedTuple):
    """A certificate that a connection has shown, DER, and what it was verified against when the connection began."""

    der: bytes
    ca: ClientCa


class CertificateAuthenticator:
    """Tells apps by client certificates.

    client_ca: says what they are verified against now.
    """

    def __init__(self, apps: Iterable[config.App], client_ca: Callable[[], ClientCa]) -> None:
        self._apps = {
            CertificateName.read(text): (App.of(app), text) for app in apps for text in app.certificates or ()
        }
        self._client_ca = client_ca
        self._go_by(client_ca())

    def _go_by(self, ca: ClientCa) -> None:
        """Certificates are verified against that from now on."""
        self._ca = ca
        self._entries = {
            name: (app, credential_id("certificate", ca.id, text)) for name, (app, text) in self._apps.items()
        }
        self._credentials: dict[str, set[bytes]] = defaultdict(set)
        for app, credential in self._entries.values():
            self._credentials[app.id].add(credential)
        self._seen: dict[bytes, dict[str, Identity]] = {}

    def _look(self) -> None:
        ca = self._client_ca()
        if ca is not self._ca:
            self._go_by(ca)

    def credentials(self, app_id: str) -> Collection[bytes]:
        """What stands for the app's certificates in sessions."""
        self._look()
        return self._credentials.get(app_id, ())

    def identities(self, shown: ClientCertificate) -> dict[str, Identity]:
        """The apps that a certificate stands for, by their ids, whether or not it has expired.

        It stands for none where something that it may have been verified against counts no more.
        """
        self._look()
        if shown.ca is not self._ca and not shown.ca.blocks <= self._ca.blocks:
            return {}
        der = shown.der
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
