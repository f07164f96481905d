"""EMSA-PSS and EMSA-PKCS1-v1_5 (RFC 8017, section 9), where the token, or the key, does not do the padding.

It handles no secret: the token does the private operation on the encoded message, by CKM_RSA_X_509.
"""

import hmac
import os

from hsmgate.domain.digests import Digest


def pkcs1_encode(digest_info: bytes, size: int) -> bytes:
    """The encoded message, `size` bytes, for a DigestInfo that leaves at least 11 of them free (section 9.2)."""
    return b"\0\1" + b"\xff" * (size - len(digest_info) - 3) + b"\0" + digest_info


def mgf1(digest: Digest, seed: bytes, length: int) -> bytes:
    """A mask of `length` bytes (RFC 8017, appendix B.2.1)."""
    blocks = range((length + digest.size - 1) // digest.size)
    return b"".join(digest.compute(seed + block.to_bytes(4, "big")) for block in blocks)[:length]


def pss_fits(modulus_bits: int, hash_size: int, salt_size: int) -> bool:
    """Whether a modulus has room for a PSS encoding with that hash and salt."""
    return (modulus_bits + 6) // 8 >= hash_size + salt_size + 2


def pss_encode(digest: Digest, mgf: Digest, modulus_bits: int, hashed: bytes) -> bytes:
    """The encoded message for `hashed`, as long as the modulus, with a fresh salt as long as the digest.

    The caller has made sure that `pss_fits`.
    """
    em_bits = modulus_bits - 1
    em_size = (em_bits + 7) // 8
    salt = os.urandom(digest.size)
    h = digest.compute(bytes(8) + hashed + salt)
    db = bytes(em_size - 2 * digest.size - 2) + b"\x01" + salt
    mask = mgf1(mgf, h, len(db))
    masked = (int.from_bytes(db, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(db), "big")
    top = masked[0] & (0xFF >> (8 * em_size - em_bits))
    encoded = bytes((top,)) + masked[1:] + h + b"\xbc"
    return encoded.rjust((modulus_bits + 7) // 8, b"\0")


def pss_verify(digest: Digest, mgf: Digest, modulus_bits: int, hashed: bytes, encoded: int) -> bool:
    """Whether that number is an encoding of `hashed` with a salt as long as the digest (RFC 8017, section 9.1.2)."""
    em_bits = modulus_bits - 1
    em_size = (em_bits + 7) // 8
    if encoded.bit_length() > em_bits or not pss_fits(modulus_bits, digest.size, digest.size):
        return False
    em = encoded.to_bytes(em_size, "big")
    masked, h, end = em[: -digest.size - 1], em[-digest.size - 1 : -1], em[-1:]
    mask = mgf1(mgf, h, len(masked))
    db = bytearray(a ^ b for a, b in zip(masked, mask, strict=True))
    db[0] &= 0xFF >> (8 * em_size - em_bits)
    padding, salt = db[: -digest.size], bytes(db[-digest.size :])
    if end != b"\xbc" or padding != bytes(len(padding) - 1) + b"\x01":
        return False
    return hmac.compare_digest(digest.compute(bytes(8) + hashed + salt), h)
