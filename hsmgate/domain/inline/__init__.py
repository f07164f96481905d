"""A private key that a caller sends inside an item: from DER to what C_CreateObject wants, or a refusal.

A token believes what it is given: SoftHSM signs with the number 0, and RSA numbers that do not fit together can make a
signature that gives the key away. So a key is checked here, before any token sees it.

DER: RFC 5208 and 5958 (PKCS#8), RFC 8017 (RSA), RFC 5915 (EC), RFC 8410 (EdDSA), RFC 9881 (ML-DSA). Attributes: PKCS#11
3.2, chapter 6.
"""

from collections.abc import Callable

from hsmgate.domain.inline.dsa import parse_dsa
from hsmgate.domain.inline.ec import EDWARDS, parse_ec, parse_edwards
from hsmgate.domain.inline.ml_dsa import ML_DSA, parse_ml_dsa
from hsmgate.domain.inline.model import InlineKey, public_attributes
from hsmgate.domain.inline.pkcs8 import DSA, EC, RSA, Malformed, PrivateKey, oid, require, unwrap
from hsmgate.domain.inline.rsa import parse_rsa
from hsmgate.errors import BadItem, Unsupported

__all__ = ["MAX_BYTES", "InlineKey", "parse_inline", "public_attributes", "type_of"]

MAX_BYTES = 16 * 1024

# X25519 and X448 (RFC 8410, section 3).
_XDH = frozenset({oid("1.3.101.110"), oid("1.3.101.111")})

# By the algorithm's OID: the `obj_type` that it belongs to, and who reads it.
_PARSERS: dict[bytes, tuple[str, Callable[[PrivateKey], InlineKey]]] = {
    RSA: ("RSA", parse_rsa),
    EC: ("EC", parse_ec),
    DSA: ("DSA", parse_dsa),
    **dict.fromkeys(EDWARDS, ("EC", parse_edwards)),
    **dict.fromkeys(ML_DSA, ("MLDSA", parse_ml_dsa)),
}


def parse_inline(value: bytes, obj_type: str) -> InlineKey:
    """The private key of `key.inline`, `value` being out of its base64.

    Raises BadItem for what is no sound private key of that type that can sign, Unsupported for one that can, but not
    here.
    """
    wanted = _signing_type(obj_type)
    try:
        return _parse(value, wanted)
    except Malformed as error:
        raise BadItem(f"key.inline.value: it {error}") from None


def type_of(value: bytes) -> str:
    """The `obj_type` of a private key, by what is around it: whether it is sound is not looked at. Raises BadItem."""
    try:
        return _PARSERS[_unwrap(value).algorithm][0]
    except Malformed as error:
        raise BadItem(f"it {error}") from None


def _parse(value: bytes, wanted: str) -> InlineKey:
    private = _unwrap(value)
    belongs_to, parse = _PARSERS[private.algorithm]
    require(belongs_to == wanted, f"holds a key of type {belongs_to}, but key.inline.obj_type says {wanted}")
    return parse(private)


def _unwrap(value: bytes) -> PrivateKey:
    """The key, of an algorithm that there is a parser for."""
    require(bool(value), "is empty")
    require(len(value) <= MAX_BYTES, f"is longer than {MAX_BYTES} bytes")
    require(not value.lstrip().startswith(b"-----BEGIN"), "is PEM; it must be the base64 of DER")
    private = unwrap(value)
    require(private.algorithm not in _XDH, "holds an X25519 or X448 key, which cannot sign")
    known = private.algorithm in _PARSERS
    require(known, "holds a key of another algorithm than RSA, EC, Ed25519, Ed448, DSA and ML-DSA")
    return private


# --- Types

# The contract's `ObjectType`.
_SIGNING = frozenset({"RSA", "DSA", "EC", "MLDSA"})
_NO_MECHANISM = frozenset({"KCDSA", "ECKCDSA", "BLS", "BIP32", "SLIP10", "MLDSABETA"})
_ONE_TIME = frozenset({"LMS", "XMSS"})
_NOT_SIGNING = frozenset(
    {"AES", "ARIA", "DES", "DES3", "SEED", "OPAQUE", "HMAC", "SECRET", "CERTIFICATE", "PBE"}
    | {"MLKEM", "MLKEMBETA", "LEDABETA", "ROUND5BETA"}
)


def _signing_type(obj_type: str) -> str:
    name = obj_type.upper()
    if name in _SIGNING:
        return name
    if name in _NO_MECHANISM:
        raise Unsupported(f"key.inline.obj_type: PKCS#11 has no mechanism for {name}")
    if name in _ONE_TIME:
        raise Unsupported("key.inline.obj_type: one-time keys cannot be given inline: their state would be lost")
    if name in _NOT_SIGNING:
        raise BadItem(f"key.inline.obj_type: {name} cannot sign; {', '.join(sorted(_SIGNING))} can")
    raise BadItem(f"key.inline.obj_type: no such type; {', '.join(sorted(_SIGNING))} can sign")
