"""From a token's bytes to DER: ECDSA signatures and public keys."""

from asn1crypto.core import Integer, ObjectIdentifier, OctetString
from asn1crypto.keys import DSAParams, ECPointBitString, PublicKeyInfo, RSAPublicKey

from hsmgate.domain.curves import Curve
from hsmgate.errors import TokenFailed


def ecdsa_der(raw: bytes, order_bytes: int) -> bytes:
    """DER ECDSA-Sig-Value (RFC 3279, section 2.2.3) of the r‖s that CKM_ECDSA gives.

    A token may leave out leading zeros from both halves alike ("at most 2nLen", PKCS#11 3.2, section 6.3.1).
    Raises TokenFailed where `raw` cannot be r‖s.
    """
    half, odd = divmod(len(raw), 2)
    fits = not odd and half <= order_bytes
    r, s = (_der_integer(raw[:half]), _der_integer(raw[half:])) if fits else (b"", b"")
    if not r or not s:
        raise TokenFailed("the token's answer is no ECDSA signature")
    size = len(r) + len(s)
    return (b"0" + bytes((size,)) if size < 128 else b"0\x81" + bytes((size,))) + r + s


def _der_integer(value: bytes) -> bytes:
    """The DER of a positive number that fits in a byte's length; nothing for zero.

    By hand, since every ECDSA signature passes here and a library takes twice as long.
    """
    value = value.lstrip(b"\0")
    if not value:
        return b""
    if value[0] > 127:
        value = b"\0" + value
    return b"\x02" + bytes((len(value),)) + value


def rsa_public_key(modulus: bytes, exponent: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of CKA_MODULUS and CKA_PUBLIC_EXPONENT."""
    key = RSAPublicKey({"modulus": int.from_bytes(modulus, "big"), "public_exponent": int.from_bytes(exponent, "big")})
    return bytes(PublicKeyInfo.wrap(key, "rsa").dump())


# RFC 8410, section 4: an AlgorithmIdentifier without parameters.
_EDWARDS_PREFIXES = {
    "Ed25519": bytes.fromhex("302a300506032b6570032100"),
    "Ed448": bytes.fromhex("3043300506032b6571033a00"),
}


_EDWARDS_POINT_SIZES = {"Ed25519": (32,), "Ed448": (57,)}


def ec_public_key(curve: Curve, ec_point: bytes) -> bytes | None:
    """DER SubjectPublicKeyInfo of CKA_EC_POINT, or None where that is no point on such a curve.

    The attribute is a DER OCTET STRING by the standard (PKCS#11 3.2, section 6.3.3) and the bare point on some tokens.
    """
    sizes = _EDWARDS_POINT_SIZES.get(curve.name, curve.point_sizes)
    point = next((p for p in (_octet_string(ec_point), ec_point) if len(p) in sizes), None)
    if point is None:
        return None
    if curve.name in _EDWARDS_PREFIXES:
        return _EDWARDS_PREFIXES[curve.name] + point
    if point[:1] not in (b"\x02", b"\x03", b"\x04"):
        return None
    info = PublicKeyInfo(
        {
            "algorithm": {"algorithm": "ec", "parameters": {"named": curve.oid}},
            "public_key": ECPointBitString(point),
        }
    )
    return bytes(info.dump())


def dsa_public_key(prime: bytes, subprime: bytes, base: bytes, value: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of CKA_PRIME, CKA_SUBPRIME, CKA_BASE and the public key's CKA_VALUE."""
    p, q, g, y = (int.from_bytes(part, "big") for part in (prime, subprime, base, value))
    parameters = DSAParams({"p": p, "q": q, "g": g})
    info = PublicKeyInfo({"algorithm": {"algorithm": "dsa", "parameters": parameters}, "public_key": Integer(y)})
    return bytes(info.dump())


_ML_DSA_OIDS = {f"MlDsa{n}": f"2.16.840.1.101.3.4.3.{i}" for n, i in ((44, 17), (65, 18), (87, 19))}


def ml_dsa_public_key(parameter_set: str, value: bytes) -> bytes:
    """DER SubjectPublicKeyInfo (RFC 9881, section 4) of the public key's CKA_VALUE."""
    algorithm = ObjectIdentifier(_ML_DSA_OIDS[parameter_set]).dump()
    content = _tlv(0x30, algorithm) + _tlv(0x03, b"\0" + value)
    return _tlv(0x30, content)


def _tlv(tag: int, content: bytes) -> bytes:
    """DER of up to 65,535 bytes."""
    size = len(content)
    length = (
        bytes((size,))
        if size < 0x80
        else b"\x81" + bytes((size,))
        if size < 0x100
        else b"\x82" + size.to_bytes(2, "big")
    )
    return bytes((tag,)) + length + content


def _octet_string(der: bytes) -> bytes:
    try:
        return bytes(OctetString.load(der, strict=True).native)
    except ValueError:
        return b""
