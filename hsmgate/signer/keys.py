"""The token's private keys: found, read, and told apart."""

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from asn1crypto.x509 import Certificate

from hsmgate.domain.asn1 import ec_public_key, rsa_public_key
from hsmgate.domain.ckr import Failure, classify
from hsmgate.domain.curves import find_curve
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.signer.cryptoki import ULONG, CryptokiError
from hsmgate.signer.sessions import Session

CKA_CLASS = 0x000
CKA_TOKEN = 0x001
CKA_LABEL = 0x003
CKA_VALUE = 0x011
CKA_KEY_TYPE = 0x100
CKA_ID = 0x102
CKA_SIGN = 0x108
CKA_MODULUS = 0x120
CKA_PUBLIC_EXPONENT = 0x122
CKA_PUBLIC_KEY_INFO = 0x129
CKA_EC_PARAMS = 0x180
CKA_EC_POINT = 0x181
CKA_ALWAYS_AUTHENTICATE = 0x202

CKO_CERTIFICATE = 1
CKO_PUBLIC_KEY = 2
CKO_PRIVATE_KEY = 3

CKK_RSA = 0x00
CKK_EC = 0x03
CKK_EC_EDWARDS = 0x40

_PRIVATE_KEY_ATTRIBUTES = (
    *(CKA_LABEL, CKA_ID, CKA_KEY_TYPE, CKA_SIGN, CKA_ALWAYS_AUTHENTICATE),
    *(CKA_MODULUS, CKA_PUBLIC_EXPONENT, CKA_EC_PARAMS, CKA_PUBLIC_KEY_INFO),
)

KID_NAMESPACE = uuid.UUID("6a0a8a3e-5f0f-5c5b-9c62-3f3c4b6f2a77")
"""Where kids come from that are not a CKA_ID. Part of the outside: changing it renames keys."""

Attributes = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The keys of a token at one moment. Handles are good in this process only."""

    keys: tuple[KeyInfo, ...]
    handles: Mapping[bytes, int]


def read_keys(session: Session, token_serial: str) -> KeyTable:
    """All private keys of the token. Session objects are none: they belong to one item. Raises CryptokiError."""
    private_keys = _read_all(session, CKO_PRIVATE_KEY, _PRIVATE_KEY_ATTRIBUTES)
    points = _public_points(session)
    certified = _certified_keys(session)
    keys: dict[bytes, KeyInfo] = {}
    handles: dict[bytes, int] = {}
    for handle, attributes in private_keys:
        key = _key_info(attributes, points, certified, token_serial)
        if key.public_key is None and key.ref in keys:
            # Two keys that nothing tells apart: as two they are refused, as one they might be mixed up.
            key = _renumbered(key, handle)
        keys.setdefault(key.ref, key)
        handles.setdefault(key.ref, handle)
    return KeyTable(tuple(keys.values()), handles)


def _read_all(session: Session, object_class: int, types: tuple[int, ...]) -> list[tuple[int, Attributes]]:
    """The token objects of a class with those attributes, without what is deleted while we read."""
    objects: list[tuple[int, Attributes]] = []
    for handle in session.find({CKA_CLASS: object_class, CKA_TOKEN: True}):
        try:
            objects.append((handle, session.read(handle, types)))
        except CryptokiError as error:
            if classify(error.ckr) is not Failure.KEY_GONE:
                raise
    return objects


def _public_points(session: Session) -> dict[tuple[bytes, bytes], set[bytes]]:
    """CKA_EC_POINT of the token's public keys by CKA_ID and CKA_EC_PARAMS."""
    points: dict[tuple[bytes, bytes], set[bytes]] = {}
    for _, attributes in _read_all(session, CKO_PUBLIC_KEY, (CKA_ID, CKA_EC_PARAMS, CKA_EC_POINT)):
        if attributes.get(CKA_EC_POINT):
            at = attributes.get(CKA_ID, b""), attributes.get(CKA_EC_PARAMS, b"")
            points.setdefault(at, set()).add(attributes[CKA_EC_POINT])
    return points


