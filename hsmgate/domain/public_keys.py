"""Public keys that callers bring, as DER SubjectPublicKeyInfo (RFC 5280, section 4.1)."""

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from hsmgate.domain.curves import CURVES
from hsmgate.domain.model import KeyInfo, KeyType
from hsmgate.errors import BadItem

_CURVES_BY_NAME = {
    "secp192r1": "NistP192",
    "secp224r1": "NistP224",
    "secp256r1": "NistP256",
    "secp384r1": "NistP384",
    "secp521r1": "NistP521",
    "secp256k1": "SecP256K1",
    "brainpoolP256r1": "BrainpoolP256R1",
    "brainpoolP384r1": "BrainpoolP384R1",
    "brainpoolP512r1": "BrainpoolP512R1",
}
"""Our names by those of `cryptography`."""


def read_public_key(der: bytes, obj_type: str) -> KeyInfo | None:
    """The key, or None where those bytes are no public key of that type.

    Raises BadItem for one whose numbers are so long that verifying would take seconds or hours.
    """
    try:
        key = load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    found: tuple[str, KeyType, str | None, int] | None = None
    match key:
        case rsa.RSAPublicKey():
            _check_size(512 <= key.key_size <= 8192, "an RSA key of other than 512 to 8192 bits")
            _check_size(key.public_numbers().e < 2**64, "an RSA key whose public exponent is over 64 bits")
            found = "RSA", KeyType.RSA, None, key.key_size
        case ec.EllipticCurvePublicKey():
            name = _CURVES_BY_NAME.get(key.curve.name)
            found = ("EC", KeyType.EC, name, CURVES[name].bits) if name else None
        case ed25519.Ed25519PublicKey():
            found = "EC", KeyType.ED25519, "Ed25519", 256
        case ed448.Ed448PublicKey():
            found = "EC", KeyType.ED448, "Ed448", 456
        case dsa.DSAPublicKey():
            _check_size(512 <= key.key_size <= 4096, "a DSA key of other than 512 to 4096 bits")
            q_bits = key.parameters().parameter_numbers().q.bit_length()
            found = "DSA", KeyType.DSA, str(q_bits), key.key_size
        case mldsa.MLDSA44PublicKey():
            found = "MLDSA", KeyType.ML_DSA, "MlDsa44", 0
        case mldsa.MLDSA65PublicKey():
            found = "MLDSA", KeyType.ML_DSA, "MlDsa65", 0
        case mldsa.MLDSA87PublicKey():
            found = "MLDSA", KeyType.ML_DSA, "MlDsa87", 0
        case _:
            pass
    if found is None or found[0] != obj_type.upper():
        return None
    _, key_type, variant, bits = found
    return KeyInfo(b"", "", None, key_type, variant, bits, der)


def _check_size(ok: bool, what: str) -> None:
    """As inline private keys have it."""
    if not ok:
        raise BadItem(f"key.inline.value: it is {what}")
