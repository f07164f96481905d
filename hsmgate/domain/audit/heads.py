"""Heads: how one is signed by each type of key, and whether it verifies. By `cryptography`, never by the token."""

from collections.abc import Mapping, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hsmgate.domain.audit.records import Head
from hsmgate.domain.model import KeyType
from hsmgate.errors import AuditError

HeadPublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

ALGORITHMS: Mapping[KeyType, str] = {
    KeyType.RSA: "RSA_PKCS1_V15_SHA256",
    KeyType.EC: "ECDSA_SHA256",
    KeyType.ED25519: "ED25519",
}
"""How a key of each type signs heads. Other types do not."""


def read_head_key(pem: bytes) -> HeadPublicKey:
    """A public key that heads are verified under. Raises AuditError."""
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise AuditError("not a public key in PEM") from None
    if not isinstance(key, HeadPublicKey):
        raise AuditError("heads are signed by RSA, EC and Ed25519 keys alone")
    return key


def is_signed(head: Head, keys: Sequence[HeadPublicKey]) -> bool:
    """Whether the head's signature verifies under one of the keys. What the head says of its key counts for nothing."""
    return any(_verifies(key, head.signature, head.text()) for key in keys)


def _verifies(key: HeadPublicKey, signature: bytes, text: bytes) -> bool:
    try:
        if isinstance(key, RSAPublicKey):
            key.verify(signature, text, padding.PKCS1v15(), SHA256())
        elif isinstance(key, EllipticCurvePublicKey):
            key.verify(signature, text, ECDSA(SHA256()))
        else:
            key.verify(signature, text)
    except InvalidSignature:
        return False
    return True
