"""Names in certificates, and as the config writes them."""

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from hsmgate.domain.certificates import CertificateName, names_of
from tests.certificates import make_certificates


def names(folder: Path, subject: str, *alternative: x509.GeneralName) -> set[CertificateName]:
    file = make_certificates(folder).make_client("one", subject, *alternative)
    return set(names_of(x509.load_pem_x509_certificate(file.read_bytes())))


def test_a_certificate_has_its_subject_and_its_alternative_names(tmp_path: Path) -> None:
    alternative = (
        x509.DNSName("Host.Example"),
        x509.RFC822Name("Some.One@Host.Example"),
        x509.UniformResourceIdentifier("spiffe://x/Y"),
        x509.IPAddress(ipaddress.ip_address("::1")),
        x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
    )
    written = [
        "subject:CN=a\\,b,O=Bank",
        "dns:host.example",
        "email:Some.One@host.example",
        "uri:spiffe://x/Y",
        "ip:0::1",
    ]
    assert names(tmp_path, "CN=a\\,b,O=Bank", *alternative) == {CertificateName.read(text) for text in written}


def test_without_a_subject_it_has_none(tmp_path: Path) -> None:
    assert names(tmp_path, "", x509.DNSName("h")) == {CertificateName.read("dns:h")}


@pytest.mark.parametrize(
    "written", ["subject:CN=a\\2Cb+OU=x,O=Bank", "subject:OU=x+CN=a\\,b,O=Bank", "subject:2.5.4.11=x+CN=a\\,b,O=Bank"]
)
def test_a_subject_is_compared_as_a_name(tmp_path: Path, written: str) -> None:
    assert CertificateName.read(written) in names(tmp_path, "CN=a\\,b+OU=x,O=Bank")


@pytest.mark.parametrize(
    "written",
    [
        "CN=a",
        "CN=a,O=Bank,C=DE",
        "O=Bank,CN=a",
        "CN=A,O=Bank",
        "CN=a,O=bank",
        "CN=a+O=Bank",
        "CN=a\\ ,O=Bank",
        "O=Bank",
    ],
)
def test_a_subject_that_is_like_it_is_another(tmp_path: Path, written: str) -> None:
    assert CertificateName.read("subject:" + written) not in names(tmp_path, "CN=a,O=Bank")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CN=a",
        "subject:",
        "subject:a",
        "subject:CN=a, O=b",
        "subject:CN=a,",
        "dns:",
        "dns",
        "ip:host",
        "ip:1.2.3",
        "url:x",
        "DNS:h",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"wants|write it like"):
        CertificateName.read(text)
