"""Is a signature what the item asked for? By `cryptography` alone."""

import base64
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3_224": hashes.SHA3_224(),
    "SHA3_256": hashes.SHA3_256(),
    "SHA3_384": hashes.SHA3_384(),
    "SHA3_512": hashes.SHA3_512(),
}


def digest(name: str, data: bytes) -> bytes:
    context = hashes.Hash(HASHES[name])
    context.update(data)
    return context.finalize()


def verify(key: PublicKeyTypes, item: dict[str, Any], signature: bytes) -> None:
    """Raise InvalidSignature unless the signature is the item's, in the encoding that the contract says."""
    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, base64.b64decode(item["data"]))
        return
    name = item["hash_alg"].upper()
    hashed = (
        base64.b64decode(item["hash"]) if item.get("hash") is not None else digest(name, base64.b64decode(item["data"]))
    )
    if isinstance(key, EllipticCurvePublicKey):
        # What counts is the leftmost bits of the digest (FIPS 186-5), which a shorter order makes fewer.
        key.verify(signature, hashed, ECDSA(Prehashed(HASHES[name])))
    elif isinstance(key, RSAPublicKey):
        key.verify(signature, hashed, _padding(item.get("mode"), name), Prehashed(HASHES[name]))
    else:
        raise InvalidSignature(f"a {type(key).__name__} was not expected")


def _padding(mode: dict[str, Any] | None, name: str) -> padding.PKCS1v15 | padding.PSS:
    if mode is None or "PKCS1_V15" in mode:
        return padding.PKCS1v15()
    mgf = (mode["PSS"].get("mgf") or {}).get("mgf1", {}).get("hash", name).upper()
    return padding.PSS(padding.MGF1(HASHES[mgf]), HASHES[name].digest_size)
