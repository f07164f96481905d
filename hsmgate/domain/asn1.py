"""From a token's bytes to DER: ECDSA signatures and public keys."""

from asn1crypto.core import OctetString
from asn1crypto.keys import ECPointBitString, PublicKeyInfo, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from hsmgate.domain.curves import Curve
from hsmgate.errors import TokenFailed


def ecdsa_der(raw: bytes, order_bytes: int) -> bytes:
    """DER ECDSA-Sig-Value (RFC 3279, section 2.2.3) of the r‖s that CKM_ECDSA gives.

    A token may leave out leading zeros from both halves alike ("at most 2nLen", PKCS#11 3.2, section 6.3.1).
    Raises TokenFailed where `raw` cannot be r‖s.
    """
    half, odd = divmod(len(raw), 2)
    r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
    if odd or half > order_bytes or not r or not s:
        raise TokenFailed("the token's answer is no ECDSA signature")
    return encode_dss_signature(r, s)


def rsa_public_key(modulus: bytes, exponent: bytes) -> bytes:
    """DER SubjectPublicKeyInfo of CKA_MODULUS and CKA_PUBLIC_EXPONENT."""
    key = RSAPublicKey({"modulus": int.from_bytes(modulus, "big"), "public_exponent": int.from_bytes(exponent, "big")})
    return bytes(PublicKeyInfo.wrap(key, "rsa").dump())


# RFC 8410, section 4: an AlgorithmIdentifier without parameters.
_ED25519_PREFIX = bytes.fromhex("302a300506032b6570032100")


def ec_public_key(curve: Curve, ec_point: bytes) -> bytes | None:
    """DER SubjectPublicKeyInfo of CKA_EC_POINT, or None where that is no point on such a curve.

    The attribute is a DER OCTET STRING by the standard (PKCS#11 3.2, section 6.3.3) and the bare point on some tokens.
    """
    sizes = (32,) if curve.name == "Ed25519" else curve.point_sizes
    point = next((p for p in (_octet_string(ec_point), ec_point) if len(p) in sizes), None)
    if point is None:
        return None
    if curve.name == "Ed25519":
        return _ED25519_PREFIX + point
    info = PublicKeyInfo(
        {
            "algorithm": {"algorithm": "ec", "parameters": {"named": curve.oid}},
            "public_key": ECPointBitString(point),
        }
    )
    return bytes(info.dump())


def _octet_string(der: bytes) -> bytes:
    try:
        return bytes(OctetString.load(der, strict=True).native)
    except ValueError:
        return b""
