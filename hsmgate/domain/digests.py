"""The hash algorithms of the contract, and what each is called in PKCS#11 and ASN.1.

Names: seed page, `hash_alg`. Numbers: PKCS#11 3.2, pkcs11t.h. Object identifiers: RFC 8017 (SHA-1, SHA-2), NIST's CSOR
(SHA-3), RFC 7693 (BLAKE2), TC 26 (Streebog), ISO/IEC 10118-3 (RIPEMD-160).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from asn1crypto.core import Null, ObjectIdentifier

from hsmgate.errors import BadItem, Unsupported

Compute = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Digest:
    """One hash algorithm.

    size: bytes of a digest.
    compute: data to digest; raises Unsupported where this installation or the data's length does not allow it.
    oid: its object identifier; none for SSL3.
    ckm: CKM_… of the bare hash, as a PSS parameter names it; None where PKCS#11 has none.
    ckg: CKG_MGF1_… of MGF1 over it; None where PKCS#11 has none.
    """

    name: str
    size: int
    compute: Compute
    oid: str | None
    ckm: int | None = None
    ckg: int | None = None

    @property
    def digest_info(self) -> bytes:
        """What stands before the digest in RSASSA-PKCS1-v1_5 (RFC 8017, section 9.2): nothing for SSL3.

        The first bytes of a DER DigestInfo, with NULL for parameters.
        """
        if self.oid is None:
            return b""
        algorithm: bytes = ObjectIdentifier(self.oid).dump() + Null().dump()
        inner = b"\x30" + bytes((len(algorithm),)) + algorithm + b"\x04" + bytes((self.size,))
        return b"\x30" + bytes((len(inner) + self.size,)) + bytes(inner)


def _hashlib(constructor: Callable[..., Any], **options: int) -> Compute:
    def compute(data: bytes) -> bytes:
        digest: bytes = constructor(data, usedforsecurity=False, **options).digest()
        return digest

    return compute


def _ripemd160(data: bytes) -> bytes:
    from Crypto.Hash import RIPEMD160  # noqa: PLC0415 - it takes long to load and is seldom used

    digest: bytes = RIPEMD160.new(data).digest()
    return digest


def _ssl3(data: bytes) -> bytes:
    """MD5 and SHA-1, one after the other, as TLS before 1.2 signed with RSA (RFC 4346, section 7.4.8)."""
    return hashlib.md5(data, usedforsecurity=False).digest() + hashlib.sha1(data, usedforsecurity=False).digest()


STREEBOG_AT_MOST = 64 * 1024
"""Bytes that are hashed with Streebog: its library is plain Python and would keep a signer for long."""


def _streebog(bits: int) -> Compute:
    def compute(data: bytes) -> bytes:
        try:
            from gostcrypto import gosthash  # noqa: PLC0415 - an extra
        except ImportError:
            raise Unsupported(
                "hash_alg: computing STREEBOG needs gostcrypto: pip install 'hsmgate[streebog]'; or send `hash`"
            ) from None
        if len(data) > STREEBOG_AT_MOST:
            raise Unsupported(f"data: STREEBOG is computed over at most {STREEBOG_AT_MOST} bytes; send `hash`")
        return bytes(gosthash.new(f"streebog{bits}", data=bytearray(data)).digest())

    return compute


_NIST = "2.16.840.1.101.3.4.2"
_BLAKE2 = "1.3.6.1.4.1.1722.12.2"
_TC26 = "1.2.643.7.1.1.2"

DIGESTS: dict[str, Digest] = {
    digest.name: digest
    for digest in (
        Digest("SHA1", 20, _hashlib(hashlib.sha1), "1.3.14.3.2.26", 0x220, 1),
        Digest("SHA224", 28, _hashlib(hashlib.sha224), f"{_NIST}.4", 0x255, 5),
        Digest("SHA256", 32, _hashlib(hashlib.sha256), f"{_NIST}.1", 0x250, 2),
        Digest("SHA384", 48, _hashlib(hashlib.sha384), f"{_NIST}.2", 0x260, 3),
        Digest("SHA512", 64, _hashlib(hashlib.sha512), f"{_NIST}.3", 0x270, 4),
        Digest("SHA3_224", 28, _hashlib(hashlib.sha3_224), f"{_NIST}.7", 0x2B5, 6),
        Digest("SHA3_256", 32, _hashlib(hashlib.sha3_256), f"{_NIST}.8", 0x2B0, 7),
        Digest("SHA3_384", 48, _hashlib(hashlib.sha3_384), f"{_NIST}.9", 0x2C0, 8),
        Digest("SHA3_512", 64, _hashlib(hashlib.sha3_512), f"{_NIST}.10", 0x2D0, 9),
        Digest("BLAKE2B256", 32, _hashlib(hashlib.blake2b, digest_size=32), f"{_BLAKE2}.1.8"),
        Digest("BLAKE2B384", 48, _hashlib(hashlib.blake2b, digest_size=48), f"{_BLAKE2}.1.12"),
        Digest("BLAKE2B512", 64, _hashlib(hashlib.blake2b, digest_size=64), f"{_BLAKE2}.1.16"),
        Digest("BLAKE2S256", 32, _hashlib(hashlib.blake2s, digest_size=32), f"{_BLAKE2}.2.8"),
        Digest("RIPEMD160", 20, _ripemd160, "1.3.36.3.2.1"),
        Digest("STREEBOG256", 32, _streebog(256), f"{_TC26}.2"),
        Digest("STREEBOG512", 64, _streebog(512), f"{_TC26}.3"),
        Digest("SSL3", 36, _ssl3, None),
    )
}


def find_digest(name: str, member: str) -> Digest:
    """The digest of that name, whatever its case. `member` is what an error's text blames.

    Raises BadItem for a name that the contract does not have.
    """
    digest = DIGESTS.get(name.upper())
    if digest is None:
        raise BadItem(f"{member}: unknown hash algorithm; the contract has {', '.join(sorted(DIGESTS))}")
    return digest