def _certified_keys(session: Session) -> dict[bytes, set[bytes]]:
    """DER SubjectPublicKeyInfo of the token's certificates by CKA_ID."""
    certified: dict[bytes, set[bytes]] = {}
    for _, attributes in _read_all(session, CKO_CERTIFICATE, (CKA_ID, CKA_VALUE)):
        try:
            public_key = Certificate.load(attributes.get(CKA_VALUE, b"")).public_key.dump()
        except (ValueError, TypeError):
            continue
        certified.setdefault(attributes.get(CKA_ID, b""), set()).add(public_key)
    return certified


def _key_info(
    attributes: Attributes,
    points: Mapping[tuple[bytes, bytes], set[bytes]],
    certified: Mapping[bytes, set[bytes]],
    token_serial: str,
) -> KeyInfo:
    key_type, curve_name, bits = _kind(attributes)
    ckaid, label = attributes.get(CKA_ID, b""), attributes.get(CKA_LABEL, b"")
    public_key = _public_key(attributes, points) or _only(certified.get(ckaid))
    identity = (ckaid, label, attributes.get(CKA_KEY_TYPE, b""), public_key or b"")
    return KeyInfo(
        ref=hashlib.blake2b(b"".join(_length_first(part) for part in identity), digest_size=16).digest(),
        kid=_kid(ckaid, label, attributes.get(CKA_KEY_TYPE, b""), public_key, token_serial),
        name=_name(label),
        type=key_type,
        curve=curve_name,
        bits=bits,
        public_key=public_key,
        may_sign=_flag(attributes, CKA_SIGN, default=True),
        always_authenticate=_flag(attributes, CKA_ALWAYS_AUTHENTICATE, default=False),
    )


def _kind(attributes: Attributes) -> tuple[KeyType, str | None, int]:
    """Type, curve's name and size in bits."""
    number = ULONG.from_buffer_copy(attributes.get(CKA_KEY_TYPE, b"").ljust(8, b"\xff")).value
    if number == CKK_RSA:
        return KeyType.RSA, None, int.from_bytes(attributes.get(CKA_MODULUS, b""), "big").bit_length()
    curve = find_curve(attributes.get(CKA_EC_PARAMS, b""))
    name, bits = (curve.name, curve.bits) if curve else (None, 0)
    if number == CKK_EC:
        return KeyType.EC, name, bits
    if number == CKK_EC_EDWARDS and name == "Ed25519":
        return KeyType.ED25519, name, bits
    return KeyType.OTHER, name, bits


def _public_key(attributes: Attributes, points: Mapping[tuple[bytes, bytes], set[bytes]]) -> bytes | None:
    """DER SubjectPublicKeyInfo from the private key's own attributes, or from the public key of the same CKA_ID."""
    modulus, exponent = attributes.get(CKA_MODULUS), attributes.get(CKA_PUBLIC_EXPONENT)
    if modulus and exponent:
        return rsa_public_key(modulus, exponent)
    ec_params = attributes.get(CKA_EC_PARAMS, b"")
    point = _only(points.get((attributes.get(CKA_ID, b""), ec_params)))
    curve = find_curve(ec_params)
    if point and curve:
        return ec_public_key(curve, point)
    return attributes.get(CKA_PUBLIC_KEY_INFO) or None


def _kid(ckaid: bytes, label: bytes, key_type: bytes, public_key: bytes | None, token_serial: str) -> str:
    """The CKA_ID where it is a UUID's 16 bytes; else a UUIDv5 (RFC 9562, section 5.5) of what the key is."""
    if len(ckaid) == 16:
        return str(uuid.UUID(bytes=ckaid))
    what = public_key or b"".join(map(_length_first, (token_serial.encode(), ckaid, label, key_type)))
    digest = hashlib.sha1(KID_NAMESPACE.bytes + what, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _renumbered(key: KeyInfo, handle: int) -> KeyInfo:
    ref = hashlib.blake2b(key.ref + handle.to_bytes(8, "big"), digest_size=16).digest()
    return KeyInfo(ref, key.kid, key.name, key.type, key.curve, key.bits, None, key.may_sign, key.always_authenticate)


def _name(label: bytes) -> str | None:
    try:
        return label.decode() or None
    except UnicodeDecodeError:
        return None


def _flag(attributes: Attributes, type_: int, *, default: bool) -> bool:
    value = attributes.get(type_)
    return value != b"\x00" if value else default


def _only(values: set[bytes] | None) -> bytes | None:
    """The one value there is; of several nobody knows which."""
    return next(iter(values)) if values and len(values) == 1 else None


def _length_first(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
