"""The token's private keys: found, read, and told apart."""

import ctypes
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asn1crypto.x509 import Certificate
from msgspec import structs

from hsmgate.domain import cka
from hsmgate.domain.asn1 import dsa_public_key, ec_public_key, ml_dsa_public_key, rsa_public_key
from hsmgate.domain.curves import CURVES, find_curve
from hsmgate.domain.mechanisms import ML_DSA_PARAMETER_SETS
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.signer.sessions import Session
from hsmgate.signer.structs import ULONG

_PRIVATE_KEY_ATTRIBUTES = (
    *(cka.CKA_LABEL, cka.CKA_ID, cka.CKA_KEY_TYPE, cka.CKA_SIGN, cka.CKA_ALWAYS_AUTHENTICATE),
    *(cka.CKA_MODULUS, cka.CKA_PUBLIC_EXPONENT, cka.CKA_EC_PARAMS, cka.CKA_PUBLIC_KEY_INFO),
    *(cka.CKA_PRIME, cka.CKA_SUBPRIME, cka.CKA_BASE, cka.CKA_PARAMETER_SET),
    cka.CKA_ALLOWED_MECHANISMS,
)

_PUBLIC_KEY_ATTRIBUTES = (
    *(cka.CKA_LABEL, cka.CKA_ID, cka.CKA_KEY_TYPE, cka.CKA_EC_POINT, cka.CKA_VALUE),
    *(cka.CKA_EC_PARAMS, cka.CKA_PARAMETER_SET),
)

KID_NAMESPACE = uuid.UUID("6a0a8a3e-5f0f-5c5b-9c62-3f3c4b6f2a77")
"""Where kids come from that are not a CKA_ID. Part of the outside: changing it renames keys."""

Attributes = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class KeyTable:
    """The keys of a token at one moment, and their handles, by `ref`. Handles are good in this process only."""

    keys: Mapping[bytes, KeyInfo]
    handles: Mapping[bytes, int]


def read_keys(session: Session, token_serial: str) -> KeyTable:
    """All private keys of the token. Session objects are none: they belong to one item. Raises CryptokiError."""
    private_keys = _read_all(session, cka.CKO_PRIVATE_KEY, _PRIVATE_KEY_ATTRIBUTES)
    publics = _read_publics(session)
    certified = _certified_keys(session)
    keys: dict[bytes, KeyInfo] = {}
    handles: dict[bytes, int] = {}
    for handle, attributes in private_keys:
        key = _key_info(attributes, publics, certified, token_serial)
        if key.public_key is None and key.ref in keys:
            # Two keys that nothing tells apart: as two they are refused, as one they might be mixed up.
            ref = hashlib.blake2b(key.ref + handle.to_bytes(8, "big"), digest_size=16).digest()
            key = structs.replace(key, ref=ref)
        keys.setdefault(key.ref, key)
        handles.setdefault(key.ref, handle)
    return KeyTable(keys, handles)


def describe_pair(session: Session, public_key: int, private_key: int) -> KeyInfo:
    """What a key pair is whose handles are known, session objects among them. Raises CryptokiError."""
    attributes = session.read(private_key, _PRIVATE_KEY_ATTRIBUTES)
    public = session.read(public_key, (*_PUBLIC_KEY_ATTRIBUTES, cka.CKA_MODULUS, cka.CKA_PUBLIC_EXPONENT))
    value = public.get(cka.CKA_EC_POINT) or public.get(cka.CKA_VALUE) or b""
    label = attributes.get(cka.CKA_LABEL, b"")
    its_own = {_id_and_type(attributes): {_Public(label, _params(attributes), value)}}
    return _key_info({**public, **attributes}, its_own, {}, "")


def _read_all(session: Session, object_class: int, types: tuple[int, ...]) -> Sequence[tuple[int, Attributes]]:
    """The token objects of a class with those attributes."""
    return session.read_all({cka.CKA_CLASS: object_class, cka.CKA_TOKEN: True}, types)


@dataclass(frozen=True, slots=True)
class _Public:
    """A public key object: its label, what it is over, and CKA_EC_POINT or CKA_VALUE."""

    label: bytes
    params: bytes
    value: bytes


