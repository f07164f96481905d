"""The verifier, but for RSA: signatures made in software pass, and whatever is not quite what the item says fails."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature

from tests.conformance.digests import HASHES, Hash
from tests.conformance.keys import dsa_key
from tests.conformance.software import MESSAGE, both_ways, ecdsa_by_hand, flipped, refuses
from tests.conformance.verify import prehash_mu, same_number, verify
from tests.gateway_process import b64


@pytest.mark.parametrize("curve", [ec.SECP192R1(), ec.SECP224R1(), ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
@pytest.mark.parametrize("hash_alg", HASHES.values(), ids=list(HASHES))
def test_ecdsa_passes_with_every_hash_in_der_alone(hash_alg: Hash, curve: ec.EllipticCurve) -> None:
    key = ec.generate_private_key(curve)
    hashed = hash_alg.compute(MESSAGE)
    signature = ecdsa_by_hand(key, hashed)
    for asked in both_ways(hash_alg):
        verify(key.public_key(), asked, signature)
        for wrong in (raw_pair(signature, curve), *flipped(signature)):
            refuses(key.public_key(), asked, wrong)
        refuses(key.public_key(), asked | {"mode": {"PKCS1_V15": {}}}, signature)
        refuses(key.public_key(), asked | {"context": b64(b"c")}, signature)


def raw_pair(signature: bytes, curve: ec.EllipticCurve) -> bytes:
    size = (curve.key_size + 7) // 8
    return b"".join(number.to_bytes(size, "big") for number in decode_dss_signature(signature))


@pytest.mark.parametrize("hash_alg", HASHES.values(), ids=list(HASHES))
def test_dsa_passes_with_every_hash(hash_alg: Hash) -> None:
    key: dsa.DSAPrivateKey = dsa_key()
    hashed, algorithm = same_number(hash_alg.compute(MESSAGE), 256)
    signature = key.sign(hashed, Prehashed(algorithm))
    for asked in both_ways(hash_alg):
        verify(key.public_key(), asked, signature)
        for wrong in flipped(signature):
            refuses(key.public_key(), asked, wrong)


def test_a_digest_of_36_bytes_stands_for_the_same_number_on_every_order() -> None:
    hashed = bytes(range(1, 37))
    for bits in (160, 192, 224, 256, 384, 512, 521):
        other, algorithm = same_number(hashed, bits)
        assert len(other) == algorithm.digest_size
        shifts = (max(0, 8 * len(each) - bits) for each in (hashed, other))
        first, second = (int.from_bytes(e, "big") >> s for e, s in zip((hashed, other), shifts, strict=True))
        assert first == second


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()])
def test_edwards_passes_pure_and_never_for_a_hash(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey) -> None:
    signature = key.sign(MESSAGE)
    verify(key.public_key(), {"data": b64(MESSAGE), "hash_alg": "SHA512"}, signature)
    refuses(key.public_key(), {"hash": b64(MESSAGE)}, signature)
    refuses(key.public_key(), {"data": b64(MESSAGE), "context": ""}, signature)
    for wrong in flipped(signature):
        refuses(key.public_key(), {"data": b64(MESSAGE)}, wrong)


@pytest.mark.parametrize("make", [mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey])
@pytest.mark.parametrize("context", [None, b"", b"c" * 255])
def test_ml_dsa_passes_pure_prehashed_and_external_with_its_own_context_alone(
    make: type[mldsa.MLDSA44PrivateKey], context: bytes | None
) -> None:
    key = make.generate()
    public = key.public_key()
    given = {} if context is None else {"context": b64(context)}
    pure = key.sign(MESSAGE, context or b"")
    hashed = hashlib.sha512(MESSAGE).digest()
    mu = prehash_mu(public, HASHES["SHA512"], hashed, context or b"")
    prehashed = key.sign_mu(mu)
    data, by_hash = both_ways(HASHES["SHA512"], **given)
    for asked in (data, data | {"mode": {"variant": "PURE"}}, data | {"hash_alg": None}):
        verify(public, asked, pure)
        refuses(public, asked, prehashed)
        refuses(public, asked | {"context": b64(b"other")}, pure)
        refuses(public, asked | {"context": b64(bytes(256))}, pure)
        for wrong in flipped(pure):
            refuses(public, asked, wrong)
    for asked in (by_hash, by_hash | {"mode": {"variant": "PRE_HASH"}}, data | {"mode": {"variant": "PRE_HASH"}}):
        verify(public, asked, prehashed)
        refuses(public, asked, pure)
        refuses(public, asked | {"context": b64(b"other")}, prehashed)
        refuses(public, asked | {"hash_alg": "SHA3_512"}, prehashed)
    external = {"mode": {"variant": "EXTERNAL_MU"}, "data": b64(mu)}
    verify(public, external, prehashed)
    refuses(public, external, pure)
    refuses(public, by_hash | {"mode": {"variant": "PURE"}}, pure)


def test_the_library_takes_a_pure_message_by_the_mu_that_we_compute_but_for_the_domain_byte() -> None:
    key = mldsa.MLDSA65PrivateKey.generate()
    tr = hashlib.shake_256(key.public_key().public_bytes_raw()).digest(64)
    rest = b"\x03ctx" + bytes.fromhex("0609608648016503040201") + hashlib.sha256(MESSAGE).digest()
    pure = hashlib.shake_256(tr + b"\x00" + rest).digest(64)
    key.public_key().verify_mu(key.sign(rest[4:], b"ctx"), pure)
    prehashed = hashlib.shake_256(tr + b"\x01" + rest).digest(64)
    assert prehash_mu(key.public_key(), HASHES["SHA256"], hashlib.sha256(MESSAGE).digest(), b"ctx") == prehashed


def test_a_hash_without_an_object_identifier_cannot_be_prehashed_for_ml_dsa() -> None:
    public = mldsa.MLDSA44PrivateKey.generate().public_key()
    with pytest.raises(InvalidSignature, match="identifier"):
        prehash_mu(public, HASHES["SSL3"], bytes(36), b"")


@pytest.mark.parametrize("curve", ["secp224k1", "brainpoolP320r1"])
def test_a_curve_that_cryptography_does_not_know_goes_to_openssl(tmp_path: Path, curve: str) -> None:
    def openssl(*arguments: str) -> bytes:
        return subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True).stdout

    openssl("ecparam", "-name", curve, "-genkey", "-noout", "-out", "key")
    spki = openssl("pkey", "-in", "key", "-pubout", "-outform", "DER")
    for hash_alg in HASHES.values():
        (tmp_path / "hash").write_bytes(hash_alg.compute(MESSAGE))
        signature = openssl("pkeyutl", "-sign", "-inkey", "key", "-in", "hash")
        for asked in both_ways(hash_alg):
            verify(spki, asked, signature)
            refuses(spki, asked, flipped(signature)[2])
