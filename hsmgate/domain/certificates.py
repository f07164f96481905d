"""What a client certificate says of who shows it, and how the config writes that."""

import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

_SHORT_NAMES = {"emailAddress": NameOID.EMAIL_ADDRESS, "serialNumber": NameOID.SERIAL_NUMBER}
"""Attribute types that certificates have, beside those that RFC 4514 (section 3) gives names."""

HOW_TO_WRITE = "write it like subject:CN=client,O=Bank or dns:HOST or email:ADDRESS or uri:URI or ip:ADDRESS"


@dataclass(frozen=True, slots=True)
class CertificateName:
    """A certificate's subject, or one of its alternative names (RFC 5280, sections 4.1.2.6 and 4.2.1.6)."""

    kind: str
    value: object

    @classmethod
    def read(cls, text: str) -> "CertificateName":
        """From `kind:value`; a subject as RFC 4514 writes it. Raises ValueError."""
        kind, colon, value = text.partition(":")
        if not (colon and value):
            raise ValueError(HOW_TO_WRITE)
        match kind:
            case "subject":
                return cls(kind, _subject(value))
            case "dns" | "email" | "uri":
                return cls(kind, _plain(kind, value))
            case "ip":
                try:
                    return cls(kind, ipaddress.ip_address(value))
                except ValueError:
                    raise ValueError("ip: wants an IPv4 or IPv6 address") from None
            case _:
                raise ValueError(HOW_TO_WRITE)


def names_of(certificate: x509.Certificate) -> list[CertificateName]:
    """Its subject, if it has one, and its alternative names. Raises ValueError where they cannot be read."""
    names = [CertificateName("subject", certificate.subject)] if certificate.subject.rdns else []
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return names
    for entry in alternative:
        match entry:
            case x509.DNSName():
                names.append(CertificateName("dns", _plain("dns", entry.value)))
            case x509.RFC822Name():
                names.append(CertificateName("email", _plain("email", entry.value)))
            case x509.UniformResourceIdentifier():
                names.append(CertificateName("uri", entry.value))
            case x509.IPAddress():
                names.append(CertificateName("ip", entry.value))
            case _:
                pass
    return names


def _subject(text: str) -> x509.Name:
    try:
        return x509.Name.from_rfc4514_string(text, _SHORT_NAMES)
    except ValueError:
        raise ValueError(
            "subject: wants a name as in RFC 4514, like CN=client,O=Bank, without a blank at a comma"
        ) from None


def _plain(kind: str, value: str) -> str:
    """As it is compared: host names do not mind case (RFC 4343), also those of mail addresses."""
    if kind == "uri":
        return value
    local, at, host = value.rpartition("@")
    return local + at + host.lower()
