"""Public keys that callers bring to verify with."""

import pytest
from asn1crypto.core import Integer
from asn1crypto.keys import DSAParams, PublicKeyInfo, RSAPublicKey

from hsmgate.domain.public_keys import read_public_key
from hsmgate.errors import BadItem


def rsa_spki(bits: int, exponent: int) -> bytes:
    key = RSAPublicKey({"modulus": (1 << bits - 1) | 1, "public_exponent": exponent})
    return bytes(PublicKeyInfo.wrap(key, "rsa").dump())


def dsa_spki(bits: int) -> bytes:
    parameters = DSAParams({"p": (1 << bits - 1) | 1, "q": (1 << 255) | 1, "g": 2})
    algorithm = {"algorithm": "dsa", "parameters": parameters}
    return bytes(PublicKeyInfo({"algorithm": algorithm, "public_key": Integer(4)}).dump())


@pytest.mark.parametrize("exponent", [3, 65537, 2**64 - 1])
@pytest.mark.parametrize("bits", [1024, 8192])
def test_an_rsa_key_of_a_usual_size_is_read(bits: int, exponent: int) -> None:
    key = read_public_key(rsa_spki(bits, exponent), "RSA")
    assert key is not None
    assert key.bits == bits


@pytest.mark.parametrize(
    ("spki", "obj_type", "complaint"),
    [
        # Found by fuzzing: pow(s, e, n) in Python, minutes for the third.
        (rsa_spki(1024, 2**64 + 1), "RSA", "whose public exponent is over 64 bits"),
        (rsa_spki(8192, (1 << 8000) | 1), "RSA", "whose public exponent is over 64 bits"),
        (rsa_spki(60000, (1 << 59000) | 1), "RSA", "of other than 512 to 8192 bits"),
        (rsa_spki(8193, 3), "RSA", "of other than 512 to 8192 bits"),
        (dsa_spki(4160), "DSA", "of other than 512 to 4096 bits"),
    ],
    ids=["long exponent", "longer exponent", "both beyond all measure", "long modulus", "long prime"],
)
def test_a_key_that_would_take_long_to_verify_with_is_a_bad_item(spki: bytes, obj_type: str, complaint: str) -> None:
    with pytest.raises(BadItem, match=rf"^key\.inline\.value: it is an? {obj_type} key {complaint}$"):
        read_public_key(spki, obj_type)


@pytest.mark.parametrize("obj_type", ["EC", "DSA", "AES", ""])
def test_a_key_of_another_type_is_none(obj_type: str) -> None:
    assert read_public_key(rsa_spki(1024, 3), obj_type) is None
