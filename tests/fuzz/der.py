"""Keys in DER that callers bring: private ones, public ones, and what a token says of its own."""

from collections.abc import Iterator
from functools import cache

from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

from hsmgate.domain.asn1 import ec_public_key, ecdsa_der
from hsmgate.domain.curves import CURVES, find_curve
from hsmgate.domain.inline import MAX_BYTES, parse_inline, public_attributes
from hsmgate.domain.inline.model import public_bits
from hsmgate.domain.inline.pkcs8 import DSA, EC, OCTET_STRING, RSA, SEQUENCE, encode, oid
from hsmgate.domain.model import KeyType
from hsmgate.domain.public_keys import read_public_key
from hsmgate.errors import BadItem, TokenFailed, Unsupported
from hsmgate.signer.inline import key_info
from hsmgate.signer.trial_keys import make_trial_key
from tests.fuzz.target import Target, check_text

OBJ_TYPES = ("RSA", "EC", "DSA", "MLDSA")
OTHER_TYPES = ("AES", "LMS", "BLS", "?")
KINDS = ("RSA", "NistP256", "NistP384", "Ed25519", "Ed448", "MlDsa44", "MlDsa65", "MlDsa87")
_CURVES = tuple(CURVES.values())


def check(data: bytes) -> None:
    """The first byte says as what the others are read."""
    reader, value = (data[0] if data else 0) % 16, data[1:]
    if reader < 8:
        _private(value, (OBJ_TYPES + OTHER_TYPES)[reader])
    elif reader < 12:
        _public(value, OBJ_TYPES[reader - 8])
    else:
        _token(value, _CURVES[(value[0] if value else 0) % len(_CURVES)].name)


def _private(value: bytes, obj_type: str) -> None:
    """A key whose numbers fit together, or a complaint about `key.inline`."""
    try:
        key = parse_inline(value, obj_type)
    except (BadItem, Unsupported) as error:
        check_text(str(error), value)
        assert str(error).startswith("key.inline.")
        assert error.__cause__ is None
        return
    assert KeyType(key.kind)
    assert key_info(key).bits == key.bits
    assert len(repr(key)) < 60
    assert sum(len(part) for part in key.attributes.values() if isinstance(part, bytes)) <= 2 * MAX_BYTES
    if key.public_key is not None:
        assert public_bits(key.public_key)
        assert public_attributes(key)


def _public(value: bytes, obj_type: str) -> None:
    """A key of that type, or None."""
    key = read_public_key(value, obj_type)
    if key is not None:
        assert key.type is not KeyType.OTHER
        assert key.public_key == value
        assert 0 <= key.bits <= 8192


def _token(value: bytes, curve: str) -> None:
    """What a token's attributes and signatures become; a module may be wrong in any way."""
    find_curve(value)
    ec_public_key(CURVES[curve], value)
    try:
        signature = ecdsa_der(value, CURVES[curve].order_bytes)
    except TokenFailed as error:
        check_text(str(error))
    else:
        assert signature[:1] == b"0"
        assert signature[1 if signature[1] < 0x80 else 2] == len(signature) - (2 if signature[1] < 0x80 else 3)


@cache
def private_keys() -> list[tuple[int, bytes]]:
    """PKCS#8, PKCS#1 and SEC1 of every type, with its place in OBJ_TYPES."""
    made = [make_trial_key(kind) for kind in KINDS]
    small = rsa.generate_private_key(65537, 1024), rsa.generate_private_key(3, 1032)
    curves = ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP256R1()
    made += [(key.private_bytes(*_PKCS8), "RSA") for key in small]
    made += [(dsa.generate_private_key(1024).private_bytes(*_PKCS8), "DSA")]
    made += [(ec.generate_private_key(curve).private_bytes(*_PKCS8), "EC") for curve in curves]
    found = [(OBJ_TYPES.index(obj_type), der) for der, obj_type in made]
    return [*found, *_traditional(found)]


def _traditional(keys: list[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for place, der in keys:
        key = load_der_private_key(der, None)
        if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            yield place, key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())


_PKCS8 = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
_SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def public_keys() -> list[tuple[int, bytes]]:
    """SubjectPublicKeyInfo of every type, with its place in OBJ_TYPES."""
    return [(place, load_der_private_key(der, None).public_key().public_bytes(*_SPKI)) for place, der in private_keys()]


def _others() -> Iterator[bytes]:
    """Keys that are refused, and a brainpool twist, which no library here knows."""
    key = ec.generate_private_key(ec.SECP256R1())
    yield b"\1" + key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"password"))
    yield b"\1" + x25519.X25519PrivateKey.generate().private_bytes(*_PKCS8)
    yield b"\1" + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    twist = encode(0xA0, oid(CURVES["BrainpoolP160T1"].oid))
    yield b"\1" + encode(SEQUENCE, b"\2\1\1", encode(OCTET_STRING, b"\1" * 20), twist)


def seeds() -> list[bytes]:
    keys = [bytes((place,)) + der for place, der in private_keys()]
    keys += [bytes((8 + place,)) + der for place, der in public_keys()]
    token = [bytes((12, number)) + bytes(curve.point_sizes[0] - 1) for number, curve in enumerate(_CURVES)]
    return keys + token + [*_others()]


TARGET = Target(
    name="der",
    reads="keys in DER: inline private keys of every `obj_type`, public keys to verify with, a token's points",
    promise="a key whose numbers fit together, or an item's 400 or 422 that names `key.inline`",
    check=check,
    seeds=seeds,
    words=(
        *(oid(curve.oid) for curve in _CURVES),
        RSA,
        EC,
        DSA,
        b"\x30\x82",
        b"\x02\x01\x00",
        b"\x02\x01\x01",
        b"\x04\x20",
        b"\xa1\x44\x03\x42\x00\x04",
    ),
    longest=6000,
)
