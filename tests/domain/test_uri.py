"""RFC 7512 URIs that name a token."""

from dataclasses import replace

import pytest

from hsmgate.domain.uri import TokenInfo, TokenURI

TOKEN = TokenInfo(7, "A slot", "hsmgate demo; ü", "0123", "Maker & Co", "v2")


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:token=hsmgate%20demo%3B%20%c3%BC",
        "pkcs11:token=hsmgate demo%3B ü",
        "PKCS11:serial=0123",
        "pkcs11:serial=0123;",
        "pkcs11:model=v2;manufacturer=Maker%20%26%20Co;slot-id=7;slot-description=A%20slot",
        "pkcs11:slot-id=007",
    ],
)
def test_a_uri_names_the_token_that_has_all_its_values(uri: str) -> None:
    assert TokenURI.parse(uri).matches(TOKEN)
    assert TokenURI.parse(uri).text == uri


@pytest.mark.parametrize(
    "other",
    [replace(TOKEN, label="hsmgate"), replace(TOKEN, label="HSMGATE DEMO; Ü"), replace(TOKEN, serial="123")],
    ids=["shorter", "case", "number"],
)
def test_a_token_with_one_other_value_is_not_meant(other: TokenInfo) -> None:
    assert not TokenURI.parse("pkcs11:serial=0123;token=hsmgate%20demo%3B%20%C3%BC").matches(other)


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("", "does not begin with 'pkcs11:'"),
        ("token=demo", "does not begin with 'pkcs11:'"),
        ("pkcs11", "does not begin with 'pkcs11:'"),
        ("pkcs11:", "names no token"),
        ("pkcs11:;;", "names no token"),
        ("pkcs11:object=k", "'object' does not name a token"),
        ("pkcs11:TOKEN=k", "'TOKEN' does not name a token"),
        ("pkcs11:token", "a part without '=' does not name a token"),
        ("pkcs11:token=a;token=a", "'token' stands twice"),
        ("pkcs11:token=a?pin-source=file:pin", "query attributes"),
        ("pkcs11:token=\udcff", "^'token' is not UTF-8$"),
        ("pkcs11:token=%FF", "'token' is not UTF-8"),
        ("pkcs11:slot-id=", "'slot-id' is not a number"),
        ("pkcs11:slot-id=-1", "'slot-id' is not a number"),
        ("pkcs11:slot-id=" + "1" * 5000, "^'slot-id' is not a number$"),
        ("pkcs11:\0token\n=k", r"^'\\x00token\\n' does not name a token"),
        ("pkcs11:" + "t" * 5000 + "=k", r"^'t{199}…' does not name a token"),
        ("pkcs11:slot-id=%C2%B2", "'slot-id' is not a number"),
    ],
)
def test_what_cannot_name_a_token_is_refused_with_the_reason(uri: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TokenURI.parse(uri)


def test_a_pin_in_a_uri_is_not_told() -> None:
    for uri in ("pkcs11:token=a;pin-value=s3cret", "pkcs11:token=a?pin-value=s3cret", "pkcs11:token=a;s3cret"):
        with pytest.raises(ValueError, match="use") as caught:
            TokenURI.parse(uri)
        assert "s3cret" not in str(caught.value)
