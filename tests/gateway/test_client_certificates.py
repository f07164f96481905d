"""Apps by the certificates that their connections have shown, while client_ca changes under them."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from hsmgate import config
from hsmgate.gateway.client_certificates import CertificateAuthenticator, ClientCertificate
from hsmgate.gateway.tls import ClientCa
from tests.certificates import make_certificates

APP = config.App(id="5d1e1f52-8a3b-4c6d-9e7f-001122334455", name="a", certificates=["subject:CN=a", "dns:a.test"])


class File:
    """A client_ca, as it is now."""

    def __init__(self, folder: Path) -> None:
        self.pems = []
        for name in ("first", "second"):
            (folder / name).mkdir()
            self.pems.append(make_certificates(folder / name).ca.read_bytes())
        self._path = folder / "client_ca.pem"
        self.write(self.pems[0])

    def write(self, content: bytes) -> ClientCa:
        self._path.write_bytes(content)
        self.now = ClientCa.read(self._path)
        return self.now


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


@pytest.fixture
def der(tmp_path: Path) -> bytes:
    pem = make_certificates(tmp_path).make_client("one", "CN=a").read_bytes()
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def test_a_ca_is_known_by_its_certificates_however_they_are_written(file: File) -> None:
    first, second = file.pems
    both = file.write(first + second)
    assert both == file.write(b"# \xc3\xa9\n" + second.replace(b"\n", b"\r\n") + b"\n\n" + first.strip())
    assert both.id == file.now.id
    assert len({both.id, file.write(first).id, file.write(second).id, ClientCa().id}) == 4


def test_a_certificate_stands_for_its_app_until_something_is_taken_from_the_ca(file: File, der: bytes) -> None:
    first, second = file.pems
    one = CertificateAuthenticator([APP], lambda: file.now)
    shown = ClientCertificate(der, file.now)
    assert [*one.identities(shown)] == [APP.id]
    file.write(second + first)
    assert [*one.identities(shown)] == [APP.id], "what it was verified against still counts"
    file.write(second)
    assert not one.identities(shown)
    assert [*one.identities(ClientCertificate(der, file.now))] == [APP.id]


def test_what_stands_for_a_certificate_in_sessions_is_another_when_the_ca_is(file: File, der: bytes) -> None:
    one = CertificateAuthenticator([APP], lambda: file.now)
    replica = CertificateAuthenticator([APP], lambda: file.now)
    shown, seen = ClientCertificate(der, file.now), set[bytes]()
    for content in (file.pems[0], b"".join(file.pems), file.pems[0]):
        file.write(content)
        credential = one.identities(shown)[APP.id].credential
        assert credential in one.credentials(APP.id)
        assert credential in replica.credentials(APP.id)
        assert len(one.credentials(APP.id)) == 2, "one for each name"
        seen.add(credential)
    assert len(seen) == 2, "what is there again is as it was"
    assert not one.credentials(APP.id.replace("5d", "5e"))


def test_a_certificate_of_an_unknown_version_is_nobodys(file: File, der: bytes) -> None:
    version_3, version_8 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07"
    one = CertificateAuthenticator([APP], lambda: file.now)
    assert [*one.identities(ClientCertificate(der, file.now))] == [APP.id]
    assert not one.identities(ClientCertificate(der.replace(version_3, version_8), file.now))