_Publics = Mapping[tuple[bytes, bytes], set[_Public]]
"""By CKA_ID and CKA_KEY_TYPE."""


def _read_publics(session: Session) -> _Publics:
    publics: dict[tuple[bytes, bytes], set[_Public]] = {}
    for _, attributes in _read_all(session, cka.CKO_PUBLIC_KEY, _PUBLIC_KEY_ATTRIBUTES):
        value = attributes.get(cka.CKA_EC_POINT) or attributes.get(cka.CKA_VALUE)
        if value:
            public = _Public(attributes.get(cka.CKA_LABEL, b""), _params(attributes), value)
            publics.setdefault(_id_and_type(attributes), set()).add(public)
    return publics


def _public_value(attributes: Attributes, publics: _Publics) -> bytes | None:
    """The value of the public key that a private key belongs to, where it is clear which that is.

    An id that several share, or an empty one, says too little: then the label must be the same too.
    """
    sharing = {p for p in publics.get(_id_and_type(attributes), ()) if p.params == _params(attributes)}
    if len(sharing) > 1 or not attributes.get(cka.CKA_ID):
        sharing = {public for public in sharing if public.label == attributes.get(cka.CKA_LABEL, b"")}
    return _only({public.value for public in sharing})


def _params(attributes: Attributes) -> bytes:
    """What a key is over, in the one way for both its halves; SoftHSM may write an Edwards curve in two."""
    ec_params = attributes.get(cka.CKA_EC_PARAMS, b"")
    curve = find_curve(ec_params)
    return curve.name.encode() if curve else ec_params or attributes.get(cka.CKA_PARAMETER_SET, b"")


def _id_and_type(attributes: Attributes) -> tuple[bytes, bytes]:
    return attributes.get(cka.CKA_ID, b""), attributes.get(cka.CKA_KEY_TYPE, b"")


def _certified_keys(session: Session) -> dict[bytes, set[bytes]]:
    """DER SubjectPublicKeyInfo of the token's certificates by CKA_ID."""
    certified: dict[bytes, set[bytes]] = {}
    for _, attributes in _read_all(session, cka.CKO_CERTIFICATE, (cka.CKA_ID, cka.CKA_VALUE)):
        try:
            public_key = Certificate.load(attributes.get(cka.CKA_VALUE, b"")).public_key.dump()
        except (ValueError, TypeError):
            continue
        certified.setdefault(attributes.get(cka.CKA_ID, b""), set()).add(public_key)
    return certified


def _key_info(
    attributes: Attributes, publics: _Publics, certified: Mapping[bytes, set[bytes]], token_serial: str
) -> KeyInfo:
    key_type, variant, bits = _kind(attributes)
    ckaid, label = attributes.get(cka.CKA_ID, b""), attributes.get(cka.CKA_LABEL, b"")
    public_value = _public_value(attributes, publics)
    public_key = _public_key(key_type, variant, attributes, public_value) or _only(certified.get(ckaid))
    # A label may change; it tells keys apart only where nothing better does.
    identity = (ckaid, attributes.get(cka.CKA_KEY_TYPE, b""), public_key or b"", b"" if public_key else label)
    return KeyInfo(
        ref=hashlib.blake2b(b"".join(map(_length_first, identity)), digest_size=16).digest(),
        kid=_kid(ckaid, label, attributes.get(cka.CKA_KEY_TYPE, b""), public_key, token_serial),
        name=_name(label),
        type=key_type,
        variant=variant,
        bits=bits,
        public_key=public_key,
        may_sign=_flag(attributes, cka.CKA_SIGN, default=True),
        always_authenticate=_flag(attributes, cka.CKA_ALWAYS_AUTHENTICATE, default=False),
        mechanisms=_mechanisms(attributes.get(cka.CKA_ALLOWED_MECHANISMS, b"")),
    )


_PLAIN_TYPES = {
    cka.CKK_SLH_DSA: KeyType.SLH_DSA,
    cka.CKK_HSS: KeyType.HSS,
    cka.CKK_XMSS: KeyType.XMSS,
    cka.CKK_XMSSMT: KeyType.XMSSMT,
}
_EDWARDS = {"Ed25519": KeyType.ED25519, "Ed448": KeyType.ED448}


