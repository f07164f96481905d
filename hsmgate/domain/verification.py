"""Does a signature verify? By `cryptography` and the public key, never by the token that made it.

It follows a plan: what was handed to C_Sign is known, and so is what that must have become.
"""

import hashlib
from typing import Any

from asn1crypto.core import ObjectIdentifier
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import structs

from hsmgate.domain import capabilities as can
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.ckm import CKM_RSA_PKCS
from hsmgate.domain.digests import DIGESTS, find_digest
from hsmgate.domain.emsa import pss_verify
from hsmgate.domain.mechanisms import ML_DSA_SIGNATURE_SIZES, hash_payload, plan
from hsmgate.domain.model import KeyInfo, SignParams
from hsmgate.domain.plans import ContextParameter, EddsaParameter, Plan, PssParameter

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "SHA1": hashes.SHA1(),  # noqa: S303 - to verify what was asked for
    "SHA224": hashes.SHA224(),
    "SHA256": hashes.SHA256(),
    "SHA384": hashes.SHA384(),
    "SHA512": hashes.SHA512(),
    "SHA3_224": hashes.SHA3_224(),
    "SHA3_256": hashes.SHA3_256(),
    "SHA3_384": hashes.SHA3_384(),
    "SHA3_512": hashes.SHA3_512(),
}
_BY_CKM = {DIGESTS[name].ckm: algorithm for name, algorithm in _HASHES.items()}
_BY_CKG = {DIGESTS[name].ckg: algorithm for name, algorithm in _HASHES.items()}


