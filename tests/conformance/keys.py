"""The keys that items name: made in software and sent along, made on a token, or made by the gateway for a while."""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_public_key,
)

from tests.conformance.verify import AnyPublicKey

# FIPS 186-4 domain parameters of 2048 and 256 bits, made once because that takes seconds.
DSA_P = int(
    "fb0f36d7e673a7bc02069837ca37562991359efc6553ae80b3622cc40242f65df4d2593a03d28183f489e41d9753b9ff"
    "183550ca0556d35827dc36dd18c88fb5119c829bef26510edb5b542a4704fc418ee50912f303802670bc255847b1e47e"
    "bbf99f9f809fbbe08a50b925f4324f4c53fe7c55d9fff2ba153027b4ac123383f77514f2dd2e971a9f4347fba6b9af9c"
    "f755e7015d71f9cd52ce5463a5d7c800b4c5fd266eb5e8f00e88f675d2de37022ac7a56bb3b80c4f0ce97d470aad6e8d"
    "5f642e5350e814c43ebef8e49e0e43c0615b1d4cb1c2a7b544390b28325a5f32f5c33ada9d84029fa8ab95e7af94ab3d"
    "a795b99f639a8fd0283777a3d83f6ef9",
    16,
)
DSA_Q = 0xF501082A4668FA0066CEFC8295DADF6D59534CE197640B0CD6D74BDA9A4AA217
DSA_G = int(
    "4dca732660db800aba3e7a45c17841740339722b018af41e111341b8f882758e352536b040f2bf924681368792436"
    "6dd459da8a7ba2f197b75962d1403c0557eb83ecdde73c5b7e92623a556e9bbc47d6c314176d746164c9da77c42af14"
    "e3ae767d5fe2f32c79d0fff3a739b01b8bcaa05ba76cf93520657f329c8a1abe94c1daaf7b53fe321e60a67d97ae2d"
    "3871f183fbf57ffdacca1b207b40c8caa3fda58032f6b566e50103b57c23ffd10e79d7a4ed2a85dc2013bb6964a16c9"
    "eef1763102dc1f460954e5b152b116cd7411bb1b7d0cd587681c916bc40114121a61f302cb1f4c9fdb42c831fcaf17a"
    "de22e766f317a09b085603964b79c51fc46dd286",
    16,
)

CURVES: dict[str, type[ec.EllipticCurve]] = {
    "P-192": ec.SECP192R1,
    "P-224": ec.SECP224R1,
    "P-256": ec.SECP256R1,
    "P-384": ec.SECP384R1,
    "P-521": ec.SECP521R1,
    "secp256k1": ec.SECP256K1,
    "brainpoolP256r1": ec.BrainpoolP256R1,
    "brainpoolP384r1": ec.BrainpoolP384R1,
    "brainpoolP512r1": ec.BrainpoolP512R1,
}

EDWARDS: dict[str, Any] = {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}

ML_DSA: dict[str, Any] = {
    "ML-DSA-44": mldsa.MLDSA44PrivateKey,
    "ML-DSA-65": mldsa.MLDSA65PrivateKey,
    "ML-DSA-87": mldsa.MLDSA87PrivateKey,
}

TYPES = {
    "RSA": ("RSA-1024", "RSA-2048", "RSA-3072", "RSA-4096"),
    "EC": (*CURVES, "secp224k1", "brainpoolP320r1"),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
    "DSA": ("DSA-2048-256",),
    "ML-DSA": ("ML-DSA-44", "ML-DSA-65", "ML-DSA-87"),
}
"""All keys by type, in the order that they are shown in."""

OLD_FORM, PKCS8 = "inline PKCS#1 or SEC1", "inline PKCS#8"
DESCRIPTORS = ("kid", "name", "transient", OLD_FORM, PKCS8)


