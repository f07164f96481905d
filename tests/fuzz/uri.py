"""PKCS#11 URIs, as the config has them."""

from hsmgate.domain.uri import TokenInfo, TokenURI
from tests.fuzz.target import Target, check_text

_TOKEN = TokenInfo(7, "A slot", "demo", "0123", "Maker", "v2")
SECRET = "s3cret"  # what seeds have where a PIN might be


def check(data: bytes) -> None:
    """A URI that names something, or a ValueError that says why not and tells no value."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        uri = TokenURI.parse(text)
    except ValueError as error:
        assert type(error) is ValueError, error
        check_text(str(error))
        named = [part.partition("=")[0] for part in text.partition(":")[2].split(";") if "=" in part]
        assert SECRET not in str(error) or any(SECRET in name for name in named), error
        return
    assert uri.wanted
    assert TokenURI.parse(uri.text) == uri
    assert uri.matches(_TOKEN) == all(getattr(_TOKEN, field) == value for field, value in uri.wanted)


def seeds() -> list[bytes]:
    return [
        b"pkcs11:token=hsmgate%20demo%3B%20%c3%BC",
        "PKCS11:token=hsmgate demo;serial=0123;manufacturer=ü".encode(),
        b"pkcs11:model=v2;manufacturer=Maker%20%26%20Co;slot-id=7;slot-description=A%20slot",
        b"pkcs11:token=a;token=a",
        b"pkcs11:token=a?pin-value=s3cret",
        b"pkcs11:token=a;pin-value=s3cret",
        b"pkcs11:token=a;s3cret",
        b"pkcs11:token=%FF;slot-id=-1",
        b"pkcs11:slot-id=" + b"1" * 5000,
    ]


TARGET = Target(
    name="uri",
    reads="a token's PKCS#11 URI",
    promise="a URI that names something, or a ValueError of one line without a value in it",
    check=check,
    seeds=seeds,
    words=(b"pkcs11:", b"token=", b"serial=", b"manufacturer=", b"model=", b"slot-id=", b"slot-description=", b"%00"),
    longest=6000,
)
