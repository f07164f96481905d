"""Client certificates, and the names that the config gives them."""

import datetime
import functools
import ipaddress
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hsmgate import config
from hsmgate.domain.certificates import CertificateName
from hsmgate.gateway.auth import SEEN_AT_MOST
from hsmgate.gateway.client_certificates import CertificateAuthenticator, ClientCertificate
from hsmgate.gateway.tls import NO_CLIENT_CA
from tests.fuzz.target import Target, check_text
from tests.fuzz.tokens import APP_ID

ENTRIES = (
    "subject:CN=client,O=Bank",
    "dns:client.example",
    "email:Job@client.example",
    "uri:spiffe://bank/Job",
    "ip:192.0.2.7",
    "ip:2001:db8::7",
)


def _app_id(number: int) -> str:
    return f"{APP_ID[:-1]}{number}"


APPS = [config.App(id=_app_id(number), name=entry, certificates=[entry]) for number, entry in enumerate(ENTRIES, 1)]
_AUTHENTICATOR = CertificateAuthenticator(APPS, lambda: NO_CLIENT_CA)


def check(data: bytes) -> None:
    """The first byte says whether the others are a certificate or an entry of the config."""
    if data[:1] < b"\x20":
        check_certificate(data[1:])
    else:
        _entry(data[1:])


def check_certificate(der: bytes) -> None:
    """The apps whose names stand in it, each whole, and no others."""
    shown = ClientCertificate(der, NO_CLIENT_CA)
    found = _AUTHENTICATOR.identities(shown)
    assert _AUTHENTICATOR.identities(shown) == found
    assert len(_AUTHENTICATOR._seen) <= SEEN_AT_MOST
    for number, entry in enumerate(ENTRIES, 1):
        assert _app_id(number) not in found or _stands_in(der, entry), f"a certificate passes for {entry}"


def _stands_in(der: bytes, entry: str) -> bool:
    kind, _, value = entry.partition(":")
    folded = der.lower()
    match kind:
        case "subject":
            return all(_holds(der, word) for word in ("client", "Bank"))
        case "dns":
            return _value(0x82, value.encode()) in folded
        case "email":
            return _value(0x81, value.lower().encode()) in folded and b"Job@" in der
        case "uri":
            return _value(0x86, value.encode()) in der
        case _:
            return _value(0x87, ipaddress.ip_address(value).packed) in der


def _holds(der: bytes, word: str) -> bool:
    """In any encoding that cryptography reads as text: a DirectoryString's (RFC 5280, section 4.1.2.4) and others."""
    one_byte = (4, 12, 18, 19, 20, 22, 23, 24, 26)
    return any(
        _value(tag, word.encode(encoding)) in der
        for encoding, tags in (("utf-8", one_byte), ("utf-16-be", (30,)), ("utf-32-be", (28,)))
        for tag in tags
    )


def _value(tag: int, content: bytes) -> bytes:
    return bytes((tag, len(content))) + content


def _entry(data: bytes) -> None:
    """A name, or a complaint that says how to write one."""
    text = data.decode("utf-8", "replace")
    try:
        name = CertificateName.read(text)
    except ValueError as error:
        check_text(str(error))
        return
    assert name.kind == text.partition(":")[0]
    assert CertificateName.read(text) == name
    assert hash(CertificateName.read(text)) == hash(name)
    if isinstance(name.value, x509.Name):
        assert name.value.rdns
        assert name.value.public_bytes()
    assert isinstance(name.value, str | x509.Name | ipaddress.IPv4Address | ipaddress.IPv6Address)


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_certificate(
    subject: x509.Name,
    alternative: Sequence[x509.GeneralName] = (),
    *others: x509.ExtensionType,
    ends: datetime.datetime = datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC),
) -> bytes:
    """DER; signed by its own key, since TLS has looked at that before."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(x509.Name([]))
        .public_key(_key().public_key())
        .serial_number(7)
        .not_valid_before(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(ends)
    )
    for extension in (*([x509.SubjectAlternativeName(alternative)] if alternative else []), *others):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(_key(), hashes.SHA256()).public_bytes(Encoding.DER)


SUBJECT = x509.Name.from_rfc4514_string("CN=client,O=Bank")


@functools.cache
def ours() -> bytes:
    """A certificate of the app with the subject alone."""
    return make_certificate(SUBJECT)


def _alternatives() -> list[x509.GeneralName]:
    return [
        x509.DNSName("Client.Example"),
        x509.RFC822Name("Job@client.example"),
        x509.UniformResourceIdentifier("spiffe://bank/Job"),
        x509.IPAddress(ipaddress.ip_address("192.0.2.7")),
        x509.IPAddress(ipaddress.ip_address("2001:db8::7")),
        x509.IPAddress(ipaddress.ip_network("192.0.2.0/24")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        x509.DirectoryName(SUBJECT),
        x509.OtherName(x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3"), b"\x0c\x01a"),
        x509.DNSName("client.example\0.evil.test"),
        x509.DNSName("*.example"),
    ]


def seeds() -> list[bytes]:
    empty = x509.Name([])
    certificates = [ours(), make_certificate(empty), make_certificate(SUBJECT, _alternatives())]
    certificates += [make_certificate(empty, [one]) for one in _alternatives()]
    more = x509.Name(
        [*SUBJECT, x509.NameAttribute(NameOID.X500_UNIQUE_IDENTIFIER, b"\1", x509.name._ASN1Type.BitString)]
    )
    certificates += [
        make_certificate(more),
        make_certificate(SUBJECT, ends=datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)),
    ]
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x04\x00")
    certificates.append(make_certificate(SUBJECT, (), x509.BasicConstraints(ca=True, path_length=0), unknown))
    certificates.append(ours().replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"))  # version 8
    texts = [
        *ENTRIES,
        "subject:CN=a\\2C\\,b+OU=x,2.5.4.11=#0c0161,emailAddress=x",
        "subject:CN=",
        "subject:2.5.4.6=DEU",
        "subject:C=#13",
        "subject:CN=" + "x" * 3000,
        "subject:" + "CN=a," * 500 + "CN=a",
        "subject:2.999999999999999999999999.1=x",
        "subject:CN=\\ud800\\",
        "ip:fe80::1%eth0",
        "ip:" + "1" * 500,
        "dns:@@",
        "uri:\n\x1b",
        ":x",
        "",
    ]
    return [b"\0" + der for der in certificates] + [b"\x20" + text.encode() for text in texts]


TARGET = Target(
    name="certificates",
    reads="client certificates, and the names that the config gives them",
    promise="an app only by its whole name in the certificate; a config entry's name, or one line of complaint",
    check=check,
    seeds=seeds,
    words=(
        *(
            b"\x82\x0eclient.example",
            b"\x81",
            b"\x86",
            b"\x87\x04",
            b"\x87\x10",
            b"\xa0",
            b"\xa4",
            b"\x88",
            b"\x30\x82",
        ),
        *(b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x04\x03", b"\x0c\x06client", b"\x1e", b"\x13", b"\x14", b"\x1c"),
        *(b"subject:", b"dns:", b"email:", b"uri:", b"ip:", b"CN=", b"O=", b"\\2C", b"=#", b"+", b",", b"2.5.4.3="),
    ),
)
