"""RSA signatures checked with the public-key operation and arithmetic, for hashes that `cryptography` does not know."""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.conformance.digests import Hash


def verify_pkcs1(key: RSAPublicKey, signature: bytes, hashed: bytes, hash_alg: Hash) -> None:
    """RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2.2): the whole encoded message is made and compared."""
    size = (key.key_size + 7) // 8
    info = _digest_info(hashed, hash_alg)
    expected = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    if len(info) + 11 > size or _recover(key, signature, size) != expected:
        raise InvalidSignature("PKCS1_V15: not the encoded message")


def verify_pss(key: RSAPublicKey, signature: bytes, hashed: bytes, hash_alg: Hash, mgf: Hash) -> None:
    """RSASSA-PSS (RFC 8017, section 8.1.2) with MGF1 and a salt exactly as long as the digest."""
    em_bits = key.key_size - 1
    encoded = _recover(key, signature, (em_bits + 7) // 8)
    db_size = len(encoded) - hash_alg.size - 1
    padding_size = db_size - hash_alg.size - 1
    # The numbered steps are those of section 9.1.2.
    if padding_size < 0 or encoded[-1] != 0xBC:  # 3, 4
        raise InvalidSignature("PSS: no room, or no trailer")
    masked, first_hash = encoded[:db_size], encoded[db_size:-1]  # 5
    unused_bits = 8 * len(encoded) - em_bits
    if masked[0] >> (8 - unused_bits):  # 6
        raise InvalidSignature("PSS: unused bits are set")
    block = bytearray(a ^ b for a, b in zip(masked, mgf1(first_hash, db_size, mgf), strict=True))  # 7, 8
    block[0] &= 0xFF >> unused_bits  # 9
    if bytes(block[: padding_size + 1]) != bytes(padding_size) + b"\x01":  # 10
        raise InvalidSignature("PSS: the salt is not as long as the digest, or the padding is wrong")
    salt = bytes(block[padding_size + 1 :])  # 11
    if hash_alg.compute(bytes(8) + hashed + salt) != first_hash:  # 12 to 14
        raise InvalidSignature("PSS: another digest")


def mgf1(seed: bytes, size: int, mgf: Hash) -> bytes:
    """RFC 8017, appendix B.2.1."""
    blocks = (mgf.compute(seed + counter.to_bytes(4, "big")) for counter in range(-(-size // mgf.size)))
    return b"".join(blocks)[:size]


def _recover(key: RSAPublicKey, signature: bytes, size: int) -> bytes:
    """RSAVP1 (RFC 8017, section 5.2.2) as `size` bytes."""
    numbers = key.public_numbers()
    number = int.from_bytes(signature, "big")
    if len(signature) != (key.key_size + 7) // 8 or number >= numbers.n:
        raise InvalidSignature("RSA: not as long as the modulus, or not below it")
    try:
        return pow(number, numbers.e, numbers.n).to_bytes(size, "big")
    except OverflowError:
        raise InvalidSignature("RSA: the encoded message is too long") from None


def _digest_info(hashed: bytes, hash_alg: Hash) -> bytes:
    if hash_alg.oid_der is None:
        return hashed
    return _der(0x30, _der(0x30, hash_alg.oid_der + _der(0x05, b"")) + _der(0x04, hashed))


def _der(tag: int, content: bytes) -> bytes:
    """Short enough for a length of one byte."""
    return bytes((tag, len(content))) + content
