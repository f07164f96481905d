"""Verifying by plan. Keys in software stand in for the token: they sign what a plan prepared."""

import hashlib
import secrets
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from asn1crypto.core import ObjectIdentifier
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hsmgate.domain import capabilities as can
from hsmgate.domain.asn1 import ec_public_key
from hsmgate.domain.capabilities import Capabilities
from hsmgate.domain.curves import CURVES
from hsmgate.domain.digests import DIGESTS
from hsmgate.domain.mechanisms import plan
from hsmgate.domain.model import KeyInfo, KeyType, Mode, SignParams
from hsmgate.domain.plans import ContextParameter, Plan, PssParameter
from hsmgate.domain.verification import Verifier, verifies_prehash
from tests.verify import HASHES

DATA = b"attack at dawn"
PSS, PSS_MGF1_SHA1, PRE_HASH = Mode("PSS"), Mode("PSS", "SHA1"), Mode("PRE_HASH")

Case = tuple[KeyType, str | None, SignParams, Capabilities]
Key = Any
"""A private key of `cryptography`: its types have no base."""


def spki(private: Key) -> bytes:
    der: bytes = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def token(*shown: str) -> Capabilities:
    """One that can do these and what every token here can."""
    usual = (can.RSA_PKCS1, can.ECDSA, can.DSA, "Ed25519", "Ed448", "MlDsa44", "MlDsa65", "MlDsa87")
    return Capabilities.of((), (*usual, can.ML_DSA_CONTEXT, can.ML_DSA_DETERMINISTIC, can.ML_DSA_PREHASH, *shown))


RSA_RAW = token(can.RSA_RAW)
OWN_PSS = token(*(can.rsa_pss(name, mgf) for name in HASHES for mgf in HASHES))