def _kind(attributes: Attributes) -> tuple[KeyType, str | None, int]:
    """Type, variant and size in bits, as `KeyInfo` has them."""
    number = _ulong(attributes, cka.CKA_KEY_TYPE)
    curve = find_curve(attributes.get(cka.CKA_EC_PARAMS, b""))
    variant, curve_bits = (curve.name, curve.bits) if curve else (None, 0)
    match number:
        case cka.CKK_RSA:
            return KeyType.RSA, None, _bits(attributes, cka.CKA_MODULUS)
        case cka.CKK_EC:
            return KeyType.EC, variant, curve_bits
        case cka.CKK_EC_EDWARDS:
            return _EDWARDS.get(variant or "", KeyType.OTHER), variant, curve_bits
        case cka.CKK_DSA:
            q_bits = _bits(attributes, cka.CKA_SUBPRIME)
            return KeyType.DSA, str(q_bits) if q_bits else None, _bits(attributes, cka.CKA_PRIME)
        case cka.CKK_ML_DSA:
            return KeyType.ML_DSA, ML_DSA_PARAMETER_SETS.get(_ulong(attributes, cka.CKA_PARAMETER_SET)), 0
        case _:
            return _PLAIN_TYPES.get(number, KeyType.OTHER), None, 0


def _public_key(
    key_type: KeyType, variant: str | None, attributes: Attributes, public_value: bytes | None
) -> bytes | None:
    """DER SubjectPublicKeyInfo from the private key's own attributes, or with its public key's value."""
    modulus, exponent = attributes.get(cka.CKA_MODULUS), attributes.get(cka.CKA_PUBLIC_EXPONENT)
    if modulus and exponent:
        return rsa_public_key(modulus, exponent)
    domain = [attributes.get(type_, b"") for type_ in (cka.CKA_PRIME, cka.CKA_SUBPRIME, cka.CKA_BASE)]
    public_key = None
    if public_value and variant:
        match key_type:
            case KeyType.EC | KeyType.ED25519 | KeyType.ED448:
                public_key = ec_public_key(CURVES[variant], public_value)
            case KeyType.DSA if all(domain):
                public_key = dsa_public_key(domain[0], domain[1], domain[2], public_value)
            case KeyType.ML_DSA:
                public_key = ml_dsa_public_key(variant, public_value)
            case _:
                pass
    return public_key or attributes.get(cka.CKA_PUBLIC_KEY_INFO) or None


def _kid(ckaid: bytes, label: bytes, key_type: bytes, public_key: bytes | None, token_serial: str) -> str:
    """The CKA_ID where it is a UUID's 16 bytes; else a UUIDv5 (RFC 9562, section 5.5) of what the key is."""
    if len(ckaid) == 16:
        return str(uuid.UUID(bytes=ckaid))
    what = public_key or b"".join(map(_length_first, (token_serial.encode(), ckaid, label, key_type)))
    digest = hashlib.sha1(KID_NAMESPACE.bytes + what, usedforsecurity=False).digest()
    return str(uuid.UUID(bytes=digest[:16], version=5))


def _name(label: bytes) -> str | None:
    try:
        return label.decode() or None
    except UnicodeDecodeError:
        return None


def _flag(attributes: Attributes, type_: int, *, default: bool) -> bool:
    value = attributes.get(type_)
    return value != b"\x00" if value else default


def _mechanisms(value: bytes) -> frozenset[int] | None:
    """An array of CK_MECHANISM_TYPE. An empty one is as good as none: tokens show it where nothing was ever set."""
    size = ctypes.sizeof(ULONG)
    if not value or len(value) % size:
        return None
    return frozenset((ULONG * (len(value) // size)).from_buffer_copy(value))


def _ulong(attributes: Attributes, type_: int) -> int:
    """A CK_ULONG, or one that stands for nothing."""
    return ULONG.from_buffer_copy(attributes.get(type_, b"").ljust(ctypes.sizeof(ULONG), b"\xff")).value


def _bits(attributes: Attributes, type_: int) -> int:
    return int.from_bytes(attributes.get(type_, b""), "big").bit_length()


def _only(values: set[bytes] | None) -> bytes | None:
    """The one value there is; of several nobody knows which."""
    return next(iter(values)) if values and len(values) == 1 else None


def _length_first(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