@dataclass(frozen=True, slots=True)
class Key:
    """One way to name one key.

    title: of `TYPES`; type: its family there. how: of `DESCRIPTORS`. kid: what an answer must have, if anything.
    width: how much is asked of it (see `tests.conformance.matrix.cells`).
    """

    title: str
    type: str
    how: str
    descriptor: dict[str, Any]
    public: AnyPublicKey
    kid: str | None = None
    width: Literal["full", "thin"] = "full"


def type_of(title: str) -> str:
    return next(type_ for type_, titles in TYPES.items() if title in titles)


def width_of(title: str) -> Literal["full", "thin"]:
    """Everything is asked of two RSA keys: one that some digests do not fit, and one that they all do."""
    return "thin" if title in ("RSA-3072", "RSA-4096") else "full"


def load_public_key(spki: bytes) -> AnyPublicKey:
    """The key, or the bytes themselves where `cryptography` does not know its curve."""
    try:
        return load_der_public_key(spki)
    except (UnsupportedAlgorithm, ValueError):
        return spki


def dsa_key() -> dsa.DSAPrivateKey:
    return dsa.DSAParameterNumbers(DSA_P, DSA_Q, DSA_G).parameters().generate_private_key()


def inline_keys(titles: Iterable[str]) -> Iterator[Key]:
    """New software keys of these titles, in each form that the descriptor may have for them."""
    for title in titles:
        if title.startswith("RSA"):
            yield from _inline(title, "RSA", rsa.generate_private_key(65537, int(title[4:])))
        elif title in CURVES:
            yield from _inline(title, "EC", ec.generate_private_key(CURVES[title]()))
        elif title in EDWARDS:
            yield from _inline(title, "EC", EDWARDS[title].generate())
        elif title in ML_DSA:
            yield from _inline(title, "MLDSA", ML_DSA[title].generate())
        elif title.startswith("DSA"):
            yield from _inline(title, "DSA", dsa_key())


def _inline(title: str, obj_type: str, key: Any) -> Iterator[Key]:
    forms = {PKCS8: PrivateFormat.PKCS8}
    if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        forms[OLD_FORM] = PrivateFormat.TraditionalOpenSSL
    for how, form in forms.items():
        value = key.private_bytes(Encoding.DER, form, NoEncryption())
        descriptor = {"inline": {"value": base64.b64encode(value).decode(), "obj_type": obj_type}}
        first = how == (OLD_FORM if obj_type == "RSA" else PKCS8)
        yield Key(title, type_of(title), how, descriptor, key.public_key(), width=width_of(title) if first else "thin")


TRANSIENT: dict[str, dict[str, Any]] = {
    "RSA-2048": {"obj_type": "RSA", "key_size": 2048},
    "P-256": {"obj_type": "EC", "elliptic_curve": "NistP256"},
    "P-384": {"obj_type": "EC", "elliptic_curve": "NistP384"},
    "P-521": {"obj_type": "EC", "elliptic_curve": "NistP521"},
    "secp256k1": {"obj_type": "EC", "elliptic_curve": "SecP256K1"},
    "Ed25519": {"obj_type": "EC", "elliptic_curve": "Ed25519"},
    "Ed448": {"obj_type": "EC", "elliptic_curve": "Ed448"},
    "DSA-2048-256": {"obj_type": "DSA", "key_size": 2048},
    "ML-DSA-44": {"obj_type": "MLDSA", "mldsa": {"param_set": "MlDsa44"}},
    "ML-DSA-65": {"obj_type": "MLDSA", "mldsa": {"param_set": "MlDsa65"}},
    "ML-DSA-87": {"obj_type": "MLDSA", "mldsa": {"param_set": "MlDsa87"}},
}
"""What POST /crypto/v1/keys is asked for, besides a name, `transient` and the operations."""


def transient_key(title: str, sobject: dict[str, Any]) -> Key:
    """The key of the sobject that was made."""
    public = load_public_key(base64.b64decode(sobject["pub_key"]))
    descriptor = {"transient_key": sobject["transient_key"]}
    return Key(title, type_of(title), "transient", descriptor, public)