class Verifier:
    """Verifies signatures under one public key."""

    def __init__(self, public_key: bytes) -> None:
        """public_key: DER SubjectPublicKeyInfo. Raises ValueError where it is none, or of a kind nobody here knows."""
        try:
            self._key: PublicKeyTypes = load_der_public_key(public_key)
        except UnsupportedAlgorithm:
            raise ValueError("a public key of an unknown kind") from None

    @classmethod
    def of(cls, public_key: bytes | None) -> "Verifier | None":
        """One for that key, None where there is no key or nobody here can verify under it."""
        try:
            return None if public_key is None else cls(public_key)
        except ValueError:
            return None

    def verifies(self, plan: Plan, signed: bytes, signature: bytes) -> bool | None:
        """Whether `signature`, as the caller would get it, is one of `signed`, as C_Sign got it.

        None where nobody here can tell.
        """
        if plan.raw is not None:
            return self.verifies(plan.raw, plan.raw.prepare(signed), signature)
        try:
            return self._verify(plan, signed, signature)
        except (InvalidSignature, ValueError):
            return False
        except UnsupportedAlgorithm:
            return None

    def verifies_pss(self, params: SignParams, payload: bytes, signature: bytes) -> bool:
        """Whether it is an RSASSA-PSS signature with any of our hashes, and a salt as long as the digest.

        Raises BadItem for a digest of the wrong length.
        """
        if not isinstance(self._key, rsa.RSAPublicKey):
            return False
        digest = find_digest(params.hash_alg or "", "hash_alg")
        mgf = digest if not (params.mode and params.mode.mgf_hash) else find_digest(params.mode.mgf_hash, "mode")
        hashed = hash_payload(params, digest, payload)
        numbers = self._key.public_numbers()
        number = int.from_bytes(signature, "big")
        if len(signature) != (self._key.key_size + 7) // 8 or number >= numbers.n:
            return False
        return pss_verify(digest, mgf, self._key.key_size, hashed, pow(number, numbers.e, numbers.n))

    def _verify(self, plan: Plan, signed: bytes, signature: bytes) -> bool | None:
        match self._key:
            case rsa.RSAPublicKey() as key if isinstance(plan.parameter, PssParameter):
                key.verify(signature, signed, *_pss(plan.parameter))
            case rsa.RSAPublicKey() as key:
                return _rsa_raw(key, plan, signed, signature)
            case ec.EllipticCurvePublicKey() as key:
                digest, algorithm = _as_digest(signed, (key.curve.key_size + 7) // 8)
                key.verify(signature, digest, ec.ECDSA(algorithm))
            case dsa.DSAPublicKey() as key:
                q_bytes = (key.parameters().parameter_numbers().q.bit_length() + 7) // 8
                key.verify(signature, *_as_digest(signed, q_bytes))
            case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey() as key:
                if plan.parameter == EddsaParameter(prehash=True):
                    return None
                key.verify(signature, signed)
            case mldsa.MLDSA44PublicKey() | mldsa.MLDSA65PublicKey() | mldsa.MLDSA87PublicKey() as key:
                _ml_dsa(key, plan, signed, signature)
            case _:
                return None
        return True


def _pss(parameter: PssParameter) -> tuple[padding.PSS, Prehashed]:
    pss = padding.PSS(padding.MGF1(_BY_CKG[parameter.mgf]), parameter.salt_size)
    return pss, Prehashed(_BY_CKM[parameter.hash])


def _rsa_raw(key: rsa.RSAPublicKey, plan: Plan, signed: bytes, signature: bytes) -> bool:
    """RSAVP1 (RFC 8017, section 5.2.2) gives back what the token was to sign."""
    size = (key.key_size + 7) // 8
    if len(signature) != size:
        return False
    if plan.mechanism == CKM_RSA_PKCS:
        return key.recover_data_from_signature(signature, padding.PKCS1v15(), None) == signed
    numbers = key.public_numbers()
    number = int.from_bytes(signature, "big")
    return number < numbers.n and pow(number, numbers.e, numbers.n).to_bytes(size, "big") == signed


def _as_digest(signed: bytes, order_bytes: int) -> tuple[bytes, Prehashed]:
    """The same number as a digest of a length that there is a hash for; what is beyond the order does not count."""
    for algorithm in (_HASHES[name] for name in ("SHA1", "SHA224", "SHA256", "SHA384", "SHA512")):
        size = algorithm.digest_size
        if size == len(signed):
            return signed, Prehashed(algorithm)
        if len(signed) < size <= order_bytes:
            return signed.rjust(size, b"\0"), Prehashed(algorithm)
        if len(signed) == order_bytes < size:
            return signed.ljust(size, b"\0"), Prehashed(algorithm)
    raise UnsupportedAlgorithm("no hash of that length")


def _ml_dsa(key: Any, plan: Plan, signed: bytes, signature: bytes) -> None:
    """FIPS 204, algorithms 3 and 5; HashML-DSA by its message representative mu."""
    parameter = plan.parameter if isinstance(plan.parameter, ContextParameter) else ContextParameter(0, b"")
    context = parameter.context
    if parameter.hash is None:
        key.verify(signature, signed, context)
        return
    oid = next(d.oid for d in DIGESTS.values() if d.ckm == parameter.hash)
    message = b"\x01" + bytes((len(context),)) + context + ObjectIdentifier(oid).dump() + signed
    tr = hashlib.shake_256(key.public_bytes_raw()).digest(64)
    key.verify_mu(signature, hashlib.shake_256(tr + message).digest(64))


_EVERYTHING = Capabilities.of(
    (),
    {
        *(can.RSA_PKCS1, can.RSA_RAW, can.ECDSA, can.DSA),
        *(can.edwards("Ed25519"), can.edwards("Ed448")),
        *(*ML_DSA_SIGNATURE_SIZES, can.ML_DSA_CONTEXT, can.ML_DSA_DETERMINISTIC, can.ML_DSA_PREHASH),
    },
)
"""What can be verified without a token."""


def plan_to_verify(params: SignParams, key: KeyInfo) -> Plan:
    """The plan that a signature would follow, wherever it was made. Raises ItemError."""
    return plan(params, structs.replace(key, may_sign=True, mechanisms=None), _EVERYTHING)


def verify_item(params: SignParams, key: KeyInfo, payload: bytes, signature: bytes) -> bool | None:
    """Whether it is a signature of `payload` as `params` asks for it; None where nobody here can tell.

    Raises ItemError where the item contradicts itself or the key.
    """
    planned = plan_to_verify(params, key)
    verifier = Verifier.of(key.public_key)
    if verifier is None:
        return None
    if params.mode is not None and params.mode.name == "PSS":
        return verifier.verifies_pss(params, payload, signature)
    return verifier.verifies(planned, planned.prepare(payload), signature)


def verifies_prehash(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether it is the Ed25519ph or Ed448ph signature of the message (RFC 8032, sections 5.1 and 5.2).

    From the message, not from its digest: pycryptodome, which alone has these, wants to have hashed it itself.
    """
    from Crypto.Hash import SHA512, SHAKE256  # noqa: PLC0415 - long to load, seldom used
    from Crypto.PublicKey import ECC  # noqa: PLC0415
    from Crypto.Signature import eddsa  # noqa: PLC0415

    key = ECC.import_key(public_key)
    hashed = SHA512.new(message) if key.curve == "Ed25519" else SHAKE256.new(message)
    try:
        eddsa.new(key, "rfc8032").verify(hashed, signature)
    except ValueError:
        return False
    return True
