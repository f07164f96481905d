"""Signatures made in software, some of them by hand, and the items that they are for: to try the verifier with."""

from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from tests.conformance.digests import Hash
from tests.conformance.emsa import mgf1
from tests.conformance.verify import AnyPublicKey, verify
from tests.gateway_process import b64

MESSAGE = b"attack at dawn"


def refuses(public_key: AnyPublicKey, item: dict[str, Any], signature: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify(public_key, item, signature)


def both_ways(hash_alg: Hash, **members: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The item with `data`, and the same with `hash`."""
    asked = {"hash_alg": hash_alg.name} | members
    return asked | {"data": b64(MESSAGE)}, asked | {"hash": b64(hash_alg.compute(MESSAGE))}


def flipped(signature: bytes) -> list[bytes]:
    """The signature with one bit changed, in several places; and longer, and shorter."""
    places = (0, len(signature) // 2, len(signature) - 1)
    changed = [signature[:at] + bytes((signature[at] ^ 1,)) + signature[at + 1 :] for at in places]
    return [*changed, signature + b"\x00", signature[:-1], b""]


def raw_rsa(key: rsa.RSAPrivateKey, encoded: bytes) -> bytes:
    numbers = key.private_numbers()
    signed = pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n)
    return signed.to_bytes((key.key_size + 7) // 8, "big")


def pkcs1_by_hand(key: rsa.RSAPrivateKey, info: bytes) -> bytes:
    return raw_rsa(key, b"\x00\x01" + (b"\x00" + info).rjust((key.key_size + 7) // 8 - 2, b"\xff"))


def pss_by_hand(key: rsa.RSAPrivateKey, hash_alg: Hash, mgf: Hash, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE (RFC 8017, section 9.1.1)."""
    em_bits = key.key_size - 1
    size = (em_bits + 7) // 8
    hashed = hash_alg.compute(bytes(8) + hash_alg.compute(MESSAGE) + salt)
    block = (b"\x01" + salt).rjust(size - hash_alg.size - 1, b"\x00")
    masked = bytearray(a ^ b for a, b in zip(block, mgf1(hashed, len(block), mgf), strict=True))
    masked[0] &= 0xFF >> (8 * size - em_bits)
    return raw_rsa(key, bytes(masked) + hashed + b"\xbc")


def ecdsa_by_hand(key: ec.EllipticCurvePrivateKey, hashed: bytes) -> bytes:
    """FIPS 186-5, section 6.4.1; the point k·G is had as the public key of k."""
    order = key.curve.group_order
    number = int.from_bytes(hashed, "big") >> max(0, 8 * len(hashed) - order.bit_length())
    one_time = ec.generate_private_key(key.curve).private_numbers()
    r = one_time.public_numbers.x % order
    s = pow(one_time.private_value, -1, order) * (number + r * key.private_numbers().private_value) % order
    return encode_dss_signature(r, s)
