"""A private CA, a server's and a client's certificate."""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.secrets_scan import NOTES


@dataclass(frozen=True)
class Certificates:
    ca: Path
    client: Path
    client_key: Path
    issuer: x509.Certificate
    issuer_key: ec.EllipticCurvePrivateKey

    def make_client(self, name: str, subject: str, *alternative: x509.GeneralName, lives_hours: float = 24) -> Path:
        """One more client's certificate and key, in one PEM file beside the CA's."""
        key = _new_key()
        names = x509.Name.from_rfc4514_string(subject)
        made = _certificate(names, key, self.issuer, self.issuer_key, *alternative, lives_hours=lives_hours)
        file = self.ca.with_name(f"{name}.pem")
        file.write_bytes(made.public_bytes(Encoding.PEM) + _pem(key))
        return file


def _new_key() -> ec.EllipticCurvePrivateKey:
    key = ec.generate_private_key(ec.SECP256R1())
    NOTES.private_key("TLS key", key)
    return key


def make_certificates(folder: Path) -> Certificates:
    """ca.pem, server.pem, server.key, client.pem and client.key in the folder."""
    ca_key = _new_key()
    ca = _certificate(_common("hsmgate test CA"), ca_key, None, ca_key)
    (folder / "ca.pem").write_bytes(ca.public_bytes(Encoding.PEM))
    for name in ("server", "client"):
        key = _new_key()
        certificate = _certificate(_common(name), key, ca, ca_key, _LOOPBACK)
        (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / f"{name}.key").write_bytes(_pem(key))
    return Certificates(folder / "ca.pem", folder / "client.pem", folder / "client.key", ca, ca_key)


_LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def _common(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate | None,
    ca_key: ec.EllipticCurvePrivateKey,
    *alternative: x509.GeneralName,
    lives_hours: float = 24,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(ca.subject if ca else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=lives_hours))
        .add_extension(x509.BasicConstraints(ca=ca is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if alternative:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternative), critical=not subject.rdns)
    if not ca:
        usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(ca_key, hashes.SHA256())
