"""The verifier's hashes, and its RSA: signatures made in software pass, and whatever is not quite the item's fails."""

from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.conformance.digests import HASHES, Hash
from tests.conformance.software import MESSAGE, both_ways, flipped, pkcs1_by_hand, pss_by_hand, refuses
from tests.conformance.verify import verify
from tests.gateway_process import b64
from tests.verify import HASHES as KNOWN_TO_CRYPTOGRAPHY

RSA = rsa.generate_private_key(65537, 2048)
RSA_ODD = rsa.generate_private_key(65537, 2041)  # em_bits is a multiple of 8: the encoded message is a byte shorter


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("BLAKE2B512", "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"),  # RFC 7693, appendix A
        ("BLAKE2S256", "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"),  # appendix B
        ("RIPEMD160", "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"),
        ("SSL3", "900150983cd24fb0d6963f7d28e17f72a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("SHA3_256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    ],
)
def test_abc_has_its_published_digest(name: str, digest: str) -> None:
    assert HASHES[name].compute(b"abc").hex().startswith(digest)


def test_streebog_has_the_digests_of_rfc_6986() -> None:
    message = b"012345678901234567890123456789012345678901234567890123456789012"
    assert HASHES["STREEBOG256"].compute(message)[:8].hex() == "9d151eefd8590b89"
    assert HASHES["STREEBOG512"].compute(message)[:8].hex() == "1b54d01a4af5b9d5"


@pytest.mark.parametrize("hash_alg", HASHES.values(), ids=list(HASHES))
def test_every_digest_has_its_size(hash_alg: Hash) -> None:
    assert len(hash_alg.compute(MESSAGE)) == hash_alg.size


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        # RFC 8017, section 9.2, note 1; RIPEMD160 as OpenSSL has it; the others follow from their identifiers.
        ("SHA256", "3031300d060960864801650304020105000420"),
        ("SHA3_384", "3041300d060960864801650304020905000430"),
        ("RIPEMD160", "3021300906052b2403020105000414"),
        ("BLAKE2B256", "3033300f060b2b060104018d3a0c02010805000420"),
        ("STREEBOG256", "3030300c06082a8503070101020205000420"),
        ("SSL3", ""),
    ],
)
def test_pkcs1_passes_with_the_published_digest_info_and_with_no_other(name: str, prefix: str) -> None:
    hashed = HASHES[name].compute(MESSAGE)
    signature = pkcs1_by_hand(RSA, bytes.fromhex(prefix) + hashed)
    bare = pkcs1_by_hand(RSA, bytes.fromhex(prefix or "3024") + hashed[:-1])
    for asked in both_ways(HASHES[name]):
        verify(RSA.public_key(), asked, signature)
        refuses(RSA.public_key(), asked | {"mode": {"PSS": {}}}, signature)
        for wrong in (bare, *flipped(signature)):
            refuses(RSA.public_key(), asked, wrong)


@pytest.mark.parametrize(
    ("key", "name", "mgf"),
    [
        *((RSA, name, "SHA512") for name in HASHES),
        *((RSA, "SHA384", mgf) for mgf in HASHES),
        *((RSA_ODD, name, "RIPEMD160") for name in ("SHA1", "SSL3")),
    ],
)
def test_pss_passes_with_the_salt_as_long_as_the_digest_and_with_no_other(
    key: rsa.RSAPrivateKey, name: str, mgf: str
) -> None:
    hash_alg = HASHES[name]
    mode = {"PSS": {"mgf": {"mgf1": {"hash": mgf}}}}
    signature = pss_by_hand(key, hash_alg, HASHES[mgf], bytes(range(hash_alg.size)))
    salts = [pss_by_hand(key, hash_alg, HASHES[mgf], b"s" * size) for size in (0, hash_alg.size - 1, hash_alg.size + 1)]
    for asked in both_ways(hash_alg, mode=mode):
        verify(key.public_key(), asked, signature)
        for wrong in (*salts, *flipped(signature)):
            refuses(key.public_key(), asked, wrong)
        another = {"PSS": {"mgf": {"mgf1": {"hash": "SHA1" if mgf == "SHA224" else "SHA224"}}}}
        refuses(key.public_key(), asked | {"mode": another}, signature)
        other_data = {"data": b64(b"another"), "hash": None}
        refuses(key.public_key(), asked | other_data, signature)


@pytest.mark.parametrize("name", KNOWN_TO_CRYPTOGRAPHY)
def test_our_own_arithmetic_agrees_with_what_cryptography_signs(name: str) -> None:
    algorithm = KNOWN_TO_CRYPTOGRAPHY[name]
    by_hand = pss_by_hand(RSA, HASHES[name], HASHES[name], bytes(HASHES[name].size))
    pss = padding.PSS(padding.MGF1(algorithm), HASHES[name].size)
    RSA.public_key().verify(by_hand, MESSAGE, pss, algorithm)
    data, hashed = both_ways(HASHES[name])
    for asked in (data, hashed):
        verify(RSA.public_key(), asked, RSA.sign(MESSAGE, padding.PKCS1v15(), algorithm))
        verify(RSA.public_key(), asked | {"mode": {"PSS": {}}}, RSA.sign(MESSAGE, pss, algorithm))


@pytest.mark.parametrize("change", [{"hash_alg": None}, {"hash_alg": ""}, {"mode": {"variant": "PURE"}}])
def test_what_should_have_been_refused_is_never_valid(change: dict[str, Any]) -> None:
    signature = RSA.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
    data, by_hash = both_ways(HASHES["SHA256"])
    refuses(RSA.public_key(), data | change, signature)
    refuses(RSA.public_key(), data | {"context": ""}, signature)
    refuses(RSA.public_key(), by_hash | {"hash": b64(bytes(31))}, signature)