def sign_rsa(private: rsa.RSAPrivateKey, decided: Plan, signed: bytes) -> bytes:
    if isinstance(decided.parameter, PssParameter):
        by_ckm, by_ckg = ({getattr(DIGESTS[n], kind): HASHES[n] for n in HASHES} for kind in ("ckm", "ckg"))
        pss = padding.PSS(padding.MGF1(by_ckg[decided.parameter.mgf]), decided.parameter.salt_size)
        return private.sign(signed, pss, Prehashed(by_ckm[decided.parameter.hash]))
    numbers, size = private.private_numbers(), private.key_size // 8
    if decided.mechanism == 0x0001:
        signed = b"\0\1" + (b"\0" + signed).rjust(size - 2, b"\xff")
    return pow(int.from_bytes(signed, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


def sign_as_number(order: int, secret: int, r_of: Callable[[int], int], signed: bytes) -> bytes:
    """ECDSA and DSA alike (FIPS 186-5, section 6.4.1): the hash's leftmost bits, as a number."""
    size = (order.bit_length() + 7) // 8
    hashed = int.from_bytes(signed, "big") >> max(0, 8 * len(signed) - order.bit_length())
    k = secrets.randbelow(order - 1) + 1
    r = r_of(k) % order
    s = pow(k, -1, order) * (hashed + r * secret) % order
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def c_sign(private: Key, decided: Plan, signed: bytes) -> bytes:
    """What C_Sign would give."""
    match private:
        case rsa.RSAPrivateKey():
            return sign_rsa(private, decided, signed)
        case ec.EllipticCurvePrivateKey():
            curve, secret = private.curve, private.private_numbers().private_value
            return sign_as_number(
                *(curve.group_order, secret, lambda k: ec.derive_private_key(k, curve).public_key().public_numbers().x),
                signed,
            )
        case dsa.DSAPrivateKey():
            numbers = private.private_numbers()
            group = numbers.public_numbers.parameter_numbers
            return sign_as_number(group.q, numbers.x, lambda k: pow(group.g, k, group.p), signed)
        case ed25519.Ed25519PrivateKey() | ed448.Ed448PrivateKey():
            return private.sign(signed)
        case _:
            return sign_ml_dsa(private, decided, signed)


def sign_ml_dsa(private: Key, decided: Plan, signed: bytes) -> bytes:
    signature: bytes
    parameter = decided.parameter if isinstance(decided.parameter, ContextParameter) else ContextParameter(0, b"")
    if parameter.hash is None:
        signature = private.sign(signed, parameter.context)
        return signature
    # HashML-DSA (FIPS 204, algorithm 4), through mu (algorithm 7, line 6).
    oid = next(digest.oid for digest in DIGESTS.values() if digest.ckm == parameter.hash)
    head = bytes((1, len(parameter.context))) + parameter.context + ObjectIdentifier(oid).dump()
    tr = hashlib.shake_256(private.public_key().public_bytes_raw()).digest(64)
    signature = private.sign_mu(hashlib.shake_256(tr + head + signed).digest(64))
    return signature


CURVES_HERE: dict[str, ec.EllipticCurve] = {
    "NistP192": ec.SECP192R1(),
    "NistP224": ec.SECP224R1(),
    "NistP256": ec.SECP256R1(),
    "NistP384": ec.SECP384R1(),
    "NistP521": ec.SECP521R1(),
    "SecP256K1": ec.SECP256K1(),
    "BrainpoolP256R1": ec.BrainpoolP256R1(),
    "BrainpoolP512R1": ec.BrainpoolP512R1(),
}
ML_DSA_HERE: dict[str, Any] = {
    "MlDsa44": mldsa.MLDSA44PrivateKey,
    "MlDsa65": mldsa.MLDSA65PrivateKey,
    "MlDsa87": mldsa.MLDSA87PrivateKey,
}


@cache
def private_key(kind: KeyType, variant: str | None) -> Key:
    match kind:
        case KeyType.RSA:
            return rsa.generate_private_key(65537, int(variant or 0))
        case KeyType.EC:
            return ec.generate_private_key(CURVES_HERE[variant or ""])
        case KeyType.DSA:
            return dsa.generate_private_key({"160": 1024, "256": 2048}[variant or ""])
        case KeyType.ED25519:
            return ed25519.Ed25519PrivateKey.generate()
        case KeyType.ED448:
            return ed448.Ed448PrivateKey.generate()
        case _:
            return ML_DSA_HERE[variant or ""].generate()


def params(
    hash_alg: str = "SHA256", mode: Mode | None = None, context: bytes | None = None, *, deterministic: bool = False
) -> SignParams:
    return SignParams(hash_alg, prehashed=False, mode=mode, deterministic=deterministic, context=context)


CASES: list[Case] = [
    *((KeyType.RSA, "1088", params(name), token()) for name in DIGESTS),
    *((KeyType.RSA, "1088", params(name, PSS), RSA_RAW) for name in ("SHA1", "SHA512", "SSL3", "RIPEMD160")),
    *((KeyType.RSA, "1088", params(name, mode), OWN_PSS) for name in HASHES for mode in (PSS, PSS_MGF1_SHA1)),
    *((KeyType.EC, curve, params(name), token()) for curve in CURVES_HERE for name in DIGESTS if "ST" not in name),
    *((KeyType.DSA, bits, params(name), token()) for bits in ("160", "256") for name in DIGESTS if "ST" not in name),
    *((kind, kind.value, params(), token()) for kind in (KeyType.ED25519, KeyType.ED448)),
    *((KeyType.ML_DSA, name, params(), token()) for name in ML_DSA_HERE),
    *((KeyType.ML_DSA, name, params(context=b"c" * 255), token()) for name in ML_DSA_HERE),
    (KeyType.ML_DSA, "MlDsa44", params(deterministic=True), token()),
    *((KeyType.ML_DSA, "MlDsa44", params(name, PRE_HASH), token()) for name in HASHES),
    *((KeyType.ML_DSA, name, params(mode=PRE_HASH, context=b"c"), token()) for name in ML_DSA_HERE),
]


def flipped(data: bytes) -> bytes:
    at = secrets.randbelow(8 * len(data))
    return (int.from_bytes(data, "big") ^ 1 << at).to_bytes(len(data), "big")


def made(
    kind: KeyType, variant: str | None, wanted: SignParams, able: Capabilities
) -> tuple[Verifier, Plan, bytes, bytes]:
    """The verifier, the plan, what was signed, and the signature as the caller gets it."""
    private = private_key(kind, variant)
    key = KeyInfo(b"", "", None, kind, variant, 1088 if kind is KeyType.RSA else 0, spki(private))
    decided = plan(wanted, key, able)
    signed = decided.prepare(DATA)
    return Verifier(spki(private)), decided, signed, decided.finish(c_sign(private, decided, signed))


ALIKE: dict[str, list[Case]] = {}
"""Cases that differ in their hash or in what the token can do."""
for case in CASES:
    ALIKE.setdefault(f"{case[0]} {case[1]} {case[2].mode.name if case[2].mode else ''}".strip(), []).append(case)

for_all = pytest.mark.parametrize("cases", ALIKE.values(), ids=ALIKE)


@for_all
def test_a_signature_verifies_and_with_a_bit_flipped_does_not(cases: list[Case]) -> None:
    for case in cases:
        verifier, decided, signed, signature = made(*case)
        assert verifier.verifies(decided, signed, signature) is True, case
        assert verifier.verifies(decided, signed, flipped(signature)) is False, case
        assert verifier.verifies(decided, flipped(signed), signature) is False, case


@for_all
def test_every_flipped_bit_of_a_signature_is_seen(cases: list[Case]) -> None:
    verifier, decided, signed, signature = made(*cases[0])
    for at in range(0, 8 * len(signature), max(1, len(signature) // 8)):
        changed = (int.from_bytes(signature, "big") ^ 1 << at).to_bytes(len(signature), "big")
        assert verifier.verifies(decided, signed, changed) is False


@for_all
def test_junk_is_no_signature(cases: list[Case]) -> None:
    verifier, decided, signed, signature = made(*cases[0])
    for junk in (b"", b"\0", bytes(64), b"\xff" * 136, b"0" * 5000, signature[:-1], signature + b"\0"):
        assert verifier.verifies(decided, signed, junk) is False


@pytest.mark.parametrize(
    ("mode", "able"),
    [
        pytest.param(None, token(), id="PKCS1"),
        pytest.param(PSS, RSA_RAW, id="raw"),
        pytest.param(PSS, OWN_PSS, id="PSS"),
    ],
)
def test_an_rsa_signature_is_as_long_as_the_modulus_and_less(mode: Mode | None, able: Capabilities) -> None:
    verifier, decided, signed, signature = made(KeyType.RSA, "1088", params(mode=mode), able)
    # RFC 8017, sections 8.2.2, step 1, and 5.2.2, step 1.
    modulus = private_key(KeyType.RSA, "1088").public_key().public_numbers().n
    more = (int.from_bytes(signature, "big") + modulus).to_bytes(137, "big")
    assert [verifier.verifies(decided, signed, other) for other in (b"\0" + signature, more)] == [False, False]


def test_a_context_is_part_of_what_is_signed() -> None:
    for mode in (None, PRE_HASH):
        verifier, decided, signed, signature = made(KeyType.ML_DSA, "MlDsa44", params(mode=mode, context=b"c"), token())
        _, other, _, _ = made(KeyType.ML_DSA, "MlDsa44", params(mode=mode, context=b"d"), token())
        assert (verifier.verifies(decided, signed, signature), verifier.verifies(other, signed, signature)) == (
            True,
            False,
        )


def test_hash_ml_dsa_is_not_the_pure_signature_of_a_digest() -> None:
    verifier, prehash, signed, signature = made(KeyType.ML_DSA, "MlDsa44", params(mode=PRE_HASH), token())
    _, pure, _, of_digest = made(KeyType.ML_DSA, "MlDsa44", params(), token())
    assert verifier.verifies(pure, signed, signature) is False
    assert verifier.verifies(prehash, signed, of_digest) is False


def unknown_keys() -> dict[str, bytes | None]:
    return {
        "none": None,
        "empty": b"",
        "garbage": b"\x30\x03\x02\x01\x01",
        "unknown algorithm": bytes.fromhex("300b3005060342ff7f03020000"),
        "unknown curve": ec_public_key(CURVES["BrainpoolP160R1"], b"\x04" + b"\1" * 40),
    }


@pytest.mark.parametrize("public_key", unknown_keys().values(), ids=unknown_keys())
def test_under_a_key_that_nobody_here_knows_there_is_no_verifier(public_key: bytes | None) -> None:
    assert Verifier.of(public_key) is None
    if public_key is not None:
        with pytest.raises(ValueError):  # noqa: PT011 - the text is the library's
            Verifier(public_key)


def test_nobody_can_tell_under_a_key_that_does_not_sign() -> None:
    verifier = Verifier.of(spki(x25519.X25519PrivateKey.generate()))
    assert verifier is not None
    assert verifier.verifies(Plan(0x1057, None, bytes, 64), DATA, bytes(64)) is None


@pytest.mark.parametrize("kind", [KeyType.ED25519, KeyType.ED448])
def test_nobody_can_tell_whether_a_digest_was_signed_by_eddsa(kind: KeyType) -> None:
    key = KeyInfo(b"", "", None, kind, kind.value, 0, None)
    decided = plan(SignParams(None, prehashed=True), key, token(can.edwards_prehash(kind.value)))
    assert Verifier(spki(private_key(kind, kind.value))).verifies(decided, bytes(64), bytes(64)) is None


# RFC 8032, sections 7.3 and 7.5: of the message "abc".
ED25519PH = (
    ed25519.Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42")
    ),
    "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41"
    "31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    hashlib.sha512(b"abc").digest(),
)
ED448PH = (
    ed448.Ed448PrivateKey.from_private_bytes(
        bytes.fromhex(
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42"
            "ef7822e0d5104127dc05d6dbefde69e3ab2cec7c867c6e2c49"
        )
    ),
    "822f6901f7480f3d5f562c592994d9693602875614483256505600bbc281ae38"
    "1f54d6bce2ea911574932f52a4e6cadd78769375ec3ffd1b801a0d9b3f4030cd"
    "433964b6457ea39476511214f97469b57dd32dbc560a9a94d00bff07620464a3"
    "ad203df7dc7ce360c3cd3696d9d9fab90f00",
    hashlib.shake_256(b"abc").digest(64),
)


@pytest.mark.parametrize(("private", "signature", "hashed"), [ED25519PH, ED448PH], ids=["Ed25519ph", "Ed448ph"])
def test_the_prehash_signatures_of_rfc_8032_verify_and_no_others(private: Key, signature: str, hashed: bytes) -> None:
    good = bytes.fromhex(signature)
    assert verifies_prehash(spki(private), b"abc", good)
    assert not verifies_prehash(spki(private), b"abd", good)
    assert not verifies_prehash(spki(private), b"abc", flipped(good))
    assert not verifies_prehash(spki(private), b"abc", good + b"\0")
    assert not verifies_prehash(spki(private), b"abc", b"")
    for pure in (hashed, b"abc"):
        assert not verifies_prehash(spki(private), b"abc", private.sign(pure))
