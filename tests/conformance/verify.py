"""Is a signature what the item asked for, of any key type and hash in the contract? By `cryptography` where it can."""

import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey, MLDSA65PublicKey, MLDSA87PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.conformance.digests import HASHES, Hash
from tests.conformance.emsa import verify_pkcs1, verify_pss
from tests.verify import HASHES as KNOWN_TO_CRYPTOGRAPHY

MLDSAPublicKey = MLDSA44PublicKey | MLDSA65PublicKey | MLDSA87PublicKey
AnyPublicKey = PublicKeyTypes | MLDSAPublicKey | bytes
"""A key, or the SubjectPublicKeyInfo of one on a curve that `cryptography` does not know."""

BY_SIZE: dict[int, hashes.HashAlgorithm] = {
    algorithm.digest_size: algorithm
    for algorithm in (hashes.SHA1(), hashes.SHA224(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512())
}


def verify(public_key: AnyPublicKey, item: dict[str, Any], signature: bytes) -> None:
    """Raise InvalidSignature unless the signature is the item's, in the encoding that the contract says.

    What an item asks for in vain (a context that nothing binds, a mode that the key type has not) makes every signature
    invalid: it should have been refused.
    """
    try:
        if isinstance(public_key, MLDSAPublicKey):
            _verify_ml_dsa(public_key, item, signature)
            return
        if item.get("context") is not None:
            raise InvalidSignature("context: no key of this type binds one")
        if isinstance(public_key, RSAPublicKey):
            _verify_rsa(public_key, item, signature)
            return
        if item.get("mode") is not None:
            raise InvalidSignature("mode: no key of this type has any")
        if isinstance(public_key, Ed25519PublicKey | Ed448PublicKey):
            _verify_edwards(public_key, item, signature)
        elif isinstance(public_key, EllipticCurvePublicKey):
            hashed, algorithm = same_number(_hashed(item), public_key.curve.group_order.bit_length())
            public_key.verify(signature, hashed, ECDSA(Prehashed(algorithm)))
        elif isinstance(public_key, DSAPublicKey):
            order = public_key.public_numbers().parameter_numbers.q
            hashed, algorithm = same_number(_hashed(item), order.bit_length())
            public_key.verify(signature, hashed, Prehashed(algorithm))
        elif isinstance(public_key, bytes):
            _verify_by_openssl(public_key, _hashed(item), signature)
        else:
            raise InvalidSignature(f"a {type(public_key).__name__} was not expected")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidSignature(str(error)) from error


def _verify_rsa(key: RSAPublicKey, item: dict[str, Any], signature: bytes) -> None:
    hash_alg, hashed = _hash(item["hash_alg"] if item.get("hash_alg") else None), _hashed(item)
    known = KNOWN_TO_CRYPTOGRAPHY.get(hash_alg.name)
    mode = {"PKCS1_V15": {}} if item.get("mode") is None else item["mode"]
    if mode == {"PKCS1_V15": {}}:
        if known:
            key.verify(signature, hashed, padding.PKCS1v15(), Prehashed(known))
        else:
            verify_pkcs1(key, signature, hashed, hash_alg)
    elif "PSS" in mode:
        mgf = _hash(mode["PSS"]["mgf"]["mgf1"]["hash"]) if mode["PSS"].get("mgf") else hash_alg
        known_mgf = KNOWN_TO_CRYPTOGRAPHY.get(mgf.name)
        if known and known_mgf:
            pss = padding.PSS(padding.MGF1(known_mgf), hash_alg.size)
            key.verify(signature, hashed, pss, Prehashed(known))
        else:
            verify_pss(key, signature, hashed, hash_alg, mgf)
    else:
        raise InvalidSignature(f"mode: RSA has no {mode}")


def _verify_edwards(key: Ed25519PublicKey | Ed448PublicKey, item: dict[str, Any], signature: bytes) -> None:
    if item.get("data") is None:
        raise InvalidSignature("hash: nothing here verifies Ed25519ph or Ed448ph")
    key.verify(signature, _bytes(item, "data"))


def _verify_ml_dsa(key: MLDSAPublicKey, item: dict[str, Any], signature: bytes) -> None:
    """FIPS 204: pure where there is `data`, HashML-DSA for PRE_HASH, mu itself for EXTERNAL_MU."""
    context = _bytes(item, "context") if item.get("context") is not None else b""
    if len(context) > 255:
        raise InvalidSignature("context: more than 255 bytes")
    mode = {"variant": "PURE"} if item.get("mode") is None else item["mode"]
    prehashed = item.get("data") is None
    if mode == {"variant": "PURE"} and not prehashed:
        key.verify(signature, _bytes(item, "data"), context)
    elif mode == {"variant": "PRE_HASH"} or (item.get("mode") is None and prehashed):
        key.verify_mu(signature, prehash_mu(key, _hash(item.get("hash_alg")), _hashed(item), context))
    elif mode == {"variant": "EXTERNAL_MU"} and not context:
        key.verify_mu(signature, _bytes(item, "hash" if prehashed else "data"))
    else:
        raise InvalidSignature(f"mode: FIPS 204 has nothing for {mode} with this")


def prehash_mu(key: MLDSAPublicKey, hash_alg: Hash, hashed: bytes, context: bytes) -> bytes:
    """The message representative of HashML-DSA (FIPS 204, algorithms 4, line 23, and 7, lines 6 and 7)."""
    if hash_alg.oid_der is None:
        raise InvalidSignature(f"hash_alg: {hash_alg.name} has no object identifier")
    message = b"\x01" + bytes((len(context),)) + context + hash_alg.oid_der + hashed
    tr = hashlib.shake_256(key.public_bytes_raw()).digest(64)
    return hashlib.shake_256(tr + message).digest(64)


def same_number(hashed: bytes, order_bits: int) -> tuple[bytes, hashes.HashAlgorithm]:
    """A digest that stands for the same number, of a length that some hash of `cryptography` has, and that hash.

    What counts is the number in the leftmost bits, as many as the order has (FIPS 186-5, section 6.4.1). So a digest
    may lose bytes after these, and gain zeros before it where it stays within them.
    """
    if len(hashed) not in BY_SIZE:
        if 8 * len(hashed) > order_bits:
            hashed = hashed[: max(size for size in BY_SIZE if order_bits <= 8 * size <= 8 * len(hashed))]
        else:
            hashed = hashed.rjust(max(size for size in BY_SIZE if 8 * size <= order_bits), b"\x00")
    return hashed, BY_SIZE[len(hashed)]


def _verify_by_openssl(spki: bytes, hashed: bytes, signature: bytes) -> None:
    """ECDSA by the command line of OpenSSL, which knows more curves than `cryptography`."""
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / name for name in ("key", "hash", "signature")}
        for name, content in zip(files, (spki, hashed, signature), strict=True):
            files[name].write_bytes(content)
        done = subprocess.run(
            [
                *("openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", files["key"]),
                *("-in", files["hash"], "-sigfile", files["signature"]),
            ],
            capture_output=True,
            check=False,
        )
    if done.returncode != 0:
        raise InvalidSignature("openssl pkeyutl: " + done.stdout.decode().strip())


def _hash(name: str | None) -> Hash:
    if not name:
        raise InvalidSignature("hash_alg: nothing says which")
    return HASHES[name.upper()]


def _hashed(item: dict[str, Any]) -> bytes:
    hash_alg = _hash(item.get("hash_alg"))
    if item.get("hash") is None:
        return hash_alg.compute(_bytes(item, "data"))
    if len(_bytes(item, "hash")) != hash_alg.size:
        raise InvalidSignature(f"hash: {hash_alg.name} has {hash_alg.size} bytes")
    return _bytes(item, "hash")


def _bytes(item: dict[str, Any], member: str) -> bytes:
    return base64.b64decode(item[member], validate=True)
